package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/graph"
	"switchyard/dispatch"
	"switchyard/internal/safetext"
	"switchyard/ui/logtail"
	"switchyard/ui/progress"
)

// Logs writes what the builds of an execution have printed so far; nothing when
// there are none.
type Logs func(ctx context.Context, execution string, w io.Writer) error

const (
	// readEvents is how many events, from the first on, the picture and the timeline
	// are made of, and eventsSize how many are listed on a page, newest first.
	readEvents = 5000
	eventsSize = 50
	// engineTime is how long the page waits for what the engine tells.
	engineTime = 5 * time.Second
	// maxAttempts is how many attempts of a request are looked for.
	maxAttempts = 20
)

// executionPage is the page of one execution.
type executionPage struct {
	page
	X dispatch.Execution
	// Head says in one line how it stands, and Waits what it waits for.
	Head, Waits string
	// CommitLink and PullLink are at the git host, EngineLink at the engine; "" for
	// none.
	CommitLink, PullLink, EngineLink string
	Took                             string
	At                               stamp
	Attempts                         []dispatch.Execution
	Asked                            []dispatch.Approval
	// Picture is the state machine with its states lit; NoPicture says why there is
	// none.
	Picture   template.HTML
	NoPicture string
	Timeline  timeline
	// Events are a part of the history, newest first; Older is the address of the
	// next part.
	Events   []eventRow
	NoEvents string
	Older    string
	Log      string
	LogCut   bool
	// Acts are what the person may do here.
	Acts []act
}

// eventRow is an event of the history.
type eventRow struct {
	ID          int64
	After       time.Duration
	Type, State string
	Line        string
	Details     string
	Failed      bool
}

func (d *Dashboard) showExecution(w http.ResponseWriter, r *http.Request, s *Session) {
	x, err := d.read.Execution(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, dispatch.ErrNotFound):
		d.tell(w, s, http.StatusNotFound, "There is no such execution, or it is no longer in the journal.")
		return
	case err != nil:
		d.broken(w, err)
		return
	}
	p := executionPage{page: d.pageFor(s, string(x.State)+": "+x.Title, ""), X: x, Head: dispatch.StatusOf(&x).Description, At: stamp(x.CreatedAt)}
	if p.Title = safetext.Cut(safetext.Line(x.Title), 60); p.Title == "" {
		p.Title = x.ID
	}
	if !x.State.Finished() {
		p.Live = "/live?" + url.Values{"execution": {x.ID}}.Encode()
	}
	p.Took = tookOf(x.StartedAt, x.StoppedAt)
	if x.State == dispatch.StateRunning {
		p.Took = tookOf(x.StartedAt, d.now())
	}
	p.CommitLink = commitLink(x.Input)
	if d.pullLink != nil && x.PullRequest != 0 {
		p.PullLink = d.pullLink(x.Source, x.Repository, x.PullRequest)
	}
	if d.engineLink != nil && x.ARN != "" {
		p.EngineLink = d.engineLink(x.ARN)
	}
	for _, add := range []func(context.Context, *executionPage) error{d.addQueue, d.addAttempts, d.addAsked} {
		if err := add(r.Context(), &p); err != nil {
			d.broken(w, fmt.Errorf("page of %s: %w", x.ID, err))
			return
		}
	}
	d.addLog(r.Context(), &p)
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64) // 0 is the newest
	d.addHistory(r.Context(), &p, max(after, 0))
	p.Acts = actsOn(&p)
	d.show(w, http.StatusOK, "execution.html", &p)
}

