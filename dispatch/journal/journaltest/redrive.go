package journaltest

import (
	"errors"
	"testing"
	"time"

	"switchyard/dispatch"
)

// failed makes a request that failed a second ago, with its whole end.
func (f *fixture) failed(id string, opts ...option) {
	f.t.Helper()
	f.push(f.request(id, append(opts, reporting)...))
	f.admitAll()
	f.start(id)
	f.end(id, dispatch.StateFailed)
	f.now = f.now.Add(time.Second)
}

func (f *fixture) admitAll() {
	f.t.Helper()
	_, err := f.j.Admit(f.t.Context(), "prod", 0, f.now)
	f.must(err)
}

func (f *fixture) end(id string, s dispatch.State) []dispatch.Change {
	f.t.Helper()
	return f.record(dispatch.Records{Ended: []dispatch.EndRecord{f.endOf(id, s)}})
}

func (f *fixture) endOf(id string, s dispatch.State) dispatch.EndRecord {
	return dispatch.EndRecord{Seq: f.execution(id).Seq, ID: id, ARN: "arn:" + id, State: s, StartedAt: f.now, StoppedAt: f.now, Error: "E", Cause: "because",
		Status: dispatch.StatusChange{State: dispatch.StatusFailure, Description: "Failed"}}
}

func (f *fixture) redrive(id string, from, to dispatch.State) []string {
	f.t.Helper()
	changes, err := f.j.Redrive(f.t.Context(), id, dispatch.Resume{From: from, State: to, At: f.now,
		Status: dispatch.StatusChange{State: dispatch.StatusPending, Description: "again"}})
	f.must(err)
	return changed(changes)
}

func (f *fixture) statuses() (all []string) {
	f.t.Helper()
	statuses, err := f.j.NextStatuses(f.t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10})
	f.must(err)
	for _, s := range statuses {
		all = append(all, string(s.State)+" "+s.Description)
	}
	return all
}

func redriveFailed(t *testing.T, f *fixture) {
	for _, state := range []dispatch.State{dispatch.StateFailed, dispatch.StateTimedOut, dispatch.StateAborted} {
		id := string(state)
		f.push(f.request(id))
		f.start(id)
		_, err := f.j.RequestStop(t.Context(), id, dispatch.StopRequest{Reason: "enough", At: f.now})
		f.must(err)
		f.end(id, state)
		f.diff("changes", []string{id + " waiting"}, f.redrive(id, state, dispatch.StateWaiting))
		x := f.execution(id)
		if x.RedriveOf != state || x.Redrives != 1 || x.ARN != "arn:"+id || x.Error != "E" || x.StoppedAt.IsZero() || x.StopReason != "" {
			t.Errorf("%+v", x)
		}
		_, err = f.j.Redrive(t.Context(), id, dispatch.Resume{From: state, State: dispatch.StateReady, At: f.now})
		if !errors.Is(err, dispatch.ErrNotRedrivable) {
			t.Errorf("one that waits to be redriven: %v", err)
		}
	}
	f.failed("x", inEnvironment("prod"))
	f.redrive("x", dispatch.StateFailed, dispatch.StateWaiting)
	f.diff("statuses", []string{"pending again"}, f.statuses())
	_, _, err := f.j.Rerun(t.Context(), "x", "rerun", dispatch.Resume{State: dispatch.StateReady})
	if !errors.Is(err, dispatch.ErrUnfinished) {
		t.Errorf("rerun of one that waits to be redriven: %v", err)
	}
	changes, err := f.j.Admit(t.Context(), "prod", 1, f.now)
	f.must(err)
	f.diff("it takes its turn", []string{"x ready"}, changed(changes))
	f.diff("start", []string{"x running"}, changed(f.start("x")))
	x := f.execution("x")
	if x.RedriveOf != "" || x.Error != "" || x.Cause != "" || !x.StoppedAt.IsZero() || x.Redrives != 1 {
		t.Errorf("%+v", x)
	}
	f.now = f.now.Add(time.Second)
	f.diff("end", []string{"x succeeded"}, changed(f.finish("x", dispatch.StateSucceeded)))

	// Nothing goes on that succeeded, or never ran.
	f.push(f.request("unstarted", inEnvironment("prod")))
	_, err = f.j.RequestStop(t.Context(), "unstarted", dispatch.StopRequest{Reason: "enough", At: f.now})
	f.must(err)
	for id, from := range map[string]dispatch.State{"x": dispatch.StateSucceeded, "unstarted": dispatch.StateAborted} {
		_, err := f.j.Redrive(t.Context(), id, dispatch.Resume{From: from, State: dispatch.StateReady, At: f.now})
		if !errors.Is(err, dispatch.ErrNotRedrivable) {
			t.Errorf("%s: %v", id, err)
		}
		f.diff(id+" stays", from, f.execution(id).State)
	}
}

