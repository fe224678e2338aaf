// Package enginetest is the suite that every engine passes, the embedded one and
// emulators of Step Functions alike: what the dispatcher relies on is the same
// whichever of them runs an execution.
package enginetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/event"
)

// Definitions are the state machines that the suite starts, by the names that the
// engine's config must give them.
var Definitions = map[string]string{
	"hold": `{"StartAt":"Hold","States":{"Hold":{"Type":"Wait","Seconds":3600,"End":true}}}`,
	"done": `{"StartAt":"Done","States":{"Done":{"Type":"Pass","Result":{"ok":true},"End":true}}}`,
	"fail": `{"StartAt":"Fail","States":{"Fail":{"Type":"Fail","Error":"Broken","Cause":"on purpose"}}}`,
}

// Missing is the name of a state machine that the config gives the ARN of one that
// the engine does not have.
const Missing = "missing"

// Engine is an engine under test.
type Engine struct {
	*stepfn.Client
	// Idle is an emulator that keeps executions and runs none: those of "hold" alone
	// are of use.
	Idle bool
	// Lax is an emulator that takes names and inputs which Step Functions refuses.
	Lax bool
	// Redrives is true for one that redrives.
	Redrives bool
}

const (
	input = `{"environment":"","commit":{"sha":"9fceb02"},"source":{"event":"push","repository":"acme/api"}}`
	// sameIdentity tells of the same commit in another way, and another is of another
	// commit.
	sameIdentity = `{"environment":"","commit":{"sha":"9fceb02"},"source":{"event":"pull_request","repository":"acme/api"}}`
	another      = `{"environment":"","commit":{"sha":"0000000"},"source":{"event":"push","repository":"acme/api"}}`
)

// Run runs the suite. Names begin with prefix, so that it can be run again.
func Run(t *testing.T, e Engine, prefix string) {
	t.Helper()
	for name, part := range map[string]func(*testing.T, Engine, string){
		"StartsOnce": startsOnce, "TakenNames": takenNames, "Refusals": refusals, "Ends": ends, "Redrive": redrive,
	} {
		t.Run(name, func(t *testing.T) { part(t, e, prefix+strings.ToLower(name)) })
	}
}

