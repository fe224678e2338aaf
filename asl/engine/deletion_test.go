package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/store"
)

func TestExecutionsOfADeletedMachineEndAtTheirNextTransition(t *testing.T) {
	for _, row := range []struct {
		name, definition, input, events string
		after                           time.Duration
	}{
		{
			"a wait", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"P"},"P":{"Type":"Pass","End":true}}}`, `{}`,
			"ExecutionStarted WaitStateEntered WaitStateExited ExecutionAborted", time.Minute,
		},
		{
			"one branch of several", `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"P2"},"P2":{"Type":"Pass","End":true}}},
				{"StartAt":"V","States":{"V":{"Type":"Wait","Seconds":600,"End":true}}}]}}}`, `{}`,
			"ExecutionStarted ParallelStateEntered ParallelStateStarted WaitStateEntered WaitStateEntered WaitStateExited ExecutionAborted", time.Minute,
		},
		{
			"the children of a Map run", distributedMap(``, `"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"Next":"P"},"P":{"Type":"Pass","End":true}}`), `[1,2]`,
			"ExecutionStarted MapStateEntered MapStateStarted MapRunStarted MapRunAborted ExecutionAborted", time.Minute,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, restarted := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s := store.NewMemory()
					e := newEngine(t, s)
					stop := run(t, e)
					m := machine(t, e, "m", row.definition)
					arn := start(t, e, m, "x", row.input)
					other := start(t, e, machine(t, e, "other", row.definition), "x", row.input)
					began := time.Now()
					time.Sleep(30 * time.Second)
					if err := e.Catalog().DeleteMachine(t.Context(), m); err != nil {
						t.Fatal(err)
					}
					if restarted {
						stop()
						e = newEngine(t, s)
						stop = run(t, e)
					}
					defer stop()
					x := wait(t, e, arn)
					wantFailure(t, x, store.Aborted, "", "")
					if took := time.Since(began).Round(time.Second); took != row.after {
						t.Errorf("it ended after %s, want %s", took, row.after)
					}
					if got := types(t, e, arn); got != row.events {
						t.Errorf("events %s\nwant %s", got, row.events)
					}
					if x := wait(t, e, other); x.Status != store.Succeeded {
						t.Errorf("one of another machine is %s", x.Status)
					}
					again(t, e, m, row.definition)
				})
			}
		})
	}
}

// again checks that a state machine is gone and can be made again, and that its
// executions then run.
func again(t testing.TB, e *engine.Engine, arn, definition string) {
	t.Helper()
	if _, err := e.Catalog().DescribeMachine(t.Context(), arn); err == nil {
		t.Error("the machine is still there")
	}
	if x := wait(t, e, start(t, e, machine(t, e, "m", definition), "y", `[]`)); x.Status != store.Succeeded {
		t.Errorf("an execution of the new machine: %s %s %s", x.Status, x.Error, x.Cause)
	}
}

func TestTheLastStateOfADeletedMachineEndsAsEver(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		m := machine(t, e, "m", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`)
		arn := start(t, e, m, "x", `{"a":1}`)
		time.Sleep(time.Second)
		if err := e.Catalog().DeleteMachine(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `{"a":1}`)
	})
}
