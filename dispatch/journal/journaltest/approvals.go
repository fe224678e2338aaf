package journaltest

import (
	"errors"
	"testing"
	"time"

	"switchyard/dispatch"
)

// ask has an execution ask for approval, an hour before that expires.
func (f *fixture) ask(execution, token string, opts ...func(*dispatch.NewApproval)) dispatch.NewApproval {
	f.t.Helper()
	a := dispatch.NewApproval{Token: token, Approval: dispatch.Approval{
		ID: "id-" + token, Execution: execution, Title: "Deploy", AskedBy: "ada", PushedBy: "ada", AskedAt: f.now, ExpiresAt: f.now.Add(time.Hour),
	}}
	for _, o := range opts {
		o(&a)
	}
	_, err := f.j.Ask(f.t.Context(), a)
	f.must(err)
	return a
}

func (f *fixture) decide(d dispatch.Decision) (dispatch.Approval, error) {
	f.t.Helper()
	d.At, d.Way = f.now, dispatch.ByAPI
	a, _, err := f.j.Decide(f.t.Context(), d)
	return a, err
}

func (f *fixture) approval(id string) dispatch.Approval {
	f.t.Helper()
	all, err := f.j.Approvals(f.t.Context(), dispatch.ApprovalFilter{ID: id})
	f.must(err)
	if len(all) != 1 {
		f.t.Fatalf("%d approvals %s", len(all), id)
	}
	return all[0]
}

func (f *fixture) untold(at time.Time) []dispatch.Untold {
	f.t.Helper()
	all, _, err := f.j.Untold(f.t.Context(), at, 10)
	f.must(err)
	return all
}

// shown is the status that the commit of the execution a is to show.
func (f *fixture) shown() string {
	f.t.Helper()
	all, err := f.j.NextStatuses(f.t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now.Add(time.Hour), Limit: 100})
	f.must(err)
	for _, s := range all {
		if s.SHA == "sha-a" && s.Approval != "" {
			return s.Description + ", " + s.Approval
		}
		if s.SHA == "sha-a" {
			return s.Description
		}
	}
	return ""
}

func approvalsAreDecided(t *testing.T, f *fixture) {
	f.push(f.request("a", reporting), f.request("b"))
	f.start("a")
	asked := f.ask("a", "t1", func(a *dispatch.NewApproval) {
		a.Approvers, a.Own, a.Merge = []string{"ada", "ben"}, []string{"Ada L."}, "merged"
	})
	f.diff("what it waits for", "Deploy", f.execution("a").WaitsFor)
	f.diff("the commit's status", "Waits for approval: Deploy, id-t1", f.shown())
	want := asked.Approval
	want.Source, want.Repository, want.Ref, want.Route, want.SHA, want.Message, want.Author = "github", "acme/api", "refs/heads/main", "branches", "sha-a", "Title of a", "ada"
	want.State = dispatch.ApprovalWaiting
	f.diff("the approval", want, f.approval("id-t1"))

	// The same question again, as a queue may bring it.
	again := asked
	again.Title = "Another"
	_, err := f.j.Ask(t.Context(), again)
	f.must(err)
	f.diff("asked once", want, f.approval("id-t1"))

	if _, err := f.decide(dispatch.Decision{Execution: "none", Approve: true, By: "ben"}); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("an unknown execution: %v", err)
	}
	var refused *dispatch.RefusedError
	for _, d := range []dispatch.Decision{
		{Execution: "b", Approve: true, By: "ben"}, {Execution: "a", Approve: true, By: "eve"}, {Execution: "a", Approval: "id-t2", Approve: true, By: "ben"},
		{Execution: "a", Approve: true, By: "ben", SHA: "sha-another"}, {Execution: "a", Approve: true, By: "ben", SHA: "sha-a"},
	} {
		if _, err := f.decide(d); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	f.diff("nothing is told", 0, len(f.untold(f.now)))

	f.now = f.now.Add(time.Second)
	got, err := f.decide(dispatch.Decision{Execution: "a", Approve: true, By: "ben", Reason: "fine"})
	f.must(err)
	want.State, want.DecidedAt, want.DecidedBy, want.Way, want.Reason = dispatch.ApprovalApproved, f.now, "ben", dispatch.ByAPI, "fine"
	f.diff("decided", want, got)
	f.diff("kept", want, f.approval("id-t1"))
	f.diff("it goes on", "", f.execution("a").WaitsFor)
	f.diff("the status then", "Running", f.shown())

	// The same person says the same again, after a report that was lost.
	f.now = f.now.Add(time.Second)
	got, err = f.decide(dispatch.Decision{Execution: "a", Approve: true, By: "Ben"})
	f.must(err)
	f.diff("decided once", want, got)
	for _, d := range []dispatch.Decision{{Execution: "a", By: "ben"}, {Execution: "a", Approve: true, By: "ada"}} {
		if _, err := f.decide(d); !errors.As(err, &refused) {
			t.Errorf("%+v after it was decided: %v", d, err)
		}
	}
}

