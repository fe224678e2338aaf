// Package dashboard serves what people see of the service: the commits of every
// branch as tracks, and what became of each.
//
// Everything but the sign-in page and the style sheet is for people who have signed
// in, see [Session]. Pages are written by the server and work without JavaScript; the
// one script keeps them up to date. The content policy allows nothing else: no inline
// script or style, no other host.
package dashboard

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
)

// Reader tells what the journal holds; [dispatch.Dispatcher] does.
type Reader interface {
	Executions(ctx context.Context, f dispatch.ExecutionFilter) (dispatch.ExecutionPage, error)
	Execution(ctx context.Context, id string) (dispatch.Execution, error)
	History(ctx context.Context, id string, q dispatch.HistoryQuery) (dispatch.HistoryPage, error)
	Definition(ctx context.Context, id string) (string, error)
	Deliveries(ctx context.Context, f dispatch.DeliveryFilter) (dispatch.DeliveryPage, error)
	Delivery(ctx context.Context, id string) (dispatch.DeliveryDetail, error)
	Approvals(ctx context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error)
	LeftOut(ctx context.Context, f dispatch.LeftOutFilter) (dispatch.LeftOutPage, error)
	EnvironmentLimit(environment string) int
	Depth(ctx context.Context) (dispatch.Depth, error)
	Subscribe(buffer int) (changes <-chan dispatch.Change, cancel func())
}

// Tokens are the digests of the API's tokens, as they are in force now.
type Tokens func() [][sha256.Size]byte

// minKey is the least size of the secret, in bytes.
const minKey = 16

// Dashboard is an http.Handler for the paths of [Paths]. It is safe for concurrent
// use.
type Dashboard struct {
	read   Reader
	tokens Tokens
	base   string
	key    []byte
	log    *zap.Logger
	now    func() time.Time
	origin http.CrossOriginProtection
	mux    *http.ServeMux
	links  links

	do         Actor
	logs       Logs                                               // nil for none
	engineLink func(executionARN string) string                   // nil for none
	pullLink   func(source, repository string, number int) string // nil for none
	health     func(ctx context.Context) []Check                  // nil for none
	drawings   drawings
	newest     newest

	stop    context.CancelFunc // ends what is live
	stopped context.Context    //nolint:containedctx // of the handler's own life, not of a call
}

// Option replaces what wiring or a test provides.
type Option func(*Dashboard)

// WithLogger names the logger "dashboard"; the default is silent.
func WithLogger(l *zap.Logger) Option { return func(d *Dashboard) { d.log = l.Named("dashboard") } }

// WithLogs shows build logs; without it pages have none.
func WithLogs(l Logs) Option { return func(d *Dashboard) { d.logs = l } }

// WithEngineLink has pages link to where the engine shows an execution; "" is no
// link.
func WithEngineLink(f func(executionARN string) string) Option {
	return func(d *Dashboard) { d.engineLink = f }
}

// WithPullLink has pages link to where the host shows a pull request; "" is no link.
func WithPullLink(f func(source, repository string, number int) string) Option {
	return func(d *Dashboard) { d.pullLink = f }
}

// WithHistoryPace is how often the engine is asked whether something has happened in
// an execution that somebody watches; the default is 2 s.
func WithHistoryPace(pace time.Duration) Option { return func(d *Dashboard) { d.newest.pace = pace } }

// WithClock replaces time.Now.
func WithClock(now func() time.Time) Option { return func(d *Dashboard) { d.now = now } }

// New returns the dashboard of a service that people reach at base, for example
// https://switchyard.acme.example. The key is the service's own secret, at least 16
// bytes; a new key ends all sessions.
func New(r Reader, do Actor, tokens Tokens, base string, key []byte, opts ...Option) (*Dashboard, error) {
	if len(key) < minKey {
		return nil, fmt.Errorf("the key of the dashboard has %d bytes, at least %d are needed", len(key), minKey)
	}
	d := &Dashboard{read: r, do: do, tokens: tokens, base: strings.TrimRight(base, "/"), key: key, log: zap.NewNop(), now: time.Now, mux: http.NewServeMux()}
	d.newest.pace = historyPace
	d.stopped, d.stop = context.WithCancel(context.Background())
	for _, opt := range opts {
		opt(d)
	}
	d.mux.HandleFunc("GET /sign-in", d.showSignIn)
	d.mux.HandleFunc("POST /sign-in", d.signIn)
	d.mux.HandleFunc("GET /assets/{name}", serveAsset)
	d.mux.Handle("POST /sign-out", d.act(Viewer, d.signOut))
	d.mux.Handle("GET /{$}", d.signedIn(d.showTracks))
	d.mux.Handle("GET /executions/{id}", d.signedIn(d.showExecution))
	d.mux.Handle("POST /executions/{id}/{act}", d.act(Operator, d.actOnExecution))
	d.mux.Handle("GET /deliveries", d.signedIn(d.showDeliveries))
	d.mux.Handle("GET /deliveries/{id}", d.signedIn(d.showDelivery))
	d.mux.Handle("POST /deliveries/{id}/replay", d.act(Operator, d.replay))
	d.mux.Handle("GET /environments", d.signedIn(d.showEnvironments))
	d.mux.Handle("GET /health", d.signedIn(d.showHealth))
	d.mux.Handle("GET /live", d.signedIn(d.serveLive))
	return d, nil
}

// Paths are what a mux hands to the dashboard. Below [Executions] only requests
// without a key are: those with one are for the pages of package ui.
func Paths() []string {
	return []string{"/{$}", "/sign-in", "/sign-out", "/assets/", "/live", "/deliveries", "/deliveries/", "/environments", "/health"}
}

// Executions is where the pages of executions are.
const Executions = "/executions/"

// Close ends what is live, so that a server can shut down.
func (d *Dashboard) Close() { d.stop() }

// contentPolicy allows what the service itself serves, and forms that go to it.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	d.mux.ServeHTTP(w, r)
}

// page is what every page has.
type page struct {
	// Title is the page's own; Here is the address of its entry in the menu.
	Title, Here string
	Session     *Session
	// Live is the address of the page's events, "" for a page that stays as it is.
	Live string
	// Form proves that a form came from a page of this session.
	Form string
}

func (d *Dashboard) pageFor(s *Session, title, here string) page {
	return page{Title: title, Here: here, Session: s, Form: d.formKey(s)}
}

// show writes a page.
func (d *Dashboard) show(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := templates.ExecuteTemplate(&body, name, data); err != nil {
		d.broken(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // the reader has gone; there is nobody to tell
}

// message is a page that says one thing.
type message struct {
	page
	Text string
}

// tell shows a page that says one thing.
func (d *Dashboard) tell(w http.ResponseWriter, s *Session, status int, text string) {
	d.show(w, status, "message.html", message{d.pageFor(s, http.StatusText(status), ""), text})
}

func (d *Dashboard) broken(w http.ResponseWriter, err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	d.log.Error("page failed", zap.Error(err))
	http.Error(w, "something went wrong here; the log says what", http.StatusInternalServerError)
}
