//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"switchyard/dispatch"
)

// The service is killed again and again in the midst of programs and builds,
// and is away for a moment each time. Each of them comes to its end once:
// what ended meanwhile is not run again, whatever the kill hit.
func TestKilledServiceFinishesNoTaskTwice(t *testing.T) {
	for _, isolation := range []string{"auto", "none"} {
		t.Run(isolation, func(t *testing.T) { killTasks(t, isolation) })
	}
}

func killTasks(t *testing.T, isolation string) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	kills, pushed := 8, 12
	if testing.Short() {
		kills, pushed = 5, 6
	}
	marks := t.TempDir()
	bare, shas := commits(t, pushed, fmt.Sprintf(`version: 0.2
phases:
  build: {commands: ["echo begins; sleep .1"]}
  post_build: {commands: ["sh -c 'sleep .1; echo x >> %s/build-$CODEBUILD_RESOLVED_SOURCE_VERSION'"]}
`, marks))
	const machine = `{"StartAt": "Work", "States": {"Work": {"Type": "Parallel", "End": true, "Branches": [
		{"StartAt": "Program", "States": {"Program": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
			"Parameters": {"FunctionName": "work", "Payload.$": "$.commit.sha"}, "End": true}}},
		{"StartAt": "Build", "States": {"Build": {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync",
			"Parameters": {"ProjectName": "p", "SourceLocationOverride": %q, "SourceVersion.$": "$.commit.sha"}, "End": true}}}]}}}`
	script := fmt.Sprintf(`sha=$(tr -d '"'); sleep .$((1 + $$ %% 4)); sh -c "sleep .1; echo x >> %s/program-$sha"`, marks)
	p := newProcess(t, t.TempDir(), fmt.Sprintf(machine, bare), fmt.Sprintf(
		"engine: {embedded: {max_builds: 4, builds: {isolation: %s, writable: [%q]}, projects: {p: {repository: %q}}, functions: {work: {exec: [sh, -c, %q]}}}}", isolation, marks, bare, script))
	p.start()
	random := rand.New(rand.NewPCG(1, uint64(os.Getpid())))
	for i := range kills {
		if next := i * len(shas) / kills; next < (i+1)*len(shas)/kills {
			if status, _, text := p.deliver(fmt.Sprint("d", i), shas[next:(i+1)*len(shas)/kills]...); status != http.StatusAccepted {
				t.Fatalf("%d %s", status, text)
			}
		}
		time.Sleep(time.Duration(50+random.IntN(400)) * time.Millisecond) // any moment may be the one
		p.end(syscall.SIGKILL)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		p.start()
	}
	for sha, e := range p.finished(len(shas)) {
		if e.State != dispatch.StateSucceeded {
			t.Errorf("%s is %q: %s", sha, e.State, e.Error)
		}
	}
	for _, sha := range shas {
		for _, kind := range []string{"program", "build"} {
			text, err := os.ReadFile(filepath.Join(marks, kind+"-"+sha))
			if err != nil || strings.Count(string(text), "x") != 1 {
				t.Errorf("%s of %s: %q %v", kind, sha, text, err)
			}
		}
	}
	// Nothing stays of tasks whose results are stored, except where a kill came
	// just then: that goes later.
	p.eventually("what was kept of tasks is removed", func() bool {
		left, err := filepath.Glob(filepath.Join(p.dir, "data", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		kept, err := filepath.Glob(filepath.Join(p.dir, "data", "builds", "work", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range left {
			if filepath.Base(filepath.Dir(path)) == "programs" {
				kept = append(kept, path)
			}
		}
		return len(kept) < len(shas)
	})
}
