package codecommittest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Repo is a bare repository of git's own.
type Repo struct {
	Name string
	// Dir is where it is on this machine.
	Dir string
	// DefaultBranch is the short name of one.
	DefaultBranch string

	t testing.TB
}

// NewRepo makes an empty repository. It is removed when the test ends.
func NewRepo(t testing.TB, name string) *Repo {
	t.Helper()
	r := &Repo{Name: name, Dir: filepath.Join(t.TempDir(), name+".git"), DefaultBranch: "main", t: t}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Git("init", "-q", "--bare", "-b", "main")
	return r
}

// Git runs git in the repository and returns what it wrote.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.Feed("", args...)
}

// Feed is [Repo.Git] with a text to read.
func (r *Repo) Feed(stdin string, args ...string) string {
	r.t.Helper()
	out, err := r.run(stdin, args...)
	if err != nil {
		r.t.Fatalf("git %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (r *Repo) run(stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir = r.Dir
	cmd.Env = append(cleanEnv(), "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.test", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.test")
	cmd.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if err != nil {
		r.t.Logf("git %s: %s", strings.Join(args, " "), &problems)
	}
	return out.String(), err
}

// cleanEnv is the environment without what points git elsewhere.
func cleanEnv() []string {
	env := []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			env = append(env, kv)
		}
	}
	return env
}

// Commit adds a commit with these files, by path, to a branch: on its tip, or
// on the parents given. Its ID is returned.
func (r *Repo) Commit(branch, message string, files map[string]string, parents ...string) string {
	r.t.Helper()
	var stream strings.Builder
	w := func(parts ...string) {
		for _, p := range parts {
			stream.WriteString(p)
		}
	}
	ref := "refs/heads/" + branch
	if len(parents) == 0 {
		if tip, err := r.Tip(branch); err == nil {
			parents = []string{tip}
		}
	}
	w("commit ", ref, "\n", "committer Ada <ada@example.test> now\n", data(strings.TrimRight(message, "\n")+"\n"))
	for i, p := range parents {
		w([]string{"from ", "merge "}[min(i, 1)], p, "\n")
	}
	for path, content := range files {
		if content == "" {
			w("D ", path, "\n")
			continue
		}
		w("M 100644 inline ", path, "\n", data(content))
	}
	r.Feed(stream.String(), "fast-import", "--quiet", "--force", "--date-format=now")
	tip, err := r.Tip(branch)
	if err != nil {
		r.t.Fatal(err)
	}
	return tip
}

// Tip is the commit of a branch.
func (r *Repo) Tip(branch string) (string, error) {
	out, err := exec.CommandContext(context.Background(), "git", "--git-dir", r.Dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output()
	return strings.TrimSpace(string(out)), err
}
