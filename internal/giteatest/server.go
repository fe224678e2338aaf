// Package giteatest stands in for Gitea in tests: its API and git over HTTP, in
// front of real bare repositories, and the deliveries of its webhooks.
//
// What git decides, git decides. Paging, scopes and permissions of tokens, and
// what is answered where something is missing are as Gitea 1.26 answered when it
// was recorded; its own tests hold the answers against those.
package giteatest

import (
	"encoding/json"
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
	"time"

	"switchyard/internal/gittest"
)

// maxPage is how many items a list has at most, and defaultPage how many unless it
// is asked for more: MAX_RESPONSE_ITEMS and DEFAULT_PAGING_NUM of its settings.
const (
	maxPage     = 50
	defaultPage = 30
)

// Token is an access token of a user.
type Token struct {
	Text, Login string
	// Scopes are such as read:repository; write is more than read.
	Scopes []string
}

// Server is the stand-in. Its methods are safe for concurrent use.
type Server struct {
	// URL is where it is reached. Set Receiver before the first push to have
	// deliveries go there, whatever host their webhook names.
	URL      string
	Receiver http.Handler

	t   testing.TB
	mux *http.ServeMux

	mu     sync.Mutex
	repos  map[string]*Repo // by owner/name
	moved  map[string]string
	tokens map[string]Token
	calls  []string
	lastID int
	fault  func(call string) int
	lose   func(d Delivery) bool
	// sending are deliveries that nobody waits for.
	sending sync.WaitGroup
	inUse   int
	most    int
}

// Repo is a repository of the host.
type Repo struct {
	*gittest.Repo
	s        *Server
	id       int
	fullName string
	// Private is seen by those alone who may read it.
	Private bool
	// access is what a user may do: read, write, admin or owner.
	access   map[string]string
	heads    map[string]string // where the webhooks were last told of
	hooks    []*hook
	pulls    []*Pull
	statuses []Status
	comments []Comment
	labels   []string // by ID, less one
	rules    []map[string]any
	known    map[string]described // by commit
}

// Status is a commit status that was written.
type Status struct{ SHA, State, Context, Description, TargetURL string }

// Comment is one below a pull request.
type Comment struct {
	Pull        int
	Login, Text string
}

// New starts a stand-in, without repositories and tokens, until the test ends.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, mux: http.NewServeMux(), repos: map[string]*Repo{}, moved: map[string]string{}, tokens: map[string]Token{}}
	s.routes()
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.sending.Wait()
		server.Close()
	})
	s.URL = server.URL
	return s
}

// AddToken makes a token known.
func (s *Server) AddToken(token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token.Text] = token
}

// AddRepo makes an empty repository, owned by the owner in its name.
func (s *Server) AddRepo(fullName string) *Repo {
	s.t.Helper()
	owner, _, _ := strings.Cut(fullName, "/")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	r := &Repo{Repo: gittest.New(s.t), s: s, id: s.lastID, fullName: fullName, access: map[string]string{owner: "owner"}, heads: map[string]string{}, known: map[string]described{}}
	r.Git("config", "uploadpack.allowAnySHA1InWant", "true")
	s.repos[fullName] = r
	return r
}

// Allow gives a user access to the repository: read, write or admin.
func (r *Repo) Allow(login, mode string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.access[login] = mode
}

// Rename gives the repository another name; the old one leads on to it.
func (r *Repo) Rename(fullName string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.repos, r.fullName)
	r.s.moved[r.fullName] = fullName
	r.fullName, r.s.repos[fullName] = fullName, r
}

// Statuses are those that were written, in order.
func (r *Repo) Statuses() []Status {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.statuses)
}

// Comments are those that were written, in order.
func (r *Repo) Comments() []Comment {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.comments)
}

// Rules are the repository's branch protections, as the API shows them.
func (r *Repo) Rules() []map[string]any {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.rules)
}

// Protect adds a branch protection, whose name is a branch.
func (r *Repo) Protect(rule map[string]any) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.rules = append(r.rules, rule)
}

// Fail has each call looked at before it is served, as method, path and query. A
// status that f returns is the answer; 0 is none. Nil ends that.
func (s *Server) Fail(f func(call string) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Calls are those of the API so far that begin so, such as "GET /repos/acme/api".
func (s *Server) Calls(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c string) bool { return !strings.HasPrefix(c, prefix) })
}

// MostAtOnce is how many calls were under way at once.
func (s *Server) MostAtOnce() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

// faultError is an answer that is no success, as the host words it.
type faultError struct {
	status  int
	message string
	// null is answered in the place of an object.
	null bool
}

func (f *faultError) Error() string { return fmt.Sprint(f.status, " ", f.message) }

var errNotFound = &faultError{status: http.StatusNotFound, message: "not found"}

// call is one that is being served. The server is locked meanwhile.
type call struct {
	s      *Server
	r      *http.Request
	header http.Header
	// login is who asks, "" for a stranger.
	login string
	repo  *Repo
	body  map[string]any
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.inUse++
	s.most = max(s.most, s.inUse)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inUse--
		s.mu.Unlock()
	}()
	if strings.Contains(r.URL.Path, ".git/") {
		s.serveGit(w, r)
		return
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/api/v1")
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.mu.Lock()
	s.calls = append(s.calls, r.Method+" "+path+"?"+r.URL.RawQuery)
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if status := fault(r.Method + " " + path + "?" + r.URL.RawQuery); status != 0 {
			s.refuse(w, &faultError{status: status, message: http.StatusText(status)})
			return
		}
	}
	s.mux.ServeHTTP(w, r)
}

