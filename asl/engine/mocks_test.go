package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// answers are test cases of every machine.
type answers map[string]map[string]task.Mock

func (a answers) TestCase(_, name string) (map[string]task.Mock, bool) {
	states, ok := a[name]
	return states, ok
}

type answerFunc func(try int) (json.RawMessage, error)

func (f answerFunc) Answer(try int) (json.RawMessage, error) { return f(try) }

// counting answers with the number of the attempt.
var counting = answerFunc(func(try int) (json.RawMessage, error) { return fmt.Appendf(nil, "%d", try), nil })

func startCase(t testing.TB, e *engine.Engine, definition, testCase string) *engine.Execution {
	t.Helper()
	return wait(t, e, start(t, e, machine(t, e, "m", definition)+"#"+testCase, "x", "{}"))
}

// A mock leaves the history that the integration would.
func TestMocksOfStatesThatWait(t *testing.T) {
	refused := answerFunc(func(int) (json.RawMessage, error) { return nil, &task.Error{Name: "Denied", Cause: "no"} })
	for _, resource := range []string{"arn:aws:states:::sqs:sendMessage.waitForTaskToken", "arn:aws:states:::codebuild:startBuild.sync", "arn:aws:states:::states:startExecution.sync:2"} {
		for _, row := range []struct {
			answer task.Mock
			last   string
		}{{counting, "TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded"}, {refused, "TaskSubmitted TaskFailed ExecutionFailed"}} {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, store.NewMemory(), engine.WithMocks(answers{"C": {"A": row.answer}}))
				defer run(t, e)()
				x := startCase(t, e, `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+resource+`","End":true}}}`, "C")
				if got, want := types(t, e, x.ARN), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted "+row.last; got != want {
					t.Errorf("%s: %s\nwant %s", resource, got, want)
				}
				if submitted := events(t, e, x.ARN)[4]; x.Status == store.Succeeded && submitted.Data != "0" {
					t.Errorf("%s: submitted with %q, want the mock's answer", resource, submitted.Data)
				}
			})
		}
	}
}

func TestMockedStatesCallNoHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var called []string
		real := handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
			called = append(called, t.StateName)
			return json.RawMessage(`"real"`), nil
		})
		e := newEngine(t, store.NewMemory(), engine.WithHandler(fn, real), engine.WithMocks(answers{"Half": {"A": counting}}))
		defer run(t, e)()
		x := startCase(t, e, `{"StartAt":"A","States":{
			"A":{"Type":"Task","Resource":"`+fn+`","ResultPath":"$.a","Next":"B"},
			"B":{"Type":"Task","Resource":"`+fn+`","ResultPath":"$.b","End":true}}}`, "Half")
		wantOutput(t, x, `{"a":0,"b":"real"}`)
		if x.ARN != "arn:aws:states:us-east-1:123456789012:execution:m:x" || strings.Contains(x.MachineARN, "#") {
			t.Errorf("the execution is %s of %s, want no test case in them", x.ARN, x.MachineARN)
		}
		if len(called) != 1 || called[0] != "B" {
			t.Errorf("the handler ran for %q, want B alone", called)
		}
		if got, want := types(t, e, x.ARN), "ExecutionStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited "; !strings.HasPrefix(got, want) {
			t.Errorf("history %s\nwant it to begin %s", got, want)
		}
	})
}

// A state that nothing on this machine can run needs no handler when mocked.
func TestMockStandsForAnyResource(t *testing.T) {
	for resource, parameters := range map[string]string{
		"arn:aws:states:::sqs:sendMessage":                  `{"QueueUrl":"q","MessageBody":"b"}`,
		"arn:aws:states:::sqs:sendMessage.waitForTaskToken": `{"QueueUrl":"q","MessageBody":{"b":1}}`,
		"arn:aws:states:::ecs:runTask.sync":                 `{"TaskDefinition":"d"}`,
		"arn:aws:states:::states:startExecution.sync:2":     `{"StateMachineArn":"a","Input":{}}`,
		"arn:aws:states:::aws-sdk:codedeploy:getDeployment": `{"DeploymentId":"d-1"}`,
		"arn:aws:states:us-east-1:123456789012:activity:a":  `{"any":1}`,
	} {
		t.Run(resource, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, store.NewMemory(), engine.WithMocks(answers{"C": {"A": counting}}))
				defer run(t, e)()
				x := startCase(t, e, `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+resource+`","Parameters":`+parameters+`,"End":true}}}`, "C")
				wantOutput(t, x, "0")
			})
		})
	}
}

