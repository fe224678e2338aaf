// Package bitbuckettest stands in for Bitbucket Cloud and Bitbucket Data Center in
// tests: the part of their APIs that is called, Git over HTTP, and the deliveries
// of their webhooks, in front of real bare repositories. What git decides (history,
// changed files) git decides.
//
// Paging, credentials, limits and errors are as Atlassian documents them: "The
// Bitbucket Cloud REST API", "API request limits", "Bitbucket Data Center REST API"
// and both products' "Event payloads". A test fails on a call that they do not
// document, and on one whose body they would refuse; a test of this package holds
// the list of calls against the descriptions that Atlassian publishes.
package bitbuckettest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"switchyard/internal/gittest"
)

// Who may call.
const (
	// Token is an access token, and User with AppPassword a person at Cloud.
	Token       = "ATCTT-of-the-tests"
	User        = "ada@example.test"
	AppPassword = "an API token of the tests"
)

// Where the stand-ins are for who calls them through [Server.Transport].
const (
	CloudAPI      = "https://api.bitbucket.org/2.0"
	CloudWeb      = "https://bitbucket.org"
	DataCenterWeb = "https://bitbucket.example.test"
)

// Server is a stand-in. Its methods are safe for concurrent use; its fields are set
// before the first call.
type Server struct {
	// PageSize bounds each page further than the API does; 0 does not.
	PageSize int
	// Receiver gets the deliveries of webhooks, whatever host their URL names.
	Receiver http.Handler
	// Secret signs them where a test has not made a webhook of its own.
	Secret string

	t     testing.TB
	cloud bool
	mux   *http.ServeMux
	api   string // the API's URL, without a slash at its end
	web   string

	mu     sync.Mutex
	repos  map[string]*Repo // by full name in lower case
	calls  []Call
	fault  func(Call) *AnswerError
	lose   func(*Delivery) bool
	left   int // calls that may still be made; negative for no limit
	lastID int
	// cursors are the pages of Cloud that have been named, by their token.
	cursors map[string]url.Values
}

// Call is one call of the API.
type Call struct {
	Method, Path, Query, Body string
}

func (c Call) String() string { return c.Method + " " + c.Path }

// AnswerError is one that a test makes up, or that is no success.
type AnswerError struct {
	Status int
	Header map[string]string
	// Message is said in the host's own form of errors.
	Message string
	// Exception is Data Center's name of the error.
	Exception string
}

func (a *AnswerError) Error() string { return fmt.Sprintf("%d %s", a.Status, a.Message) }

// NewCloud starts a stand-in of Bitbucket Cloud without repositories.
func NewCloud(t testing.TB) *Server {
	s := newServer(t, CloudAPI, CloudWeb)
	s.cloud = true
	for pattern, f := range cloudOperations {
		s.handle(pattern, "/2.0", f)
	}
	return s
}

// NewDataCenter starts a stand-in of Bitbucket Data Center without repositories.
func NewDataCenter(t testing.TB) *Server {
	s := newServer(t, DataCenterWeb+"/rest", DataCenterWeb)
	for pattern, f := range dataCenterOperations {
		s.handle(pattern, "/rest", f)
	}
	return s
}

func newServer(t testing.TB, api, web string) *Server {
	s := &Server{t: t, mux: http.NewServeMux(), api: api, web: web, Secret: "secret", repos: map[string]*Repo{}, left: -1, cursors: map[string]url.Values{}}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s is called, which the stand-in does not have", r.Method, r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	})
	return s
}

// handle serves "METHOD /path" below a prefix.
func (s *Server) handle(pattern, prefix string, f operation) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+prefix+path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, f) })
}

// Start listens on a port of this machine until the test ends. It returns the base
// URL, as an operator sets it, and where clones are.
func (s *Server) Start() (baseURL, cloneBase string) {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.web = server.URL
	if s.cloud {
		s.api = server.URL + "/2.0"
		return s.api, s.web
	}
	s.api = server.URL + "/rest"
	return s.web, s.web + "/scm"
}

// Transport answers calls to any host in this process, without the network.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

func (t transport) RoundTrip(r *http.Request) (response *http.Response, err error) {
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
	w := httptest.NewRecorder()
	t.s.ServeHTTP(w, in)
	response = w.Result()
	response.Request = r
	return response, nil
}

