// Package api serves the JSON API over the dispatcher: what came in, what it
// became, and what a person may do about it.
//
//	POST /api/v1/executions                  start one by hand
//	GET  /api/v1/executions                  list, newest first
//	GET  /api/v1/executions/{id}             one, with input and output
//	GET  /api/v1/executions/{id}/history     what happened in it, event by event
//	GET  /api/v1/executions/{id}/log         what its builds print, followed to the end
//	POST /api/v1/executions/{id}/stop        end it
//	POST /api/v1/executions/{id}/rerun       run it again, as a further attempt
//	POST /api/v1/executions/{id}/redrive     start one that was refused; let one that failed go on
//	POST /api/v1/executions/{id}/approve     let it go on, where it waits for a person
//	POST /api/v1/executions/{id}/reject      make it fail there
//	POST /api/v1/executions/{id}/link        a link with which one person may decide
//	POST /api/v1/executions/rerun            all that match a filter, oldest first
//	POST /api/v1/executions/redrive          all dead ones that match a filter, or those of its states
//	GET  /api/v1/approvals                   what executions ask people, newest first
//	GET  /api/v1/deliveries                  list, newest first
//	GET  /api/v1/deliveries/{id}             one, with its event and what it became
//	POST /api/v1/deliveries/{id}/replay      route it again, start what is missing
//	POST /api/v1/audits                      hold what git hosts have against all that
//	POST /api/v1/sign-in                     a link that signs one person in to the dashboard
//
// Every call carries "Authorization: Bearer <token>". A POST may say in the
// query who is behind it, by=ada, which is recorded. Errors are
// {"error": "what is wrong and what to do"}.
package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

// Dispatcher is what the API needs of [dispatch.Dispatcher].
type Dispatcher interface {
	Reader
	Actor
}

// Reader answers questions. Unknown IDs are [dispatch.ErrNotFound].
type Reader interface {
	Executions(ctx context.Context, f dispatch.ExecutionFilter) (dispatch.ExecutionPage, error)
	Execution(ctx context.Context, id string) (dispatch.Execution, error)
	History(ctx context.Context, id string, q dispatch.HistoryQuery) (dispatch.HistoryPage, error)
	Deliveries(ctx context.Context, f dispatch.DeliveryFilter) (dispatch.DeliveryPage, error)
	Delivery(ctx context.Context, id string) (dispatch.DeliveryDetail, error)
	Approvals(ctx context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error)
}

// Actor changes things on behalf of by; each change is durable when it returns
// nil.
type Actor interface {
	Start(ctx context.Context, r event.Request, by string) (event.Receipt, error)
	Stop(ctx context.Context, id, by string) error
	Rerun(ctx context.Context, id, by string) (string, error)
	Redrive(ctx context.Context, id string) (dispatch.RedriveKind, error)
	Replay(ctx context.Context, id string) (event.Receipt, error)
	Decide(ctx context.Context, d dispatch.Decision) (dispatch.Approval, error)
}

// Starter makes a request of an execution input that a person wrote. Its error
// is shown to that person.
type Starter func(stateMachine string, input []byte) (event.Request, error)

// Follower copies the log of an execution's builds until they have ended.
type Follower func(ctx context.Context, execution string, w io.Writer) error

// Config is what an operator sets.
type Config struct {
	// Tokens are the bearer tokens that are accepted; at least one, none empty.
	Tokens []string
}

// API is an http.Handler for everything under /api/v1/.
type API struct {
	d      Dispatcher
	start  Starter
	follow Follower
	tokens [][sha256.Size]byte
	audits http.Handler
	link   Linker
	signIn SignInLinker
	log    *zap.Logger
	mux    *http.ServeMux
}

// Option replaces what wiring or a test provides.
type Option func(*API)

// WithLogger names the logger "api"; the default is silent.
func WithLogger(l *zap.Logger) Option { return func(a *API) { a.log = l.Named("api") } }

// WithLogs serves build logs; without it, an engine elsewhere keeps them.
func WithLogs(f Follower) Option { return func(a *API) { a.follow = f } }

// WithAudits serves POST /api/v1/audits, to those who may call the API.
func WithAudits(h http.Handler) Option { return func(a *API) { a.audits = h } }

// Linker makes the address of a page on which a person, and nobody else by that
// name, may decide an approval until a time.
type Linker func(a *dispatch.Approval, person string, until time.Time) string

// WithLinks serves links to approvals.
func WithLinks(l Linker) Option { return func(a *API) { a.link = l } }

