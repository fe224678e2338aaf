package engine_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/distributed"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// panicking is a state whose retry makes the engine panic, once the source of
// jitter does.
const (
	panicking = `{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["States.ALL"],"JitterStrategy":"FULL"}],"End":true}`
	panicText = "The engine failed in the middle of the execution, which is a fault of its own. Its log has the details: panic with a string"
)

func noDice() float64 { panic("no dice") }

// failOrWait fails every task, but for those with the input {"wait":true}, which last
// until they are interrupted.
func failOrWait(ctx context.Context, in task.Task) (json.RawMessage, error) {
	if string(in.Input) == `{"wait":true}` {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, errBoom
}

func TestPanicFailsTheExecutionAlone(t *testing.T) {
	for name, definition := range map[string]string{
		"at the top":   `{"StartAt":"T","States":{"T":` + panicking + `}}`,
		"after a wait": `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"T"},"T":` + panicking + `}}`,
		"beside a task that runs": `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
			{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + fn + `","Parameters":{"wait":true},"End":true}}},
			{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":5,"Next":"T"},"T":` + panicking + `}}]}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *engine.Engine) {
				x := runs(t, e, definition, `{}`)
				wantFailure(t, x, store.Failed, "States.Runtime", panicText)
				if got := types(t, e, x.ARN); !strings.HasSuffix(got, " ExecutionFailed") {
					t.Error(got)
				}
				other := wait(t, e, start(t, e, machine(t, e, "other", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`), "y", `1`))
				wantOutput(t, other, `1`)
			}, engine.WithRandom(noDice), engine.WithHandler(fn, handlerFunc(failOrWait)))
		})
	}
}

func TestPanicTellsTheParent(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		inner := machine(t, e, "inner", `{"StartAt":"T","States":{"T":`+panicking+`}}`)
		x := runs(t, e, `{"StartAt":"N","States":{"N":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync",
			"Parameters":{"StateMachineArn":"`+inner+`"},"End":true}}}`, `{}`)
		if x.Status != store.Failed || x.Error != "States.TaskFailed" || !strings.Contains(x.Cause, "panic with a string") {
			t.Errorf("%s %s %s", x.Status, x.Error, x.Cause)
		}
	}, engine.WithRandom(noDice), engine.WithHandler(fn, handlerFunc(failOrWait)))
}

// A process that panicked at a point of an execution came to the same point
// again when it started, and so did the next one.
func TestPanicDoesNotComeBackAtTheNextStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	var arn string
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, path)
		e := newEngine(t, s, engine.WithHandler(fn, handlerFunc(failOrWait)))
		stop := run(t, e)
		arn = start(t, e, machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"T"},"T":`+panicking+`}}`), "x", `{}`)
		stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, path)
		defer s.Close()
		e := newEngine(t, s, engine.WithRandom(noDice), engine.WithHandler(fn, handlerFunc(failOrWait)))
		stop := run(t, e)
		wantFailure(t, wait(t, e, arn), store.Failed, "States.Runtime", panicText)
		stop()
	})
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, path)
		defer s.Close()
		e := newEngine(t, s)
		stop := run(t, e)
		time.Sleep(time.Hour)
		wantFailure(t, describe(t, e, arn), store.Failed, "States.Runtime", panicText)
		stop()
	})
}

func TestResultsOfAFailedMapThatCannotBeWrittenAreMissed(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		x := runs(t, e, distributedMap(`"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"out"}},`, failItem), `[1,2]`)
		wantFailure(t, x, store.Failed, "States.ExceedToleratedFailureThreshold",
			"The specified tolerated failure threshold was exceeded. Its results could not be written: Cannot write results: boom")
		if m := mapRuns(t, e, x.ARN)[0]; m.Status != distributed.RunFailed || m.Items.ResultsWritten != 0 {
			t.Errorf("%+v", m)
		}
	}, engine.WithObjects(unwritable{}))
}

func openStore(t *testing.T, path string) *store.SQLite {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