// commitLink is where the host shows the commit, as the input of the execution has
// it: an address that a browser may be sent to, or "".
func commitLink(input json.RawMessage) string {
	var is struct{ Commit struct{ URL string } }
	if json.Unmarshal(input, &is) != nil {
		return ""
	}
	u, err := url.Parse(is.Commit.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	return u.String()
}

// addQueue says what an execution waits for that has not begun.
func (d *Dashboard) addQueue(ctx context.Context, p *executionPage) error {
	if p.X.State == dispatch.StateRunning && p.X.WaitsFor != "" {
		p.Waits = "a person: " + p.X.WaitsFor
	}
	if p.X.State != dispatch.StateWaiting {
		return nil
	}
	ahead, err := d.read.Executions(ctx, dispatch.ExecutionFilter{Environment: p.X.Environment, States: []dispatch.State{dispatch.StateWaiting}, Before: p.X.Seq, Limit: 1000})
	if err != nil {
		return err
	}
	holders, err := d.read.Executions(ctx, dispatch.ExecutionFilter{Environment: p.X.Environment, States: []dispatch.State{dispatch.StateReady, dispatch.StateRunning}, Limit: 3})
	if err != nil {
		return err
	}
	p.Waits = fmt.Sprintf("environment %s, %d ahead", p.X.Environment, len(ahead.Executions))
	for i := range holders.Executions {
		h := &holders.Executions[i]
		p.Waits += fmt.Sprintf("; held by %s (%s)", shortSHA(h.SHA), safetext.Cut(safetext.Line(h.Title), 40))
	}
	return nil
}

// addAttempts lists the attempts of the same request, if there are several.
func (d *Dashboard) addAttempts(ctx context.Context, p *executionPage) error {
	for n := 1; n <= maxAttempts; n++ {
		x, err := d.read.Execution(ctx, dispatch.AttemptID(p.X.Base, n))
		if errors.Is(err, dispatch.ErrNotFound) {
			if n > p.X.Attempt {
				break
			}
			continue // retention has removed it
		}
		if err != nil {
			return err
		}
		p.Attempts = append(p.Attempts, x)
	}
	if len(p.Attempts) < 2 {
		p.Attempts = nil
	}
	return nil
}

func (d *Dashboard) addAsked(ctx context.Context, p *executionPage) (err error) {
	p.Asked, err = d.read.Approvals(ctx, dispatch.ApprovalFilter{Execution: p.X.ID})
	return err
}

// addLog adds the end of the log. A page without it is better than none.
func (d *Dashboard) addLog(ctx context.Context, p *executionPage) {
	if d.logs == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	var tail logtail.Buffer
	if err := d.logs(ctx, p.X.ID, &tail); err != nil {
		d.log.Warn("the log of an execution cannot be shown", zap.String("execution", p.X.ID), zap.Error(err))
		p.Log = "The log cannot be read now; the service's log says why."
		return
	}
	if over := len(tail.Last) - logtail.Shown; over > 0 {
		tail.Last, tail.Cut = tail.Last[over:], true
	}
	p.Log, p.LogCut = safetext.Block(string(tail.Last)), tail.Cut
}

// addHistory adds what the engine tells. A page without it is better than none.
func (d *Dashboard) addHistory(ctx context.Context, p *executionPage, after int64) {
	if p.X.ARN == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	all, err := d.read.History(ctx, p.X.ID, dispatch.HistoryQuery{Limit: readEvents})
	if err == nil {
		visits := progress.Of(all.Events)
		p.Timeline = timelineOf(visits, p.X.State, all.Next != 0, d.now())
		d.addPicture(ctx, p, progress.Marks(visits, p.X.State), all.Next != 0)
	}
	var part dispatch.HistoryPage
	if err == nil {
		part, err = d.read.History(ctx, p.X.ID, dispatch.HistoryQuery{NewestFirst: true, After: after, Limit: eventsSize, Data: true})
	}
	if err != nil {
		p.NoEvents = "The engine does not tell now what happened; the service's log says why."
		d.log.Warn("history of an execution cannot be shown", zap.String("execution", p.X.ID), zap.Error(err))
		return
	}
	for i := range part.Events {
		e := &part.Events[i]
		p.Events = append(p.Events, eventRow{
			ID: e.ID, After: max(e.At.Sub(part.StartedAt), 0).Round(time.Millisecond), Type: e.Type, State: e.State, Line: e.Line(),
			Details: detailsOf(e.Details), Failed: e.Failed(),
		})
	}
	if part.Next != 0 {
		p.Older = "/executions/" + url.PathEscape(p.X.ID) + "?after=" + strconv.FormatInt(part.Next, 10) + "#events"
	}
}

// detailsOf writes details for people: the JSON texts in them as JSON.
func detailsOf(details json.RawMessage) string {
	var fields map[string]any
	if json.Unmarshal(details, &fields) != nil || len(fields) == 0 {
		return ""
	}
	for name, value := range fields {
		if text, ok := value.(string); ok && json.Valid([]byte(text)) && (name == "input" || name == "output" || name == "parameters") {
			fields[name] = json.RawMessage(text)
		}
	}
	return pretty(fields)
}

// pretty is JSON for people.
func pretty(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if enc.Encode(v) != nil {
		return safetext.Block(fmt.Sprint(v))
	}
	return string(safetext.JSON(b.Bytes()))
}

// addPicture draws the state machine.
func (d *Dashboard) addPicture(ctx context.Context, p *executionPage, marks map[string]graph.Mark, cut bool) {
	text, err := d.read.Definition(ctx, p.X.ID)
	if err != nil {
		p.NoPicture = "The engine does not tell now what the execution runs; the service's log says why."
		d.log.Warn("the definition of an execution cannot be read", zap.String("execution", p.X.ID), zap.Error(err))
		return
	}
	drawing, err := d.drawings.of(text)
	if err != nil {
		p.NoPicture = "The definition cannot be drawn: " + safetext.Cut(safetext.Line(err.Error()), 200)
		return
	}
	if cut {
		p.NoPicture = fmt.Sprintf("The picture and the timeline are made of the first %d events.", readEvents)
	}
	svg := drawing.SVG(graph.SVGOptions{Title: "States of the execution", Marks: marks, IDPrefix: "g-", NoStyle: true})
	p.Picture = template.HTML(svg) //nolint:gosec // package graph escapes every text in it
}
