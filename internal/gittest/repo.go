// Package gittest makes bare repositories of git's own for tests, and serves them
// over HTTP as git hosts do.
//
// Commits have fixed authors and dates, so that the same calls make the same
// commit IDs. It is for tests only.
package gittest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Who makes the commits unless their options say otherwise.
const (
	AuthorName  = "Ada"
	AuthorEmail = "ada@example.test"
)

// Epoch is the date of a repository's first commit; each further one is made a
// minute later.
var Epoch = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// Repo is a bare repository. It is safe for concurrent use as far as git is.
type Repo struct {
	// Dir is where it is on this machine.
	Dir string

	t testing.TB

	mu   sync.Mutex
	made int // commits so far
}

// New makes an empty repository with main as its first branch. It is removed
// when the test ends.
func New(t testing.TB) *Repo {
	t.Helper()
	r := &Repo{Dir: filepath.Join(t.TempDir(), "repo.git"), t: t}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Git("init", "-q", "--bare", "-b", "main")
	return r
}

// Git runs git in the repository and returns what it wrote. The test fails where
// git does.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.Feed("", args...)
}

// Feed is [Repo.Git] with a text to read.
func (r *Repo) Feed(stdin string, args ...string) string {
	r.t.Helper()
	out, err := r.Try(stdin, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// Try is [Repo.Feed] where git may fail.
func (r *Repo) Try(stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(context.Background(), "git", args...)
	cmd.Dir = r.Dir
	cmd.Env = append(Env(), "GIT_AUTHOR_NAME="+AuthorName, "GIT_AUTHOR_EMAIL="+AuthorEmail, "GIT_COMMITTER_NAME="+AuthorName, "GIT_COMMITTER_EMAIL="+AuthorEmail)
	cmd.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, &problems)
	}
	return out.String(), nil
}

// Env is this process's environment without what points git elsewhere.
func Env() []string {
	env := []string{"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") {
			env = append(env, kv)
		}
	}
	return env
}

// Commit is one to be made.
type Commit struct {
	Message string
	// Files are what it writes, by path; an empty text removes a file.
	Files map[string]string
	// Name and Email are its author's; empty for the usual.
	Name, Email string
	// Parents take the place of the branch's tip.
	Parents []string
}

// Commit adds a commit with these files, by path, to a branch: on its tip, or on
// the parents given. Its ID is returned.
func (r *Repo) Commit(branch, message string, files map[string]string, parents ...string) string {
	r.t.Helper()
	return r.Add(branch, Commit{Message: message, Files: files, Parents: parents})[0]
}

// Chain adds n commits to a branch, each with its own file and message, and
// returns their IDs, oldest first.
func (r *Repo) Chain(branch string, n int) []string {
	r.t.Helper()
	all := make([]Commit, n)
	for i := range all {
		text := strconv.Itoa(i + 1)
		// A hundred to a folder: git writes each folder that changes anew.
		path := fmt.Sprintf("src/%s/%d/%s.txt", strings.ReplaceAll(branch, "/", "-"), i/100, text)
		all[i] = Commit{Message: "commit " + text + " of " + branch, Files: map[string]string{path: text}}
	}
	return r.Add(branch, all...)
}

// Add adds commits to a branch, at once, however many. Their IDs are returned,
// oldest first.
func (r *Repo) Add(branch string, commits ...Commit) []string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	tip, _ := r.Tip(branch)
	var stream strings.Builder
	for i, c := range commits {
		if i == 0 && len(c.Parents) == 0 && tip != "" {
			c.Parents = []string{tip}
		}
		if c.Email == "" {
			c.Name, c.Email = AuthorName, AuthorEmail
		}
		at := Epoch.Add(time.Duration(r.made) * time.Minute).Unix()
		r.made++
		fmt.Fprintf(&stream, "commit refs/heads/%s\nmark :%d\nauthor %s <%s> %d +0000\ncommitter %[3]s <%[4]s> %[5]d +0000\n%s", branch, i+1, c.Name, c.Email, at, data(strings.TrimRight(c.Message, "\n")+"\n"))
		for j, p := range c.Parents {
			stream.WriteString([]string{"from ", "merge "}[min(j, 1)] + p + "\n")
		}
		for _, path := range sorted(c.Files) {
			if c.Files[path] == "" {
				stream.WriteString("D " + path + "\n")
				continue
			}
			stream.WriteString("M 100644 inline " + path + "\n" + data(c.Files[path]))
		}
		fmt.Fprintf(&stream, "get-mark :%d\n", i+1)
	}
	return strings.Fields(r.Feed(stream.String(), "fast-import", "--quiet", "--force"))
}

func sorted(files map[string]string) []string {
	var paths []string
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	return paths
}

// data is a text as git fast-import takes it.
func data(text string) string { return "data " + strconv.Itoa(len(text)) + "\n" + text + "\n" }

// Branch makes a branch at a commit, or moves it there, as a forced push does. An
// empty commit removes it.
func (r *Repo) Branch(branch, commit string) {
	r.t.Helper()
	if commit == "" {
		r.Git("update-ref", "-d", "refs/heads/"+branch)
		return
	}
	r.Git("update-ref", "refs/heads/"+branch, commit)
}

// Tip is the commit of a branch; an error says that there is no such branch.
func (r *Repo) Tip(branch string) (string, error) {
	out, err := r.Try("", "rev-parse", "--verify", "--quiet", "refs/heads/"+branch)
	return strings.TrimSpace(out), err
}
