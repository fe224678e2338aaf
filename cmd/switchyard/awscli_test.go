package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/internal/freeport"
)

// awsCLI is the AWS command line, which we did not write, against
// `switchyard engine`.
type awsCLI struct {
	path, endpoint string
	env            []string
}

// newAWSCLI starts the engine and finds the program. SWITCHYARD_AWS_CLI names
// it, else it is looked up in PATH; without it the test is skipped, or fails
// where SWITCHYARD_REQUIRE_SERVERS=1 is set.
func newAWSCLI(t *testing.T) *awsCLI {
	t.Helper()
	program := os.Getenv("SWITCHYARD_AWS_CLI")
	if program == "" {
		program = "aws"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		const help = "the AWS command line is not installed: apt-get install awscli, or set SWITCHYARD_AWS_CLI to its path"
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(help)
		}
		t.Skip(help)
	}
	none := filepath.Join(t.TempDir(), "none")
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	return &awsCLI{path, runEngine(t), append(env,
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
	)}
}

// runEngine runs `switchyard engine` until the test ends, and returns its URL.
func runEngine(t *testing.T, args ...string) string {
	t.Helper()
	listen, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var stderr bytes.Buffer
	done := make(chan int, 1)
	args = append([]string{"engine", "--listen", listen, "--data", t.TempDir()}, args...)
	go func() {
		done <- run(ctx, args, strings.NewReader(""), io.Discard, &stderr, func(string) (string, bool) { return "", false })
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-done; code != exitDone {
			t.Errorf("switchyard engine: exit code %d\n%s", code, &stderr)
		}
	})
	url := "http://" + listen
	for range 1000 {
		resp, err := http.Post(url, "application/x-amz-json-1.0", nil)
		if err == nil {
			resp.Body.Close()
			return url
		}
		select {
		case code := <-done:
			done <- code
			t.Fatalf("switchyard engine ended: %d", code)
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Fatal("switchyard engine does not answer")
	return ""
}

// run calls aws stepfunctions and decodes what it prints into out.
func (c *awsCLI) run(ctx context.Context, out any, args ...string) error {
	cmd := exec.CommandContext(ctx, c.path, append([]string{"--endpoint-url", c.endpoint, "--output", "json", "stepfunctions"}, args...)...)
	cmd.Env = c.env
	text, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return errors.New(strings.Join(args, " ") + ": " + string(exit.Stderr))
	}
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (c *awsCLI) do(t *testing.T, out any, args ...string) {
	t.Helper()
	if err := c.run(t.Context(), out, args...); err != nil {
		t.Fatal(err)
	}
}

// TestAWSCommandLineWithKeys has the AWS command line sign with the engine's key,
// and with others.
func TestAWSCommandLineWithKeys(t *testing.T) {
	c := newAWSCLI(t)
	dir := t.TempDir()
	c.endpoint = runEngine(t, "--keys", "--data", dir)
	for name, tc := range map[string]struct {
		env  []string
		want string
	}{
		"any key":         {nil, "UnrecognizedClientException"},
		"the engine's":    {[]string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(dir, "engine.keys")}, ""},
		"with a session":  {[]string{"AWS_SESSION_TOKEN=t"}, "AWS_SESSION_TOKEN"},
		"another secret":  {[]string{"AWS_ACCESS_KEY_ID=" + engineKeyID(t, dir)}, "InvalidSignatureException"},
		"without signing": {[]string{"SIGN=no"}, "MissingAuthenticationTokenException"},
	} {
		as := *c
		as.env = append(slices.Clone(c.env), tc.env...)
		args := []string{"list-state-machines"}
		if slices.Contains(tc.env, "SIGN=no") {
			args = append(args, "--no-sign-request")
		}
		if err := as.run(t.Context(), nil, args...); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func engineKeyID(t *testing.T, dir string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "engine.keys"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "aws_access_key_id = ")
	id, _, _ := strings.Cut(after, "\n")
	return id
}

const cliRole = "arn:aws:iam::123456789012:role/any"

// create makes a state machine and returns its ARN.
func (c *awsCLI) create(t *testing.T, name, definition string) string {
	t.Helper()
	var made struct{ StateMachineArn string }
	c.do(t, &made, "create-state-machine", "--name", name, "--definition", definition, "--role-arn", cliRole)
	if want := "arn:aws:states:us-east-1:123456789012:stateMachine:" + name; made.StateMachineArn != want {
		t.Fatalf("created %s, want %s", made.StateMachineArn, want)
	}
	return made.StateMachineArn
}

func (c *awsCLI) start(t *testing.T, machine, name, input string) string {
	t.Helper()
	var started struct {
		ExecutionArn string
		StartDate    any // version 1 prints a number, version 2 a text
	}
	c.do(t, &started, "start-execution", "--state-machine-arn", machine, "--name", name, "--input", input)
	if started.ExecutionArn == "" || started.StartDate == nil {
		t.Fatalf("started %+v", started)
	}
	return started.ExecutionArn
}

type cliExecution struct {
	Status, Output, Error, Cause, StateMachineVersionArn, StateMachineAliasArn string
}

// ended waits for the end of an execution.
func (c *awsCLI) ended(t *testing.T, execution string) cliExecution {
	t.Helper()
	for {
		var x cliExecution
		c.do(t, &x, "describe-execution", "--execution-arn", execution)
		if x.Status != "RUNNING" {
			return x
		}
	}
}

func (c *awsCLI) history(t *testing.T, execution string) string {
	t.Helper()
	var history struct{ Events []struct{ Type string } }
	c.do(t, &history, "get-execution-history", "--execution-arn", execution)
	names := make([]string, len(history.Events))
	for i, ev := range history.Events {
		names[i] = ev.Type
	}
	return strings.Join(names, " ")
}

const greet = `{"StartAt":"Greet","States":{"Greet":{"Type":"Pass","Parameters":{"text.$":"States.Format('hello {}', $.name)"},"End":true}}}`

func TestAWSCommandLine(t *testing.T) {
	if testing.Short() {
		t.Skip("every call of the AWS command line takes most of a second")
	}
	aws := newAWSCLI(t)

	t.Run("create, describe, start, history, delete", func(t *testing.T) {
		t.Parallel()
		machine := aws.create(t, "greet", greet)
		var described struct{ Name, Status, Definition, RoleArn, Type string }
		aws.do(t, &described, "describe-state-machine", "--state-machine-arn", machine)
		if described.Name != "greet" || described.Status != "ACTIVE" || described.Definition != greet || described.RoleArn != cliRole || described.Type != "STANDARD" {
			t.Errorf("described %+v", described)
		}
		execution := aws.start(t, machine, "first", `{"name":"Ada"}`)
		if again := aws.start(t, machine, "second", `{"name":"Bea"}`); again == execution {
			t.Errorf("two names, one execution: %s", again)
		}
		if x := aws.ended(t, execution); x.Status != "SUCCEEDED" || x.Output != `{"text":"hello Ada"}` {
			t.Errorf("ended %+v", x)
		}
		if got, want := aws.history(t, execution), "ExecutionStarted PassStateEntered PassStateExited ExecutionSucceeded"; got != want {
			t.Errorf("history %s, want %s", got, want)
		}
		var list struct{ Executions []struct{ Name string } }
		aws.do(t, &list, "list-executions", "--state-machine-arn", machine, "--status-filter", "SUCCEEDED")
		if len(list.Executions) != 2 || list.Executions[0].Name != "second" {
			t.Errorf("listed %+v, want second and first", list)
		}
		if err := aws.run(t.Context(), nil, "start-execution", "--state-machine-arn", machine, "--name", "first", "--input", `{"name":"Eve"}`); err == nil || !strings.Contains(err.Error(), "(ExecutionAlreadyExists)") {
			t.Errorf("a taken name: %v, want ExecutionAlreadyExists", err)
		}
		aws.do(t, nil, "delete-state-machine", "--state-machine-arn", machine)
	})

	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		machine := aws.create(t, "sleepy", `{"StartAt":"Sleep","States":{"Sleep":{"Type":"Wait","Seconds":3600,"End":true}}}`)
		execution := aws.start(t, machine, "x", "{}")
		var stopped struct{ StopDate any }
		aws.do(t, &stopped, "stop-execution", "--execution-arn", execution, "--error", "Enough", "--cause", "it takes too long")
		if x := aws.ended(t, execution); stopped.StopDate == nil || x.Status != "ABORTED" || x.Error != "Enough" || x.Cause != "it takes too long" {
			t.Errorf("stopped %+v, ended %+v", stopped, x)
		}
		if got, want := aws.history(t, execution), "ExecutionStarted WaitStateEntered"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "ExecutionAborted") {
			t.Errorf("history %s, want %s … ExecutionAborted", got, want)
		}
	})

	t.Run("definition with a mistake", func(t *testing.T) {
		t.Parallel()
		err := aws.run(t.Context(), nil, "create-state-machine", "--name", "wrong", "--definition", `{"StartAt":"A","States":{}}`, "--role-arn", cliRole)
		if err == nil || !strings.Contains(err.Error(), "(InvalidDefinition)") {
			t.Errorf("%v, want InvalidDefinition", err)
		}
	})

	t.Run("task token", func(t *testing.T) { t.Parallel(); useTaskTokens(t, aws) })

	t.Run("version and alias", func(t *testing.T) { t.Parallel(); useAliases(t, aws) })

	t.Run("mocks", func(t *testing.T) {
		t.Parallel()
		mocks := filepath.Join(t.TempDir(), "MockConfigFile.json")
		if err := os.WriteFile(mocks, []byte(`{
			"StateMachines": {"ask": {"TestCases": {"Twice": {"Ask": "SecondTime"}}}},
			"MockedResponses": {"SecondTime": {"0": {"Throw": {"Error": "Busy", "Cause": "later"}}, "1": {"Return": 42}}}
		}`), 0o600); err != nil {
			t.Fatal(err)
		}
		mocked := *aws
		mocked.endpoint = runEngine(t, "--mocks", mocks)
		machine := mocked.create(t, "ask", `{"StartAt":"Ask","States":{"Ask":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage","Parameters":{"QueueUrl":"q","MessageBody":"b"},"Retry":[{"ErrorEquals":["Busy"],"IntervalSeconds":1}],"End":true}}}`)
		execution := mocked.start(t, machine+"#Twice", "x", "{}")
		if want := "arn:aws:states:us-east-1:123456789012:execution:ask:x"; execution != want {
			t.Errorf("started %s, want %s", execution, want)
		}
		if x := mocked.ended(t, execution); x.Status != "SUCCEEDED" || x.Output != "42" {
			t.Errorf("ended %+v", x)
		}
	})
}