// handle serves a call that needs a scope of the given category, of which a GET
// reads, and mode of the repository that the path names.
func (s *Server) handle(pattern, category, mode string, f func(*call) (status int, out any, err error)) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" /api/v1"+path, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		q := &call{s: s, r: r, header: w.Header()}
		status, out, err := http.StatusOK, any(nil), q.enter(w, category, mode)
		if err == nil {
			status, out, err = f(q)
		}
		fault, failed := err.(*faultError) //nolint:errorlint // made here
		switch {
		case failed && fault == errMoved:
		case failed:
			s.refuse(w, fault)
		case err != nil:
			s.t.Errorf("%s: %v", pattern, err)
		default:
			s.answer(w, status, out)
		}
	})
}

// errMoved says that the answer is written: it leads to where the repository is.
var errMoved = &faultError{status: http.StatusMovedPermanently}

// enter finds out who asks, and whether they may.
func (q *call) enter(w http.ResponseWriter, category, mode string) error {
	token, known := Token{}, false
	if text := q.r.Header.Get("Authorization"); text != "" {
		if token, known = q.s.tokens[strings.TrimPrefix(text, "token ")]; !known {
			return &faultError{status: http.StatusUnauthorized, message: "invalid username, password or token"}
		}
		q.login = token.Login
	}
	level := "read"
	if q.r.Method != http.MethodGet {
		level = "write"
	}
	if known && !slices.Contains(token.Scopes, "write:"+category) && (level == "write" || !slices.Contains(token.Scopes, "read:"+category)) {
		return &faultError{status: http.StatusForbidden, message: fmt.Sprintf("token does not have at least one of required scope(s), required=[%s:%s]", level, category)}
	}
	if owner := q.r.PathValue("owner"); owner != "" {
		name := owner + "/" + q.r.PathValue("repo")
		if to, was := q.s.moved[name]; was {
			// Relative, as the host writes it.
			http.Redirect(w, q.r, "/api/v1/repos/"+to+strings.TrimPrefix(q.r.URL.EscapedPath(), "/api/v1/repos/"+name), http.StatusMovedPermanently)
			return errMoved
		}
		if q.repo = q.s.repos[name]; q.repo == nil || q.repo.Private && !q.may("read") {
			return errNotFound
		}
	}
	switch {
	case mode != "" && !known:
		return &faultError{status: http.StatusUnauthorized, message: "token is required"}
	case mode != "" && q.repo != nil && !q.may(mode):
		return &faultError{status: http.StatusForbidden, message: "user should have a permission to write to a repo"}
	}
	if text, err := io.ReadAll(q.r.Body); err != nil {
		return err
	} else if len(text) > 0 {
		if err := json.Unmarshal(text, &q.body); err != nil {
			return &faultError{status: http.StatusUnprocessableEntity, message: err.Error()}
		}
	}
	return nil
}

var modes = []string{"", "read", "write", "admin", "owner"}

// may reports whether who asks may do that much.
func (q *call) may(mode string) bool {
	return slices.Index(modes, q.repo.mode(q.login)) >= slices.Index(modes, mode)
}

func (r *Repo) mode(login string) string {
	if mode := r.access[login]; mode != "" || r.Private {
		return mode
	}
	return "read"
}

func (s *Server) answer(w http.ResponseWriter, status int, out any) {
	if out == nil {
		w.WriteHeader(status)
		return
	}
	text, err := json.Marshal(out)
	if err != nil {
		s.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

func (s *Server) refuse(w http.ResponseWriter, f *faultError) {
	var out any = map[string]any{"message": f.message, "url": s.URL + "/api/swagger"}
	if f.null {
		out = json.RawMessage("null")
	}
	s.answer(w, f.status, out)
}

// page cuts a list as the query asks and says in the header what is left.
func page[T any](q *call, list []T) []T {
	number, limit := atoi(q.r.URL.Query().Get("page"), 1), atoi(q.r.URL.Query().Get("limit"), defaultPage)
	number, limit = max(number, 1), min(max(limit, 1), maxPage)
	pages := (len(list) + limit - 1) / limit
	q.header.Set("X-Total-Count", strconv.Itoa(len(list)))
	q.header.Set("X-Page", strconv.Itoa(number))
	q.header.Set("X-PerPage", strconv.Itoa(limit))
	q.header.Set("X-PageCount", strconv.Itoa(pages))
	q.header.Set("X-HasMore", strconv.FormatBool(number < pages))
	if number < pages {
		query := q.r.URL.Query()
		link := func(page int, rel string) string {
			query.Set("page", strconv.Itoa(page))
			return fmt.Sprintf("<%s%s?%s>; rel=%q", q.s.URL, q.r.URL.Path, query.Encode(), rel)
		}
		q.header.Set("Link", link(number+1, "next")+","+link(pages, "last"))
	}
	from := min((number-1)*limit, len(list))
	return list[from:min(from+limit, len(list))]
}

func atoi(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}

func (r *Repo) web() string { return r.s.URL + "/" + r.fullName }

func rfc(unix string) string {
	n, err := strconv.ParseInt(unix, 10, 64)
	if err != nil {
		return ""
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

func unescaped(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
