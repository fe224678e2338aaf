package engine_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// parentOf starts the machine child and, after it, passes on what the task
// gave; parameters are added to the task's.
func parentOf(pattern, parameters, fields string) string {
	return `{"StartAt":"N","States":{"N":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution` + pattern + `","Parameters":{
		"StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:child"` + parameters + `}` + fields + `,"End":true}}}`
}

const (
	childARN  = "arn:aws:states:us-east-1:123456789012:execution:child:"
	waitsTen  = `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":10,"Next":"P"},"P":{"Type":"Pass","Result":{"Arg":1},"End":true}}}`
	failsSoon = `{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"SomeFailure","Cause":"it was so"}}}`
)

func TestNestedExecutionIsWaitedFor(t *testing.T) {
	for _, row := range []struct{ pattern, input, output string }{
		{".sync", `"{\"a\":[1]}"`, `"{\"Arg\":1}"`},
		{".sync:2", `{"a":[1]}`, `{"Arg":1}`},
	} {
		t.Run(row.pattern, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				machine(t, e, "child", waitsTen)
				begin := time.Now().UnixMilli()
				arn := start(t, e, machine(t, e, "parent", parentOf(row.pattern, `,"Name":"c","Input":{"a":[1]}`, "")), "x", `{}`)
				x := wait(t, e, arn)
				wantOutput(t, x, fmt.Sprintf(`{"ExecutionArn":"%sc","Input":%s,"InputDetails":{"Included":true},"Name":"c","Output":%s,"OutputDetails":{"Included":true},"StartDate":%d,"StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:child","Status":"SUCCEEDED","StopDate":%d}`,
					childARN, row.input, row.output, begin, begin+10_000))
				if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded"; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
				all := events(t, e, arn)
				for _, ev := range all[2:6] {
					if ev.ResourceType != "states" || ev.Resource != "startExecution"+row.pattern {
						t.Errorf("%s names the resource %q %q", ev.Type, ev.ResourceType, ev.Resource)
					}
				}
				submitted := regexp.MustCompile(`"RequestId":"[0-9a-f-]{36}"`).ReplaceAllString(all[4].Data, `"RequestId":"ID"`)
				if want := fmt.Sprintf(`{"ExecutionArn":"%sc","SdkHttpMetadata":{"AllHttpHeaders":{"Content-Type":["application/x-amz-json-1.0"]},"HttpHeaders":{"Content-Type":"application/x-amz-json-1.0"},"HttpStatusCode":200},"SdkResponseMetadata":{"RequestId":"ID"},"StartDate":%d}`, childARN, begin); submitted != want {
					t.Errorf("submitted with %s, want %s", submitted, want)
				}
			})
		})
	}
}

func TestNestedExecutionIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		machine(t, e, "child", waitsTen)
		m := machine(t, e, "parent", parentOf("", `,"Input.$":"$"`, ""))
		arn := start(t, e, m, "x", `{"AWS":"none added"}`)
		x := wait(t, e, arn)
		if took := x.Stopped - x.Started; took != 0 {
			t.Errorf("it took %d ms", took)
		}
		var out struct{ ExecutionArn string }
		if err := json.Unmarshal(x.Output, &out); err != nil {
			t.Fatal(err)
		}
		if c := describe(t, e, out.ExecutionArn); c.Status != store.Running || string(c.Input) != `{"AWS":"none added"}` {
			t.Errorf("the child is %s with input %s", c.Status, c.Input)
		}
		if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSucceeded TaskStateExited ExecutionSucceeded"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

func TestNestedExecutionEndsByItsToken(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		machine(t, e, "child", waitsTen)
		arn := start(t, e, machine(t, e, "parent", parentOf(".waitForTaskToken", `,"Name":"c","Input":{"token.$":"$$.Task.Token"}`, "")), "x", `{}`)
		synctest.Wait()
		var in struct{ Token string }
		if err := json.Unmarshal(describe(t, e, childARN+"c").Input, &in); err != nil {
			t.Fatal(err)
		}
		if err := e.SendTaskSuccess(t.Context(), in.Token, `"done"`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `"done"`)
		if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted TaskSubmitted TaskSucceeded TaskStateExited ExecutionSucceeded"; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	})
}

