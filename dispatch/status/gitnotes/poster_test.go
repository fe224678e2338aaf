package gitnotes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"switchyard/dispatch"
)

// run runs git in dir, apart from this machine's settings.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// bare makes a bare repository with n commits, oldest first.
func bare(t *testing.T, n int) (path string, commits []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "api.git")
	run(t, t.TempDir(), "init", "--quiet", "--bare", path)
	tree := run(t, path, "mktree")
	parent := ""
	for i := range n {
		args := []string{"commit-tree", tree, "-m", fmt.Sprintf("commit %d", i)}
		if parent != "" {
			args = append(args, "-p", parent)
		}
		parent = run(t, path, args...)
		commits = append(commits, parent)
	}
	run(t, path, "update-ref", "refs/heads/main", parent)
	return path, commits
}

func poster(t *testing.T, path string) *Poster {
	t.Helper()
	p, err := New(Config{Repositories: map[string]string{"acme/api": path}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func post(t *testing.T, p *Poster, s dispatch.Status) {
	t.Helper()
	postLinked(t, p, s, "")
}

func postLinked(t *testing.T, p *Poster, s dispatch.Status, targetURL string) {
	t.Helper()
	s.Repository = "acme/api"
	if err := p.Post(t.Context(), s, targetURL); err != nil {
		t.Fatal(err)
	}
}

func note(t *testing.T, path, commit string) string {
	t.Helper()
	return run(t, path, "notes", "--ref=switchyard", "show", commit)
}

func TestPosterShowsLatestStateOfEachRoute(t *testing.T) {
	path, commits := bare(t, 2)
	p := poster(t, path)
	post(t, p, dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusPending, Description: "running"})
	post(t, p, dispatch.Status{SHA: commits[0], Context: "switchyard/build: more", State: dispatch.StatusPending, Description: "running"})
	post(t, p, dispatch.Status{SHA: commits[1], Context: "switchyard/build", State: dispatch.StatusError, Description: "no such state machine"})
	postLinked(t, p, dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess, Description: "succeeded"}, "http://yard/1")

	want := "success\tswitchyard/build\tsucceeded\thttp://yard/1\npending\tswitchyard/build: more\trunning"
	if got := note(t, path, commits[0]); got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
	shown := run(t, path, "log", "--notes=switchyard", "main")
	for _, line := range []string{"Notes (switchyard):", "success\tswitchyard/build", "error\tswitchyard/build\tno such state machine"} {
		if !strings.Contains(shown, line) {
			t.Errorf("git log --notes=switchyard lacks %q:\n%s", line, shown)
		}
	}
}

func TestPosterRepeatChangesNothing(t *testing.T) {
	path, commits := bare(t, 1)
	p := poster(t, path)
	s := dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess}
	post(t, p, s)
	before := run(t, path, "rev-parse", "refs/notes/switchyard")
	post(t, p, s)
	if after := run(t, path, "rev-parse", "refs/notes/switchyard"); after != before {
		t.Error("posting the same status again made a commit")
	}
}

func TestPosterKeepsForeignLines(t *testing.T) {
	path, commits := bare(t, 1)
	run(t, path, "notes", "--ref=switchyard", "add", "-m", "reviewed by hand", commits[0])
	post(t, poster(t, path), dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess})
	if got, want := note(t, path, commits[0]), "reviewed by hand\nsuccess\tswitchyard/build"; got != want {
		t.Errorf("note = %q, want %q", got, want)
	}
}

func TestPosterDefusesHostileStrings(t *testing.T) {
	path, commits := bare(t, 1)
	t.Chdir(t.TempDir())
	rows := []struct{ name, text string }{
		{"shell", "$(touch pwned); touch pwned; `touch pwned`"},
		{"option", "--file=/etc/passwd"},
		{"escape sequence", "\x1b[31mred\x1b]0;title\x07"},
		{"line break", "a\nsuccess\tswitchyard/other\tforged"},
		{"carriage return", "a\rb"},
		{"invalid UTF-8", "a\xff\xfeb"},
		{"comment", "# not a comment"},
		{"long", strings.Repeat("é", 100_000)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			postLinked(t, poster(t, path), dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusFailure, Description: row.text}, row.text)
			got := note(t, path, commits[0])
			if strings.Count(got, "\n") != 0 || !strings.HasPrefix(got, "failure\tswitchyard/build\t") {
				t.Errorf("note is not the one line of its context: %.300q", got)
			}
			if strings.ContainsAny(got, "\x1b\x07\r") || !utf8.ValidString(got) {
				t.Errorf("control characters in the note: %.300q", got)
			}
			if n := len([]rune(got)); n > 3*maxField {
				t.Errorf("the note has %d characters", n)
			}
		})
	}
	if left, _ := filepath.Glob("*"); len(left) != 0 {
		t.Errorf("something was executed and left %v", left)
	}
}

