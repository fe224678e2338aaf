//go:build linux

package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func running(pid int) bool {
	_, ok := readProcess(pid)
	return ok
}

// start runs a script that writes the PID of what it leaves behind.
func start(t *testing.T, g *Group, script string) int {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "pid")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdout = out
	if err := g.Run(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestEndFindsWhatLeftTheGroup(t *testing.T) {
	for name, script := range map[string]string{
		"child":                 `sleep 300 >/dev/null & echo $!`,
		"session of its own":    `setsid sleep 300 >/dev/null & echo $!`,
		"without environment":   `env -i sleep 300 >/dev/null & echo $!`,
		"ignores SIGTERM":       `(trap "" TERM; exec sleep 300) >/dev/null & echo $!`,
		"changed its directory": `(cd / && exec sleep 300) >/dev/null & echo $!`,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGroup("test", "", 100*time.Millisecond)
			pid := start(t, g, script)
			if !running(pid) {
				t.Fatal("it ended by itself")
			}
			if err := g.End(); err != nil {
				t.Fatal(err)
			}
			if running(pid) {
				t.Errorf("process %d survived", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

func TestGroupsLetEachOtherAlone(t *testing.T) {
	one, two := NewGroup("test", "", time.Second), NewGroup("test", "", time.Second)
	pid := start(t, one, `sleep 300 >/dev/null & echo $!`)
	if err := two.End(); err != nil {
		t.Fatal(err)
	}
	// This process lives, so its groups are no leftovers.
	if n, err := Sweep("test", time.Second); len(n) != 0 || err != nil {
		t.Errorf("Sweep ended %v, %v", n, err)
	}
	if !running(pid) {
		t.Error("the other group's process is gone")
	}
	if err := one.End(); err != nil || running(pid) {
		t.Errorf("End: %v", err)
	}
}

func TestSweepEndsWhatADeadProcessLeft(t *testing.T) {
	// The mark of a supervisor that is this process by PID, but not by its
	// start: a PID that was used again.
	g := NewGroup(t.Name(), "", 100*time.Millisecond)
	g.mark = fmt.Sprintf("%s.%d-1.1.one", OwnerKey(t.Name()), os.Getpid())
	pid := start(t, g, `setsid sleep 300 >/dev/null & echo $!`)
	if !Lives(pid, t.Name()) || Lives(pid, "another owner") || Lives(os.Getpid(), t.Name()) {
		t.Error("Lives does not tell whose a process is")
	}
	if n, err := Sweep("another owner", time.Second); len(n) != 0 || err != nil || !running(pid) {
		t.Errorf("Sweep of another owner ended %v, %v", n, err)
	}
	if n, err := Sweep(t.Name(), 100*time.Millisecond); n["one"] != 1 || len(n) != 1 || err != nil || running(pid) {
		t.Errorf("Sweep ended %v, %v", n, err)
	}
}

func TestRunReturnsTheCause(t *testing.T) {
	cause := errors.New("stopped by a person")
	ctx, stop := context.WithCancelCause(t.Context())
	g := NewGroup("test", "", 100*time.Millisecond)
	time.AfterFunc(20*time.Millisecond, func() { stop(cause) })
	cmd := exec.Command("sh", "-c", "sleep 300 & wait")
	if err := g.Run(ctx, cmd); !errors.Is(err, cause) {
		t.Errorf("Run: %v", err)
	}
	if err := g.Run(ctx, exec.Command("true")); !errors.Is(err, cause) {
		t.Errorf("Run after the end of ctx: %v", err)
	}
}

func TestStopStopsWhatIsLeftButTheExcepted(t *testing.T) {
	g := NewGroup(t.Name(), "", 100*time.Millisecond)
	g.mark = fmt.Sprintf("%s.%d-1.1.one", OwnerKey(t.Name()), os.Getpid())
	stops, goes := start(t, g, `setsid sleep 300 >/dev/null & echo $!`), start(t, g, `setsid sleep 301 >/dev/null & echo $!`)
	state := func(pid int) string { return readStat(pid)[0] }
	until := func(is func() bool) {
		for deadline := time.Now().Add(2 * time.Minute); !is() && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
	}
	until(func() bool { return (member{pid: goes}).argv()[0] == "sleep" })
	if n := Left(t.Name()); n != 2 || state(stops) == "T" {
		t.Errorf("%d processes are left, the first is %s", n, state(stops))
	}
	n := Stop(t.Name(), func(argv []string) bool { return argv[len(argv)-1] == "301" })
	until(func() bool { return state(stops) == "T" })
	if n != 2 || state(stops) != "T" || state(goes) == "T" {
		t.Errorf("%d are left, in the states %s and %s", n, state(stops), state(goes))
	}
	// One that is stopped ends by SIGTERM too.
	began := time.Now()
	if n, err := Sweep(t.Name(), time.Minute); n["one"] != 2 || err != nil || running(stops) || running(goes) || time.Since(began) > 30*time.Second {
		t.Errorf("Sweep ended %v, %v, after %v", n, err, time.Since(began))
	}
}
