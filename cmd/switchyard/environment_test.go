package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"switchyard/dispatch/api"
)

// A build runs as the service's user: what the service was started with must
// not stand where it can look.
func TestServiceHidesItsSecrets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux keeps the environment that a process was started with")
	}
	const machine = `{"StartAt": "Look", "States": {"Look": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
		"Parameters": {"FunctionName": "look", "Payload": {}}, "End": true}}}`
	const laterToken = "a token that is named later only"
	seen := t.TempDir()
	dir := t.TempDir()
	look := fmt.Sprintf("cat >%[1]s/input; env >%[1]s/env; cat /proc/$(cat %[2]s/data/pid)/environ >%[1]s/service 2>%[1]s/refused; echo null", seen, dir)
	p := newProcess(t, dir, machine, fmt.Sprintf("engine: {embedded: {functions: {look: {exec: [sh, -c, %q]}}}}", look))
	config := filepath.Join(p.dir, "switchyard.yaml")
	edit := func(old, changed string) {
		t.Helper()
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		next := bytes.Replace(text, []byte(old), []byte(changed), 1)
		if bytes.Equal(next, text) {
			t.Fatalf("%s is not in the config", old)
		}
		if err := os.WriteFile(config, next, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	edit(fmt.Sprintf("api_tokens: [%q]", processSecret), `api_tokens: ["${TEST_API_TOKEN}"]`)
	edit(fmt.Sprintf("secrets: [%q]", processSecret), `secrets: ["${TEST_HOOK_SECRET}"], base_url: "${TEST_BASE:-https://github.com}"`)
	t.Setenv("TEST_API_TOKEN", processSecret)
	t.Setenv("TEST_HOOK_SECRET", processSecret)
	t.Setenv("TEST_BASE", "https://github.example.com/"+processSecret)
	t.Setenv("TEST_LATER_TOKEN", laterToken)
	t.Setenv("TEST_OTHER", "is no business of the service")
	p.start()
	pid := p.cmd.Process.Pid

	checkEnviron(t, fmt.Sprintf("/proc/%d/environ", pid))

	// The secrets serve.
	if status, _, text := p.deliver("d1", strings.Repeat("a", 40)); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	p.eventually("the function has looked", func() bool {
		e := p.executions()
		return len(e) == 1 && e[strings.Repeat("a", 40)].State == "succeeded"
	})
	for _, file := range []string{"env", "service"} {
		if text, err := os.ReadFile(filepath.Join(seen, file)); err != nil || bytes.Contains(text, []byte(processSecret)) {
			t.Errorf("a program of the service sees %q %v", text, err)
		}
	}
	if refused, err := os.ReadFile(filepath.Join(seen, "refused")); os.Getuid() != 0 && len(refused) == 0 {
		t.Errorf("a program of the service may read its environment: %v", err)
	}

	// And they serve after a reload, which may name others.
	edit(`["${TEST_API_TOKEN}"]`, `["${TEST_API_TOKEN}", "${TEST_LATER_TOKEN}"]`)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	later := api.NewClient("http://"+p.addr, laterToken)
	p.eventually("the later token serves", func() bool {
		_, err := later.Execution(t.Context(), "none")
		return err != nil && !strings.Contains(err.Error(), "token")
	})
	if got := p.executions(); len(got) != 1 {
		t.Errorf("after the reload: %v", got)
	}
	if p.cmd.Process.Pid != pid {
		t.Error("the process was replaced")
	}
}

// checkEnviron holds what the kernel shows of the service's environment to what
// the test set. Only root sees it at all.
func checkEnviron(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.Getuid() != 0 {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a process of the same user reads %q %v", text, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]bool{"TEST_API_TOKEN": false, "TEST_HOOK_SECRET": false, "TEST_BASE": false, "PATH": true, "TEST_OTHER": true} {
		if bytes.Contains(text, []byte(name+"=")) != shown {
			t.Errorf("%s in the service's environment: %v", name, !shown)
		}
	}
	cmd := exec.Command("cat", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if text, err := cmd.Output(); err == nil {
		t.Errorf("another user reads %q", text)
	}
}

// What was not handed over by the program itself is not taken for that.
func TestServiceRefusesAStrangeHandover(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux starts anew")
	}
	for _, fd := range []string{"", "0", "2", "99", "-1", "x", "99999999999"} {
		cmd := exec.Command("switchyard", "version")
		cmd.Env = append(os.Environ(), "SWITCHYARD_ENVIRONMENT_FD="+fd)
		if text, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(text), "SWITCHYARD_ENVIRONMENT_FD is for Switchyard itself") {
			t.Errorf("%q: %v %s", fd, err, text)
		}
	}
}

func TestDropKeepsWhatProgramsNeed(t *testing.T) {
	for _, name := range []string{"TEST_SECRET", "TEST_PLAIN", "TZ", "LC_TEST", "LANG"} {
		t.Setenv(name, "value of "+name)
	}
	e := &environment{}
	if n := e.drop(map[string]bool{"TEST_SECRET": true, "TEST_PLAIN": false, "TZ": false, "LC_TEST": false, "LANG": true, "TEST_UNSET": true}); n != 3 {
		t.Errorf("%d dropped", n)
	}
	for name, stays := range map[string]bool{"TEST_SECRET": false, "TEST_PLAIN": false, "TZ": true, "LC_TEST": true, "LANG": false} {
		if _, set := os.LookupEnv(name); set != stays {
			t.Errorf("%s stays: %v", name, set)
		}
		if value, set := e.Lookup(name); !set || value != "value of "+name {
			t.Errorf("%s is looked up as %q %v", name, value, set)
		}
	}
	if _, set := e.Lookup("TEST_UNSET"); set {
		t.Error("what was never set is")
	}
}