// useTaskTokens gives tokens of an activity back, as a person's approval does.
func useTaskTokens(t *testing.T, aws *awsCLI) {
	t.Helper()
	var activity struct{ ActivityArn string }
	aws.do(t, &activity, "create-activity", "--name", "approve")
	machine := aws.create(t, "approval", `{"StartAt":"Approve","States":{"Approve":{"Type":"Task","Resource":"`+activity.ActivityArn+`","HeartbeatSeconds":600,"End":true}}}`)
	for name, c := range map[string]struct {
		answer []string
		want   cliExecution
		event  string
	}{
		"success": {[]string{"send-task-success", "--task-output", `{"by":"Ada"}`}, cliExecution{Status: "SUCCEEDED", Output: `{"by":"Ada"}`}, "ActivitySucceeded"},
		"failure": {[]string{"send-task-failure", "--error", "Refused", "--cause", "not on a Friday"}, cliExecution{Status: "FAILED", Error: "Refused", Cause: "not on a Friday"}, "ActivityFailed"},
	} {
		execution := aws.start(t, machine, name, `{"for":"`+name+`"}`)
		var given struct{ TaskToken, Input string }
		aws.do(t, &given, "get-activity-task", "--activity-arn", activity.ActivityArn, "--worker-name", "test")
		if given.TaskToken == "" || given.Input != `{"for":"`+name+`"}` {
			t.Fatalf("%s: the activity was given %+v", name, given)
		}
		aws.do(t, nil, "send-task-heartbeat", "--task-token", given.TaskToken)
		aws.do(t, nil, append(c.answer, "--task-token", given.TaskToken)...)
		x := aws.ended(t, execution)
		x.StateMachineAliasArn, x.StateMachineVersionArn = "", ""
		if x != c.want {
			t.Errorf("%s: ended %+v, want %+v", name, x, c.want)
		}
		if got := aws.history(t, execution); !strings.Contains(got, c.event) {
			t.Errorf("%s: history %s, want %s in it", name, got, c.event)
		}
		if err := aws.run(t.Context(), nil, append(c.answer, "--task-token", given.TaskToken)...); err == nil || !strings.Contains(err.Error(), "(TaskTimedOut)") {
			t.Errorf("%s: a token used twice: %v, want TaskTimedOut", name, err)
		}
	}
}

