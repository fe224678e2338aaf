//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The service is killed in the midst of a build that belongs to an execution
// within another. What the build is given after that is what it was given before.
func TestKilledServiceKeepsWhatForksGoWithout(t *testing.T) {
	if _, err := exec.LookPath("bwrap"); err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	bare, shas := commits(t, 1, `version: 0.2
env: {exported-variables: [SEEN]}
phases: {build: {commands: ['SEEN="saw ${TOKEN-nothing}"; echo "began: $SEEN"; sleep $LASTS']}}
`)
	const machine = `{"StartAt": "Which", "States": {
		"Which": {"Type": "Choice", "Choices": [{"Variable": "$.inner", "IsPresent": true, "Next": "Build"}], "Default": "Inner"},
		"Inner": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": {
			"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:test", "Input": {"inner": true, "sha.$": "$.commit.sha"}}, "End": true},
		"Build": {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync", "Parameters": {
			"ProjectName": "p", "SourceVersion.$": "$.sha", "EnvironmentVariablesOverride": [{"Name": "LASTS", "Value": %q}]}, "End": true}}}`
	for name, row := range map[string]struct{ source, lasts, want, log string }{
		"own, taken over":   {`{"ref": "refs/heads/main"}`, "0.4", "saw of-the-project", "it goes on from there"},
		"fork, taken over":  {`{"ref": "refs/heads/main", "fork": true, "pull_request": 7}`, "0.4", "saw nothing", "it goes on from there"},
		"own, begun again":  {`{"ref": "refs/heads/main"}`, "5", "saw of-the-project", "it begins again"},
		"fork, begun again": {`{"ref": "refs/heads/main", "fork": true, "pull_request": 7}`, "5", "saw nothing", "it begins again"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcess(t, t.TempDir(), fmt.Sprintf(machine, row.lasts), fmt.Sprintf("engine: {embedded: {builds: {isolation: bubblewrap}, projects: {p: {repository: %q, environment: {TOKEN: of-the-project}}}}}", bare))
			p.start()
			id, err := p.client.Start(t.Context(), "test", fmt.Appendf(nil, `{"commit": {"sha": %q}, "source": %s}`, shas[0], row.source), "ada")
			if err != nil {
				t.Fatal(err)
			}
			log := func() string {
				var all strings.Builder
				names, err := filepath.Glob(filepath.Join(p.dir, "data", "builds", "logs", "*", "*.log"))
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range names {
					text, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					all.Write(text)
				}
				return all.String()
			}
			p.eventually("the build begins", func() bool { return strings.Contains(log(), "\nbegan: "+row.want) })
			p.end(syscall.SIGKILL)
			if row.lasts == "0.4" {
				time.Sleep(time.Second) // the command ends while the service is away
			}
			p.start()
			var output json.RawMessage
			p.eventually("the execution ends", func() bool {
				x, err := p.client.Execution(t.Context(), id)
				output = x.Output
				return err == nil && x.State.Finished()
			})
			if !strings.Contains(string(output), `"Value":"`+row.want+`"`) || !strings.Contains(log(), row.log) {
				t.Errorf("the build ended with %s\n%s", output, log())
			}
		})
	}
}
