//go:build unix

package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
)

// stubborn starts processes that are hard to end (an ordinary child, one in a
// session of its own that ignores SIGTERM, one without the environment) and
// writes their PIDs to DIR.
const stubborn = `version: 0.2
phases:
  build:
    commands:
      - sleep 300 & echo $! > "$DIR/child"
      - setsid sh -c 'trap "" TERM; echo $$ > "$DIR/session"; while :; do sleep 1; done' &
      - env -i sleep 300 & echo $! > "$DIR/bare"
      - while [ ! -s "$DIR/session" ]; do sleep 0.01; done; echo ready
      - FINISH
`

func pids(t *testing.T, dir string) []int {
	t.Helper()
	var out []int
	for _, name := range []string{"child", "session", "bare"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// running is false for a zombie, which only waits for its parent.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// survivors are the processes that work in a build's directory. Unlike a PID
// that a build writes down, that tells in namespaces too.
func survivors(t *testing.T) []int {
	t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	below := filepath.Dir(t.TempDir()) + "/"
	for _, cwd := range found {
		pid, err := strconv.Atoi(strings.Split(cwd, "/")[2])
		if at, linkErr := os.Readlink(cwd); err == nil && linkErr == nil && strings.HasPrefix(at, below) && pid != os.Getpid() && running(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func wantGone(t *testing.T, h *Handler, pids []int) {
	t.Helper()
	if h.Exposed() == "" {
		pids = survivors(t)
	}
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %d survived", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func stubbornTask(t *testing.T, r *repo, commit, dir, finish string) input {
	t.Helper()
	return input{
		"ProjectName": "app", "SourceVersion": commit, "SourceLocationOverride": r.bare,
		"BuildspecOverride":            strings.ReplaceAll(stubborn, "FINISH", finish),
		"EnvironmentVariablesOverride": []variable{{Name: "DIR", Value: dir}},
	}
}

func TestNothingSurvivesABuild(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	for _, finish := range []string{"echo done", "exit 1"} {
		dir := t.TempDir()
		h := newHandler(t, Config{})
		b := run(t, h, newTask(t, "t", stubbornTask(t, r, commit, dir, finish)))
		b.wantLog(t, "\nready\n")
		wantGone(t, h, pids(t, dir))
	}
}

func TestTimeoutEndsTheBuild(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	var (
		dir string
		h   *Handler
		b   built
	)
	// The timeout counts from before the checkout, which takes a busy machine long.
	for timeout := 1500 * time.Millisecond; timeout < 2*time.Minute && !strings.Contains(b.log, "\nready\n"); timeout *= 3 {
		dir = t.TempDir()
		h = newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare, Timeout: timeout}}})
		in := stubbornTask(t, r, commit, dir, "sleep 300")
		delete(in, "SourceLocationOverride")
		b = run(t, h, newTask(t, "t", in))
	}
	if b.err == nil || b.err.Name != "States.TaskFailed" || b.result.BuildStatus != "TIMED_OUT" {
		t.Fatalf("got %v, status %s", b.err, b.result.BuildStatus)
	}
	if want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=TIMED_OUT"; b.phases() != want {
		t.Errorf("phases %s", b.phases())
	}
	wantGone(t, h, pids(t, dir))
}

func TestStoppedTaskEndsTheBuild(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	dir := t.TempDir()
	h := newHandler(t, Config{})
	cause := errors.New("stopped by a person")
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		waitForLog(t, t.Context(), h.logs.path("run-1", "t"), "\nready\n")
		stop(cause)
	}()
	if _, err := h.Run(ctx, newTask(t, "t", stubbornTask(t, r, commit, dir, "sleep 300"))); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the context", err)
	}
	wantGone(t, h, pids(t, dir))
}

// TestMain is also the main of a second process, which runs a build until it
// is killed.
func TestMain(m *testing.M) {
	for _, other := range otherMains {
		other()
	}
	if dataDir := os.Getenv("BUILD_TEST_DATA_DIR"); dataDir != "" {
		fmt.Println(victim(dataDir, os.Getenv("BUILD_TEST_INPUT")))
		os.Exit(1)
	}
	code := m.Run()
	for _, f := range afterTests {
		f()
	}
	os.Exit(code)
}

// otherMains are those of further processes; each ends its own.
var otherMains []func()

// afterTests are called once all tests of this program have ended.
var afterTests []func()

