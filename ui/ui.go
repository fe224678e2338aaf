// Package ui serves the page behind a commit status: one execution, where it
// is, what came of it, and what its builds print.
//
// A commit status is seen by everybody who can see the commit, and by nobody
// else; the page follows that. Its address carries a key derived from the
// execution's ID and a secret of the service, so that whoever has the link can read
// the page and nobody can guess another one. The page changes nothing.
//
// What an execution asks a person has a page of its own, below its page. That one
// decides, for those who have a token of the API or a link made for them.
package ui

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
	"switchyard/ui/logtail"
)

// Executions finds one execution, or [dispatch.ErrNotFound].
type Executions interface {
	Execution(ctx context.Context, id string) (dispatch.Execution, error)
}

// Logs writes what the execution's builds have printed so far; nothing when
// there are none.
type Logs func(ctx context.Context, execution string, w io.Writer) error

// Histories tell what happened in an execution, or [dispatch.ErrNotStarted].
type Histories func(ctx context.Context, id string, q dispatch.HistoryQuery) (dispatch.HistoryPage, error)

// Reasons tell why a delivery, or parts of it, started nothing.
type Reasons func(ctx context.Context, delivery string) ([]dispatch.Ignored, error)

// minKey is the least size of the secret, in bytes.
const minKey = 16

// shownEvents is how many events of the history the page shows, and historyTime
// how long it waits for them.
const (
	shownEvents = 20
	historyTime = 5 * time.Second
)

const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Pages is an http.Handler for GET /executions/{id}, and GET and POST of
// /executions/{id}/approvals/{approval}.
type Pages struct {
	executions Executions
	logs       Logs
	history    Histories
	reasons    Reasons
	base       string
	key        []byte
	log        *zap.Logger
	now        func() time.Time
	forkBuilds string
	engineLink func(executionARN string) string
	approvals  Approvals // nil for none
	may        func(token string) bool
	origin     http.CrossOriginProtection
}

// Option replaces what wiring or a test provides.
type Option func(*Pages)

// WithLogger names the logger "ui"; the default is silent.
func WithLogger(l *zap.Logger) Option { return func(p *Pages) { p.log = l.Named("ui") } }

// WithLogs shows build logs; without it the page has none.
func WithLogs(l Logs) Option { return func(p *Pages) { p.logs = l } }

// WithHistory shows the last events of the execution's history.
func WithHistory(h Histories) Option { return func(p *Pages) { p.history = h } }

// WithReasons shows what the delivery left out that asked for the execution, and
// nobody told.
func WithReasons(r Reasons) Option { return func(p *Pages) { p.reasons = r } }

// WithForkBuilds says what builds of commits from forks go without.
func WithForkBuilds(without string) Option { return func(p *Pages) { p.forkBuilds = without } }

// WithEngineLink has pages link to where the engine shows an execution; "" is no
// link.
func WithEngineLink(f func(executionARN string) string) Option {
	return func(p *Pages) { p.engineLink = f }
}

// WithClock replaces time.Now, for the duration of what still runs.
func WithClock(now func() time.Time) Option { return func(p *Pages) { p.now = now } }

// New returns the pages of a service that people reach at base, for example
// https://switchyard.acme.example. The key is the service's own secret, at
// least 16 bytes; a new key makes all earlier links invalid.
func New(e Executions, base string, key []byte, opts ...Option) (*Pages, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("the key of the pages has %d bytes, at least %d are needed", len(key), minKey)
	}
	p := &Pages{executions: e, base: strings.TrimRight(base, "/"), key: key, log: zap.NewNop(), now: time.Now}
	for _, opt := range opts {
		opt(p)
	}
	return p, nil
}

// Link is the address of an execution's page.
func (p *Pages) Link(execution string) string {
	return p.base + "/executions/" + url.PathEscape(execution) + "?key=" + p.keyOf(execution)
}

func (p *Pages) keyOf(execution string) string {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte("execution page\n" + execution))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

//go:embed execution.html
var executionHTML string

var page = template.Must(template.New("execution").Funcs(template.FuncMap{
	"safe": safetext.Line,
	"json": indent,
}).Parse(executionHTML))

