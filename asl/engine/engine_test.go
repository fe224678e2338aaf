package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// bubble runs a test with an engine in memory, on time that passes by itself.
func bubble(t *testing.T, test func(t *testing.T, e *engine.Engine), opts ...engine.Option) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, store.NewMemory(), opts...)
		stop := run(t, e)
		test(t, e)
		stop()
	})
}

func TestWaitTakesItsTimeAndNoMore(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		begin := time.Now()
		x := runs(t, e, `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"Next":"P"},"P":{"Type":"Pass","End":true}}}`, `{"a":1}`)
		wantOutput(t, x, `{"a":1}`)
		if took := time.Since(begin); took < time.Hour || took > time.Hour+50*time.Millisecond {
			t.Errorf("a Wait of an hour took %v", took)
		}
		if got := types(t, e, x.ARN); got != "ExecutionStarted WaitStateEntered WaitStateExited PassStateEntered PassStateExited ExecutionSucceeded" {
			t.Error(got)
		}
	})
}

func TestVirtualTimeJumpsToTheNextTimer(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e := newEngine(t, store.NewMemory(), engine.WithVirtualTime(begin))
	run(t, e)
	x := runs(t, e, `{"StartAt":"W","States":{"W":{"Type":"Wait","Timestamp":"2040-01-01T00:00:00Z","Next":"V"},"V":{"Type":"Wait","Seconds":10,"End":true}}}`, `{}`)
	wantOutput(t, x, `{}`)
	if want := time.Date(2040, 1, 1, 0, 0, 10, 0, time.UTC).UnixMilli(); x.Stopped != want {
		t.Errorf("stopped at %v, want 2040-01-01T00:00:10Z", time.UnixMilli(x.Stopped).UTC())
	}
}

func TestTaskGetsEffectiveInputAndGivesResult(t *testing.T) {
	var got task.Task
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","Parameters":{"in.$":"$.a"},
			"ResultSelector":{"sum.$":"$.n"},"ResultPath":"$.r","End":true}}}`, `{"a":[1,2]}`)
		wantOutput(t, x, `{"a":[1,2],"r":{"sum":3}}`)
		if string(got.Input) != `{"in":[1,2]}` || got.Resource != fn || got.ExecutionARN != x.ARN || got.ExecutionName != "x" || got.StateName != "T" || got.Restarted {
			t.Errorf("the handler got %+v", got)
		}
		if got := types(t, e, x.ARN); got != "ExecutionStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded" {
			t.Error(got)
		}
	}, engine.WithHandler("arn:aws:lambda:*", handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
		got = t
		return json.RawMessage(`{"n": 3}`), nil
	})))
}

func TestRetryBacksOffAndCatchTakesWhatIsLeft(t *testing.T) {
	const definition = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `",
		"Retry":[{"ErrorEquals":["Busy"],"IntervalSeconds":2,"BackoffRate":3,"MaxAttempts":%d,"MaxDelaySeconds":10}],
		"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.error","Next":"C"}],"End":true},
		"C":{"Type":"Pass","End":true}}}`
	for _, row := range []struct {
		name     string
		attempts int
		handler  handlerFunc
		output   string
		took     time.Duration
	}{
		{"succeeds at last", 3, failing(3, "Busy"), `{"a":1}`, (2 + 6 + 10) * time.Second},
		{"is exhausted", 2, failing(9, "Busy"), `{"a":1,"error":{"Error":"Busy","Cause":"attempt 2"}}`, 8 * time.Second},
		{"is for another error", 9, failing(1, "Other"), `{"a":1,"error":{"Error":"Other","Cause":"attempt 0"}}`, 0},
		{"never", 0, failing(1, "Busy"), `{"a":1,"error":{"Error":"Busy","Cause":"attempt 0"}}`, 0},
		{"plain error", 0, func(context.Context, task.Task) (json.RawMessage, error) { return nil, errBoom }, `{"a":1,"error":{"Error":"States.TaskFailed","Cause":"boom"}}`, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				begin := time.Now()
				x := runs(t, e, fmt.Sprintf(definition, row.attempts), `{"a":1}`)
				wantOutput(t, x, row.output)
				if took := time.Since(begin); took < row.took || took > row.took+50*time.Millisecond {
					t.Errorf("took %v, want %v", took, row.took)
				}
			}, engine.WithHandler(fn, row.handler))
		})
	}
}

func TestJitterShortensTheDelay(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		begin := time.Now()
		runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true,
			"Retry":[{"ErrorEquals":["Busy"],"IntervalSeconds":100,"JitterStrategy":"FULL"}]}}}`, `{}`)
		if took := time.Since(begin).Round(100 * time.Millisecond); took != 25*time.Second {
			t.Errorf("took %v, want a quarter of 100 s", took)
		}
	}, engine.WithHandler(fn, failing(1, "Busy")), engine.WithRandom(func() float64 { return 0.25 }))
}