// New returns the API. It is an error to configure no token: an API that can
// start deployments is never open.
func New(d Dispatcher, start Starter, cfg Config, opts ...Option) (*API, error) {
	a := &API{d: d, start: start, log: zap.NewNop(), mux: http.NewServeMux()}
	for _, opt := range opts {
		opt(a)
	}
	for i, t := range cfg.Tokens {
		if t == "" {
			return nil, fmt.Errorf("api token %d is empty", i+1)
		}
		a.tokens = append(a.tokens, sha256.Sum256([]byte(t)))
	}
	if len(a.tokens) == 0 {
		return nil, errors.New("no api token")
	}
	a.mux.HandleFunc("POST /api/v1/executions", a.startExecution)
	a.mux.HandleFunc("GET /api/v1/executions", a.listExecutions)
	a.mux.HandleFunc("GET /api/v1/executions/{id}", a.showExecution)
	a.mux.HandleFunc("GET /api/v1/executions/{id}/history", a.showHistory)
	a.mux.HandleFunc("GET /api/v1/executions/{id}/log", a.followLog)
	a.mux.HandleFunc("POST /api/v1/executions/{id}/stop", a.stopExecution)
	a.mux.HandleFunc("POST /api/v1/executions/{id}/rerun", a.rerunExecution)
	a.mux.HandleFunc("POST /api/v1/executions/{id}/redrive", a.redriveExecution)
	a.mux.HandleFunc("POST /api/v1/executions/{id}/approve", func(w http.ResponseWriter, r *http.Request) { a.decide(w, r, true) })
	a.mux.HandleFunc("POST /api/v1/executions/{id}/reject", func(w http.ResponseWriter, r *http.Request) { a.decide(w, r, false) })
	a.mux.HandleFunc("POST /api/v1/executions/{id}/link", a.linkApproval)
	a.mux.HandleFunc("GET /api/v1/approvals", a.listApprovals)
	a.mux.HandleFunc("POST /api/v1/executions/rerun", a.rerunMany)
	a.mux.HandleFunc("POST /api/v1/executions/redrive", a.redriveMany)
	a.mux.HandleFunc("GET /api/v1/deliveries", a.listDeliveries)
	a.mux.HandleFunc("GET /api/v1/deliveries/{id}", a.showDelivery)
	a.mux.HandleFunc("POST /api/v1/deliveries/{id}/replay", a.replayDelivery)
	a.mux.HandleFunc("POST /api/v1/sign-in", a.linkSignIn)
	if a.audits != nil {
		a.mux.Handle("POST /api/v1/audits", a.audits)
	}
	a.mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, &httpError{http.StatusNotFound, "there is no " + r.Method + " " + r.URL.Path + "; the API has executions, approvals and deliveries under /api/v1/"})
	})
	return a, nil
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !a.authorized(r) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="switchyard"`)
		a.fail(w, r, &httpError{http.StatusUnauthorized, "send a token of server.api_tokens as Authorization: Bearer <token>"})
		return
	}
	a.mux.ServeHTTP(w, r)
}

func (a *API) authorized(r *http.Request) bool {
	token, ok := bearer(r)
	return ok && a.Accepts(token)
}

func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// Digests are the SHA-256 of the tokens that may call the API.
func (a *API) Digests() [][sha256.Size]byte { return a.tokens }

// Accepts reports whether a token may call the API. It compares digests, so that
// neither the content nor the length of a token shows in the time it takes.
func (a *API) Accepts(token string) bool {
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	match := 0
	for _, want := range a.tokens {
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return match == 1
}

// httpError is an error with the status that answers it.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// fail answers err.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := explain(err)
	unavailable := new(dispatch.UnavailableError)
	switch {
	case status == http.StatusServiceUnavailable && errors.As(err, &unavailable):
		w.Header().Set("Retry-After", fmt.Sprint(max(1, int(unavailable.RetryAfter.Seconds()))))
		a.log.Error("journal cannot write", zap.Error(err))
	case status == http.StatusInternalServerError:
		a.log.Error("request failed", zap.String("method", r.Method), zap.String("path", r.URL.Path), zap.Error(err))
	}
	answer(w, status, map[string]string{"error": text})
}

// explain says what a caller is told of err. What the caller did wrong is told;
// what went wrong here is for the log, and the caller is told only that.
func explain(err error) (status int, text string) {
	unavailable := new(dispatch.UnavailableError)
	permanent := new(dispatch.PermanentError)
	refused := new(httpError)
	undecided := new(dispatch.RefusedError)
	switch {
	case errors.As(err, &undecided):
		return http.StatusConflict, err.Error()
	case errors.As(err, &refused):
		return refused.status, refused.text
	case errors.Is(err, dispatch.ErrNotFound):
		return http.StatusNotFound, err.Error()
	case errors.Is(err, dispatch.ErrFinished), errors.Is(err, dispatch.ErrUnfinished), errors.Is(err, dispatch.ErrNotRedrivable), errors.Is(err, dispatch.ErrNotStarted):
		return http.StatusConflict, err.Error()
	case errors.As(err, &permanent):
		return http.StatusBadRequest, err.Error()
	case errors.As(err, &unavailable) && unavailable.Untouched:
		return http.StatusServiceUnavailable, "the journal cannot be used now; nothing was changed, try again"
	case errors.As(err, &unavailable):
		return http.StatusServiceUnavailable, "the journal could not confirm the change; it may have been made: look, and try again"
	default:
		return http.StatusInternalServerError, "something went wrong here; the log says what"
	}
}

// Accepted is the answer to a call that starts executions.
type Accepted struct {
	Delivery   string   `json:"delivery,omitempty"`
	Executions []string `json:"executions"`
	// New is how many of them nobody had asked for before.
	New int `json:"new"`
	// Ignored says why there are none.
	Ignored string `json:"ignored,omitempty"`
}

func answerTo(r event.Receipt) Accepted {
	a := Accepted{Delivery: r.Delivery, Executions: r.Executions, New: r.New, Ignored: r.Ignored}
	if a.Executions == nil {
		a.Executions = []string{}
	}
	return a
}

// answer writes JSON that may be shown on a terminal as it comes: branch names
// and commit messages in it are written by strangers.
func answer(w http.ResponseWriter, status int, v any) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // only for an output that is no JSON
		status = http.StatusInternalServerError
		text.Reset()
		_ = enc.Encode(map[string]string{"error": "the answer cannot be written as JSON: " + err.Error()})
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(safetext.JSON(text.Bytes())) // the reader has gone; there is nobody to tell
}