// What is said of the end from which a request is redriven may come late, and
// again, with its Seq from an answer to a question or as a hint.
func earlierEnds(t *testing.T, f *fixture) {
	f.push(f.request("x"))
	f.start("x")
	old := f.endOf("x", dispatch.StateFailed)
	hint := old
	hint.Seq = 0
	f.record(dispatch.Records{Ended: []dispatch.EndRecord{old}})
	for range 2 {
		f.now = f.now.Add(time.Second)
		f.redrive("x", dispatch.StateFailed, dispatch.StateReady)
		f.diff("while it is to be redriven", []string{}, changed(f.record(dispatch.Records{Ended: []dispatch.EndRecord{old, hint}})))
		f.start("x")
		f.diff("once it runs again", []string{}, changed(f.record(dispatch.Records{Ended: []dispatch.EndRecord{old, hint}})))
		f.diff("state", dispatch.StateRunning, f.execution("x").State)
		f.now = f.now.Add(time.Second)
		newer := f.endOf("x", dispatch.StateFailed)
		newer.Seq = 0
		f.diff("the next end", []string{"x failed"}, changed(f.record(dispatch.Records{Ended: []dispatch.EndRecord{newer}})))
		f.diff("the one before, after it", []string{}, changed(f.record(dispatch.Records{Ended: []dispatch.EndRecord{old, hint}})))
	}
	f.diff("redrives", 2, f.execution("x").Redrives)
	// Another hand may have redriven it meanwhile, and it has ended again.
	f.now = f.now.Add(time.Second)
	f.redrive("x", dispatch.StateFailed, dispatch.StateReady)
	f.now = f.now.Add(time.Second)
	f.diff("a later end", []string{"x succeeded"}, changed(f.end("x", dispatch.StateSucceeded)))
	f.diff("it no longer waits", dispatch.State(""), f.execution("x").RedriveOf)
}

func withdrawals(t *testing.T, f *fixture) {
	restored := func(id, reason string) {
		t.Helper()
		x := f.execution(id)
		if x.State != dispatch.StateFailed || x.RedriveOf != "" || x.LastError != reason || x.Error != "E" || x.Cause != "because" || x.StoppedAt.IsZero() || x.StopReason != "" {
			t.Errorf("%s: %+v", id, x)
		}
	}
	f.failed("refused")
	f.redrive("refused", dispatch.StateFailed, dispatch.StateReady)
	w := dispatch.WithdrawalRecord{Seq: f.execution("refused").Seq, Reason: "too old", Status: dispatch.StatusChange{State: dispatch.StatusFailure, Description: "as before"}}
	changes := f.record(dispatch.Records{Withdrawn: []dispatch.WithdrawalRecord{w}})
	f.diff("changes", []dispatch.Change{{ID: "refused", State: dispatch.StateFailed, Withdrawn: true}}, changes)
	restored("refused", "too old")
	f.diff("status", []string{"failure as before"}, f.statuses())
	f.diff("once", []string{}, changed(f.record(dispatch.Records{Withdrawn: []dispatch.WithdrawalRecord{w}})))
	f.redrive("refused", dispatch.StateFailed, dispatch.StateReady)
	f.start("refused")
	f.diff("not while it runs", []string{}, changed(f.record(dispatch.Records{Withdrawn: []dispatch.WithdrawalRecord{w}})))

	prod := inEnvironment("prod")
	f.failed("stopped", prod)
	f.redrive("stopped", dispatch.StateFailed, dispatch.StateWaiting)
	changes, err := f.j.RequestStop(t.Context(), "stopped", dispatch.StopRequest{Reason: "stopped by ada", At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusError}})
	f.must(err)
	f.diff("stop", []string{"stopped failed"}, changed(changes))
	restored("stopped", "not redriven: stopped by ada")

	f.failed("old", prod, superseding)
	f.redrive("old", dispatch.StateFailed, dispatch.StateWaiting)
	_, changes = f.push(f.request("new", superseding))
	f.diff("supersede", []string{"new ready", "old failed"}, changed(changes))
	reason, _ := dispatch.Superseding("new")
	restored("old", "not redriven: "+reason)

	// What waits to be redriven is kept, however long ago it ended.
	f.redrive("old", dispatch.StateFailed, dispatch.StateWaiting)
	for {
		n, err := f.j.Prune(t.Context(), f.now.Add(1000*time.Hour))
		f.must(err)
		if n == 0 {
			break
		}
	}
	f.diff("kept", dispatch.StateWaiting, f.execution("old").State)
}