func TestMockCountsAttemptsOfTheExecution(t *testing.T) {
	flaky := answerFunc(func(try int) (json.RawMessage, error) {
		if try%2 == 0 {
			return nil, &task.Error{Name: "Flaky", Cause: fmt.Sprint(try)}
		}
		return fmt.Appendf(nil, "%d", try), nil
	})
	for name, c := range map[string]struct{ definition, output string }{
		"retries": {
			`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["Flaky"]}],"End":true}}}`,
			`1`,
		},
		"visits": {
			`{"StartAt":"A","States":{
				"A":{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["Flaky"]}],"ResultPath":"$.n","Next":"C"},
				"C":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericLessThan":7,"Next":"A"}],"Default":"E"},"E":{"Type":"Succeed"}}}`,
			`{"n":7}`,
		},
		"iterations": {
			`{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$$.Execution.Input.none","MaxConcurrency":1,"End":true,
				"ItemProcessor":{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["Flaky"]}],"End":true}}}}}}`,
			`[1,3,5]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, store.NewMemory(), engine.WithMocks(answers{"C": {"A": flaky}}))
				defer run(t, e)()
				definition := strings.Replace(c.definition, `"ItemsPath":"$$.Execution.Input.none"`, `"ItemsPath":"$.items"`, 1)
				x := wait(t, e, start(t, e, machine(t, e, "m", definition)+"#C", "x", `{"items":["a","b","c"]}`))
				if name == "visits" {
					c.output = `{"items":["a","b","c"],"n":7}`
				}
				wantOutput(t, x, c.output)
			})
		})
	}
}

// polling visits A until its fourth answer, an hour apart.
const polling = `{"StartAt":"A","States":{
	"A":{"Type":"Task","Resource":"` + fn + `","ResultPath":"$.n","Next":"C"},
	"C":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericLessThan":3,"Next":"W"}],"Default":"E"},
	"W":{"Type":"Wait","Seconds":3600,"Next":"A"},"E":{"Type":"Succeed"}}}`

func TestMockCountSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		mocks := engine.WithMocks(answers{"C": {"A": counting}})
		arn := ""
		for hour := range 3 {
			e := newEngine(t, s, mocks)
			stop := run(t, e)
			if hour == 0 {
				arn = start(t, e, machine(t, e, "m", polling)+"#C", "x", "{}")
			}
			time.Sleep(61 * time.Minute)
			stop()
		}
		e := newEngine(t, s, mocks)
		defer run(t, e)()
		wantOutput(t, wait(t, e, arn), `{"n":3}`)
	})
}

// An attempt that a crash cut short is made again under its number.
func TestMockAttemptKeepsItsNumberOverACrash(t *testing.T) {
	s := store.NewMemory()
	release, reached := make(chan struct{}), make(chan struct{})
	stuck := answerFunc(func(try int) (json.RawMessage, error) {
		if try < 2 {
			return nil, errBoom
		}
		close(reached)
		<-release
		return nil, errBoom
	})
	first := newEngine(t, s, engine.WithMocks(answers{"C": {"A": stuck}}), engine.WithVirtualTime(time.Unix(0, 0)))
	stop := run(t, first)
	defer stop()
	defer close(release)
	arn := start(t, first, machine(t, first, "m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+fn+`","Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":1,"MaxDelaySeconds":2}],"End":true}}}`)+"#C", "x", "{}")
	<-reached

	second := newEngine(t, s, engine.WithMocks(answers{"C": {"A": counting}}), engine.WithVirtualTime(time.Unix(3600, 0)))
	defer run(t, second)()
	wantOutput(t, wait(t, second, arn), "2")
}

func TestMocksThatAreGoneFailTheExecution(t *testing.T) {
	s := store.NewMemory()
	real := handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) {
		t.Error("the real handler ran")
		return nil, errBoom
	})
	e := newEngine(t, s, engine.WithMocks(answers{"C": {"A": counting}}))
	arn := start(t, e, machine(t, e, "m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+fn+`","End":true}}}`)+"#C", "x", "{}")
	e = newEngine(t, s, engine.WithHandler(fn, real)) // a restart without mocks, before the task ran
	defer run(t, e)()
	wantFailure(t, wait(t, e, arn), store.Failed, "States.Runtime", "The execution runs the test case 'C', which the engine's mocks do not have any more.")
}

func TestStartRefusesTestCases(t *testing.T) {
	mocks := engine.WithMocks(answers{"C": {"A": counting}, "Typo": {"A": counting, "a": counting, "P": counting}})
	for name, c := range map[string]struct {
		opts    []engine.Option
		suffix  string
		code    apierror.Code
		message string
	}{
		"without mocks":  {nil, "#C", apierror.CodeInvalidArn, "given mocks"},
		"without a name": {[]engine.Option{mocks}, "#", apierror.CodeInvalidArn, "missing after #"},
		"unknown":        {[]engine.Option{mocks}, "#D", apierror.CodeValidation, "no test case 'D' for the state machine 'm'"},
		"misspelt state": {[]engine.Option{mocks}, "#Typo", apierror.CodeValidation, "'P', 'a'"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, store.NewMemory(), c.opts...)
			arn := machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Pass","Next":"A"},"A":{"Type":"Task","Resource":"`+fn+`","End":true}}}`)
			_, err := e.StartExecution(t.Context(), engine.Start{MachineARN: arn + c.suffix})
			var refused *apierror.Error
			if !errors.As(err, &refused) || refused.Code != c.code || !strings.Contains(refused.Message, c.message) {
				t.Errorf("%v, want %s with %q", err, c.code, c.message)
			}
		})
	}
}

func TestNameIsTakenByAnotherTestCase(t *testing.T) {
	e := newEngine(t, store.NewMemory(), engine.WithMocks(answers{"C": {"A": counting}, "D": {"A": counting}}))
	arn := machine(t, e, "m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+fn+`","End":true}}}`)
	first := start(t, e, arn+"#C", "x", "{}")
	if again := start(t, e, arn+"#C", "x", "{}"); again != first {
		t.Errorf("the same start again gives %s, want %s", again, first)
	}
	_, err := e.StartExecution(t.Context(), engine.Start{MachineARN: arn + "#D", Name: "x", Input: "{}"})
	var refused *apierror.Error
	if !errors.As(err, &refused) || refused.Code != apierror.CodeExecutionAlreadyExists {
		t.Errorf("the name with another test case: %v, want ExecutionAlreadyExists", err)
	}
}