func TestTimeouts(t *testing.T) {
	beating := func(ctx context.Context, t task.Task) (json.RawMessage, error) {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for range 10 {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-tick.C:
				t.Heartbeat()
			}
		}
		return json.RawMessage(`"alive"`), nil
	}
	for _, row := range []struct {
		name    string
		limits  string
		handler handlerFunc
		want    string
		took    time.Duration
	}{
		{"task", `"TimeoutSeconds":7`, blocking, `{"Error":"States.Timeout","Cause":""}`, 7 * time.Second},
		{"heartbeat", `"TimeoutSeconds":70,"HeartbeatSeconds":6`, blocking, `{"Error":"States.HeartbeatTimeout","Cause":""}`, 6 * time.Second},
		{"heartbeats keep it alive", `"TimeoutSeconds":70,"HeartbeatSeconds":6`, beating, `"alive"`, 50 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				begin := time.Now()
				x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`",`+row.limits+`,"End":true,
					"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"C"}]},"C":{"Type":"Pass","End":true}}}`, `{}`)
				wantOutput(t, x, row.want)
				if took := time.Since(begin); took < row.took || took > row.took+50*time.Millisecond {
					t.Errorf("took %v, want %v", took, row.took)
				}
			}, engine.WithHandler(fn, row.handler))
		})
	}
}

func TestMachineTimeoutEndsTheExecution(t *testing.T) {
	ended := make(chan error, 1)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"TimeoutSeconds":30,"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}}`, `{}`)
		wantFailure(t, x, store.TimedOut, "", "")
		if x.Stopped-x.Started != 30_000 {
			t.Errorf("ran for %d ms, want 30000", x.Stopped-x.Started)
		}
		if err := <-ended; !errors.Is(err, engine.ErrAborted) {
			t.Errorf("the task ended for %v, want ErrAborted", err)
		}
	}, engine.WithHandler(fn, handlerFunc(func(ctx context.Context, _ task.Task) (json.RawMessage, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, ctx.Err()
	})))
}

func TestStopEndsTasksAndSleepers(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		m := machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
			{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}},
			{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":99999,"End":true}}}]}}}`)
		arn := start(t, e, m, "x", `{}`)
		synctest.Wait()
		stopped, err := e.StopExecution(t.Context(), arn, "Enough", "we saw enough")
		if err != nil {
			t.Fatal(err)
		}
		x := describe(t, e, arn)
		wantFailure(t, x, store.Aborted, "Enough", "we saw enough")
		again, err := e.StopExecution(t.Context(), arn, "Later", "")
		if err != nil || again != stopped || stopped != x.Stopped {
			t.Errorf("stopped at %d, again at %d, %v; described as %d", stopped, again, err, x.Stopped)
		}
		if got := types(t, e, arn); !strings.HasSuffix(got, "ExecutionAborted") {
			t.Error(got)
		}
	}, engine.WithHandler(fn, handlerFunc(blocking)))
}

