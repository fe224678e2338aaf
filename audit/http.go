package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"switchyard/internal/safetext"
)

// Line is one line of the answer to POST /api/v1/audits, as JSON: one of its
// fields is set. The last line has Done, or Error if the audit could not begin.
type Line struct {
	Finding *Finding `json:"finding,omitempty"`
	Summary *Summary `json:"summary,omitempty"`
	Done    bool     `json:"done,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Handler answers POST /api/v1/audits?route=&repository=&branch=&since=&heal=true
// with lines of JSON as the audit goes on. Who may call it, is for the caller to
// decide. parseSince reads a point in time as people write it.
func (a *Auditor) Handler(parseSince func(text string, now time.Time) (time.Time, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := a.query(r, parseSince)
		if err != nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			write(w, Line{Error: err.Error()})
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		flush := http.NewResponseController(w)
		tell := func(l Line) {
			// A reader that stopped reading must not hold up other audits.
			_ = flush.SetWriteDeadline(time.Now().Add(lineTimeout))
			write(w, l)
			_ = flush.Flush() // where it cannot be done, the reader waits
		}
		err = a.Audit(r.Context(), q, Report{
			Finding: func(f Finding) { tell(Line{Finding: &f}) },
			Summary: func(s Summary) { tell(Line{Summary: &s}) },
		})
		if err != nil {
			tell(Line{Error: err.Error()})
			return
		}
		tell(Line{Done: true})
	})
}

// write writes a line that may be shown on a terminal as it is.
func write(w http.ResponseWriter, l Line) {
	text, err := json.Marshal(l)
	if err != nil {
		return // it holds nothing that cannot be written
	}
	_, _ = w.Write(append(safetext.JSON(text), '\n')) // the reader has gone; there is nobody to tell
}

func (a *Auditor) query(r *http.Request, parseSince func(string, time.Time) (time.Time, error)) (q Query, err error) {
	for key, values := range r.URL.Query() {
		value := values[0]
		switch {
		case len(values) > 1:
			err = errors.New("it is given twice")
		case value == "":
			err = errors.New("it is empty; leave it out, or give it a value")
		case key == "route":
			q.Route = value
		case key == "repository":
			q.Repository = value
		case key == "branch":
			q.Branch = value
		case key == "since":
			q.Since, err = parseSince(value, a.now())
		case key == "heal" && (value == "true" || value == "false"):
			q.Heal = value == "true"
		case key == "heal":
			err = errors.New("it is true or false")
		default:
			err = errors.New("unknown; there are route, repository, branch, since and heal")
		}
		if err != nil {
			return Query{}, fmt.Errorf("query parameter %s: %w", safetext.Cut(safetext.Line(key), maxKey), err)
		}
	}
	if q.Heal && q.Route != "" {
		return Query{}, errors.New("query parameters heal and route: what is missing is started on all routes that ask for it; leave one of them out")
	}
	return q, nil
}

// lineTimeout is how long a reader may take for a line.
const lineTimeout = 30 * time.Second

// maxKey is how much of an unknown parameter's name is shown.
const maxKey = 64