func victim(dataDir, input string) error {
	cfg := Config{DataDir: dataDir, Isolation: os.Getenv("BUILD_TEST_ISOLATION")}
	if cfg.Isolation != IsolationNone {
		cfg.Writable = []string{filepath.Dir(dataDir)}
	}
	h, err := New(zap.NewNop(), cfg, WithAccess(anything{}))
	if err != nil {
		return err
	}
	_, err = h.Run(context.Background(), victimTask(input))
	fmt.Println("ended")
	time.Sleep(time.Minute) // to be killed before anybody has stored the result
	return err
}

// startVictim runs the build in a process of its own.
func startVictim(t *testing.T, dataDir, isolation string, in input) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+string(text), "BUILD_TEST_ISOLATION="+isolation)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func victimTask(input string) task.Task {
	return task.Task{
		ID: "t", Resource: ResourceSync, Input: json.RawMessage(input), ExecutionName: "run-1", Heartbeat: func() {},
	}
}

// A build is not run again whose commands had come to their end, before
// Switchyard was killed or while it was away; one that was cut off is.
func TestKilledSwitchyardDoesNotRepeatEndedBuilds(t *testing.T) {
	const spec = `version: 0.2
env: {exported-variables: [WORD]}
phases:
  build: {commands: ["false"]}
  post_build:
    commands:
      - WORD=kept; echo made > made.txt
      - 'echo x >> DIR/begun; while ! test -f DIR/go; do sleep .01; done; echo printed by nobody; sh -c "echo x >> DIR/ended"; echo more'
artifacts: {files: [made.txt]}
`
	for _, tc := range []struct {
		name, wantLog string
		// letGo says when the last command may go on: before the kill, after it,
		// or once the next process is there.
		letGo string
		// isolation is left to the machine where it is "".
		isolation string
	}{
		{"before", "its result is taken over", "before", ""},
		{"before, without isolation", "its result is taken over", "before", IsolationNone},
		{"meanwhile", "it goes on from there", "after", ""},
		{"meanwhile, without isolation", "it goes on from there", "after", IsolationNone},
		{"never", "the build was interrupted by a restart of Switchyard; ", "next", ""},
		{"never, without isolation", "the build was interrupted by a restart of Switchyard; ", "next", IsolationNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRepo(t)
			dir, dataDir := t.TempDir(), t.TempDir()
			commit := r.spec(strings.ReplaceAll(spec, "DIR", dir))
			in, err := json.Marshal(input{"ProjectName": "app", "SourceVersion": commit, "SourceLocationOverride": r.bare})
			if err != nil {
				t.Fatal(err)
			}
			count := func(name string) int {
				b, _ := os.ReadFile(filepath.Join(dir, name))
				return strings.Count(string(b), "x")
			}
			until := func(what string, is func() bool) {
				t.Helper()
				for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: not after a minute", what)
					}
				}
			}
			letGo := func() {
				t.Helper()
				if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+string(in), "BUILD_TEST_ISOLATION="+tc.isolation)
			var out safeBuffer
			cmd.Stdout = &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			until("the build begins", func() bool { return count("begun") == 1 })
			if tc.letGo == "before" {
				letGo()
				until("the build ends", func() bool { return strings.Contains(out.String(), "ended") })
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if tc.letGo == "after" {
				letGo()
				until("the command ends", func() bool {
					done, err := filepath.Glob(filepath.Join(dataDir, "work", "*", "control", doneFile))
					return err == nil && len(done) == 1
				})
			}
			h := newHandler(t, Config{DataDir: dataDir, Isolation: tc.isolation})
			if tc.letGo == "next" {
				letGo()
			}
			tk := victimTask(string(in))
			tk.Restarted = true
			b := run(t, h, tk)
			b.wantLog(t, tc.wantLog)
			begun, ended := 1, 1
			if tc.letGo == "next" {
				begun = 2
			}
			if count("begun") != begun || count("ended") != ended {
				t.Errorf("begun %d times, ended %d times\n%s", count("begun"), count("ended"), b.log)
			}
			// The failure of the phase before is remembered, too.
			want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=FAILED POST_BUILD=SUCCEEDED UPLOAD_ARTIFACTS=SUCCEEDED"
			if b.err == nil || b.phases() != want {
				t.Errorf("%v: %s", b.err, b.phases())
			}
			if v := b.result.ExportedEnvironmentVariables; len(v) != 1 || v[0].Value != "kept" {
				t.Errorf("exported %v", v)
			}
			if text, err := os.ReadFile(filepath.Join(b.result.Artifacts.Location, "made.txt")); err != nil || string(text) != "made\n" {
				t.Errorf("artifact %q, %v", text, err)
			}
		})
	}
}

