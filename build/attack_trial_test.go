//go:build linux

package build

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"switchyard/asl/task"
)

// try has a build try the attack.
func (s *service) try(t *testing.T, a attack) {
	tr := &trial{attack: a, repo: s.repo.bare, vars: make(map[string]string)}
	if a.mirror {
		tr.repo = filepath.Join(t.TempDir(), "own.git")
		s.repo.git(s.dir, "clone", "--quiet", "--bare", s.repo.bare, tr.repo)
		s.buildMain(t, tr, "before")
	}
	if a.before != nil {
		a.before(s, tr)
	}
	tk := newTask(t, "t", s.input(tr))
	s.call(&tk, s.executionName(tr))
	begin := time.Now()
	tr.b = run(t, s.h, tk)
	tr.took = time.Since(begin)
	tr.artifacts = filepath.Join(s.data, "builds/artifacts", tk.ExecutionName)
	if !a.early && !strings.Contains(tr.b.log, "entering phase BUILD") {
		t.Fatalf("the build did not begin: %v\n%s", tr.b.err, tr.b.log)
	}
	got := strings.Contains(tr.b.log, "\ngot it\n")
	if a.got != nil {
		got = a.got(s, tr)
	}
	s.judge(t, tr, got)
	if a.mirror && s.isolation != IsolationNone {
		s.buildMain(t, tr, "after")
	}
	if tr.victim != nil {
		_ = tr.victim.Process.Kill()
		_ = tr.victim.Wait()
	}
}

// judge holds what came of an attack against what must.
func (s *service) judge(t *testing.T, tr *trial, got bool) {
	t.Helper()
	why := tr.impossible(s)
	// What can't be done on this machine at all is no gap here either.
	open := tr.gap != "" && (tr.harmlessTo == nil || tr.harmlessTo(s) == "")
	switch {
	case s.isolation != IsolationNone && got && !open:
		t.Errorf("the attack succeeds in isolation\n%s", tr.b.log)
	case s.isolation != IsolationNone && !got && open:
		t.Errorf("isolation stops it by now: take away the gap %q\n%s", tr.gap, tr.b.log)
	case s.isolation == IsolationNone && !got && why == "":
		t.Errorf("the attack fails without isolation too; it shows nothing\n%v\n%s", tr.b.err, tr.b.log)
	case s.isolation == IsolationNone && got && why != "":
		t.Errorf("the attack succeeds, though it is said to be harmless: %s\n%s", why, tr.b.log)
	}
}

func (s *service) input(tr *trial) input {
	vars := make([]variable, 0, 20)
	for _, m := range []map[string]string{s.vars, tr.vars, {"REPOSITORY": tr.repo, "MAIN": s.commits["main"]}} {
		for name, value := range m {
			vars = append(vars, variable{Name: name, Value: value})
		}
	}
	in := input{"ProjectName": "app", "SourceLocationOverride": tr.repo, "SourceVersion": s.commits[tr.name], "EnvironmentVariablesOverride": vars}
	if tr.host {
		in["ProjectName"] = "host"
	}
	if tr.with != nil {
		tr.with(s, tr, in)
	}
	return in
}

// buildMain builds main of the attack's repository, which must be what git has
// under that name whatever an attack did.
func (s *service) buildMain(t *testing.T, tr *trial, when string) built {
	t.Helper()
	tk := newTask(t, "main-"+when, input{"ProjectName": "app", "SourceLocationOverride": tr.repo, "SourceVersion": s.commits["main"]})
	s.call(&tk, s.executionName(tr))
	b := run(t, s.h, tk)
	if b.err != nil || !strings.Contains(b.log, "\nby git\n") || b.result.ResolvedSourceVersion != s.commits["main"] {
		t.Errorf("main built %s the attack: %v\n%s", when, b.err, b.log)
	}
	return b
}

// executionName is that of the attack's build.
func (s *service) executionName(tr *trial) string { return "run-" + fileName(tr.name) }

// fileName makes an attack's name one of a file.
func fileName(attack string) string { return pathName(strings.ReplaceAll(attack, " ", "-")) }

func (s *service) call(tk *task.Task, execution string) {
	tk.ExecutionName = execution
	tk.ExecutionARN = "arn:aws:states:eu-west-1:123456789012:execution:deploy:" + execution
}

// runQuietly runs another build, whatever comes of it.
func (s *service) runQuietly(in input, execution string) {
	text, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	tk := task.Task{ID: "t", Resource: ResourceSync, Input: text, StateName: "Build", Heartbeat: func() {}}
	s.call(&tk, "run-"+fileName(execution))
	_, _ = s.h.Run(context.Background(), tk)
}

func gitOutput(dir string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(out))
}

// leaks reports whether one of the secrets is in the build's log.
func leaks(secrets ...string) func(*service, *trial) bool {
	return func(s *service, tr *trial) bool {
		for _, of := range secrets {
			if strings.Contains(tr.b.log, canary(of, s.nonce)) {
				return true
			}
		}
		return false
	}
}

// changes reports whether the attack wrote a file below the service's folder.
func changes(name string) func(*service, *trial) bool {
	return func(s *service, tr *trial) bool {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		return err == nil && strings.Contains(string(text), "planted")
	}
}

// withVictim starts a process of the service's, $VICTIM_PID, for one attack.
func withVictim(s *service, tr *trial) {
	tr.victim = exec.Command("sleep", s.argument())
	tr.victim.Env = []string{}
	if err := tr.victim.Start(); err != nil {
		panic(err)
	}
	tr.vars["VICTIM_PID"] = strconv.Itoa(tr.victim.Process.Pid)
}

// ofVictim reads a file of the victim's in /proc.
func (tr *trial) ofVictim(name string) string {
	text, _ := os.ReadFile(filepath.Join("/proc", tr.vars["VICTIM_PID"], name))
	return string(text)
}

// survives looks for a process with the argument $SLEEP after the build.
func survives(_ *service, tr *trial) bool {
	pid := 0
	// One that begins anew all the time is not there at every moment.
	for i := 0; i < 10 && pid == 0; i++ {
		pid = findByArgument(tr.vars["SLEEP"])
	}
	if pid != 0 {
		_ = killNow(pid)
	}
	return pid != 0
}

// soon reports whether something is so within a moment: what a build did may
// take effect after it.
func soon(is func() bool) bool {
	for range 250 {
		if is() {
			return true
		}
		time.Sleep(4 * time.Millisecond)
	}
	return false
}

// withSleep gives the attack an argument by which its processes are known.
func withSleep(s *service, tr *trial) { tr.vars["SLEEP"] = s.argument() }
