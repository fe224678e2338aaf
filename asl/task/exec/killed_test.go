//go:build linux

package exec_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task/exec"
)

// TestMain is also the main of a second process, which runs a program until it
// is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("EXEC_TEST_DIR"); dir != "" {
		out, err := victim(dir).Invoke(context.Background(), aTask, json.RawMessage(`{}`))
		fmt.Println(string(out), err)
		if err := os.WriteFile(filepath.Join(dir, "answered"), out, 0o600); err != nil {
			fmt.Println(err)
		}
		time.Sleep(time.Minute) // to be killed before anybody has stored the answer
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const victimScript = `echo x >> "$DIR/begun"
while ! test -f "$DIR/go"; do sleep .01; done
sh -c 'echo x >> "$DIR/ended"'
echo '{"answer": 1}'; echo said >&2; exit ${STATUS:-0}`

func victim(dir string) *exec.Program {
	p, err := exec.New(zap.NewNop(), exec.Config{
		Command: []string{"sh", "-c", victimScript}, KillGrace: 200 * time.Millisecond,
		StateDir: filepath.Join(dir, "state"), Env: map[string]string{"DIR": dir, "STATUS": os.Getenv("STATUS")},
	})
	if err != nil {
		panic(err)
	}
	return p
}

// A program is not run again that had ended before this process was killed,
// that ends while no process is there, or that still runs when the next one is.
// Only one that was cut off is.
func TestKilledProcessDoesNotRepeatPrograms(t *testing.T) {
	for _, tc := range []struct{ name, status string }{
		{"answered", "0"}, {"ended meanwhile", "0"}, {"failed meanwhile", "3"}, {"runs on", "0"}, {"cut off", "0"}, {"machine booted", "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("STATUS", tc.status)
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
			exists := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
			letGo := func() {
				if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
			cmd := osexec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "EXEC_TEST_DIR="+dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			until("the program begins", func() bool { return count("begun") == 1 })
			if tc.name == "answered" {
				letGo()
				until("the answer", func() bool { return exists("answered") })
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			begun := 1
			switch tc.name {
			case "ended meanwhile", "failed meanwhile":
				letGo()
				until("the program ends", func() bool { return exists("state/t/status") })
			case "runs on":
				time.AfterFunc(100*time.Millisecond, letGo)
			case "cut off":
				pid, err := os.ReadFile(filepath.Join(dir, "state/t/pid"))
				if err != nil {
					t.Fatal(err)
				}
				// The whole group: the shell around it, and the program.
				leader, err := strconv.Atoi(strings.TrimSpace(string(pid)))
				if err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(-leader, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				begun = 2
				letGo()
			case "machine booted":
				if err := os.WriteFile(filepath.Join(dir, "state/t/begun"), []byte(`{"Boot":"another","Time":"2020-01-01T00:00:00Z"}`), 0o600); err != nil {
					t.Fatal(err)
				}
				begun = 2
				time.AfterFunc(time.Second, letGo)
			}
			tk := aTask
			tk.Restarted = true
			p := victim(dir)
			out, err := p.Invoke(t.Context(), tk, json.RawMessage(`{}`))
			if tc.status == "0" && (err != nil || strings.TrimSpace(string(out)) != `{"answer": 1}`) {
				t.Errorf("got %s, %v", out, err)
			}
			if tc.status != "0" && (err == nil || !strings.Contains(err.Error(), "exit status 3: said")) {
				t.Errorf("got %s, %v", out, err)
			}
			if count("begun") != begun || count("ended") != 1 {
				t.Errorf("begun %d times, ended %d times", count("begun"), count("ended"))
			}
			p.Forget(tk)
			until("the answer is forgotten", func() bool { return !exists("state/t") })
		})
	}
}

// A stop ends a program that an earlier process started, and nothing is kept.
func TestStopEndsAnAdoptedProgram(t *testing.T) {
	dir := t.TempDir()
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "EXEC_TEST_DIR="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "begun")); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	tk := aTask
	tk.Restarted = true
	if _, err := victim(dir).Invoke(ctx, tk, json.RawMessage(`{}`)); err == nil || ctx.Err() == nil {
		t.Errorf("Invoke: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "state", "t")); err == nil {
		t.Error("something is kept of a stopped program")
	}
	time.Sleep(50 * time.Millisecond) // what is not gone would write by now
	if _, err := os.Stat(filepath.Join(dir, "ended")); err == nil {
		t.Error("the program went on")
	}
}

func TestFaultOfTheMachineIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	// A file in the place of a directory is no fault; a full disk can't be had
	// without privileges. No descriptors can.
	state := filepath.Join(dir, "state")
	p, err := exec.New(zap.NewNop(), exec.Config{Command: []string{"sh", "-c", "echo 1"}, StateDir: state})
	if err != nil {
		t.Fatal(err)
	}
	restore := noDescriptors(t)
	time.AfterFunc(300*time.Millisecond, restore)
	begin := time.Now()
	out, err := p.Invoke(t.Context(), aTask, json.RawMessage(`{}`))
	if err != nil || strings.TrimSpace(string(out)) != "1" || time.Since(begin) < 300*time.Millisecond {
		t.Errorf("got %s, %v after %v", out, err, time.Since(begin))
	}
}

// noDescriptors leaves the process no descriptor until restore is called.
func noDescriptors(t *testing.T) (restore func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}
