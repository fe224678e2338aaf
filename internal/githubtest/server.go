// Package githubtest stands in for GitHub in tests: its REST API and Git over
// HTTP, in front of real bare repositories, and the deliveries of its webhooks.
//
// What git decides (history, comparisons, merge bases, changed files) git
// decides. Paging, conditional requests, permissions, expiry, limits and errors
// are as GitHub documents them, and each request and answer is checked against
// the OpenAPI description that GitHub publishes: a test fails on what GitHub
// would not take, and on what it would not answer. See [Server.Transport] for
// tests with a clock of their own.
//
// Facts are from the REST reference, "Rate limits for the REST API" and "Webhook
// events and payloads".
package githubtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"switchyard/internal/openapi"
)

// BaseURL is where the API is for who calls it through [Server.Transport], and
// WebURL where clones are.
const (
	BaseURL = "https://api.github.test/"
	WebURL  = "https://github.test"
)

// Server is the stand-in. Its methods are safe for concurrent use; its fields are
// set before the first call.
type Server struct {
	// Limits are those of the API. New sets those that GitHub documents.
	Limits Limits
	// NewestFirst lists comparisons as Gitea does, whole and newest first.
	NewestFirst bool
	// Receiver, if set, gets the deliveries of webhooks, whatever host their URL
	// names. Without it they go over the network.
	Receiver http.Handler

	t    testing.TB
	api  *openapi.Description
	mux  *http.ServeMux
	base string // of the API, with a slash at its end
	web  string

	mu       sync.Mutex
	repos    map[string]*Repo // by owner/name in lower case
	renamed  map[string]*Repo // by their former names
	tokens   map[string]*Token
	profiles map[string]Profile // by login
	apps     []*App
	orgHooks map[string][]*hook // by organisation
	calls    []Call
	lastID   int64
	fault    func(Call) *Answer
	lost     func(Call) bool
	fate     func(*Delivery) Fate
	usage    map[string]*usage // by who is limited together
	running  int
	refused  int
	sending  sync.WaitGroup
	held     []func()
}

// Call is one call of the API.
type Call struct {
	Method, Path, Query string
	Body                string
	// Token is what it was authorised with.
	Token string
}

func (c Call) String() string { return c.Method + " " + c.Path }

// Answer is one that a test makes up.
type Answer struct {
	Status int
	Header map[string]string
	Body   string
}

// New starts a stand-in without repositories, which knows the token [AnyToken].
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		Limits: documented, t: t, api: description(t), mux: http.NewServeMux(), base: BaseURL, web: WebURL,
		repos: map[string]*Repo{}, renamed: map[string]*Repo{}, tokens: map[string]*Token{}, orgHooks: map[string][]*hook{}, usage: map[string]*usage{}, profiles: map[string]Profile{},
		lastID: 90_071_992_547_409_930, // beyond what a float holds
	}
	s.AddToken(Token{Text: AnyToken, Login: "switchyard-bot", All: true})
	for pattern, o := range operations {
		s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, pattern, o) })
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is called, which the stand-in does not have", r.Method, r.URL.Path)
		s.fail(w, &FaultError{Status: http.StatusNotFound})
	})
	t.Cleanup(s.Settle)
	return s
}

// Start listens on a port of this machine until the test ends, and returns the
// base URL of the API.
func (s *Server) Start() string {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base, s.web = server.URL+"/", server.URL
	return s.base
}

// Transport answers calls to any host in this process, without the network: in a
// bubble of testing/synctest, whose clock the stand-in then goes by.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return roundTrip(t.Handler, r)
}

// roundTrip has h answer r. A handler that gives up ends the connection.
func roundTrip(h http.Handler, r *http.Request) (response *http.Response, err error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "192.0.2.1:1234", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
				panic(p)
			}
			response, err = nil, io.ErrUnexpectedEOF
		}
	}()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, in)
	response = w.Result()
	response.Request = r
	return response, nil
}

// Intercept has each call looked at before it is served. An answer takes the
// place of the stand-in's; one without a status ends the connection. Nil ends
// that.
func (s *Server) Intercept(f func(Call) *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Lose has each answer that is a success looked at before it is sent. Where f is
// true the connection ends instead: the call has done its work, and the caller
// does not know. Nil ends that.
func (s *Server) Lose(f func(Call) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = f
}

// Calls returns the calls so far whose method and path, such as
// "POST /repos/acme/api/hooks", begin so.
func (s *Server) Calls(prefix string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Call
	for _, c := range s.calls {
		if strings.HasPrefix(c.String(), prefix) {
			found = append(found, c)
		}
	}
	return found
}

// ServeHTTP serves the API, also below /api/v3 as GitHub Enterprise Server does,
// and Git.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, below := strings.CutPrefix(r.URL.Path, "/api/v3/"); below {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/"+path, strings.TrimPrefix(r.URL.RawPath, "/api/v3")
	}
	if strings.Contains(r.URL.Path, ".git/") {
		s.serveGit(w, r)
		return
	}
	if next, done := s.sentOn(w, r); !done {
		s.mux.ServeHTTP(w, next)
	}
}