func TestStopWakesASleepingExecution(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":99999,"End":true}}}`), "x", `{}`)
		synctest.Wait()
		if _, err := e.StopExecution(t.Context(), arn, "", ""); err != nil {
			t.Fatal(err)
		}
		wantFailure(t, describe(t, e, arn), store.Aborted, "", "")
	})
}

func TestParallelFailureAbortsTheOthers(t *testing.T) {
	var canceled atomic.Bool
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,
			"Catch":[{"ErrorEquals":["Broken"],"ResultPath":"$.e","Next":"C"}],"Branches":[
			{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}},
			{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":5,"Next":"F"},"F":{"Type":"Fail","Error":"Broken","Cause":"on purpose"}}}]},
			"C":{"Type":"Pass","End":true}}}`, `{"a":1}`)
		wantOutput(t, x, `{"a":1,"e":{"Error":"Broken","Cause":"on purpose"}}`)
		synctest.Wait()
		if !canceled.Load() {
			t.Error("the task of the other branch goes on")
		}
		want := "ExecutionStarted ParallelStateEntered ParallelStateStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted " +
			"WaitStateEntered WaitStateExited FailStateEntered TaskStateAborted ParallelStateFailed ParallelStateExited PassStateEntered PassStateExited ExecutionSucceeded"
		if d := cmp.Diff(want, types(t, e, x.ARN)); d != "" {
			t.Error(d)
		}
	}, engine.WithHandler(fn, handlerFunc(func(ctx context.Context, _ task.Task) (json.RawMessage, error) {
		<-ctx.Done()
		canceled.Store(true)
		return nil, ctx.Err()
	})))
}

func TestMapHonoursMaxConcurrency(t *testing.T) {
	for _, row := range []struct {
		name, limit string
		want        int64
	}{{"one", `"MaxConcurrency":1,`, 1}, {"three", `"MaxConcurrency":3,`, 3}, {"the engine's own", ``, 40}} {
		t.Run(row.name, func(t *testing.T) {
			var now, most atomic.Int64
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, `{"StartAt":"M","States":{"M":{"Type":"Map",`+row.limit+`"ItemsPath":"$.items","End":true,"ItemProcessor":{
					"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}}}}}`, `{"items":[`+strings.Repeat("7,", 99)+`7]}`)
				wantOutput(t, x, `[`+strings.Repeat("7,", 99)+`7]`)
				if most.Load() != row.want {
					t.Errorf("%d iterations ran at once, want %d", most.Load(), row.want)
				}
			}, engine.WithHandler(fn, handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second) // the bubble's
				now.Add(-1)
				return t.Input, nil
			})))
		})
	}
}

func TestDistributedMapEnduresFailures(t *testing.T) {
	const definition = `{"StartAt":"M","States":{"M":{"Type":"Map","ToleratedFailureCount":%d,"End":true,"ItemProcessor":{
		"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"C","States":{
		"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":2,"Next":"F"}],"Default":"P"},
		"P":{"Type":"Pass","End":true},"F":{"Type":"Fail","Error":"Two","Cause":"is not wanted"}}},
		"ResultSelector":{"first.$":"$[0]","error.$":"$[1].Error","cause.$":"$[1].Cause","input.$":"$[1].Input","last.$":"$[2]"}}}}`
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := wait(t, e, start(t, e, machine(t, e, "m1", fmt.Sprintf(definition, 1)), "x", `[1,2,3]`))
		wantOutput(t, x, `{"first":1,"error":"Two","cause":"is not wanted","input":"2","last":3}`)
		x = wait(t, e, start(t, e, machine(t, e, "m0", fmt.Sprintf(definition, 0)), "x", `[1,2,3]`))
		wantFailure(t, x, store.Failed, "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded")
		if got := types(t, e, x.ARN); got != "ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunFailed MapStateFailed ExecutionFailed" {
			t.Error(got)
		}
	})
}

