package webhook

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// answer is what a request is answered with; it is written once all is known.
type answer struct {
	status  int
	outcome string
	body    any
	// retryAfter is in seconds; zero leaves the header out.
	retryAfter int
	close      bool
}

type (
	acceptedBody struct {
		Delivery   string   `json:"delivery"`
		Executions []string `json:"executions"`
		// New is how many of them nobody had asked for before.
		New  int    `json:"new"`
		Note string `json:"note,omitempty"`
	}
	ignoredBody struct {
		Delivery string `json:"delivery"`
		Ignored  string `json:"ignored"`
		Note     string `json:"note,omitempty"`
	}
	errorBody struct {
		Error string `json:"error"`
	}
)

func accepted(r event.Receipt) answer {
	if r.Ignored != "" {
		return ignore(r.Delivery, r.Ignored, r.Note)
	}
	a := answer{status: http.StatusAccepted, outcome: OutcomeAccepted}
	if r.Duplicate {
		a.outcome = OutcomeDuplicate
	}
	names := r.Executions
	if names == nil {
		names = []string{}
	}
	a.body = acceptedBody{r.Delivery, names, r.New, r.Note}
	return a
}

// joined is the receipt of all events of one delivery.
func joined(receipts []event.Receipt) event.Receipt {
	all := receipts[0]
	for _, r := range receipts[1:] {
		all.Executions = append(all.Executions, r.Executions...)
		all.New += r.New
		all.Duplicate = all.Duplicate && r.Duplicate
		all.Note = joinTexts(all.Note, r.Note)
		if all.Ignored != r.Ignored {
			all.Ignored = joinTexts(all.Ignored, r.Ignored)
		}
	}
	if len(all.Executions) > 0 {
		all.Ignored = "" // not all of it
	}
	return all
}

func joinTexts(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func ignore(delivery, reason, note string) answer {
	return answer{status: http.StatusOK, outcome: OutcomeIgnored, body: ignoredBody{delivery, reason, note}}
}

const defaultRetrySeconds = 5

// maxErrorRunes keeps an answer short whatever a source's error quotes.
const maxErrorRunes = 500

func refuse(status int, outcome, text string) answer {
	return answer{status: status, outcome: outcome, body: errorBody{safetext.Cut(text, maxErrorRunes)}}
}

func busy(text string) answer {
	a := refuse(http.StatusServiceUnavailable, OutcomeBusy, text+": send this delivery again")
	a.retryAfter = defaultRetrySeconds
	return a
}

// unsureOf answers for a Source that cannot tell whether a delivery is genuine.
func unsureOf(text string) answer {
	a := refuse(http.StatusServiceUnavailable, OutcomeUnsure, text)
	a.retryAfter = defaultRetrySeconds
	return a
}

// unavailable answers for a Sink that failed. Its error is for the log: it may
// name files of this machine.
func unavailable(err error) answer {
	text := "it could not be confirmed that the delivery is on disk; it may have been taken: send it again, it does not run twice"
	var kept interface{ NotTaken() bool }
	if errors.As(err, &kept) && kept.NotTaken() {
		text = "too many deliveries wait for the disk, and this one is not taken: send it again"
	}
	a := refuse(http.StatusServiceUnavailable, OutcomeUnavailable, text)
	a.retryAfter = defaultRetrySeconds
	var hint interface{ RetryIn() time.Duration }
	if errors.As(err, &hint) && hint.RetryIn() > 0 {
		a.retryAfter = max(1, int(math.Ceil(hint.RetryIn().Seconds())))
	}
	return a
}

func (a answer) write(w http.ResponseWriter) {
	text, err := json.Marshal(a.body)
	if err != nil { // structs of strings and numbers always encode
		panic(err)
	}
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if a.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(a.retryAfter))
	}
	if a.status == http.StatusMethodNotAllowed {
		h.Set("Allow", http.MethodPost)
	}
	if a.close {
		h.Set("Connection", "close")
	}
	w.WriteHeader(a.status)
	// A client that is gone misses its answer; there is nobody to tell.
	_, _ = w.Write(append(text, '\n'))
}
