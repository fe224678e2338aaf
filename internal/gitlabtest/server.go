// Package gitlabtest stands in for a GitLab in tests: its API, its repositories
// over HTTP and its webhooks, on real git repositories.
//
// What it answers is computed by git. It keeps to the documented limits: pages,
// roles and scopes, rate limits, conditional requests, the lists of 20 commits in
// deliveries. A parameter that GitLab's reference does not have fails the test.
// The facts are from that reference and, where it is silent, from GitLab's source.
package gitlabtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/internal/gittest"
)

// Roles, by their numbers in the API.
const (
	Guest      = 10
	Reporter   = 20
	Developer  = 30
	Maintainer = 40
)

// Token is who calls. The zero Scopes are api.
type Token struct {
	Scopes  []string
	Expires time.Time
	// OAuth tokens are not personal, project or group access tokens.
	OAuth bool
}

// User is a person or bot.
type User struct {
	ID       int64
	Username string
	State    string
}

// Server is a GitLab. Its fields may be set before it is called.
type Server struct {
	*httptest.Server
	// Secret is the token of all calls, and Bot whose it is.
	Secret string
	Token  Token
	Bot    User
	// Limit is how many calls a minute allows; 0 sends no headers of rate limits.
	Limit int
	// Lost, if it is set, is asked before each delivery: true loses it on the way,
	// as when nobody listens.
	Lost func(trigger string) bool
	// Now is the clock.
	Now func() time.Time

	t testing.TB

	mu       sync.Mutex
	projects []*Project
	users    []User
	lastID   int64
	calls    []string
	window   time.Time
	used     int
	fault    func(method, path string) *Answer
}

// New starts a server that ends with the test. It listens on 127.0.0.1.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Secret: "glpat-of-nobody", Bot: User{ID: 900, Username: "project_15_bot", State: "active"}, Now: time.Now, t: t, lastID: 1000}
	mux := http.NewServeMux()
	for pattern, handle := range s.routes() {
		mux.HandleFunc(pattern, handle)
	}
	mux.HandleFunc("/", s.git)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// Project makes an empty one of that full name, in which the token's owner has
// the role Maintainer.
func (s *Server) Project(name string) *Project {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &Project{
		Repo: gittest.New(s.t), Name: name, ID: s.id(), DefaultBranch: "main", Role: Maintainer, s: s,
		members: map[int64]member{}, tips: map[string]string{},
	}
	s.projects = append(s.projects, p)
	return p
}

// User adds a person.
func (s *Server) User(username string) User {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := User{ID: s.id(), Username: username, State: "active"}
	s.users = append(s.users, u)
	return u
}

// Calls are the methods and paths that were asked so far.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// id is called with the lock held.
func (s *Server) id() int64 {
	s.lastID++
	return s.lastID
}

// call is one request of the API.
type call struct {
	*Server
	w http.ResponseWriter
	r *http.Request
	p *Project
	// madeUp is a test's answer in the place of ours.
	madeUp *Answer
}

// refusal is an answer that is no success.
type refusal struct {
	status  int
	message string
}

func refuse(status int, message string) *refusal { return &refusal{status, message} }

var errNotFound = refuse(http.StatusNotFound, "404 Not found")

// handler answers with a value, which is nil for none.
type handler func(c *call) (any, *refusal)

// may is what a caller needs.
type may struct {
	role int
	// write needs the scope api, and anything else read_api.
	write bool
	// params are the query's or the body's.
	params []string
}

var paging = []string{"page", "per_page"}

