package journaltest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func dueOrder(t *testing.T, f *fixture) {
	f.push(f.request("a"), f.request("b"))
	f.push(f.request("c"))
	f.diff("arrival", []string{"a", "b", "c"}, f.due())
	f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: f.execution("a").Seq, Error: "no route to host", DueAt: f.now.Add(time.Minute)}}})
	f.diff("backoff", []string{"b", "c"}, f.due())
	due, next, err := f.j.Due(t.Context(), f.now, 10)
	f.must(err)
	if !next.Equal(f.now.Add(time.Minute)) {
		t.Errorf("next falls due at %v, want in a minute", next)
	}
	f.diff("input comes along", `{"id":"b"}`, string(due[0].Input))
	f.diff("trace comes along", "00-delivery-1", due[0].Traceparent)
	f.now = f.now.Add(2 * time.Minute)
	f.push(f.request("d"))
	f.diff("back in the order of falling due", []string{"b", "c", "a", "d"}, f.due())
	a := f.execution("a")
	if a.Tries != 1 || a.LastError != "no route to host" {
		t.Errorf("tries %d, last error %q", a.Tries, a.LastError)
	}
}

func hasten(t *testing.T, f *fixture) {
	other := func(r *dispatch.NewRequest) { r.StateMachine = "other" }
	f.push(f.request("soon"), f.request("far"), f.request("elsewhere", other), f.request("stopping"), f.request("running"))
	f.start("stopping")
	f.start("running")
	_, err := f.j.RequestStop(t.Context(), "stopping", dispatch.StopRequest{Reason: "enough", At: f.now})
	f.must(err)
	putOff := func(id string, d time.Duration) {
		f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: f.execution(id).Seq, Error: "no", DueAt: f.now.Add(d)}}})
	}
	putOff("soon", time.Minute)
	for _, id := range []string{"far", "elsewhere", "stopping"} {
		putOff(id, 5*365*24*time.Hour)
	}
	f.diff("all are put off", []string{}, f.due())
	all := func(stateMachine string) (total int) {
		for {
			n, err := f.j.Hasten(t.Context(), stateMachine, f.now.Add(5*time.Minute), f.now)
			f.must(err)
			if total += n; n == 0 {
				return total
			}
		}
	}
	f.diff("of one state machine", 1, all("other"))
	f.diff("due of one state machine", []string{"elsewhere"}, f.due())
	f.diff("of all", 2, all(""))
	f.diff("due of all", []string{"far", "elsewhere"}, f.due())
	stopping, _, err := f.j.Stopping(t.Context(), f.now, 10)
	f.must(err)
	f.diff("due to be stopped", []string{"stopping"}, idsOf(stopping))
	f.diff("again", 0, all(""))
	f.now = f.now.Add(time.Minute)
	f.diff("an ordinary backoff", []string{"far", "elsewhere", "soon"}, f.due())
}

// uncounted puts off what cannot have reached the engine: it is no try, and
// does not put off the end of what was to be stopped meanwhile.
func uncounted(t *testing.T, f *fixture) {
	f.push(f.request("a"), f.request("b"), f.request("c"))
	stop := func(id string) {
		_, err := f.j.RequestStop(t.Context(), id, dispatch.StopRequest{Reason: "enough", At: f.now})
		f.must(err)
	}
	putOff := func(id string, uncounted bool) {
		f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: f.execution(id).Seq, Error: "no", Uncounted: uncounted, DueAt: f.now.Add(time.Minute)}}})
	}
	putOff("a", true)
	f.diff("put off", []string{"b", "c"}, f.due())
	f.diff("no try", 0, f.execution("a").Tries)
	f.diff("but an error", "no", f.execution("a").LastError)
	stop("a")
	f.diff("due to be stopped", []string{"b", "c", "a"}, f.due())
	stop("b")
	putOff("b", true)
	f.diff("stopped meanwhile", []string{"b", "c", "a"}, f.due())
	putOff("c", false)
	stop("c")
	putOff("c", true)
	f.diff("with a try", []string{"b", "a"}, f.due())
}

