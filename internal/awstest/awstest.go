//go:build unix

// Package awstest gives tests an AWS that we did not write, and keeps the
// machine's own AWS settings out of them.
package awstest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Isolate leaves a test nothing of the machine's AWS settings but credentials
// that nobody knows.
func Isolate(t testing.TB) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "") // restores it afterwards
			os.Unsetenv(name)
		}
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
}

// Moto starts moto's server for the test and returns its URL. MOTO_SERVER names
// the program, else it is looked up in PATH; without it the test is skipped, or
// fails where SWITCHYARD_REQUIRE_SERVERS=1 is set.
func Moto(t testing.TB) string {
	t.Helper()
	return serve(t, "moto_server", "MOTO_SERVER", "pip install 'moto[server]'", "-H", "127.0.0.1", "-p", "0")
}

// Ministack starts ministack for the test, on the loopback only, and returns its
// URL. MINISTACK_HYPERCORN names the hypercorn of the Python environment that has
// it, else that is looked up in PATH; without it the test is skipped, or fails
// where SWITCHYARD_REQUIRE_SERVERS=1 is set.
func Ministack(t testing.TB) string {
	t.Helper()
	return serve(t, "hypercorn", "MINISTACK_HYPERCORN", "pip install ministack", "ministack.app:app", "-b", "127.0.0.1:0")
}

// serve starts a program that says at which URL it runs, and returns a URL at
// which it is reached.
func serve(t testing.TB, program, variable, install string, args ...string) string {
	t.Helper()
	if named := os.Getenv(variable); named != "" {
		program = named
	}
	path, err := exec.LookPath(program)
	if err != nil {
		help := program + " is not installed: " + install + ", or set " + variable + " to its path"
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(help)
		}
		t.Skip(help)
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = t.TempDir()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	found, drained := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(drained)
		running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := running.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default: // it says so twice
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its workers too
		<-drained
		_ = cmd.Wait()
		out.Close()
	})
	select {
	case url := <-found:
		return front(t, url)
	case <-drained:
		t.Fatalf("%s ended before it listened", program)
	case <-time.After(time.Minute):
		t.Fatalf("%s did not listen within a minute", program)
	}
	return ""
}