// safeBuffer is written by one goroutine and read by another.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A build whose commands have ended as the engine shuts down is not run again
// either.
func TestShutdownDoesNotRepeatEndedBuilds(t *testing.T) {
	r := newRepo(t)
	dir := t.TempDir()
	ended := filepath.Join(dir, "ended")
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['echo x >> " + ended + "']}}\nartifacts: {name: '$(sleep 100)', files: [buildspec.yml]}\n")
	h := newHandler(t, Config{})
	in := input{"SourceVersion": commit, "SourceLocationOverride": r.bare}
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		waitForLog(t, t.Context(), h.logs.path("run-1", "t"), "entering phase UPLOAD_ARTIFACTS")
		stop(task.ErrShutdown)
	}()
	tk := newTask(t, "t", in)
	if _, err := h.Run(ctx, tk); !errors.Is(err, task.ErrShutdown) {
		t.Fatalf("Run: %v", err)
	}
	// The next time there is nothing to wait for.
	control := filepath.Join(h.works.dir(workName(tk)), progressFile)
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(control, []byte(strings.Replace(string(text), "$(sleep 100)", "n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tk.Restarted = true
	b := run(t, h, tk)
	if text, err := os.ReadFile(ended); b.err != nil || err != nil || string(text) != "x\n" {
		t.Errorf("%v %q %v\n%s", b.err, text, err, b.log)
	}
}

func TestKilledSwitchyardIsCleanedUpAfter(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [echo again]}}\n")
	dir, dataDir := t.TempDir(), t.TempDir()
	in, err := json.Marshal(stubbornTask(t, r, commit, dir, "sleep 300"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+string(in), "BUILD_TEST_ISOLATION=none")
	cmd.Stdout = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	waitForLog(t, ctx, filepath.Join(dataDir, "logs", "run-1", "t.log"), "\nready\n")
	if _, err := New(zap.NewNop(), Config{DataDir: dataDir}); err == nil || !strings.Contains(err.Error(), "in use by another Switchyard") {
		t.Errorf("New in a directory that is in use: %v", err)
	}
	lock := filepath.Join(dataDir, "mirrors", mirrorName(r.bare, "sha1"), "packed-refs.lock")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	left := pids(t, dir)
	if !running(left[1]) {
		t.Fatal("the build ended by itself; the test shows nothing")
	}

	h := newHandler(t, Config{DataDir: dataDir, Isolation: IsolationNone})
	// The process without environment has lost its parent too: it can only
	// be found by its session, which died with the other Switchyard.
	wantGone(t, h, left[:2])
	_ = syscall.Kill(left[2], syscall.SIGKILL)
	if left, err := filepath.Glob(filepath.Join(dataDir, "work", "*")); err != nil || len(left) > 0 {
		t.Errorf("work directories are still there: %v %v", left, err)
	}
	if _, err := os.Stat(lock); err == nil {
		t.Error("git's lock is still there")
	}
	tk := newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})
	tk.Restarted = true
	b := run(t, h, tk)
	if b.err != nil {
		t.Errorf("build that is run again: %v", b.err)
	}
	b.wantLog(t, "\nready\n", "the build was interrupted by a restart of Switchyard", "\nagain\n")
}

// What an earlier process kept goes when its task is not run again.
func TestUnclaimedResultsAreRemoved(t *testing.T) {
	r := newRepo(t)
	in := input{"SourceVersion": r.spec(trueSpec), "SourceLocationOverride": r.bare}
	now := time.Now()
	dataDir := t.TempDir()
	h, err := open(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(id string) bool { return exists(h.works.dir(workName(newTask(t, id, in)))) }
	run(t, h, newTask(t, "a", in))
	run(t, h, newTask(t, "b", in))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = newHandler(t, Config{DataDir: dataDir}, WithNow(func() time.Time { return now }))
	again := newTask(t, "a", in)
	again.Restarted = true
	run(t, h, again)
	run(t, h, newTask(t, "c", in))
	if !kept("a") || !kept("b") {
		t.Error("a result was removed within the hour")
	}
	now = now.Add(claimWithin + time.Minute)
	run(t, h, newTask(t, "d", in))
	if !kept("a") || kept("b") || !kept("c") {
		t.Errorf("kept a, which was run again: %v; b, which was not: %v; c, which is new: %v", kept("a"), kept("b"), kept("c"))
	}
}