func lifecycle(t *testing.T, f *fixture) {
	id, _ := f.push(f.request("x", func(r *dispatch.NewRequest) { r.PullRequest, r.Kind = 12, event.PullRequest }))
	created := f.now
	f.now = f.now.Add(time.Second)
	f.diff("start", []dispatch.Change{{ID: "x", State: dispatch.StateRunning}}, f.start("x"))
	f.diff("queue", []string{}, f.due())
	running, err := f.j.Running(t.Context(), 0, f.now, 10)
	f.must(err)
	f.diff("running", []string{"x"}, idsOf(running))
	earlier, err := f.j.Running(t.Context(), 0, f.now.Add(-time.Second), 10)
	f.must(err)
	f.diff("not yet running then", []string{}, idsOf(earlier))
	started := f.now
	f.now = f.now.Add(time.Minute)
	changes := f.record(dispatch.Records{Ended: []dispatch.EndRecord{{
		Seq: running[0].Seq, ARN: "arn:x", State: dispatch.StateFailed, StoppedAt: f.now, Output: `{"n":1}`, Error: "Build.Failed", Cause: "exit status 2",
	}}})
	f.diff("end", []dispatch.Change{{ID: "x", State: dispatch.StateFailed}}, changes)
	f.diff("execution", dispatch.Execution{
		Seq: running[0].Seq, ID: "x", Base: "x", Attempt: 1, Delivery: id, Route: "branches", StateMachine: "deploy", Source: "github",
		Repository: "acme/api", Ref: "refs/heads/main", Kind: event.PullRequest, PullRequest: 12, SHA: "sha-x", Title: "Title of x", Author: "ada",
		Reason: "push to main", State: dispatch.StateFailed, ARN: "arn:x", CreatedAt: created, StartedAt: started, StoppedAt: f.now,
		Error: "Build.Failed", Cause: "exit status 2", Input: []byte(`{"id":"x"}`), Output: []byte(`{"n":1}`), Traceparent: "00-delivery-1",
	}, f.execution("x"))
	f.push(f.request("quick"))
	f.diff("start and end at once", []string{"quick succeeded"}, changed(f.finish("quick", dispatch.StateSucceeded)))
	f.diff("its ARN", "arn:quick", f.execution("quick").ARN)
	depth, err := f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("depth", dispatch.Depth{}, depth)
	if _, err := f.j.Execution(t.Context(), "none"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("unknown execution: %v", err)
	}
}

func outOfPlace(t *testing.T, f *fixture) {
	f.push(f.request("x"), f.request("w", inEnvironment("prod")))
	f.diff("start of one that waits", []string{}, changed(f.start("w")))
	f.start("x")
	f.diff("second start", []string{}, changed(f.start("x")))
	f.finish("x", dispatch.StateSucceeded)
	f.diff("start after the end", []string{}, changed(f.start("x")))
	f.diff("second end", []string{}, changed(f.finish("x", dispatch.StateFailed)))
	f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: f.execution("x").Seq, Error: "late", DueAt: f.now}}})
	if x := f.execution("x"); x.State != dispatch.StateSucceeded || x.Tries != 0 {
		t.Errorf("%+v", x)
	}
}

func hintsMustMatch(t *testing.T, f *fixture) {
	f.push(f.request("x"))
	hint := func(id, arn string, s dispatch.State, at time.Time) []string {
		return changed(f.record(dispatch.Records{Ended: []dispatch.EndRecord{{ID: id, ARN: arn, State: s, StoppedAt: at}}}))
	}
	f.diff("not started yet", []string{}, hint("x", "arn:x", dispatch.StateSucceeded, f.now))
	f.start("x")
	f.diff("another's of the same name", []string{}, hint("x", "arn:other", dispatch.StateSucceeded, f.now))
	f.diff("unknown", []string{}, hint("y", "arn:y", dispatch.StateSucceeded, f.now))
	f.diff("its own", []string{"x failed"}, hint("x", "arn:x", dispatch.StateFailed, f.now))
	f.diff("repeated", []string{}, hint("x", "arn:x", dispatch.StateFailed, f.now))
	f.diff("redriven at the engine", []string{"x succeeded"}, hint("x", "arn:x", dispatch.StateSucceeded, f.now.Add(time.Hour)))
	f.diff("late", []string{}, hint("x", "arn:x", dispatch.StateFailed, f.now))
}

