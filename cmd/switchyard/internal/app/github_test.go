package app_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// posted is one commit status as GitHub was told it.
type posted struct {
	Repository, SHA string
	State           string `json:"state"`
	Context         string `json:"context"`
	Description     string `json:"description"`
	TargetURL       string `json:"target_url"`
	at              time.Time
}

// fakeGitHub takes commit statuses, as POST /repos/{owner}/{repo}/statuses/{sha}
// does. While limit is above zero it answers so many posts with 403 and
// Retry-After.
type fakeGitHub struct {
	*httptest.Server
	t *testing.T

	mu         sync.Mutex
	statuses   []posted
	limit      int
	retryAfter string
	refusals   []time.Time
	// gone is a repository that is not found; asked counts the posts to it.
	gone  string
	asked int
}

func newGitHub(t *testing.T) *fakeGitHub {
	t.Helper()
	g := &fakeGitHub{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v3/repos/{owner}/{repo}/statuses/{sha}", g.take)
	mux.HandleFunc("GET /api/v3/repos/{owner}/{repo}/compare/{range}", g.compare)
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	return g
}

// compare says that every head is one commit before its base.
func (g *fakeGitHub) compare(w http.ResponseWriter, r *http.Request) {
	_, head, ok := strings.Cut(r.PathValue("range"), "...")
	if !ok {
		g.t.Errorf("compare %q", r.PathValue("range"))
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"total_commits": 1, "commits": []any{map[string]any{"sha": head, "commit": map[string]any{"message": "of the host"}}}})
}

func (g *fakeGitHub) take(w http.ResponseWriter, r *http.Request) {
	p := posted{Repository: r.PathValue("owner") + "/" + r.PathValue("repo"), SHA: r.PathValue("sha"), at: time.Now()}
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		g.t.Errorf("status of %s: %v", p.SHA, err)
	}
	if r.Header.Get("Authorization") != "Bearer of statuses" {
		g.t.Errorf("status of %s: Authorization %q", p.SHA, r.Header.Get("Authorization"))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if p.Repository == g.gone {
		g.asked++
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"message": "Not Found"}`))
		return
	}
	if g.limit > 0 {
		g.limit--
		g.refusals = append(g.refusals, p.at)
		w.Header().Set("Retry-After", g.retryAfter)
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"message": "You have exceeded a secondary rate limit", "documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`))
		return
	}
	g.statuses = append(g.statuses, p)
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write([]byte(`{}`))
}

// states are those that a commit was given, in order.
func (g *fakeGitHub) states(sha string) []string {
	var all []string
	for _, p := range g.all() {
		if p.SHA == sha {
			all = append(all, p.State)
		}
	}
	return all
}

func (g *fakeGitHub) all() []posted {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.statuses)
}

// final waits for n commits to have a state that is not pending, and returns
// the last status of each.
func (g *fakeGitHub) final(t *testing.T, n int) map[string]posted {
	t.Helper()
	var last map[string]posted
	eventually(t, "final statuses", func() bool {
		last = map[string]posted{}
		ended := 0
		for _, p := range g.all() {
			last[p.SHA] = p
		}
		for _, p := range last {
			if p.State != "pending" {
				ended++
			}
		}
		return ended == n
	})
	return last
}

// eventually waits for something that happens in other goroutines or processes.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after two minutes", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// repository is a bare one with a clone to commit in.
type repository struct {
	t          *testing.T
	bare, work string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	dir := t.TempDir()
	r := &repository{t: t, bare: filepath.Join(dir, "api.git"), work: filepath.Join(dir, "api")}
	r.git("init", "--quiet", "--bare", "--initial-branch=main", r.bare)
	r.git("init", "--quiet", "--initial-branch=main", r.work)
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	if _, err := os.Stat(r.work); err == nil {
		cmd.Dir = r.work
	}
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits a buildspec, pushes it and returns the commit's ID.
func (r *repository) commit(message, buildspec string) string {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.work, "buildspec.yml"), []byte(buildspec), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--message", message)
	r.git("push", "--quiet", r.bare, "HEAD:main")
	return r.git("rev-parse", "HEAD")
}