func TestNestedFailures(t *testing.T) {
	for _, row := range []struct {
		name, child, pattern, parameters, fields string
		err, cause, event                        string // cause: a part
		stopped                                  store.Status
	}{
		{"child fails", failsSoon, ".sync", "", "", asl.ErrTaskFailed, `{"Cause":"it was so","Error":"SomeFailure","ExecutionArn":"`, "TaskSubmitted TaskFailed", store.Failed},
		{"child fails, as JSON", failsSoon, ".sync:2", `,"Input":[1]`, "", asl.ErrTaskFailed, `"Input":[1],`, "TaskSubmitted TaskFailed", store.Failed},
		{"takes too long", waitsTen, ".sync", "", `,"TimeoutSeconds":3`, asl.ErrTimeout, "", "TaskSubmitted TaskTimedOut", store.Aborted},
		{"no such machine", "", ".sync", "", "", "StepFunctions.StateMachineDoesNotExistException", "(Service: AWSStepFunctions; Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID: ", "TaskSubmitFailed", 0},
		{"no such machine, not waiting", "", "", "", "", "StepFunctions.StateMachineDoesNotExistException", "State Machine Does Not Exist: '", "TaskFailed", 0},
		{"bad name", waitsTen, ".sync", `,"Name":"a b"`, "", "StepFunctions.InvalidNameException", "Invalid Name: 'a b'", "TaskSubmitFailed", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				if row.child != "" {
					machine(t, e, "child", row.child)
				}
				arn := start(t, e, machine(t, e, "parent", parentOf(row.pattern, row.parameters, row.fields)), "x", `{}`)
				x := wait(t, e, arn)
				if x.Status != store.Failed || x.Error != row.err || !strings.Contains(x.Cause, row.cause) {
					t.Errorf("%s %s\n%s\nwant %s … %s …", x.Status, x.Error, x.Cause, row.err, row.cause)
				}
				if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered TaskScheduled TaskStarted "+row.event+" ExecutionFailed"; got != want {
					t.Errorf("%s\nwant %s", got, want)
				}
				if row.stopped == 0 {
					return
				}
				synctest.Wait()
				children, err := e.ListExecutions(t.Context(), "arn:aws:states:us-east-1:123456789012:stateMachine:child", nil, 0, 9)
				if err != nil || len(children) != 1 || children[0].Status != row.stopped {
					t.Errorf("children %+v, %v; want one that is %s", children, err, row.stopped)
				}
			})
		})
	}
}

func TestStopOfTheParentStopsTheChild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		e := newEngine(t, s)
		stop := run(t, e)
		machine(t, e, "child", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":9999,"End":true}}}`)
		arn := start(t, e, machine(t, e, "parent", parentOf(".sync:2", `,"Name":"c"`, "")), "x", `{}`)
		synctest.Wait()
		if _, err := e.StopExecution(t.Context(), arn, "", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c := describe(t, e, childARN+"c"); c.Status != store.Aborted {
			t.Errorf("the child is %s", c.Status)
		}
		if docs, err := s.Docs(t.Context(), "orphan", "", 9); err != nil || len(docs) > 0 {
			t.Errorf("%v, %v stay behind", docs, err)
		}
		stop()
	})
}

// TestOrphanOfACrashIsStopped makes the state that a crash leaves between the
// end of the parent and that of the child.
func TestOrphanOfACrashIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		e := newEngine(t, s)
		stop := run(t, e)
		start(t, e, machine(t, e, "child", waitsTen), "c", `{}`)
		stop()
		if err := store.Do(t.Context(), s, &store.Write{Docs: []store.Doc{{Kind: "orphan", Key: childARN + "c", Body: []byte("{}")}, {Kind: "orphan", Key: childARN + "gone", Body: []byte("{}")}}}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time it is known to have ended
			e = newEngine(t, s)
			stop = run(t, e)
			synctest.Wait()
			if c := describe(t, e, childARN+"c"); c.Status != store.Aborted {
				t.Errorf("the child is %s", c.Status)
			}
			stop()
		}
		if docs, err := s.Docs(t.Context(), "orphan", "", 9); err != nil || len(docs) > 0 {
			t.Errorf("%v, %v stay behind", docs, err)
		}
	})
}

func TestParentLearnsOfAnEndThatItMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		e := newEngine(t, s)
		stop := run(t, e)
		machine(t, e, "child", waitsTen)
		arn := start(t, e, machine(t, e, "parent", parentOf(".sync:2", `,"Name":"c"`, `,"ResultSelector":{"r.$":"$.Output.Arg"}`)), "x", `{}`)
		synctest.Wait()
		stop()
		// A store in which the child has ended and the parent does not know.
		c := describe(t, e, childARN+"c")
		if err := store.Do(t.Context(), s, &store.Write{Exec: c.ID, End: &store.Ending{Status: store.Succeeded, Stopped: c.Started, Output: []byte(`{"Arg":2}`)}}); err != nil {
			t.Fatal(err)
		}
		e = newEngine(t, s)
		stop = run(t, e)
		wantOutput(t, wait(t, e, arn), `{"r":2}`)
		stop()
	})
}

func TestTwoParentsMayWaitForOneChild(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		machine(t, e, "child", waitsTen)
		m := machine(t, e, "parent", parentOf(".sync:2", `,"Name":"c"`, `,"ResultSelector":{"r.$":"$.Output.Arg"}`))
		first, second := start(t, e, m, "x", `{}`), start(t, e, m, "y", `{}`)
		wantOutput(t, wait(t, e, first), `{"r":1}`)
		wantOutput(t, wait(t, e, second), `{"r":1}`)
	})
}

func TestNestedInputAsTextIsItsJSON(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		machine(t, e, "child", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`)
		got := map[string]string{}
		for name, input := range map[string]string{"text": `,"Input":"[1,2]"`, "none": ``, "null": `,"Input":null`, "json": `,"Input":{"a":"b"}`} {
			m := machine(t, e, "p-"+name, parentOf(".sync", `,"Name":"`+name+`"`+input, `,"OutputPath":"$.Input"`))
			got[name] = string(wait(t, e, start(t, e, m, "x", `{}`)).Output)
		}
		want := map[string]string{"text": `"[1,2]"`, "none": `"{}"`, "null": `"{}"`, "json": `"{\"a\":\"b\"}"`}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got: %s", d)
		}
	})
}