func TestEndlessLoopEndsAtTheHistoryLimitAndStarvesNobody(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		m := machine(t, e, "loop", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice","Choices":[{"Variable":"$.end","IsPresent":true,"Next":"C"}],"Default":"A"},"C":{"Type":"Succeed"}}}`)
		var loops []string
		for i := range 8 {
			loops = append(loops, start(t, e, m, fmt.Sprint("loop", i), `{}`))
		}
		wantOutput(t, runs(t, e, `{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}`, `{}`), `{}`)
		for _, arn := range loops {
			x := wait(t, e, arn)
			wantFailure(t, x, store.Failed, "States.Runtime", "The execution reached the maximum number of history events (25000).")
			last, _, err := e.History(t.Context(), arn, 0, true, 1)
			if err != nil || last[0].ID != 25_000 || last[0].Type != history.ExecutionFailed {
				t.Errorf("last event %+v, %v; want ExecutionFailed as number 25000", last, err)
			}
		}
	})
}

func TestUnknownResourceFailsWithTheKeyToSet(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}}`, `{}`)
		wantFailure(t, x, store.Failed, "States.Runtime", "Nothing is configured to run the resource '"+fn+"': give it a handler under engine.embedded.functions, engine.embedded.projects or engine.embedded.aws in the configuration.")
	})
}

func TestTaskResultThatIsNotJSON(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true,
			"Retry":[{"ErrorEquals":["States.Runtime"]}],"Catch":[{"ErrorEquals":["States.Runtime"],"Next":"C"}]},"C":{"Type":"Pass","End":true}}}`, `{}`)
		if want := "An error occurred while executing the state 'T' (entered at the event id #2). The task's result is not JSON: invalid JSON at byte 0: "; x.Error != "States.Runtime" || !strings.HasPrefix(x.Cause, want) {
			t.Errorf("%s %q %q, want FAILED States.Runtime %q", x.Status, x.Error, x.Cause, want)
		}
		if got := types(t, e, x.ARN); strings.Count(got, "LambdaFunctionScheduled") != 1 {
			t.Errorf("tried again: %s", got)
		}
	}, engine.WithHandler(fn, handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) { return json.RawMessage(`nope`), nil })))
}

func TestAbortFollowsNoEvent(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", waitsTen), "x", "{}")
		time.Sleep(time.Second)
		if _, err := e.StopExecution(t.Context(), arn, "Enough", "why"); err != nil {
			t.Fatal(err)
		}
		all := events(t, e, arn)
		if last := all[len(all)-1]; last.Type != history.ExecutionAborted || last.Prev != 0 {
			t.Errorf("the last event is %s and follows event %d, want ExecutionAborted after 0", last.Type, last.Prev)
		}
	})
}

// States.ALL takes a result that is too large, whose cause names the service or
// the function.
func TestTaskResultThatIsTooLarge(t *testing.T) {
	const invoke = "arn:aws:states:::lambda:invoke"
	for resource, want := range map[string]struct{ name, event string }{invoke: {"lambda", "TaskFailed"}, fn: {fn, "LambdaFunctionFailed"}} {
		for _, refused := range []bool{false, true} { // by the handler, which has a limit of its own
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+resource+`","End":true,
					"Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"No"},{"ErrorEquals":["States.ALL"],"Next":"C"}]},"C":{"Type":"Pass","End":true},"No":{"Type":"Fail"}}}`, `{}`)
				wantOutput(t, x, `{"Error":"States.DataLimitExceeded","Cause":"The state/task '`+want.name+`' returned a result with a size exceeding the maximum number of bytes service limit."}`)
				if got := types(t, e, x.ARN); !strings.Contains(got, want.event) {
					t.Errorf("events %s, want %s among them", got, want.event)
				}
			}, engine.WithHandler(resource, handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) {
				if refused {
					return nil, &task.Error{Name: asl.ErrDataLimitExceeded, Cause: "more than I take"}
				}
				return json.RawMessage(`"` + strings.Repeat("x", asl.MaxData) + `"`), nil
			})))
		}
	}
}