// Intercept has each call looked at before it is served. An answer takes the place
// of the stand-in's. Nil ends that.
func (s *Server) Intercept(f func(Call) *AnswerError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Allow bounds how many calls may still be made in this hour; the one after is
// answered 429.
func (s *Server) Allow(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = calls
}

// Calls returns the calls so far whose method and path begin so, as in
// "POST /2.0/repositories".
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

type object = map[string]any

// call is one that is being served. The server is locked meanwhile.
type call struct {
	s      *Server
	r      *http.Request
	header http.Header
	status int
	body   object
	// repo is the one that the path names, if it does.
	repo *Repo
}

// operation does one call, and returns what it answers.
type operation func(q *call) (any, error)

// ServeHTTP serves the API, and Git.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if before, rest, ok := strings.Cut(r.URL.Path, ".git/"); ok {
		s.serveGit(w, r, strings.TrimPrefix(strings.TrimPrefix(before, "/scm"), "/"), rest)
		return
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) serveGit(w http.ResponseWriter, r *http.Request, name, rest string) {
	repo := s.repo(name)
	// Data Center takes a repository's token as a bearer only, and Cloud one beside
	// a user of that name only.
	user, password, _ := r.BasicAuth()
	known := r.Header.Get("Authorization") == "Bearer "+Token
	if s.cloud {
		known = user == "x-token-auth" && password == Token || user == "x-bitbucket-api-token-auth" && password == AppPassword
	}
	if !known || repo == nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	repo.Serve(w, r, rest)
}

