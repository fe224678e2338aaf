package hook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/git"
	"switchyard/webhook/git/hook"
)

const secret = "a secret of the tests"

// TestMain lets the test binary be the hook that Install writes: git runs it
// with the arguments of the real one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hook" {
		os.Exit(hookMain(os.Args[2]))
	}
	os.Exit(m.Run())
}

// faultVariable makes a hook that git runs kill itself: STEP:N is the Nth time
// that it comes to that step. It first makes the file that killedVariable names.
const (
	faultVariable  = "SWITCHYARD_TEST_KILL_AT"
	killedVariable = "SWITCHYARD_TEST_KILLED"
	settleVariable = "SWITCHYARD_TEST_SETTLE"
)

func hookMain(command string) int {
	if command == "flush" {
		ctx := context.Background()
		cfg, err := hook.Load(ctx, "")
		if err == nil {
			var h *hook.Hook
			if h, err = hook.New(cfg, hook.WithSettle(processSettle()), hook.WithStep(killer(os.Getenv(faultVariable)))); err == nil {
				err = h.Flush(ctx, os.Stderr, false, 0)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "switchyard:", err)
			return 1
		}
		return 0
	}
	if command != "post-receive" {
		fmt.Fprintln(os.Stderr, "no such command:", command)
		return 1
	}
	if err := hook.Receive(context.Background(), os.Stdin, os.Stderr, nil, hook.WithSettle(processSettle()), hook.WithStep(killer(os.Getenv(faultVariable)))); err != nil {
		fmt.Fprintln(os.Stderr, "switchyard:", err)
		return 1
	}
	return 0
}

func processSettle() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(settleVariable)); err == nil {
		return d
	}
	return settle
}

func killer(at string) func(string) {
	step, n, _ := strings.Cut(at, ":")
	var mu sync.Mutex
	passed := map[string]int{}
	return func(s string) {
		mu.Lock()
		defer mu.Unlock()
		if passed[s]++; s == step && fmt.Sprint(passed[s]) == n {
			_ = os.WriteFile(os.Getenv(killedVariable), nil, 0o600)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it is carried out
		}
	}
}

// settle is long enough for hooks that run at the same time, on a busy machine.
const settle = 300 * time.Millisecond

// server is Switchyard's webhook face over a sink that remembers.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	events []event.Event
	calls  map[string]int // by delivery ID
	bodies map[string]string
	fail   int // answer this status instead, 0 for none
}