func TestPosterRefusesWhatNoRetryRepairs(t *testing.T) {
	path, commits := bare(t, 1)
	blob := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(blob, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []struct{ name, repository, commit, want string }{
		{"unknown repository", "acme/web", commits[0], "no path is configured"},
		{"path as repository", path, commits[0], "no path is configured"},
		{"unknown commit", "acme/api", strings.Repeat("0", 39) + "1", "no such commit"},
		{"not a commit", "acme/api", run(t, path, "hash-object", "-w", blob), "no such commit"},
		{"branch", "acme/api", "main", "not a commit ID"},
		{"option", "acme/api", "--upload-pack=x", "not a commit ID"},
		{"abbreviated", "acme/api", commits[0][:10], "not a commit ID"},
		{"two lines", "acme/api", commits[0] + "\n", "not a commit ID"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			err := poster(t, path).Post(t.Context(), dispatch.Status{Repository: row.repository, SHA: row.commit, Context: "switchyard/build", State: dispatch.StatusSuccess}, "")
			var permanent *dispatch.PermanentError
			if !errors.As(err, &permanent) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want a PermanentError with %q", err, row.want)
			}
		})
	}
}

func TestPosterRetriesAfterLock(t *testing.T) {
	path, commits := bare(t, 1)
	lock := filepath.Join(path, "refs", "notes", "switchyard.lock")
	if err := os.MkdirAll(filepath.Dir(lock), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := poster(t, path)
	s := dispatch.Status{Repository: "acme/api", SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess}
	err := p.Post(t.Context(), s, "")
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) {
		t.Fatalf("with the ref locked: %v, want a retryable error", err)
	}
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	post(t, p, s)
}

func TestPosterTakesTurns(t *testing.T) {
	path, commits := bare(t, 2)
	p := poster(t, path)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			err := p.Post(t.Context(), dispatch.Status{Repository: "acme/api", SHA: commits[i%2], Context: fmt.Sprintf("switchyard/route-%d", i/2), State: dispatch.StatusSuccess}, "")
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, c := range commits {
		if lines := strings.Split(note(t, path, c), "\n"); len(lines) != 10 {
			t.Errorf("%d lines, want one for each of 10 routes: %q", len(lines), lines)
		}
	}
}

func TestPosterReturnsWhenContextEnds(t *testing.T) {
	path, commits := bare(t, 1)
	p := poster(t, path)
	p.repos["acme/api"].turn <- struct{}{} // another call is writing
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := p.Post(ctx, dispatch.Status{Repository: "acme/api", SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess}, "")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestPosterIgnoresInheritedGitEnvironment(t *testing.T) {
	path, commits := bare(t, 1)
	other, _ := bare(t, 1)
	t.Setenv("GIT_DIR", other)
	t.Setenv("GIT_OBJECT_DIRECTORY", filepath.Join(other, "objects"))
	post(t, poster(t, path), dispatch.Status{SHA: commits[0], Context: "switchyard/build", State: dispatch.StatusSuccess})
	if got := note(t, path, commits[0]); !strings.HasPrefix(got, "success") {
		t.Errorf("note = %q", got)
	}
}

func TestNewFindsRepositoryAtPathOnly(t *testing.T) {
	work := filepath.Join(t.TempDir(), "work")
	run(t, t.TempDir(), "init", "--quiet", work)
	if _, err := New(Config{Repositories: map[string]string{"work": work}}); err != nil {
		t.Errorf("a repository with a work tree: %v", err)
	}
	inner := filepath.Join(work, "sub")
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Repositories: map[string]string{"sub": inner}}); err == nil || !strings.Contains(err.Error(), "is not a git repository") {
		t.Errorf("a directory inside a repository: %v, want a refusal that does not climb", err)
	}
}
