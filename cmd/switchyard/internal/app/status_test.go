package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/githubtest"
)

// buildSettings run local builds and tell a GitHub about them: its secret, and
// the URL of its API.
const buildSettings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q], token: of statuses, base_url: "%s/api/v3"}
state_machines: {test: {definition: test.asl.json}}
status: {per_minute: 0, per_hour: 0}
routes:
  - {name: all, on: [push, pull_request], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
`

func TestEveryCommitHasItsStatusAndAPageBehindIt(t *testing.T) {
	github := newGitHub(t)
	repo := github.clone(t)
	// A status is told in its newest state: builds that end before GitHub was
	// told that they are pending never say so. These wait.
	goOn := filepath.Join(t.TempDir(), "go-on")
	buildspec := "version: 0.2\nphases: {build: {commands: ['echo this is the log of %s', 'while [ ! -e " + goOn + " ]; do sleep .02; done', 'exit %d']}}\n"
	good := repo.commit("good", fmt.Sprintf(buildspec, "good", 0))
	bad := repo.commit("bad", fmt.Sprintf(buildspec, "bad", 3))
	s := startWith(t, t.TempDir(), fmt.Sprintf(buildSettings, secret, github.URL)+
		fmt.Sprintf("engine: {embedded: {builds: {writable: [%q]}, projects: {local: {repository: %q}}}}\n", filepath.Dir(goOn), repo.bare), buildOf(repo.bare))
	if status, text := s.deliver(t, "d1", pushOf("feature/a", commit{good, "good"}, commit{bad, "bad"})); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	eventually(t, "both pending", func() bool { return len(github.repo.AllStatuses()) == 2 })
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	last := github.final(t, 2)
	for sha, want := range map[string]struct{ state, log, says string }{
		good: {"success", "this is the log of good", "Succeeded"},
		bad:  {"failure", "this is the log of bad", ": BUILD: exit 3: exit status 3"},
	} {
		states := github.states(sha)
		if diff := cmp.Diff([]string{"pending", want.state}, states); diff != "" {
			t.Errorf("states of %s: %s", want.state, diff)
		}
		p := last[sha]
		if p.Context != "switchyard/all" || !strings.Contains(p.Description, want.says) {
			t.Errorf("status %+v", p)
		}
		if !strings.HasPrefix(p.URL, "http://"+s.Addr().String()+"/executions/") {
			t.Fatalf("target URL %q", p.URL)
		}
		// As a browser of somebody who only sees the commit would open it.
		code, page := s.get(t, strings.TrimPrefix(p.URL, "http://"+s.Addr().String()))
		if code != http.StatusOK || !strings.Contains(page, want.log) || !strings.Contains(page, sha) {
			t.Errorf("%s: %d, without its log:\n%.2000s", p.URL, code, page)
		}
	}
}

func TestGitHubIsLeftAloneForAsLongAsItSays(t *testing.T) {
	github := newGitHub(t)
	var mu sync.Mutex
	var posts []time.Time
	github.Intercept(func(c githubtest.Call) *githubtest.Answer {
		mu.Lock()
		defer mu.Unlock()
		if posts = append(posts, time.Now()); len(posts) > 1 {
			return nil
		}
		return &githubtest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Retry-After": "1"}, Body: `{"message": "You have exceeded a secondary rate limit"}`}
	})
	s := startWith(t, t.TempDir(), fmt.Sprintf(buildSettings, secret, github.URL), instant)
	s.deliver(t, "d1", github.push("feature/a", "one"))
	for _, p := range github.final(t, 1) {
		if p.State != "success" {
			t.Errorf("last status %+v", p)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for _, at := range posts[1:] {
		if waited := at.Sub(posts[0]); waited < time.Second {
			t.Errorf("posted %v after 403 with Retry-After: 1", waited)
		}
	}
}

// A repository that the token does not see costs a few calls, and the statuses
// of all others nothing.
func TestARepositoryThatIsNotFoundHoldsNobodyUp(t *testing.T) {
	github := newGitHub(t)
	s := startWith(t, t.TempDir(), fmt.Sprintf(buildSettings, secret, github.URL), instant)
	var messages []string
	for i := range 100 {
		messages = append(messages, fmt.Sprint("commit ", i))
	}
	gone := bytes.ReplaceAll(push("feature/a", messages...), []byte("acme/api"), []byte("acme/gone"))
	s.deliver(t, "d1", gone)
	s.settled(t, 100)
	asked := func() int { return len(github.Calls("POST /repos/acme/gone/statuses/")) }
	eventually(t, "the repository is asked for", func() bool { return asked() > 0 })
	s.deliver(t, "d2", github.push("feature/b", "one", "two"))
	for _, p := range github.final(t, 2) {
		if p.State != "success" {
			t.Errorf("last status %+v", p)
		}
	}
	if n := asked(); n > 10 {
		t.Errorf("%d calls to the repository that is not found", n)
	}
	if _, text := s.get(t, "/metrics"); !strings.Contains(text, `switchyard_status_held_repositories{source="github"}`) {
		t.Errorf("metrics:\n%s", text)
	}
}

// A host that is down costs no commit its run, and no status.
func TestStatusesWaitForAHostThatIsDown(t *testing.T) {
	github := newGitHub(t)
	dir := t.TempDir()
	// Nobody listens there.
	s := startWith(t, dir, fmt.Sprintf(buildSettings, secret, "http://127.0.0.1:1"), instant)
	s.deliver(t, "d1", github.push("feature/a", "one", "two"))
	for _, e := range s.settled(t, 2) {
		if e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %s", e.ID, e.State)
		}
	}
	s.stop()
	startWith(t, dir, fmt.Sprintf(buildSettings, secret, github.URL), instant)
	for _, p := range github.final(t, 2) {
		if p.State != "success" {
			t.Errorf("last status %+v", p)
		}
	}
}
