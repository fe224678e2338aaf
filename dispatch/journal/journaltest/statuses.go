package journaltest

import (
	"testing"
	"time"

	"switchyard/dispatch"
)

func statusesCoalesce(t *testing.T, f *fixture) {
	f.push(f.request("x", reporting))
	next := func(at time.Time) []dispatch.Status {
		s, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: at, Limit: 10})
		f.must(err)
		return s
	}
	pending := next(f.now)
	if len(pending) != 1 {
		t.Fatalf("statuses %+v", pending)
	}
	f.diff("pending", dispatch.Status{
		Source: "github", Repository: "acme/api", SHA: "sha-x", Context: "switchyard/branches", State: dispatch.StatusPending, Description: "Queued",
		Execution: "x", Ref: "refs/heads/main", Version: pending[0].Version, WantedAt: f.now,
	}, pending[0])
	// The end comes while the pending one is being posted.
	f.finish("x", dispatch.StateSucceeded)
	f.must(f.j.StatusPosted(t.Context(), pending[0]))
	final := next(f.now)
	if len(final) != 1 || final[0].State != dispatch.StatusSuccess || final[0].Version <= pending[0].Version {
		t.Fatalf("statuses %+v, want the final one", final)
	}
	f.must(f.j.StatusFailed(t.Context(), pending[0], time.Time{}, "too late to count"))
	f.must(f.j.StatusFailed(t.Context(), final[0], f.now.Add(time.Minute), "rate limited"))
	f.diff("backoff", 0, len(next(f.now)))
	retry := next(f.now.Add(time.Minute))
	if len(retry) != 1 || retry[0].Tries != 1 || retry[0].Version != final[0].Version {
		t.Fatalf("statuses %+v, want the final one again", retry)
	}
	// The clock was ahead when it failed, and has been set back since.
	f.must(f.j.StatusFailed(t.Context(), retry[0], f.now.AddDate(3, 0, 0), "rate limited"))
	for horizon, want := range map[time.Duration]int{0: 0, 4 * 365 * 24 * time.Hour: 0, time.Hour: 1} {
		q := dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10}
		if horizon > 0 {
			q.Horizon = f.now.Add(horizon)
		}
		due, err := f.j.NextStatuses(t.Context(), q)
		f.must(err)
		f.diff("put off by years, horizon "+horizon.String(), want, len(due))
	}
	f.must(f.j.StatusPosted(t.Context(), retry[0]))
	f.diff("posted", 0, len(next(f.now.Add(time.Hour))))
	// A rerun reports for the same commit and context; giving up removes it.
	_, _, err := f.j.Rerun(t.Context(), "x", "again", dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending}})
	f.must(err)
	again := next(f.now)
	if len(again) != 1 || again[0].Execution != "x-r2" || again[0].Version <= final[0].Version {
		t.Fatalf("statuses %+v, want that of the rerun", again)
	}
	f.must(f.j.StatusFailed(t.Context(), again[0], time.Time{}, "no such repository"))
	f.diff("given up", 0, len(next(f.now.Add(time.Hour))))
}

func statusesNewestFirst(t *testing.T, f *fixture) {
	f.push(f.request("a", reporting), f.request("b", reporting))
	f.push(f.request("c", reporting), f.request("elsewhere", reporting, func(r *dispatch.NewRequest) { r.Source = "gitea" }))
	next := func(limit int, except ...string) []string {
		statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Except: except, Limit: limit})
		f.must(err)
		var ids []string
		for _, s := range statuses {
			ids = append(ids, s.Execution)
		}
		return ids
	}
	f.diff("all pending", []string{"c", "b"}, next(2))
	depth, err := f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("depth", int64(4), depth.Statuses)
	f.finish("a", dispatch.StateSucceeded)
	f.diff("a final one", []string{"a", "c", "b"}, next(3))
	f.finish("b", dispatch.StateFailed)
	f.diff("two final ones", []string{"b", "a", "c"}, next(3))
	// What waits for other repositories does not stand in the way.
	f.push(f.request("d", reporting, func(r *dispatch.NewRequest) { r.Repository = "acme/web" }))
	f.diff("without a repository", []string{"d"}, next(1, "acme/api"))
	f.diff("without both", []string(nil), next(9, "acme/api", "acme/web"))
}

