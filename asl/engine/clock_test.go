package engine_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// A service that ran with its clock years ahead left executions that wait for
// a time years away from the one it is corrected to.
func TestClockThatWasAheadMakesNobodyWait(t *testing.T) {
	const years = 5 * 365 * 24 * time.Hour
	wrapped := func(state string) string { return `{"StartAt":"S","States":{"S":` + state + `}}` }
	for name, c := range map[string]struct {
		definition string
		longest    time.Duration
		want       store.Status
	}{
		"a wait begins anew":    {wrapped(`{"Type":"Wait","Seconds":600,"End":true}`), 10 * time.Minute, store.Succeeded},
		"a backoff is over":     {wrapped(`{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["Once"],"IntervalSeconds":3000}],"End":true}`), time.Second, store.Succeeded},
		"a time limit is whole": {`{"TimeoutSeconds":900,"StartAt":"S","States":{"S":{"Type":"Wait","Seconds":7200,"End":true}}}`, 15 * time.Minute, store.TimedOut},
		"a token times out": {wrapped(`{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","TimeoutSeconds":1200,
			"Parameters":{"FunctionName":"f","Payload":{"t.$":"$$.Task.Token"}},"End":true}`), 20 * time.Minute, store.Failed},
		"a timestamp stays what it is": {wrapped(`{"Type":"Wait","Timestamp":"2005-06-01T00:00:00Z","End":true}`), 2000 * 24 * time.Hour, store.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "engine.db")
			var arn string
			options := func() []engine.Option {
				once := failing(0, "")
				return []engine.Option{
					engine.WithHandler(fn, once),
					engine.WithHandler("arn:aws:states:::lambda:invoke.waitForTaskToken", handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) { return json.RawMessage(`{}`), nil })),
				}
			}
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(years) // a bubble begins in 2000
				s := openStore(t, path)
				e := newEngine(t, s, options()...)
				if name == "a backoff is over" {
					e = newEngine(t, s, engine.WithHandler(fn, failing(1, "Once")))
				}
				stop := run(t, e)
				arn = start(t, e, machine(t, e, "m", c.definition), "x", `{}`)
				time.Sleep(10 * time.Second)
				if x := describe(t, e, arn); x.Status != store.Running {
					t.Fatalf("%s %s %s", x.Status, x.Error, x.Cause)
				}
				stop()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				s := openStore(t, path)
				defer s.Close()
				e := newEngine(t, s, options()...)
				stop := run(t, e)
				defer stop()
				if name == "a timestamp stays what it is" {
					time.Sleep(time.Hour)
					if x := describe(t, e, arn); x.Status != store.Running {
						t.Errorf("%s %s %s", x.Status, x.Error, x.Cause)
					}
					return
				}
				if c.longest > time.Minute {
					time.Sleep(c.longest - 10*time.Second)
					if x := describe(t, e, arn); x.Status != store.Running {
						t.Errorf("too early: %s %s %s", x.Status, x.Error, x.Cause)
					}
				}
				time.Sleep(11 * time.Second)
				if x := describe(t, e, arn); x.Status != c.want {
					t.Errorf("%v after the clock was corrected: %s %s %s", c.longest, x.Status, x.Error, x.Cause)
				}
			})
		})
	}
}