// operation is one call of the API: who may make it, and what it does.
type operation struct {
	// needs is a permission as GitHub writes it, such as "statuses=write"; empty
	// for what every token may.
	needs string
	// jwt says that only an App itself may, app that only a token of its may.
	jwt, app bool
	// creates says that it counts as making content.
	creates bool
	serve   func(s *Server, q *call) (any, error)
}

// call is one that is being served.
type call struct {
	r    *http.Request
	who  *caller
	body object
	// repo is the one that the path names, if it does.
	repo   *Repo
	header http.Header
	status int
}

type object = map[string]any

func (s *Server) serve(w http.ResponseWriter, r *http.Request, pattern string, o operation) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	c := Call{r.Method, r.URL.Path, r.URL.RawQuery, string(body), bearer(r)}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	fault, lost := s.fault, s.lost
	s.running++
	running := s.running
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running--
		s.mu.Unlock()
	}()
	method, path, _ := strings.Cut(pattern, " ")
	described, err := s.api.Operation(method, strings.Replace(path, "...}", "}", 1))
	if err == nil {
		err = described.Request(r.URL.Query(), body)
	}
	if err != nil {
		s.t.Errorf("GitHub does not take this: %v", err)
	}
	if fault != nil {
		if a := fault(c); a != nil {
			a.write(w)
			return
		}
	}
	q := &call{r: r, header: w.Header(), status: http.StatusOK}
	out, err := s.answer(q, o, body, running)
	var f *FaultError
	if errors.As(err, &f) {
		text := s.fail(w, f)
		s.conforms(described, f.Status, text)
		return
	}
	if err != nil {
		s.t.Errorf("%s: %v", c, err)
		panic(http.ErrAbortHandler)
	}
	if lost != nil && lost(c) {
		panic(http.ErrAbortHandler)
	}
	var text []byte
	if out != nil {
		if text, err = json.Marshal(out); err != nil {
			s.t.Errorf("%s: %v", c, err)
		}
	}
	s.conforms(described, q.status, text)
	s.send(w, q, text)
}

func (s *Server) conforms(o *openapi.Operation, status int, text []byte) {
	if err := o.Answer(status, text); err != nil {
		s.t.Errorf("the stand-in answers what GitHub does not: %v", err)
	}
}

// send writes an answer, or that it is the one which the caller has.
func (s *Server) send(w http.ResponseWriter, q *call, text []byte) {
	if q.r.Method == http.MethodGet && q.status == http.StatusOK {
		sum := sha256.Sum256(append([]byte(w.Header().Get("Link")), text...))
		tag := `W/"` + hex.EncodeToString(sum[:]) + `"`
		w.Header().Set("ETag", tag)
		if slices.Contains(q.r.Header.Values("If-None-Match"), tag) {
			s.refund(q.who, w.Header())
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if len(text) > 0 {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	w.WriteHeader(q.status)
	if len(text) == 0 {
		return
	}
	if _, err := w.Write(text); err != nil && q.r.Context().Err() == nil {
		s.t.Logf("answer %s %s: %v", q.r.Method, q.r.URL.Path, err)
	}
}

func (s *Server) answer(q *call, o operation, body []byte, running int) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.identify(q, o); err != nil {
		return nil, err
	}
	if err := s.charge(q, o, running); err != nil {
		return nil, err
	}
	if len(body) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&q.body); err != nil {
			return nil, &FaultError{Status: http.StatusBadRequest, Message: "Problems parsing JSON"}
		}
	}
	return o.serve(s, q)
}

func (a *Answer) write(w http.ResponseWriter) {
	if a.Status == 0 {
		panic(http.ErrAbortHandler)
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(a.Status)
	fmt.Fprint(w, a.Body)
}

// FaultError is an answer that is no success.
type FaultError struct {
	Status  int
	Message string
	// Problems are what a 422 lists under errors.
	Problems []object
	Header   map[string]string
}

func (f *FaultError) Error() string { return fmt.Sprintf("%d %s", f.Status, f.Message) }

func (s *Server) fail(w http.ResponseWriter, f *FaultError) []byte {
	if f.Message == "" {
		f.Message = http.StatusText(f.Status)
	}
	out := object{"message": f.Message, "documentation_url": "https://docs.github.com/rest"}
	if f.Problems != nil {
		out["errors"] = f.Problems
	}
	if f.Status != http.StatusUnprocessableEntity {
		out["status"] = fmt.Sprint(f.Status)
	}
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	text, err := json.Marshal(out)
	if err != nil {
		s.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(f.Status)
	_, _ = w.Write(text)
	return text
}

var errNotFound = &FaultError{Status: http.StatusNotFound, Message: "Not Found"}

// invalid is a request whose form is right and whose content is not.
func invalid(format string, args ...any) *FaultError {
	return &FaultError{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Problems: []object{{"message": fmt.Sprintf(format, args...), "resource": "Resource", "code": "custom"}}}
}

// id is a new one. Who calls it has the lock.
func (s *Server) id() int64 {
	s.lastID++
	return s.lastID
}