func admit(t *testing.T, f *fixture) {
	prod, test := inEnvironment("prod"), inEnvironment("test")
	f.push(f.request("p1", prod), f.request("p2", prod), f.request("t1", test))
	f.push(f.request("p3", prod), f.request("t2", test), f.request("free"))
	ask := func(env string, limit int) []string {
		changes, err := f.j.Admit(t.Context(), env, limit, f.now)
		f.must(err)
		return changed(changes)
	}
	f.diff("nobody is admitted unasked", []string{"free"}, f.due())
	environments, err := f.j.WaitingEnvironments(t.Context())
	f.must(err)
	f.diff("environments", []string{"prod", "test"}, environments)
	f.diff("one", []string{"p1 ready"}, ask("prod", 1))
	f.diff("the slot is taken", []string{}, ask("prod", 1))
	f.diff("others do not wait", []string{"t1 ready", "t2 ready"}, ask("test", 5))
	f.start("p1")
	f.diff("still taken while it runs", []string{}, ask("prod", 1))
	f.diff("a raised limit", []string{"p2 ready"}, ask("prod", 2))
	f.finish("p1", dispatch.StateFailed)
	f.diff("a lowered limit", []string{}, ask("prod", 1))
	f.finish("p2", dispatch.StateDead)
	f.diff("the next in line", []string{"p3 ready"}, ask("prod", 1))
	f.push(f.request("p4", prod), f.request("p5", prod))
	f.diff("no limit", []string{"p4 ready", "p5 ready"}, ask("prod", 0))
	environments, err = f.j.WaitingEnvironments(t.Context())
	f.must(err)
	f.diff("nobody waits", 0, len(environments))
	changes, err := f.j.Admit(t.Context(), "nowhere", 1, f.now)
	f.must(err)
	f.diff("unknown environment", []string{}, changed(changes))
}

func supersede(t *testing.T, f *fixture) {
	prod := inEnvironment("prod")
	old, _ := f.push(
		f.request("running", superseding), f.request("ready", superseding), f.request("waiting", superseding, prod, reporting),
		f.request("other-route", superseding, onRoute("nightly")), f.request("other-ref", superseding, onRef("refs/heads/next")),
		f.request("loyal", prod), f.request("done", superseding))
	f.start("running")
	f.finish("done", dispatch.StateSucceeded)
	_, changes := f.push(f.request("new1", superseding), f.request("new2", superseding))
	f.diff("changes", []string{"new1 ready", "new2 ready", "waiting superseded"}, changed(changes))
	f.diff("states", []dispatch.State{
		dispatch.StateRunning, dispatch.StateReady, dispatch.StateSuperseded, dispatch.StateReady, dispatch.StateReady, dispatch.StateWaiting, dispatch.StateSucceeded, dispatch.StateReady, dispatch.StateReady,
	}, f.states("running", "ready", "waiting", "other-route", "other-ref", "loyal", "done", "new1", "new2"))
	reason, status := dispatch.Superseding("new2")
	for id, want := range map[string]string{"running": reason, "ready": reason, "waiting": reason, "other-route": "", "other-ref": "", "loyal": "", "new1": "", "new2": ""} {
		f.diff("stop reason of "+id, want, f.execution(id).StopReason)
	}
	f.diff("by", "new2", f.execution("running").SupersededBy)
	stopping, _, err := f.j.Stopping(t.Context(), f.now, 10)
	f.must(err)
	f.diff("to stop", []string{"running"}, idsOf(stopping))
	f.diff("a start meanwhile says so", []dispatch.Change{{ID: "ready", State: dispatch.StateRunning, StopRequested: true}}, f.start("ready"))
	statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10})
	f.must(err)
	if len(statuses) != 1 || statuses[0].State != status.State || statuses[0].Description != status.Description {
		t.Errorf("statuses %+v, want %+v", statuses, status)
	}
	// An old delivery that is routed again does not overtake newer ones.
	f.must(f.j.Reopen(t.Context(), old))
	pending, err := f.j.Pending(t.Context(), 1)
	f.must(err)
	f.diff("replayed", []string{"late ready"}, changed(f.expand(pending[0].Seq, f.request("late", superseding))))
	f.diff("newer one goes on", "", f.execution("new1").StopReason)
}