func newServer(t *testing.T) *server {
	t.Helper()
	src, err := git.New(git.Config{Secrets: []string{secret}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{calls: map[string]int{}, bodies: map[string]string{}}
	handler, err := webhook.New(s, map[string]webhook.Source{"git": src}, webhook.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		status := s.fail
		s.mu.Unlock()
		if status != 0 {
			http.Error(w, `{"error":"as the test wants it"}`, status)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		id := r.Header.Get(git.HeaderDelivery)
		if before, known := s.bodies[id]; known && before != string(body) {
			t.Errorf("delivery %s came with another body:\n%s\nand before:\n%s", id, body, before)
		}
		s.bodies[id] = string(body)
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) Accept(_ context.Context, ev event.Event) (event.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[ev.DeliveryID]++
	r := event.Receipt{Delivery: ev.DeliveryID}
	for _, c := range ev.Commits {
		r.Executions = append(r.Executions, "api-"+c.SHA[:12])
		r.New++
	}
	if s.calls[ev.DeliveryID] == 1 {
		ev.Digest = ""
		s.events = append(s.events, ev)
	}
	return r, nil
}

func (s *server) answer(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = status
}

// take returns the events since the last call.
func (s *server) take() []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	evs := s.events
	s.events = nil
	return evs
}

// repo is a bare repository with the hook installed, and a clone of it.
type repo struct {
	t          *testing.T
	bare, work string
	server     *server
	cfg        hook.Config
}

// newRepo gives git init the options.
func newRepo(t *testing.T, options ...string) *repo {
	t.Helper()
	for _, v := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} {
		t.Setenv(v, "")
		os.Unsetenv(v)
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	t.Setenv("USER", "ada")
	dir := t.TempDir()
	r := &repo{t: t, bare: filepath.Join(dir, "api v2's.git"), work: filepath.Join(dir, "work"), server: newServer(t)}
	r.git(dir, append([]string{"init", "-q", "--bare", "-b", "main", r.bare}, options...)...)
	r.git(dir, append([]string{"init", "-q", "-b", "main", r.work}, options...)...)
	r.git(r.work, "config", "user.name", "Ada Lovett")
	r.git(r.work, "config", "user.email", "ada@acme.example")
	r.git(r.work, "remote", "add", "origin", r.bare)
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A path that a careless script would split or run.
	program := filepath.Join(dir, "it's $(touch x) switchyard")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	r.cfg = hook.Config{GitDir: r.bare, URL: r.server.URL + "/webhooks/git", SecretFile: secretFile, Repository: "acme/api-v2"}
	if _, err := hook.Install(t.Context(), r.cfg, program); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *repo) hook(opts ...hook.Option) *hook.Hook {
	r.t.Helper()
	h, err := hook.New(r.cfg, append([]hook.Option{hook.WithSettle(settle)}, opts...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	return h
}

// git runs git in dir and returns all it printed.
func (r *repo) git(dir string, args ...string) string {
	r.t.Helper()
	out, err := r.try(dir, args...)
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (r *repo) try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// flushProcess flushes in a process of its own.
func (r *repo) flushProcess() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(r.t.Context(), self, "hook", "flush")
	cmd.Dir = r.bare
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// commit writes the files and commits them, and returns the commit.
func (r *repo) commit(message string, files ...string) string {
	r.t.Helper()
	for _, f := range files {
		path := filepath.Join(r.work, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(message+f), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
	r.git(r.work, "add", "-A")
	r.git(r.work, "commit", "-q", "--allow-empty", "-m", message)
	return r.git(r.work, "rev-parse", "HEAD")
}

// push pushes and returns what the pusher saw.
func (r *repo) push(args ...string) string {
	r.t.Helper()
	return r.git(r.work, append([]string{"push", "origin"}, args...)...)
}

// linear adds n commits to a branch by fast-import, each changing one file, and
// returns them.
func (r *repo) linear(branch, from string, n int) []string {
	r.t.Helper()
	var in strings.Builder
	for i := range n {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter Ada Lovett <ada@acme.example> %d +0000\ndata <<END\ncommit %d\nEND\n", branch, 1_700_000_000+i, i)
		if i == 0 && from != "" {
			fmt.Fprintf(&in, "from %s\n", from)
		}
		fmt.Fprintf(&in, "M 100644 inline files/%d\ndata <<END\n%d\nEND\n", i%50, i)
	}
	cmd := exec.CommandContext(r.t.Context(), "git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Stdin = r.work, strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		r.t.Fatalf("fast-import: %v\n%s", err, out)
	}
	list := r.git(r.work, "rev-list", "--reverse", fmt.Sprintf("--max-count=%d", n), branch)
	return strings.Fields(list)
}

// shas lists the commits of an event; those not new to the repository have a
// "-" before them.
func shas(ev event.Event) []string {
	var list []string
	for _, c := range ev.Commits {
		if c.Distinct {
			list = append(list, c.SHA)
		} else {
			list = append(list, "-"+c.SHA)
		}
	}
	return list
}

func (r *repo) waiting() (spooled, failed int) {
	r.t.Helper()
	spooled, failed, err := r.hook().Waiting()
	if err != nil {
		r.t.Fatal(err)
	}
	return spooled, failed
}

// roundTripper makes a transport of a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

var errDown = errors.New("connection refused")