type view struct {
	dispatch.Execution
	// Status is what its commit is told.
	Status  string
	Took    time.Duration
	Running bool
	// Events are the last of its history, oldest first; EventsCut is true when
	// there are more, and NoEvents when they cannot be told.
	Events              []eventView
	EventsCut, NoEvents bool
	// Asked are its approvals, newest first.
	Asked []asked
	// Gaps say what its delivery left out, and why nobody told.
	Gaps []string
	// ForkBuilds says of a fork's execution what its builds go without.
	ForkBuilds string
	// EngineLink is where the engine shows the execution, "" where it does not.
	EngineLink string
	Log        string
	// LogCut is true when the log's beginning is left out.
	LogCut bool
}

// eventView is an event of the history.
type eventView struct {
	Type, State, Line string
	After             time.Duration
	Failed            bool
}

func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, ok := strings.CutPrefix(r.URL.Path, "/executions/")
	id, approval, asks := strings.Cut(id, "/approvals/")
	asks = asks && p.approvals != nil
	if r.Method != http.MethodGet && r.Method != http.MethodHead && (!asks || r.Method != http.MethodPost) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", contentPolicy)
	if asks {
		p.serveApproval(w, r, id, approval)
		return
	}
	// An unknown execution and a wrong key answer alike, so that a stranger
	// cannot find out which executions exist.
	if !ok || !hmac.Equal([]byte(r.URL.Query().Get("key")), []byte(p.keyOf(id))) {
		http.Error(w, "there is no such page; open it from the commit status", http.StatusNotFound)
		return
	}
	v, err := p.view(r.Context(), id)
	if errors.Is(err, dispatch.ErrNotFound) {
		http.Error(w, "this execution is no longer in the journal", http.StatusNotFound)
		return
	}
	var body bytes.Buffer
	if err == nil {
		err = page.Execute(&body, v)
	}
	if err != nil {
		p.broken(w, id, err)
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w) // the reader has gone; there is nobody to tell
}

func (p *Pages) view(ctx context.Context, id string) (view, error) {
	e, err := p.executions.Execution(ctx, id)
	if err != nil {
		return view{}, err
	}
	v := view{Execution: e, Status: dispatch.StatusOf(&e).Description, Running: !e.State.Finished()}
	if e.HeadRepository != "" {
		v.ForkBuilds = p.forkBuilds
	}
	if p.engineLink != nil && e.ARN != "" {
		v.EngineLink = p.engineLink(e.ARN)
	}
	switch {
	case e.StartedAt.IsZero():
	case e.StoppedAt.IsZero():
		v.Took = p.now().Sub(e.StartedAt).Round(time.Second)
	default:
		v.Took = e.StoppedAt.Sub(e.StartedAt).Round(time.Millisecond)
	}
	p.addApprovals(ctx, &v)
	p.addGaps(ctx, &v)
	p.addHistory(ctx, &v)
	if p.logs == nil {
		return v, nil
	}
	var tail logtail.Buffer
	if err := p.logs(ctx, id, &tail); err != nil {
		return v, fmt.Errorf("log of %s: %w", id, err)
	}
	v.Log, v.LogCut = safetext.Block(string(tail.Last)), tail.Cut
	return v, nil
}

// addGaps adds what concerns the whole delivery. A page without it is better than
// none.
func (p *Pages) addGaps(ctx context.Context, v *view) {
	if p.reasons == nil || v.Delivery == "" {
		return
	}
	reasons, err := p.reasons(ctx, v.Delivery)
	if err != nil {
		p.log.Warn("the delivery of an execution cannot be shown", zap.String("execution", v.ID), zap.Error(err))
		return
	}
	for i := range reasons {
		if r := &reasons[i]; r.Route == "" && r.Commit == "" {
			v.Gaps = append(v.Gaps, r.Reason)
		}
	}
}

// addHistory adds the last events. A page without them is better than none.
func (p *Pages) addHistory(ctx context.Context, v *view) {
	if p.history == nil || v.ARN == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	h, err := p.history(ctx, v.ID, dispatch.HistoryQuery{NewestFirst: true, Limit: shownEvents})
	if err != nil {
		v.NoEvents = true
		p.log.Warn("history of an execution cannot be shown", zap.String("execution", v.ID), zap.Error(err))
		return
	}
	v.EventsCut = h.Next != 0
	for _, e := range slices.Backward(h.Events) {
		v.Events = append(v.Events, eventView{e.Type, e.State, e.Line(), max(e.At.Sub(h.StartedAt), 0).Round(time.Millisecond), e.Failed()})
	}
}

func indent(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return safetext.Block(string(text))
	}
	return string(safetext.JSON(b.Bytes()))
}