// What a handler panics with may hold what it works on: a secret, say.
func TestHandlerPanicFailsTheTaskOnly(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","End":true}}}`, `{}`)
		wantFailure(t, x, store.Failed, "States.TaskFailed", "the task handler has a bug (panic with a string); the service's log says where")
	}, engine.WithLogger(zap.New(core)), engine.WithHandler(fn, handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) { panic("at the disco") })))
	entries := logged.FilterMessage("task handler panicked").All()
	if len(entries) != 1 || !strings.Contains(fmt.Sprint(entries[0].ContextMap()["stack"]), "TestHandlerPanic") {
		t.Errorf("logged: %v", entries)
	}
	for _, e := range logged.All() {
		if text := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(text, "disco") {
			t.Errorf("the log holds what the handler panicked with: %s", text)
		}
	}
}

func TestStatusChangesAreAnnounced(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		var got []string
		stop := e.OnStatusChange(func(event []byte) {
			var c statusEvent
			if err := c.decode(event); err != nil {
				t.Error(err)
			}
			if c.Source != "aws.states" || c.DetailType != "Step Functions Execution Status Change" || len(c.Resources) != 1 || c.Resources[0] != c.Detail.ExecutionARN {
				t.Errorf("event %s", event)
			}
			if (c.Detail.StopDate == nil) != (c.Detail.Status == "RUNNING") || *c.Detail.Input != `{"a":1}` {
				t.Errorf("event %s", event)
			}
			got = append(got, c.Detail.Name+" "+c.Detail.Status)
		})
		runs(t, e, `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`, `{"a":1}`)
		synctest.Wait()
		stop()
		if d := cmp.Diff([]string{"x RUNNING", "x SUCCEEDED"}, got); d != "" {
			t.Error(d)
		}
	})
}

func TestStartIsIdempotentWhileRunningOnly(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		m := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`)
		arn := start(t, e, m, "x", `{"a":1}`)
		if again := start(t, e, m, "x", `{"a":1}`); again != arn {
			t.Errorf("the second start gave %s, want %s", again, arn)
		}
		taken := func(input string) {
			t.Helper()
			var known *apierror.Error
			_, err := e.StartExecution(t.Context(), engine.Start{MachineARN: m, Name: "x", Input: input})
			if !errors.As(err, &known) || known.Code != apierror.CodeExecutionAlreadyExists {
				t.Errorf("start with %s: %v, want ExecutionAlreadyExists", input, err)
			}
		}
		taken(`{"a":2}`)
		wait(t, e, arn)
		taken(`{"a":1}`)
		if n := len(events(t, e, arn)); n != 4 {
			t.Errorf("%d events, want 4: it ran once", n)
		}
	})
}

func TestExecutionKeepsItsDefinition(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		m := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"P"},"P":{"Type":"Pass","Result":"old","Next":"V"},"V":{"Type":"Wait","Seconds":60,"End":true}}}`)
		arn := start(t, e, m, "x", ``)
		synctest.Wait()
		changed := `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":"new","End":true}}}`
		if _, err := e.Catalog().UpdateMachine(t.Context(), m, catalog.MachineUpdate{Definition: &changed}); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, start(t, e, m, "y", ``)), `"new"`)
		time.Sleep(90 * time.Second) // it has reached its last state
		if err := e.Catalog().DeleteMachine(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if d, err := e.Catalog().DescribeMachine(t.Context(), m); err != nil || d.Status != catalog.MachineDeleting {
			t.Errorf("with an execution left: %+v, %v; want DELETING", d, err)
		}
		wantOutput(t, wait(t, e, arn), `"old"`)
		if of, err := e.MachineOf(t.Context(), arn); err != nil || !strings.Contains(of.Revision.Definition, `"old"`) {
			t.Errorf("MachineOf: %+v, %v; want the old definition", of, err)
		}
		if d, err := e.Catalog().DescribeMachine(t.Context(), m); err == nil {
			t.Errorf("without executions: %+v; want that it is gone", d)
		}
	})
}