// allowed reports whether a call's credentials are known.
func (s *Server) allowed(r *http.Request) bool {
	if user, password, ok := r.BasicAuth(); ok {
		return s.cloud && user == User && password == AppPassword
	}
	return r.Header.Get("Authorization") == "Bearer "+Token
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, f operation) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	c := Call{r.Method, r.URL.Path, r.URL.RawQuery, string(text)}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if a := fault(c); a != nil {
			s.fail(w, a)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &call{s: s, r: r, header: w.Header(), status: http.StatusOK}
	answer, err := q.answer(f, text)
	var a *AnswerError
	switch {
	case errors.As(err, &a):
		s.fail(w, a)
		return
	case err != nil:
		s.t.Errorf("%s: %v", c, err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	out, err := json.Marshal(answer)
	if err != nil {
		s.t.Errorf("%s: %v", c, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(q.status)
	_, _ = w.Write(out)
}

func (q *call) answer(f operation, body []byte) (any, error) {
	s := q.s
	if !s.allowed(q.r) {
		return nil, &AnswerError{Status: http.StatusUnauthorized, Message: "Token is invalid, expired, or not supported for this endpoint.", Exception: "com.atlassian.bitbucket.auth.IncorrectPasswordAuthenticationException"}
	}
	if s.cloud {
		q.header.Set("X-Oauth-Scopes", "repository, pullrequest, webhook")
		q.header.Set("X-Ratelimit-Limit", "1000")
		q.header.Set("X-Ratelimit-Resource", "api")
	} else {
		q.header.Set("X-Ausername", "switchyard")
	}
	if s.left == 0 {
		return nil, &AnswerError{Status: http.StatusTooManyRequests, Message: "Rate limit for this resource has been exceeded", Header: map[string]string{"Retry-After": "60"}}
	}
	s.left = max(s.left-1, -1)
	if len(body) > 0 {
		if q.r.Header.Get("Content-Type") != "application/json" {
			return nil, &AnswerError{Status: http.StatusUnsupportedMediaType, Message: "the body is not said to be JSON"}
		}
		if err := json.Unmarshal(body, &q.body); err != nil {
			return nil, &AnswerError{Status: http.StatusBadRequest, Message: err.Error()}
		}
	}
	owner, name := q.r.PathValue("workspace"), q.r.PathValue("repo_slug")
	if !s.cloud {
		owner, name = q.r.PathValue("projectKey"), q.r.PathValue("repositorySlug")
	}
	if owner != "" {
		if q.repo = s.repos[strings.ToLower(owner+"/"+name)]; q.repo == nil {
			return nil, &AnswerError{Status: http.StatusNotFound, Message: "Repository " + owner + "/" + name + " not found", Exception: "com.atlassian.bitbucket.repository.NoSuchRepositoryException"}
		}
	}
	return f(q)
}

// fail writes an answer in the host's form of errors.
func (s *Server) fail(w http.ResponseWriter, a *AnswerError) {
	out := object{"type": "error", "error": object{"message": a.Message}}
	if !s.cloud {
		out = object{"errors": []object{{"context": nil, "message": a.Message, "exceptionName": a.Exception}}}
	}
	for name, value := range a.Header {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_ = json.NewEncoder(w).Encode(out)
}

func (s *Server) repo(name string) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.repos[strings.ToLower(name)]
}

// id is a new one. Who calls it has the lock.
func (s *Server) id() int {
	s.lastID++
	return s.lastID
}

// uuid is a new one in braces.
func (s *Server) uuid() string { return fmt.Sprintf("{00000000-0000-4000-8000-%012x}", s.id()) }

// Repo is a repository.
type Repo struct {
	*gittest.Repo
	Owner, Name string

	s    *Server
	id   int
	uuid string
	// The rest is the server's, under its lock.
	pulls    []*Pull
	hooks    []object
	statuses map[string][]object // by commit
	comments []object
	writers  []object
	required []object
	heads    map[string]string // of branches, as webhooks were last told
}

// AddRepo makes an empty repository, by its full name.
func (s *Server) AddRepo(fullName string) *Repo {
	s.t.Helper()
	owner, name, ok := strings.Cut(fullName, "/")
	if !ok {
		s.t.Fatalf("%q is not a full name", fullName)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Repo{Repo: gittest.New(s.t), Owner: owner, Name: name, s: s, id: s.id(), uuid: s.uuid(), statuses: map[string][]object{}, heads: map[string]string{}}
	s.repos[strings.ToLower(fullName)] = r
	return r
}

// FullName is the repository's.
func (r *Repo) FullName() string { return r.Owner + "/" + r.Name }

// Writer is somebody who may write, by name and, at Cloud, account ID.
func (r *Repo) Writer(name, permission string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.writers = append(r.writers, object{"permission": permission, "user": object{"uuid": "{" + name + "}", "account_id": name, "nickname": "somebody"}, "name": name})
}

// Statuses are the build statuses of a commit, in the order in which their keys
// came.
func (r *Repo) Statuses(sha string) []map[string]any {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.statuses[sha])
}

// Comments are the texts of comments on pull requests.
func (r *Repo) Comments() []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var all []string
	for _, c := range r.comments {
		all = append(all, c["text"].(string))
	}
	return all
}

// put records a build status by its key.
func (r *Repo) put(sha string, status object) {
	for i, s := range r.statuses[sha] {
		if s["key"] == status["key"] {
			r.statuses[sha][i] = status
			return
		}
	}
	r.statuses[sha] = append(r.statuses[sha], status)
}

// resolve is the commit that a revision means: an ID, its first digits, a branch or
// a full ref.
func (r *Repo) resolve(revision string) (string, bool) {
	for _, spec := range []string{"refs/heads/" + revision, revision} {
		if strings.HasPrefix(spec, "-") {
			continue
		}
		if sha, err := r.Try("", "rev-parse", "--verify", "--quiet", spec+"^{commit}"); err == nil {
			return strings.TrimSpace(sha), true
		}
	}
	return "", false
}

// record is a commit as git has it.
type record struct {
	sha, parents, name, email, date, message string
	unix                                     int64
}

// log lists commits newest first.
func (r *Repo) log(args ...string) []record {
	out := r.Git(append([]string{"log", "--topo-order", "--format=%H%x00%P%x00%an%x00%ae%x00%cI%x00%ct%x00%B%x01"}, args...)...)
	var all []record
	for text := range strings.SplitSeq(out, "\x01") {
		f := strings.SplitN(strings.TrimPrefix(text, "\n"), "\x00", 7)
		if len(f) == 7 {
			unix, _ := strconv.ParseInt(f[5], 10, 64)
			all = append(all, record{f[0], f[1], f[2], f[3], f[4], f[6], unix})
		}
	}
	return all
}

// changed are the files that a commit changed, as status letter and path.
func (r *Repo) changed(sha string) [][2]string {
	out := r.Git("-c", "core.quotePath=false", "diff-tree", "-r", "-z", "--root", "-m", "--first-parent", "--no-commit-id", "--no-renames", "--name-status", sha)
	var all [][2]string
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		all = append(all, [2]string{fields[i], fields[i+1]})
	}
	return all
}

func jsonOf(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
