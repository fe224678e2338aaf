//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchyard/dispatch"
)

// An execution that fails in its second state goes on from there when it is
// redriven, as often as that is asked for and no oftener, although the service is
// killed around each call. Its environment has room for one at a time.
func TestRedriveGoesOnFromWhatFailed(t *testing.T) {
	marks := t.TempDir()
	const machine = `{"StartAt": "First", "States": {
		"First": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "first", "Payload.$": "$.commit.sha"}, "ResultPath": null, "Next": "Second"},
		"Second": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "second", "Payload.$": "$.commit.sha"}, "End": true}}}`
	first := fmt.Sprintf(`sha=$(tr -d '"'); echo x >> %s/first-$sha; echo '"done"'`, marks)
	second := fmt.Sprintf(`sha=$(tr -d '"'); test ! -e %[1]s/busy || echo beside >> %[1]s/beside; touch %[1]s/busy; sleep .1; rm %[1]s/busy; echo x >> %[1]s/second-$sha
if test -e %[1]s/repaired; then echo '"done"'; else exit 1; fi`, marks)
	p := newProcess(t, t.TempDir(), machine, fmt.Sprintf(
		"engine: {embedded: {builds: {isolation: none}, functions: {first: {exec: [sh, -c, %q]}, second: {exec: [sh, -c, %q]}}}}\nenvironments: {prod: {max_parallel: 1}}", first, second))
	settings := filepath.Join(p.dir, "switchyard.yaml")
	text, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), "{name: all, state_machine: test}", "{name: all, state_machine: test, environment: prod}", 1))
	if err := os.WriteFile(settings, text, 0o600); err != nil {
		t.Fatal(err)
	}
	count := func(what, sha string) int {
		text, _ := os.ReadFile(filepath.Join(marks, what+"-"+sha)) // none before its first run
		return strings.Count(string(text), "x")
	}
	shas := []string{strings.Repeat("a", 40), strings.Repeat("b", 40)}
	p.start()
	p.deliver("d1", shas...)
	all := p.finished(len(shas))

	redrives := 4
	if testing.Short() {
		redrives = 2
	}
	for n := range redrives {
		if n == redrives-1 {
			if err := os.WriteFile(filepath.Join(marks, "repaired"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, sha := range shas {
			if e := all[sha]; e.State != dispatch.StateFailed || e.Redrives != n || count("second", sha) != n+1 {
				t.Fatalf("%s is %s after %d redrives of %d, and ran %d times", sha, e.State, e.Redrives, n, count("second", sha))
			}
			out, err := exec.Command("switchyard", "executions", "redrive", "--config", settings, all[sha].ID).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "will go on from where it ended") {
				t.Fatalf("%s%v", out, err)
			}
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond) // any moment may be the one
		p.end(syscall.SIGKILL)
		_ = os.Remove(filepath.Join(marks, "busy")) // of a program that was killed
		p.start()
		all = p.finished(len(shas))
	}
	for _, sha := range shas {
		e := all[sha]
		if e.State != dispatch.StateSucceeded || e.Redrives != redrives || e.ID != e.Base || count("first", sha) != 1 || count("second", sha) != redrives+1 {
			t.Errorf("%+v: the first state ran %d times, the second %d times", e, count("first", sha), count("second", sha))
		}
		// The engine's history says the same.
		h, err := p.client.History(t.Context(), e.ID, dispatch.HistoryQuery{Limit: 1000})
		if err != nil || h.Next != 0 {
			t.Fatal(h.Next, err)
		}
		redriven := 0
		for _, event := range h.Events {
			if event.Type == "ExecutionRedriven" {
				redriven++
			}
			if event.Type == "TaskFailed" && event.State != "Second" {
				t.Errorf("%+v", event)
			}
		}
		if redriven != redrives {
			t.Errorf("redriven %d times at the engine", redriven)
		}
		if _, err := p.client.Redrive(t.Context(), e.ID); err == nil || !strings.Contains(err.Error(), "it succeeded") {
			t.Errorf("redrive of what succeeded: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(marks, "beside")); err == nil {
		t.Error("two ran at once in an environment for one")
	}
}
