package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

func TestShutdownInterruptsTasksAndTheNextEngineRunsThemAgain(t *testing.T) {
	const definition = `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["States.ALL"]}],
		"Parameters":{"id.$":"States.UUID()"},"TimeoutSeconds":60,"End":true}}}`
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		var seen []task.Task
		e := newEngine(t, s, engine.WithHandler(fn, handlerFunc(func(ctx context.Context, in task.Task) (json.RawMessage, error) {
			seen = append(seen, in)
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, engine.ErrShutdown) {
				t.Errorf("the task ended for %v, want ErrShutdown", cause)
			}
			return nil, ctx.Err()
		})))
		stop := run(t, e)
		arn := start(t, e, machine(t, e, "m", definition), "x", `{}`)
		synctest.Wait()
		stop()
		if x := describe(t, e, arn); x.Status != store.Running {
			t.Fatalf("after the shutdown it is %s", x.Status)
		}

		time.Sleep(20 * time.Second) // the bubble's
		e = newEngine(t, s, engine.WithHandler(fn, handlerFunc(func(ctx context.Context, in task.Task) (json.RawMessage, error) {
			seen = append(seen, in)
			return in.Input, nil
		})))
		stop = run(t, e)
		x := wait(t, e, arn)
		stop()
		if len(seen) != 2 {
			t.Fatalf("the handler was called %d times, want 2", len(seen))
		}
		first, second := seen[0], seen[1]
		if first.Restarted || !second.Restarted {
			t.Errorf("Restarted is %t, then %t; want false, then true", first.Restarted, second.Restarted)
		}
		first.Heartbeat, second.Heartbeat, second.Restarted = nil, nil, false
		if d := cmp.Diff(first, second); d != "" {
			t.Errorf("the second call differs in more than Restarted: %s", d)
		}
		wantOutput(t, x, string(first.Input))
		if got, want := types(t, e, arn), "ExecutionStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded"; got != want {
			t.Error(got)
		}
	})
}

func TestTaskThatSucceedsDuringShutdownIsNotRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		calls := 0
		handler := engine.WithHandler(fn, handlerFunc(func(ctx context.Context, in task.Task) (json.RawMessage, error) {
			calls++
			<-ctx.Done()
			time.Sleep(time.Second) // it finishes what it was doing
			return json.RawMessage(`"done"`), nil
		}))
		e := newEngine(t, s, handler)
		stop := run(t, e)
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","Next":"P"},"P":{"Type":"Pass","End":true}}}`), "x", `{}`)
		synctest.Wait()
		stop()
		e = newEngine(t, s, handler)
		stop = run(t, e)
		wantOutput(t, wait(t, e, arn), `"done"`)
		stop()
		if calls != 1 {
			t.Errorf("the handler was called %d times, want once", calls)
		}
	})
}

func TestTimersKeepTheirDeadlineOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.NewMemory()
		e := newEngine(t, s)
		stop := run(t, e)
		m := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":"$","End":true}}}`)
		past, future := start(t, e, m, "past", `30`), start(t, e, m, "future", `300`)
		synctest.Wait()
		stop()
		time.Sleep(time.Minute) // the bubble's
		e = newEngine(t, s)
		stop = run(t, e)
		for arn, want := range map[string]int64{past: 60_000, future: 300_000} {
			if x := wait(t, e, arn); x.Stopped-x.Started != want {
				t.Errorf("%s took %d ms, want %d", x.Name, x.Stopped-x.Started, want)
			}
		}
		stop()
	})
}

func TestRetentionPrunesClosedExecutionsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.New(store.NewMemory(), engine.Config{Retention: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, e)
		m := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","SecondsPath":"$","End":true}}}`)
		closed, open := start(t, e, m, "closed", `1`), start(t, e, m, "open", `999999`)
		time.Sleep(20 * time.Hour)
		describe(t, e, closed)
		time.Sleep(10 * time.Hour)
		if x, err := e.DescribeExecution(t.Context(), closed); err == nil {
			t.Errorf("the closed execution is still there: %+v", x)
		}
		if x := describe(t, e, open); x.Status != store.Running {
			t.Errorf("the open execution is %s", x.Status)
		}
		stop()
	})
}