func stop(t *testing.T, f *fixture) {
	f.push(f.request("waiting", inEnvironment("prod")), f.request("ready"), f.request("running"), f.request("done"))
	f.start("running")
	f.finish("done", dispatch.StateSucceeded)
	ask := func(id string) ([]string, error) {
		changes, err := f.j.RequestStop(t.Context(), id, dispatch.StopRequest{Reason: "stopped by ada", At: f.now})
		return changed(changes), err
	}
	for _, row := range []struct {
		id      string
		changes []string
		err     error
	}{
		{"waiting", []string{"waiting aborted"}, nil},
		{"ready", []string{}, nil},
		{"running", []string{}, nil},
		{"done", []string{}, dispatch.ErrFinished},
		{"none", []string{}, dispatch.ErrNotFound},
	} {
		changes, err := ask(row.id)
		f.diff(row.id, row.changes, changes)
		if !errors.Is(err, row.err) {
			t.Errorf("%s: %v, want %v", row.id, err, row.err)
		}
	}
	f.diff("reason", "stopped by ada", f.execution("ready").StopReason)
	stopping, _, err := f.j.Stopping(t.Context(), f.now, 10)
	f.must(err)
	f.diff("stopping", []string{"running"}, idsOf(stopping))
	f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: stopping[0].Seq, DueAt: f.now.Add(time.Minute)}}})
	later, next, err := f.j.Stopping(t.Context(), f.now, 10)
	f.must(err)
	f.diff("not before its time", []string{}, idsOf(later))
	f.diff("which is known", true, next.Equal(f.now.Add(time.Minute)))
	f.diff("a repeat without error is no try", 0, f.execution("running").Tries)
	f.diff("end", []string{"running aborted"}, changed(f.finish("running", dispatch.StateAborted)))
}

func redrive(t *testing.T, f *fixture) {
	f.push(f.request("x"), f.request("y"))
	f.record(dispatch.Records{Failed: []dispatch.FailureRecord{{Seq: f.execution("x").Seq, Error: "refused", DueAt: f.now}}})
	f.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: f.execution("x").Seq, State: dispatch.StateDead, Error: "No", Cause: "no such machine"}}})
	again := dispatch.Resume{From: dispatch.StateDead, State: dispatch.StateReady, At: f.now.Add(time.Minute)}
	changes, err := f.j.Redrive(t.Context(), "x", again)
	f.must(err)
	f.diff("changes", []string{"x ready"}, changed(changes))
	x := f.execution("x")
	if x.State != dispatch.StateReady || x.Tries != 0 || x.Error != "" || x.Cause != "" || !x.StoppedAt.IsZero() || x.LastError != "" {
		t.Errorf("%+v", x)
	}
	if _, err := f.j.Redrive(t.Context(), "y", again); !errors.Is(err, dispatch.ErrNotRedrivable) {
		t.Errorf("one that is ready: %v", err)
	}
	if _, err := f.j.Redrive(t.Context(), "none", again); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func rerun(t *testing.T, f *fixture) {
	id, _ := f.push(f.request("x", inEnvironment("prod"), reporting))
	again := dispatch.Resume{State: dispatch.StateWaiting, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending, Description: "again"}}
	if _, _, err := f.j.Rerun(t.Context(), "x", "rerun", again); !errors.Is(err, dispatch.ErrUnfinished) {
		t.Errorf("one that waits: %v", err)
	}
	f.finish("x", dispatch.StateFailed)
	for attempt := 2; attempt <= 4; attempt++ {
		from := dispatch.AttemptID("x", max(1, attempt-2)) // also of one that was rerun before
		got, changes, err := f.j.Rerun(t.Context(), from, "rerun of "+from, again)
		f.must(err)
		want := fmt.Sprintf("x-r%d", attempt)
		f.diff("ID", want, got)
		f.diff("changes", []dispatch.Change{{ID: want, State: dispatch.StateWaiting, Environment: "prod"}}, changes)
		x := f.execution(want)
		if x.Base != "x" || x.Attempt != attempt || x.Delivery != id || string(x.Input) != `{"id":"x"}` || x.SHA != "sha-x" || x.Reason != "rerun of "+from {
			t.Errorf("%+v", x)
		}
		f.finish(want, dispatch.StateSucceeded)
	}
	if _, _, err := f.j.Rerun(t.Context(), "none", "", again); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}