// statusesOfProgress checks what is wanted before the end.
func statusesOfProgress(t *testing.T, f *fixture) {
	f.push(f.request("x", reporting), f.request("silent"))
	next := func(after time.Duration) []string {
		statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now.Add(after), Limit: 10})
		f.must(err)
		var texts []string
		for _, s := range statuses {
			texts = append(texts, s.Execution+": "+s.Description)
		}
		return texts
	}
	failed := func(text *dispatch.StatusChange) {
		t.Helper()
		var records dispatch.Records
		for _, id := range []string{"x", "silent"} {
			records.Failed = append(records.Failed, dispatch.FailureRecord{Seq: f.execution(id).Seq, Error: "away", DueAt: f.now, Status: text})
		}
		records.At = f.now
		f.record(records)
	}
	failed(&dispatch.StatusChange{State: dispatch.StatusPending, Description: "away"})
	f.diff("a start that failed", []string{"x: away"}, next(0))
	failed(nil)
	f.diff("and again", []string{"x: away"}, next(0))
	running := &dispatch.StatusChange{State: dispatch.StatusPending, Description: "Running", After: 5 * time.Second}
	started := dispatch.Records{At: f.now}
	for _, id := range []string{"x", "silent"} {
		started.Started = append(started.Started, dispatch.StartRecord{Seq: f.execution(id).Seq, ARN: "arn:" + id, StartedAt: f.now, Status: running})
	}
	f.record(started)
	f.diff("running, too short to tell", []string(nil), next(5*time.Second-time.Millisecond))
	f.diff("running", []string{"x: Running"}, next(5*time.Second))
	// Once it runs, neither a stop call that fails nor a record of its start
	// that is repeated says anything about its start.
	failed(&dispatch.StatusChange{State: dispatch.StatusPending, Description: "late"})
	started.Started[0].Status = &dispatch.StatusChange{State: dispatch.StatusPending, Description: "repeated"}
	f.record(started)
	f.diff("still running", []string{"x: Running"}, next(time.Hour))
	f.finish("x", dispatch.StateSucceeded)
	f.diff("ended", []string{"x: succeeded"}, next(0))
}

// statusesAreToldAgain asks for what exists, as the event of a pull request does
// that was opened after its head was built.
func statusesAreToldAgain(t *testing.T, f *fixture) {
	next := func() []string {
		statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now.Add(time.Minute), Limit: 10})
		f.must(err)
		var said []string
		for _, s := range statuses {
			said = append(said, s.Execution+" "+string(s.State))
			f.must(f.j.StatusPosted(t.Context(), s))
		}
		return said
	}
	retold := func(id string, opts ...option) dispatch.NewRequest {
		r := f.request(id, opts...)
		r.Retell = true
		return r
	}
	f.push(f.request("ended", reporting), f.request("queued", reporting), f.request("silent"))
	f.finish("ended", dispatch.StateFailed)
	f.finish("silent", dispatch.StateFailed)
	next()
	f.push(f.request("ended", reporting), f.request("queued", reporting))
	f.diff("not asked for again", []string(nil), next())
	f.push(retold("ended", reporting), retold("queued", reporting), retold("silent", reporting), retold("new", reporting))
	f.diff("asked for again", []string{"ended failure", "new pending", "queued pending"}, next())
	again, _, err := f.j.Rerun(t.Context(), "ended", "again", dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending}})
	f.must(err)
	f.finish(again, dispatch.StateSucceeded)
	next()
	f.push(retold("ended", reporting))
	f.diff("the newest attempt counts", []string{"ended-r2 success"}, next())
}

func statusesOnlyWhereWanted(t *testing.T, f *fixture) {
	f.push(f.request("x"))
	f.finish("x", dispatch.StateFailed)
	_, _, err := f.j.Rerun(t.Context(), "x", "again", dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending}})
	f.must(err)
	statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10})
	f.must(err)
	f.diff("statuses", 0, len(statuses))
}

// statusesByEnvironment sends one commit to several environments on one route:
// each has a status of its own, and so have their reruns.
func statusesByEnvironment(t *testing.T, f *fixture) {
	to := func(id, environment string) dispatch.NewRequest {
		r := f.request(id, reporting)
		r.Environment, r.Commit.SHA = environment, "one"
		return r
	}
	f.push(to("first", "dev-a"))
	f.push(to("second", "dev-b"), f.request("elsewhere", reporting))
	f.push(to("third", "dev-c"))
	for id, state := range map[string]dispatch.State{"first": dispatch.StateSucceeded, "second": dispatch.StateFailed, "third": dispatch.StateSucceeded} {
		f.finish(id, state)
	}
	again, _, err := f.j.Rerun(t.Context(), "third", "again", dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending}})
	f.must(err)
	f.finish(again, dispatch.StateFailed)
	statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10})
	f.must(err)
	got := map[string]string{}
	for _, s := range statuses {
		if s.SHA == "one" {
			got[s.Context] = s.Execution
		} else {
			f.diff("context elsewhere", "switchyard/branches", s.Context)
		}
	}
	f.diff("executions by context", map[string]string{
		"switchyard/branches": "first", "switchyard/branches (dev-b)": "second", "switchyard/branches (dev-c)": again,
	}, got)
}
