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

func wantGone(t *testing.T, pids []int) {
	t.Helper()
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
		b := run(t, newHandler(t, Config{}), newTask(t, "t", stubbornTask(t, r, commit, dir, finish)))
		b.wantLog(t, "\nready\n")
		wantGone(t, pids(t, dir))
	}
}

func TestTimeoutEndsTheBuild(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	dir := t.TempDir()
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare, Timeout: 1500 * time.Millisecond}}})
	in := stubbornTask(t, r, commit, dir, "sleep 300")
	delete(in, "SourceLocationOverride")
	b := run(t, h, newTask(t, "t", in))
	if b.err == nil || b.err.Name != "States.TaskFailed" || b.result.BuildStatus != "TIMED_OUT" {
		t.Fatalf("got %v, status %s", b.err, b.result.BuildStatus)
	}
	if want := "DOWNLOAD_SOURCE=SUCCEEDED INSTALL=SUCCEEDED PRE_BUILD=SUCCEEDED BUILD=TIMED_OUT"; b.phases() != want {
		t.Errorf("phases %s", b.phases())
	}
	wantGone(t, pids(t, dir))
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
	wantGone(t, pids(t, dir))
}

// TestMain is also the main of a second process, which runs a build until it
// is killed.
func TestMain(m *testing.M) {
	if dataDir := os.Getenv("BUILD_TEST_DATA_DIR"); dataDir != "" {
		fmt.Println(victim(dataDir, os.Getenv("BUILD_TEST_INPUT")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func victim(dataDir, input string) error {
	h, err := New(zap.NewNop(), Config{DataDir: dataDir})
	if err != nil {
		return err
	}
	_, err = h.Run(context.Background(), task.Task{
		ID: "t", Resource: ResourceSync, Input: json.RawMessage(input), ExecutionName: "run-1", Heartbeat: func() {},
	})
	return err
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
	cmd.Env = append(os.Environ(), "BUILD_TEST_DATA_DIR="+dataDir, "BUILD_TEST_INPUT="+string(in))
	cmd.Stdout = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
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

	h := newHandler(t, Config{DataDir: dataDir})
	// The process without environment has lost its parent too: it can only
	// be found by its session, which died with the other Switchyard.
	wantGone(t, left[:2])
	_ = syscall.Kill(left[2], syscall.SIGKILL)
	if _, err := os.Stat(filepath.Join(dataDir, "work")); err == nil {
		t.Error("work directory is still there")
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
	b.wantLog(t, "\nready\n", "Switchyard was restarted while this build ran", "\nagain\n")
}