// startsOnce starts an execution, and starts it again while it runs and after.
func startsOnce(t *testing.T, e Engine, name string) {
	started, err := e.Start(t.Context(), "hold", name, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	arn := started.ExecutionARN
	if !strings.HasSuffix(arn, ":"+name) || started.StartedAt.IsZero() {
		t.Errorf("started %+v", started)
	}
	if list, _, err := e.ListRunning(t.Context(), arn, ""); err != nil || !slices.Contains(list, arn) {
		t.Errorf("running: %v, %v", list, err)
	}
	if known, err := e.Named(t.Context(), "hold", name); err != nil || known.Name != name {
		t.Errorf("executed: %v, %v", known, err)
	}
	for what, in := range map[string]string{"again": input, "with the same identity": sameIdentity} {
		if got, err := e.Start(t.Context(), "hold", name, []byte(in)); err != nil || got.ExecutionARN != arn || what != "again" && !got.Existed {
			t.Errorf("started %s: %+v, %v", what, got, err)
		}
	}
	running, err := e.Describe(t.Context(), arn)
	if err != nil || running.Status != event.Running || running.Name != name || running.Input != input || !running.StoppedAt.IsZero() {
		t.Errorf("described %+v, %v", running, err)
	}
	for range 2 { // stopping what has ended changes nothing
		if err := e.Stop(t.Context(), arn, "Switchyard.Superseded", "a newer commit"); err != nil {
			t.Fatal(err)
		}
	}
	if stopped := end(t, e, arn); stopped.Status != event.Aborted || stopped.StoppedAt.IsZero() {
		t.Errorf("stopped %+v", stopped)
	}
	if list, _, err := e.ListRunning(t.Context(), arn, ""); err != nil || slices.Contains(list, arn) {
		t.Errorf("running after the stop: %v, %v", list, err)
	}
	if got, err := e.Start(t.Context(), "hold", name, []byte(input)); err != nil || got.ExecutionARN != arn {
		t.Errorf("started after its end: %+v, %v", got, err)
	}
	events, _, err := e.History(t.Context(), arn, dispatch.HistoryQuery{Limit: 100, Data: true})
	if err != nil || len(events) == 0 || events[0].Type != "ExecutionStarted" || events[0].At.IsZero() {
		t.Errorf("history: %+v, %v", events, err)
	}
}

// takenNames are those of another commit.
func takenNames(t *testing.T, e Engine, name string) {
	if _, err := e.Start(t.Context(), "hold", name, []byte(input)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Start(t.Context(), "hold", name, []byte(another)); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("a name that another commit has: %v, expected a PermanentError", err)
	}
	if known, err := e.Named(t.Context(), "hold", name+"-not"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("executed: %v, %v", known, err)
	}
}

func refusals(t *testing.T, e Engine, name string) {
	started, err := e.Start(t.Context(), "hold", name, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Describe(t.Context(), started.ExecutionARN+"-not"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("an execution that does not exist: %v, expected ErrNotFound", err)
	}
	if _, err := e.Start(t.Context(), Missing, name, []byte(`{}`)); !errors.As(err, new(*dispatch.BlockedError)) {
		t.Errorf("a state machine that does not exist: %v, expected a BlockedError", err)
	}
	if e.Lax {
		return
	}
	for what, c := range map[string]struct{ name, input string }{
		"a name with spaces":         {name + " x", `{}`},
		"a name that is too long":    {strings.Repeat("x", 81), `{}`},
		"an input that is not JSON":  {name + "-x", `{`},
		"an input that is too large": {name + "-y", `"` + strings.Repeat("x", 262_144) + `"`},
	} {
		if _, err := e.Start(t.Context(), "hold", c.name, []byte(c.input)); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v, expected a PermanentError", what, err)
		}
	}
}

// ends describes what ended by itself.
func ends(t *testing.T, e Engine, name string) {
	if e.Idle {
		t.Skip("this emulator runs no state machine")
	}
	done, err := e.Start(t.Context(), "done", name, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	if o := end(t, e, done.ExecutionARN); o.Status != event.Succeeded || strings.ReplaceAll(o.Output, " ", "") != `{"ok":true}` || o.StoppedAt.Before(o.StartedAt) {
		t.Errorf("%+v", o)
	}
	failed, err := e.Start(t.Context(), "fail", name, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	if o := end(t, e, failed.ExecutionARN); o.Status != event.Failed || o.Error != "Broken" || o.Cause != "on purpose" {
		t.Errorf("%+v", o)
	}
	var types []string
	for after, more := int64(0), true; more; {
		events, next, err := e.History(t.Context(), done.ExecutionARN, dispatch.HistoryQuery{After: after, Limit: 2, Data: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range events {
			types = append(types, events[i].Type)
			if events[i].ID <= after {
				t.Errorf("event %d came after %d", events[i].ID, after)
			}
			after = events[i].ID
		}
		more = next != 0
	}
	if got, want := fmt.Sprint(types), "[ExecutionStarted PassStateEntered PassStateExited ExecutionSucceeded]"; got != want {
		t.Errorf("history %s, expected %s", got, want)
	}
}

// redrive lets what failed go on.
func redrive(t *testing.T, e Engine, name string) {
	if !e.Redrives {
		t.Skip("this emulator does not redrive")
	}
	started, err := e.Start(t.Context(), "fail", name, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	first := end(t, e, started.ExecutionARN)
	for range 2 { // with the same token it is one
		if err := e.Redrive(t.Context(), started.ExecutionARN, "token-1"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, e, started.ExecutionARN, func(o *event.Outcome) bool { return o.Status.Closed() && o.StoppedAt.After(first.StoppedAt) })
	done, err := e.Start(t.Context(), "done", name, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	end(t, e, done.ExecutionARN)
	if err := e.Redrive(t.Context(), done.ExecutionARN, "token-2"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("redrive of what succeeded: %v, expected a PermanentError", err)
	}
}

// end waits until an execution has ended.
func end(t *testing.T, e Engine, arn string) event.Outcome {
	t.Helper()
	return waitFor(t, e, arn, func(o *event.Outcome) bool { return o.Status.Closed() })
}

func waitFor(t *testing.T, e Engine, arn string, is func(*event.Outcome) bool) (o event.Outcome) {
	t.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); <-look.C {
		var err error
		if o, err = e.Describe(t.Context(), arn); err != nil {
			t.Fatal(err)
		}
		if is(&o) {
			return o
		}
	}
	t.Fatalf("%s stays as it is: %+v", arn, o)
	return o
}