// useAliases starts an older version by its alias.
func useAliases(t *testing.T, aws *awsCLI) {
	t.Helper()
	if err := aws.run(t.Context(), nil, "create-state-machine-alias"); err != nil && strings.Contains(err.Error(), "Invalid choice") {
		const help = "this AWS command line is from before June 2023 and has no aliases: set SWITCHYARD_AWS_CLI to a newer one"
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal(help)
		}
		t.Skip(help)
	}
	machine := aws.create(t, "released", greet)
	var version struct{ StateMachineVersionArn string }
	aws.do(t, &version, "publish-state-machine-version", "--state-machine-arn", machine)
	if version.StateMachineVersionArn != machine+":1" {
		t.Fatalf("published %+v", version)
	}
	var alias struct{ StateMachineAliasArn string }
	aws.do(t, &alias, "create-state-machine-alias", "--name", "live", "--routing-configuration", "stateMachineVersionArn="+version.StateMachineVersionArn+",weight=100")
	if alias.StateMachineAliasArn != machine+":live" {
		t.Fatalf("aliased %+v", alias)
	}
	aws.do(t, nil, "update-state-machine", "--state-machine-arn", machine, "--definition", strings.Replace(greet, "hello", "bye", 1))
	for target, want := range map[string]cliExecution{
		alias.StateMachineAliasArn: {Status: "SUCCEEDED", Output: `{"text":"hello Ada"}`, StateMachineAliasArn: alias.StateMachineAliasArn, StateMachineVersionArn: version.StateMachineVersionArn},
		machine:                    {Status: "SUCCEEDED", Output: `{"text":"bye Ada"}`},
	} {
		name := strings.ReplaceAll(strings.TrimPrefix(target, "arn:aws:states:us-east-1:123456789012:stateMachine:"), ":", "-")
		if x := aws.ended(t, aws.start(t, target, name, `{"name":"Ada"}`)); x != want {
			t.Errorf("%s: ended %+v, want %+v", target, x, want)
		}
	}
}