func decisionsAreTold(t *testing.T, f *fixture) {
	f.push(f.request("a"), f.request("b"), f.request("c"))
	for _, id := range []string{"a", "b", "c"} {
		f.start(id)
		f.ask(id, "t"+id)
		_, err := f.decide(dispatch.Decision{Execution: id, Approve: id != "b", By: "ben"})
		f.must(err)
	}
	all := f.untold(f.now)
	if len(all) != 3 || all[0].Token != "ta" || all[0].ARN != "arn:a" || all[0].Begun || all[1].State != dispatch.ApprovalRejected || all[0].DecidedBy != "ben" {
		t.Fatalf("%+v", all)
	}
	f.must(f.j.Telling(t.Context(), all[0].Seq, f.now))
	f.must(f.j.TellFailed(t.Context(), all[0].Seq, f.now.Add(time.Minute), "502"))
	f.must(f.j.Told(t.Context(), all[1].Seq, f.now, false))
	f.must(f.j.Told(t.Context(), all[2].Seq, f.now, true))
	f.must(f.j.Told(t.Context(), all[2].Seq, f.now, false)) // too late for that
	f.must(f.j.TellFailed(t.Context(), all[1].Seq, f.now, "gone"))
	rest, next, err := f.j.Untold(t.Context(), f.now, 10)
	f.must(err)
	if len(rest) != 0 || !next.Equal(f.now.Add(time.Minute)) {
		t.Errorf("%+v, next %v", rest, next)
	}
	if rest = f.untold(next); len(rest) != 1 || !rest[0].Begun || rest[0].Tries != 1 || rest[0].LastError != "502" {
		t.Errorf("%+v", rest)
	}
	if a := f.approval("id-tb"); a.State != dispatch.ApprovalRejected || !a.ToldAt.Equal(f.now) || a.LastError != "" {
		t.Errorf("told: %+v", a)
	}
	if a := f.approval("id-tc"); a.State != dispatch.ApprovalExpired || !a.ToldAt.IsZero() || a.DecidedBy != "ben" {
		t.Errorf("told too late: %+v", a)
	}
	var refused *dispatch.RefusedError
	if _, err := f.decide(dispatch.Decision{Execution: "c", Approve: true, By: "ben"}); !errors.As(err, &refused) {
		t.Errorf("again: %v", err)
	}
}

