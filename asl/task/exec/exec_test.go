//go:build unix

package exec_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/asl/task/exec"
)

func program(t *testing.T, cfg exec.Config, script string) *exec.Program {
	t.Helper()
	cfg.Command = []string{"sh", "-c", script, "arg0", "an argument; touch pwned"}
	cfg.KillGrace = 200 * time.Millisecond
	p, err := exec.New(zap.NewNop(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var aTask = task.Task{ID: "t", ExecutionName: "run-1", StateName: "Greet", Heartbeat: func() {}}

func TestProgramGetsTheEventAndAnswers(t *testing.T) {
	t.Setenv("SERVICE_TOKEN", "secret")
	p := program(t, exec.Config{Env: map[string]string{"WHO": "config"}}, `
		printf '{"event":%s,"who":"%s","token":"%s","arg":"%s","execution":"%s","files":"%s"}' \
			"$(cat)" "$WHO" "$SERVICE_TOKEN" "$1" "$SWITCHYARD_EXECUTION" "$(ls -A)"; echo noise >&2`)
	out, err := p.Invoke(t.Context(), aTask, json.RawMessage(`{"a":"$(touch pwned)"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"event":{"a":"$(touch pwned)"},"who":"config","token":"","arg":"an argument; touch pwned","execution":"run-1","files":""}`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
}

func TestProgramTellsTheEndOfItsLog(t *testing.T) {
	p := program(t, exec.Config{}, "i=0; while [ $i -lt 600 ]; do echo a line, number $i >&2; i=$((i+1)); done; echo '{}'")
	out, log, err := p.InvokeLogged(t.Context(), aTask, json.RawMessage("{}"))
	if err != nil || string(out) != "{}\n" {
		t.Fatalf("%s, %v", out, err)
	}
	if len(log) > 4<<10 || !strings.HasPrefix(string(log), "a line") || !strings.HasSuffix(string(log), "number 599\n") {
		t.Errorf("log of %d bytes: %s", len(log), log)
	}
}

func TestProgramErrors(t *testing.T) {
	tests := []struct {
		name, script, wantName, wantCause string
		timeout                           time.Duration
	}{
		{"exit status with standard error", "echo first >&2; echo 'disk is full' >&2; exit 3", "Runtime.ExitError", "exit status 3: first\\ndisk is full", 0},
		{"exit status alone", "exit 4", "Runtime.ExitError", "exit status 4", 0},
		{"killed by a signal", "kill -9 $$", "Runtime.ExitError", "signal: killed", 0},
		{"reports its own error", `echo '{"errorType":"Conflict","errorMessage":"locked"}'; exit 1`, "Conflict", `"errorMessage":"locked"`, 0},
		{"only the end of standard error", "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1", "Runtime.ExitError", "line 1999", 0},
		{"timeout", "sleep 100", "Sandbox.Timedout", "timed out after 0.15 seconds", 150 * time.Millisecond},
		{"fills the disk", "cat /dev/zero", "States.DataLimitExceeded", "wrote more than", 0},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := program(t, exec.Config{Timeout: tc.timeout}, tc.script).Invoke(t.Context(), aTask, json.RawMessage("{}"))
			var te *task.Error
			if !errors.As(err, &te) || te.Name != tc.wantName || !strings.Contains(te.Cause, tc.wantCause) {
				t.Fatalf("got %v, want %s with %q", err, tc.wantName, tc.wantCause)
			}
			if len(te.Cause) > 8<<10 {
				t.Errorf("cause has %d bytes", len(te.Cause))
			}
		})
	}
}

func TestProgramLeavesNothingBehind(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	// The daemon leaves the process group and ignores SIGTERM.
	p := program(t, exec.Config{Env: map[string]string{"PIDFILE": pidFile}},
		`setsid sh -c 'trap "" TERM; echo $$ > "$PIDFILE.new"; mv "$PIDFILE.new" "$PIDFILE"; while :; do sleep 1; done' >/dev/null 2>&1 &
		while [ ! -s "$PIDFILE" ]; do sleep 0.01; done; echo '"started"'`)
	out, err := p.Invoke(t.Context(), aTask, json.RawMessage("{}"))
	if err != nil || strings.TrimSpace(string(out)) != `"started"` {
		t.Fatalf("got %s, %v", out, err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if running(pid) {
		t.Errorf("process %d survived", pid)
	}
}

// running is false for a zombie, which only waits for its parent.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestProgramStopsWithTheTask(t *testing.T) {
	cause := errors.New("stopped by a person")
	ctx, stop := context.WithCancelCause(t.Context())
	p := program(t, exec.Config{}, "sleep 100")
	time.AfterFunc(50*time.Millisecond, func() { stop(cause) })
	if _, err := p.Invoke(ctx, aTask, json.RawMessage("{}")); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, cfg := range map[string]exec.Config{
		"no command":       {},
		"unknown program":  {Command: []string{"no-such-program-anywhere"}},
		"negative timeout": {Command: []string{"sh"}, Timeout: -1},
		"bad variable":     {Command: []string{"sh"}, Env: map[string]string{"A=B": "c"}},
	} {
		if _, err := exec.New(zap.NewNop(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