func (s *Server) routes() map[string]http.HandlerFunc {
	const project = "/api/v4/projects/{project}"
	all := map[string]http.HandlerFunc{}
	route := func(pattern string, m may, h handler) { all[pattern] = s.serve(m, h) }
	with := func(names ...string) []string { return append(slices.Clone(paging), names...) }
	route("GET /api/v4/user", may{}, (*call).user)
	route("GET /api/v4/users", may{params: with("username")}, (*call).usersNamed)
	route("GET /api/v4/personal_access_tokens/self", may{}, (*call).token)
	route("GET "+project, may{role: Guest}, (*call).project)
	route("PUT "+project, may{role: Maintainer, write: true, params: []string{"only_allow_merge_if_pipeline_succeeds"}}, (*call).editProject)
	route("GET "+project+"/members/all/{user}", may{role: Guest}, (*call).member)
	route("GET "+project+"/repository/branches/{branch}", may{role: Reporter}, (*call).branch)
	route("GET "+project+"/repository/commits", may{role: Reporter, params: with("ref_name", "since", "until", "path", "all", "order")}, (*call).commits)
	route("GET "+project+"/repository/commits/{sha}", may{role: Reporter, params: []string{"stats"}}, (*call).commit)
	route("GET "+project+"/repository/compare", may{role: Reporter, params: []string{"from", "to", "straight", "from_project_id", "unidiff"}}, (*call).compare)
	route("GET "+project+"/repository/tree", may{role: Reporter, params: with("ref", "path", "recursive")}, (*call).tree)
	route("GET "+project+"/merge_requests", may{role: Reporter, params: with("state", "order_by", "sort", "iids[]")}, (*call).mergeRequests)
	route("GET "+project+"/merge_requests/{iid}", may{role: Reporter}, (*call).oneMergeRequest)
	route("PUT "+project+"/merge_requests/{iid}", may{role: Developer, write: true, params: []string{"title", "add_labels", "remove_labels", "labels"}}, (*call).editMergeRequest)
	route("GET "+project+"/merge_requests/{iid}/merge_ref", may{role: Reporter}, (*call).mergeRef)
	route("GET "+project+"/merge_requests/{iid}/commits", may{role: Reporter, params: with()}, (*call).mergeRequestCommits)
	route("POST "+project+"/merge_requests/{iid}/notes", may{role: Reporter, write: true, params: []string{"body", "internal", "created_at"}}, (*call).comment)
	route("GET "+project+"/pipelines", may{role: Reporter, params: with("sha", "ref", "source", "status", "order_by", "sort")}, (*call).pipelines)
	route("GET "+project+"/repository/commits/{sha}/statuses", may{role: Reporter, params: with("ref", "stage", "name", "pipeline_id", "all")}, (*call).statuses)
	route("POST "+project+"/statuses/{sha}", may{role: Developer, write: true, params: []string{"state", "ref", "name", "context", "target_url", "description", "coverage", "pipeline_id"}}, (*call).setStatus)
	route("GET "+project+"/hooks", may{role: Maintainer, params: with()}, (*call).hooks)
	route("POST "+project+"/hooks", may{role: Maintainer, write: true, params: append([]string{"url", "name", "description", "token", "enable_ssl_verification", "push_events_branch_filter"}, hookEvents...)}, (*call).addHook)
	route("DELETE "+project+"/hooks/{hook}", may{role: Maintainer, write: true}, (*call).removeHook)
	route("POST "+project+"/hooks/{hook}/test/{trigger}", may{role: Maintainer, write: true}, (*call).testHook)
	route("GET "+project+"/hooks/{hook}/events", may{role: Maintainer, params: with("status")}, (*call).hookEvents)
	route("POST "+project+"/hooks/{hook}/events/{event}/resend", may{role: Maintainer, write: true}, (*call).resend)
	return all
}