func approvalsExpire(t *testing.T, f *fixture) {
	f.push(f.request("a", reporting), f.request("b"), f.request("c"))
	for _, id := range []string{"a", "b", "c"} {
		f.start(id)
	}
	f.ask("a", "t1")
	f.ask("b", "t2", func(a *dispatch.NewApproval) { a.ExpiresAt = f.now.Add(2 * time.Hour) })
	f.ask("c", "t3", func(a *dispatch.NewApproval) { a.ExpiresAt = time.Time{} })
	expire := func() (time.Time, int) {
		changes, next, err := f.j.Expire(t.Context(), f.now, time.Minute)
		f.must(err)
		return next, len(changes)
	}
	asked := f.now
	if next, n := expire(); n != 0 || !next.Equal(asked.Add(time.Hour)) {
		t.Errorf("%d, next %v", n, next)
	}
	f.now = asked.Add(time.Hour)
	var refused *dispatch.RefusedError
	if _, err := f.decide(dispatch.Decision{Execution: "a", Approve: true, By: "ben"}); !errors.As(err, &refused) {
		t.Errorf("at its end: %v", err)
	}
	if next, n := expire(); n != 1 || !next.Equal(asked.Add(2*time.Hour)) {
		t.Errorf("%d, next %v", n, next)
	}
	f.diff("expired", dispatch.ApprovalExpired, f.approval("id-t1").State)
	f.diff("the status then", "Running", f.shown())
	f.diff("the engine ends it itself", 0, len(f.untold(f.now)))
	if all := f.untold(f.now.Add(time.Minute)); len(all) != 1 || all[0].ID != "id-t1" {
		t.Errorf("%+v", all)
	}

	// An end takes along what waits, and only that.
	f.finish("b", dispatch.StateAborted)
	f.diff("withdrawn", dispatch.ApprovalWithdrawn, f.approval("id-t2").State)
	if _, err := f.j.Ask(t.Context(), dispatch.NewApproval{Token: "t4", Approval: dispatch.Approval{ID: "id-t4", Execution: "b", AskedAt: f.now}}); !errors.Is(err, dispatch.ErrFinished) {
		t.Errorf("asked after the end: %v", err)
	}
	waiting, err := f.j.Approvals(t.Context(), dispatch.ApprovalFilter{Waiting: true})
	f.must(err)
	if len(waiting) != 1 || waiting[0].Execution != "c" {
		t.Errorf("%+v", waiting)
	}
	if next, _ := expire(); !next.IsZero() {
		t.Errorf("next %v", next)
	}
}

// An execution may ask before it is written down that it has started.
func asksBeforeTheStartIsKnown(_ *testing.T, f *fixture) {
	f.push(f.request("a", reporting))
	f.ask("a", "t1")
	f.diff("the status", "Queued", f.shown())
	f.record(dispatch.Records{Started: []dispatch.StartRecord{{Seq: f.execution("a").Seq, ARN: "arn:a", StartedAt: f.now,
		Status: &dispatch.StatusChange{State: dispatch.StatusPending, Description: "Running"}}}})
	f.diff("the status then", "Waits for approval: Deploy, id-t1", f.shown())
}

func whatIsLive(t *testing.T, f *fixture) {
	prod := func(id string) dispatch.NewRequest { return f.request(id, inEnvironment("prod")) }
	down := prod("down")
	down.Teardown = true
	f.push(prod("a"), prod("b"), prod("c"), prod("d"), down, f.request("e", inEnvironment("test")), f.request("n"))
	for _, env := range []string{"prod", "test"} {
		_, err := f.j.Admit(t.Context(), env, 0, f.now)
		f.must(err)
	}
	live := func() string {
		sha, err := f.j.Live(t.Context(), "d")
		f.must(err)
		return sha
	}
	f.diff("nothing yet", "", live())
	for _, end := range []struct {
		id    string
		state dispatch.State
		live  string
	}{
		{"b", dispatch.StateSucceeded, "sha-b"}, {"a", dispatch.StateSucceeded, "sha-a"}, {"c", dispatch.StateFailed, "sha-a"},
		{"e", dispatch.StateSucceeded, "sha-a"}, {"down", dispatch.StateSucceeded, "sha-a"}, {"n", dispatch.StateSucceeded, "sha-a"},
	} {
		f.now = f.now.Add(time.Second)
		f.start(end.id)
		f.finish(end.id, end.state)
		f.diff("live after "+end.id, end.live, live())
	}
}

func commandsDecide(t *testing.T, f *fixture) {
	f.push(f.request("a"), f.request("b"))
	f.start("a")
	f.ask("a", "t1")
	decide := func(id string) dispatch.Act {
		return dispatch.Act{Execution: id, Route: "branches", Commit: "sha-" + id, Reason: "approved by ben",
			Decision: &dispatch.Decision{Execution: id, Approve: true, By: "ben", Way: dispatch.ByComment, At: f.now}}
	}
	seq := f.deliver("command")
	answer := comment("7")
	answer.Text = ""
	for range 2 { // again, because the first report was lost
		f.command(seq, answer, decide("a"), decide("b"))
		texts, _, _ := f.answers(f.now)
		f.diff("the answer", []string{"7: - `a`: approved by ben\n- `b`: execution b does not wait for approval"}, texts)
		if a := f.approval("id-t1"); a.State != dispatch.ApprovalApproved || a.Way != dispatch.ByComment {
			t.Errorf("%+v", a)
		}
	}
}
