package app_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/internal/githubtest"
)

// gitHub is the stand-in of GitHub with the repository acme/api, and a token that
// may do what statuses need.
type gitHub struct {
	*githubtest.Server
	repo *githubtest.Repo
	// URL is where it listens.
	URL string
}

func newGitHub(t *testing.T) *gitHub {
	t.Helper()
	g := &gitHub{Server: githubtest.New(t)}
	g.AddToken(githubtest.Token{Text: "of statuses", Login: "switchyard-bot", Permissions: map[string]string{"statuses": "write", "contents": "read", "pull_requests": "read"}})
	g.URL = strings.TrimSuffix(g.Start(), "/")
	g.repo = g.AddRepo("acme/api")
	return g
}

// push is the payload of a push of new commits to a branch of acme/api.
func (g *gitHub) push(branch string, messages ...string) []byte {
	var commits []commit
	for _, text := range messages {
		commits = append(commits, commit{g.repo.Commit(branch, text, nil), text})
	}
	return pushOf(branch, commits...)
}

// states are those that a commit was given, in order.
func (g *gitHub) states(sha string) []string {
	var all []string
	for _, p := range g.repo.AllStatuses() {
		if p.SHA == sha {
			all = append(all, p.State)
		}
	}
	return all
}

// final waits for n commits to have a state that is not pending, and returns
// the last status of each.
func (g *gitHub) final(t *testing.T, n int) map[string]githubtest.StatusText {
	t.Helper()
	var last map[string]githubtest.StatusText
	eventually(t, "final statuses", func() bool {
		last = map[string]githubtest.StatusText{}
		ended := 0
		for _, p := range g.repo.AllStatuses() {
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

// repository is the bare one of a host with a clone to commit in.
type repository struct {
	t          *testing.T
	bare, work string
}

func (g *gitHub) clone(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, bare: g.repo.Dir, work: filepath.Join(t.TempDir(), "api")}
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