// serve wraps a handler in what all of GitLab's API has.
func (s *Server) serve(m may, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls = append(s.calls, r.Method+" "+r.URL.EscapedPath())
		c := &call{Server: s, w: w, r: r}
		value, refused := c.answer(m, h)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", s.Now().UTC().Format(http.TimeFormat))
		if c.madeUp != nil {
			c.madeUp.write(w)
			return
		}
		if refused != nil {
			if refused.status == http.StatusTooManyRequests && refused.message == "Retry later" {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(refused.status)
				fmt.Fprintln(w, refused.message)
				return
			}
			w.WriteHeader(refused.status)
			_ = json.NewEncoder(w).Encode(map[string]string{"message": refused.message})
			return
		}
		status := map[string]int{http.MethodGet: http.StatusOK, http.MethodPut: http.StatusOK, http.MethodPost: http.StatusCreated, http.MethodDelete: http.StatusNoContent}[r.Method]
		if value == nil {
			w.WriteHeader(status)
			return
		}
		text, err := json.Marshal(value)
		if err != nil {
			s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		if r.Method == http.MethodGet {
			sum := sha256.Sum256(text)
			tag := `W/"` + hex.EncodeToString(sum[:16]) + `"`
			w.Header().Set("ETag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(status)
		_, _ = w.Write(text)
	}
}

// answer is called with the lock held.
func (c *call) answer(m may, h handler) (any, *refusal) {
	if refused := c.spend(); refused != nil {
		return nil, refused
	}
	given := c.r.Header.Get("Private-Token")
	if given == "" {
		given, _ = strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	}
	if given != c.Secret || !c.Token.Expires.IsZero() && !c.Now().Before(c.Token.Expires) {
		return nil, refuse(http.StatusUnauthorized, "401 Unauthorized")
	}
	if scopes := c.Token.Scopes; len(scopes) > 0 && !slices.Contains(scopes, "api") && (m.write || !slices.Contains(scopes, "read_api")) {
		return nil, refuse(http.StatusForbidden, "403 Forbidden - insufficient_scope")
	}
	c.known(m.params)
	if c.intercepted() {
		return nil, nil
	}
	if name := c.r.PathValue("project"); name != "" {
		for _, p := range c.projects {
			if (p.Name == name || strconv.FormatInt(p.ID, 10) == name) && p.Role > 0 {
				c.p = p
			}
		}
		if c.p == nil {
			return nil, refuse(http.StatusNotFound, "404 Project Not Found")
		}
		if c.p.Role < m.role {
			return nil, refuse(http.StatusForbidden, "403 Forbidden")
		}
	}
	return h(c)
}

// known holds the parameters against those that are documented.
func (c *call) known(params []string) {
	names := []string{}
	for name := range c.r.URL.Query() {
		names = append(names, name)
	}
	var body map[string]any
	if c.r.Method != http.MethodGet && c.r.ContentLength != 0 {
		if err := json.NewDecoder(c.r.Body).Decode(&body); err != nil {
			c.t.Errorf("%s %s: body: %v", c.r.Method, c.r.URL, err)
		}
		c.r.Form = map[string][]string{}
		for name, value := range body {
			names = append(names, name)
			c.r.Form.Set(name, fmt.Sprint(value))
			if n, ok := value.(float64); ok {
				c.r.Form.Set(name, strconv.FormatInt(int64(n), 10))
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(params, name) {
			c.t.Errorf("%s %s: GitLab's reference has no parameter %q", c.r.Method, c.r.URL, name)
		}
	}
}

// spend counts the call, and says so in headers.
func (c *call) spend() *refusal {
	if c.Limit == 0 {
		return nil
	}
	now := c.Now().Truncate(time.Minute)
	if now != c.window {
		c.window, c.used = now, 0
	}
	c.used++
	h := c.w.Header()
	h.Set("RateLimit-Limit", strconv.Itoa(c.Limit))
	h.Set("RateLimit-Observed", strconv.Itoa(c.used))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(c.Limit-c.used, 0)))
	h.Set("RateLimit-Reset", strconv.FormatInt(now.Add(time.Minute).Unix(), 10))
	if c.used > c.Limit {
		h.Set("Retry-After", strconv.Itoa(int(now.Add(time.Minute).Sub(c.Now()).Seconds())+1))
		return refuse(http.StatusTooManyRequests, "Retry later")
	}
	return nil
}

// page cuts a list as the call's page and per_page say, and says in headers where
// the others are. most is what per_page is at most.
func page[T any](c *call, all []T, most int) []T {
	number := func(name string, standard int) int {
		n, err := strconv.Atoi(c.r.URL.Query().Get(name))
		if err != nil || n < 1 {
			return standard
		}
		return n
	}
	size, at := min(number("per_page", 20), most), number("page", 1)
	from := min((at-1)*size, len(all))
	to := min(from+size, len(all))
	h := c.w.Header()
	h.Set("X-Page", strconv.Itoa(at))
	h.Set("X-Per-Page", strconv.Itoa(size))
	h.Set("X-Next-Page", "")
	if to < len(all) {
		h.Set("X-Next-Page", strconv.Itoa(at+1))
		u := *c.r.URL
		q := u.Query()
		q.Set("page", strconv.Itoa(at+1))
		u.RawQuery = q.Encode()
		h.Set("Link", fmt.Sprintf(`<%s%s>; rel="next"`, c.URL, u.RequestURI()))
	}
	return all[from:to]
}

// git serves fetches and answers whatever else is asked.
func (s *Server) git(w http.ResponseWriter, r *http.Request) {
	name, rest, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), ".git/")
	s.mu.Lock()
	s.calls = append(s.calls, "git "+name)
	var repo *gittest.Repo
	for _, p := range s.projects {
		if p.Name == name {
			repo = p.Repo
		}
	}
	s.mu.Unlock()
	_, password, _ := r.BasicAuth()
	switch {
	case !found:
		s.t.Errorf("%s %s: not part of the stand-in", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	case password != s.Secret || repo == nil:
		w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
		w.WriteHeader(http.StatusUnauthorized)
	default:
		repo.Serve(w, r, rest)
	}
}
