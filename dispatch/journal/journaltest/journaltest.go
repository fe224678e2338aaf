// Package journaltest says what a [dispatch.Journal] must do. Every
// implementation runs the same suite.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Run runs the suite. open returns an empty journal, which it closes itself
// when the test ends.
func Run(t *testing.T, open func(t *testing.T) dispatch.Journal) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"AppendRecognisesDeliveries", appendRecognises},
		{"AppendIsSafeForConcurrentUse", appendConcurrently},
		{"PendingKeepsOrder", pendingKeepsOrder},
		{"ExpandRefusesToSkip", expandRefusesToSkip},
		{"ExpandTwiceChangesNothing", expandTwice},
		{"FirstRequestWins", firstRequestWins},
		{"ReopenExpandsAgain", reopen},
		{"DueIsFirstInFirstOut", dueOrder},
		{"RequestsReachTheirEnd", lifecycle},
		{"RecordsOutOfPlaceChangeNothing", outOfPlace},
		{"HintsMustMatch", hintsMustMatch},
		{"AdmitIsFirstInFirstOutPerEnvironment", admit},
		{"NewerSupersedesOlder", supersede},
		{"StopByState", stop},
		{"RedriveOnlyTheDead", redrive},
		{"RerunCountsAttempts", rerun},
		{"StatusesCoalesce", statusesCoalesce},
		{"StatusesNewestFirst", statusesNewestFirst},
		{"StatusesOnlyWhereWanted", statusesOnlyWhereWanted},
		{"ListsFilterAndPage", lists},
		{"PruneKeepsUnfinishedWork", prune},
		{"NumbersAreNotUsedTwice", numbers},
		{"ContextBoundsTheWait", contextBounds},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, &fixture{t: t, j: open(t), now: epoch}) })
	}
}

var epoch = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

// fixture makes journals with a few words.
type fixture struct {
	t     *testing.T
	j     dispatch.Journal
	now   time.Time
	count int
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) diff(what string, want, got any) {
	f.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func delivery(id string, at time.Time) dispatch.NewDelivery {
	return dispatch.NewDelivery{
		Source: "github", DeliveryID: id, Kind: event.Push, Repository: "acme/api", Ref: "refs/heads/main", Commits: 1,
		ReceivedAt: at, Event: []byte(`{"source":"github","delivery_id":"` + id + `","kind":"push","repository":{"full_name":"acme/api"},"ref":"refs/heads/main"}`),
		Traceparent: "00-" + id,
	}
}

// deliver appends a delivery, a second after the one before.
func (f *fixture) deliver(id string) int64 {
	f.t.Helper()
	f.now = f.now.Add(time.Second)
	at, err := f.j.Append(f.t.Context(), delivery(id, f.now))
	f.must(err)
	return at.Seq
}

type option func(*dispatch.NewRequest)

func inEnvironment(env string) option {
	return func(r *dispatch.NewRequest) { r.Environment, r.State = env, dispatch.StateWaiting }
}
func inState(s dispatch.State) option { return func(r *dispatch.NewRequest) { r.State = s } }
func onRoute(route string) option     { return func(r *dispatch.NewRequest) { r.Route = route } }
func onRef(ref string) option         { return func(r *dispatch.NewRequest) { r.Ref = ref } }
func superseding(r *dispatch.NewRequest) {
	r.CancelSuperseded = true
}
func reporting(r *dispatch.NewRequest) {
	r.Status = &dispatch.StatusChange{State: dispatch.StatusPending, Description: "Queued"}
}

// request is one that is ready, unless options say otherwise. Its commit is
// named after its ID.
func (f *fixture) request(id string, opts ...option) dispatch.NewRequest {
	r := dispatch.NewRequest{
		Request: event.Request{
			ID: id, Route: "branches", StateMachine: "deploy", Source: "github", Repository: "acme/api", Ref: "refs/heads/main",
			Kind: event.Push, Commit: event.Commit{SHA: "sha-" + id, Message: "Title of " + id + "\n\nBody", Author: "ada"},
			Input: []byte(`{"id":"` + id + `"}`), Reason: "push to main",
		},
		State: dispatch.StateReady, DueAt: f.now,
	}
	for _, o := range opts {
		o(&r)
	}
	return r
}

// push delivers and expands requests at once.
func (f *fixture) push(requests ...dispatch.NewRequest) (deliveryID string, changes []dispatch.Change) {
	f.t.Helper()
	f.count++
	deliveryID = fmt.Sprintf("delivery-%d", f.count)
	seq := f.deliver(deliveryID)
	return "github:" + deliveryID, f.expand(seq, requests...)
}

func (f *fixture) expand(seq int64, requests ...dispatch.NewRequest) []dispatch.Change {
	f.t.Helper()
	changes, err := f.j.Expand(f.t.Context(), []dispatch.Expansion{{Delivery: seq, Requests: requests, At: f.now}})
	f.must(err)
	return changes
}

func (f *fixture) execution(id string) dispatch.Execution {
	f.t.Helper()
	x, err := f.j.Execution(f.t.Context(), id)
	f.must(err)
	return x
}

func (f *fixture) states(ids ...string) []dispatch.State {
	f.t.Helper()
	var all []dispatch.State
	for _, id := range ids {
		all = append(all, f.execution(id).State)
	}
	return all
}

func (f *fixture) record(r dispatch.Records) []dispatch.Change {
	f.t.Helper()
	r.At = f.now
	changes, err := f.j.Record(f.t.Context(), r)
	f.must(err)
	return changes
}

func (f *fixture) start(id string) []dispatch.Change {
	f.t.Helper()
	return f.record(dispatch.Records{Started: []dispatch.StartRecord{{Seq: f.execution(id).Seq, ARN: "arn:" + id, StartedAt: f.now}}})
}

func (f *fixture) finish(id string, s dispatch.State) []dispatch.Change {
	f.t.Helper()
	return f.record(dispatch.Records{Ended: []dispatch.EndRecord{{Seq: f.execution(id).Seq, ARN: "arn:" + id, State: s, StoppedAt: f.now,
		Status: dispatch.StatusChange{State: dispatch.StatusSuccess, Description: string(s)}}}})
}

func (f *fixture) due() []string {
	f.t.Helper()
	due, _, err := f.j.Due(f.t.Context(), f.now, 100)
	f.must(err)
	return idsOf(due)
}

func idsOf(xs []dispatch.Execution) []string {
	ids := []string{}
	for i := range xs {
		ids = append(ids, xs[i].ID)
	}
	return ids
}

func changed(changes []dispatch.Change) []string {
	all := []string{}
	for _, c := range changes {
		all = append(all, c.ID+" "+string(c.State))
	}
	return all
}

func appendRecognises(t *testing.T, f *fixture) {
	first := f.deliver("a")
	second := f.deliver("b")
	if second <= first {
		t.Errorf("seq %d does not come after %d", second, first)
	}
	at, err := f.j.Append(t.Context(), delivery("a", f.now))
	f.must(err)
	f.diff("repeated delivery", dispatch.Appended{Seq: first, Existed: true}, at)
	other := delivery("a", f.now)
	other.Source = "gitlab"
	at, err = f.j.Append(t.Context(), other)
	f.must(err)
	if at.Existed {
		t.Error("the same delivery ID of another source was taken for a repeat")
	}
	d, err := f.j.Delivery(t.Context(), "github:a")
	f.must(err)
	f.diff("delivery", dispatch.Delivery{
		Seq: first, ID: "github:a", Source: "github", DeliveryID: "a", Kind: event.Push, Repository: "acme/api", Ref: "refs/heads/main",
		Commits: 1, ReceivedAt: epoch.Add(time.Second), State: dispatch.DeliveryPending, Traceparent: "00-a",
	}, d.Delivery)
	f.diff("event", "acme/api", d.Event.Repository.FullName)
	if _, err := f.j.Delivery(t.Context(), "github:none"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("unknown delivery: %v", err)
	}
}

func appendConcurrently(t *testing.T, f *fixture) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	seqs := map[int64]string{}
	repeats := 0
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				// Two writers bring the same delivery each time.
				id := fmt.Sprintf("%d-%d", w/2, i)
				at, err := f.j.Append(context.Background(), delivery(id, f.now))
				mu.Lock()
				if err != nil {
					t.Error(err)
				} else if other, ok := seqs[at.Seq]; ok && other != id {
					t.Errorf("%s and %s share seq %d", id, other, at.Seq)
				} else if seqs[at.Seq] = id; at.Existed {
					repeats++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seqs) != writers/2*each || repeats != writers/2*each {
		t.Errorf("%d deliveries and %d repeats, want %d of each", len(seqs), repeats, writers/2*each)
	}
}

func pendingKeepsOrder(t *testing.T, f *fixture) {
	var seqs []int64
	for i := range 5 {
		seqs = append(seqs, f.deliver(fmt.Sprint(i)))
	}
	read := func(limit int) (got []int64) {
		pending, err := f.j.Pending(t.Context(), limit)
		f.must(err)
		for _, p := range pending {
			got = append(got, p.Seq)
		}
		return got
	}
	f.diff("all", seqs, read(10))
	f.diff("limited", seqs[:2], read(2))
	f.expand(seqs[0])
	f.expand(seqs[1])
	f.diff("after two", seqs[2:], read(10))
	pending, err := f.j.Pending(t.Context(), 1)
	f.must(err)
	f.diff("pending", dispatch.PendingDelivery{Seq: seqs[2], ID: "github:2", ReceivedAt: epoch.Add(3 * time.Second), Event: delivery("2", f.now).Event}, pending[0])
}

func expandRefusesToSkip(t *testing.T, f *fixture) {
	f.deliver("a")
	b := f.deliver("b")
	if _, err := f.j.Expand(t.Context(), []dispatch.Expansion{{Delivery: b, Requests: []dispatch.NewRequest{f.request("x")}, At: f.now}}); err == nil {
		t.Error("expanding the second delivery before the first would lose the first, yet it was allowed")
	}
	if _, err := f.j.Execution(t.Context(), "x"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("a refused expansion left its request behind: %v", err)
	}
}

func expandTwice(t *testing.T, f *fixture) {
	seq := f.deliver("a")
	f.diff("first", []string{"x ready"}, changed(f.expand(seq, f.request("x"))))
	f.diff("second", []string{}, changed(f.expand(seq, f.request("x"), f.request("y"))))
	if _, err := f.j.Execution(t.Context(), "y"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("a repeated expansion added a request: %v", err)
	}
	d, err := f.j.Delivery(t.Context(), "github:a")
	f.must(err)
	if d.State != dispatch.DeliveryExpanded || d.Requested != 1 || d.Ignored != 0 {
		t.Errorf("delivery %+v", d.Delivery)
	}
}

func firstRequestWins(t *testing.T, f *fixture) {
	first, _ := f.push(f.request("x"), f.request("y"))
	changed := f.request("x")
	changed.Input = []byte(`{"other":true}`)
	second, changes := f.push(changed, f.request("z"))
	f.diff("changes", []dispatch.Change{{ID: "z", State: dispatch.StateReady}}, changes)
	x := f.execution("x")
	f.diff("input", `{"id":"x"}`, string(x.Input))
	f.diff("delivery", first, x.Delivery)
	d, err := f.j.Delivery(t.Context(), second)
	f.must(err)
	f.diff("executions", []string{"z"}, idsOf(d.Executions))
	f.diff("reasons", []dispatch.Ignored{dispatch.AlreadyRequested("branches", "sha-x", "x", first)}, d.Reasons)
}

func reopen(t *testing.T, f *fixture) {
	id, _ := f.push(f.request("x"))
	f.must(f.j.Reopen(t.Context(), id))
	f.must(f.j.Reopen(t.Context(), id))
	pending, err := f.j.Pending(t.Context(), 10)
	f.must(err)
	if len(pending) != 1 || pending[0].ID != id || !pending[0].Reopened {
		t.Fatalf("pending %+v, want only %s", pending, id)
	}
	d, err := f.j.Delivery(t.Context(), id)
	f.must(err)
	f.diff("state", dispatch.DeliveryPending, d.State)
	f.diff("changes", []string{"y ready"}, changed(f.expand(pending[0].Seq, f.request("x"), f.request("y"))))
	d, err = f.j.Delivery(t.Context(), id)
	f.must(err)
	f.diff("executions", []string{"x", "y"}, idsOf(d.Executions))
	f.diff("own requests are no reason", 0, len(d.Reasons))
	f.diff("state", dispatch.DeliveryExpanded, d.State)
	if err := f.j.Reopen(t.Context(), "github:none"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("unknown delivery: %v", err)
	}
}

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
	statuses, err := f.j.NextStatuses(t.Context(), "github", f.now, 10)
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
	again := dispatch.Resume{State: dispatch.StateReady, At: f.now.Add(time.Minute)}
	changes, err := f.j.Redrive(t.Context(), "x", again)
	f.must(err)
	f.diff("changes", []string{"x ready"}, changed(changes))
	x := f.execution("x")
	if x.State != dispatch.StateReady || x.Tries != 0 || x.Error != "" || x.Cause != "" || !x.StoppedAt.IsZero() || x.LastError != "" {
		t.Errorf("%+v", x)
	}
	if _, err := f.j.Redrive(t.Context(), "y", again); !errors.Is(err, dispatch.ErrNotDead) {
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

func statusesCoalesce(t *testing.T, f *fixture) {
	f.push(f.request("x", reporting))
	next := func(at time.Time) []dispatch.Status {
		s, err := f.j.NextStatuses(t.Context(), "github", at, 10)
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
	f.finish("a", dispatch.StateSucceeded) // a newer state, but not a newer commit
	statuses, err := f.j.NextStatuses(t.Context(), "github", f.now, 2)
	f.must(err)
	var got []string
	for _, s := range statuses {
		got = append(got, s.Execution)
	}
	f.diff("order", []string{"c", "b"}, got)
	depth, err := f.j.Unfinished(t.Context())
	f.must(err)
	f.diff("depth", int64(4), depth.Statuses)
}

func statusesOnlyWhereWanted(t *testing.T, f *fixture) {
	f.push(f.request("x"))
	f.finish("x", dispatch.StateFailed)
	_, _, err := f.j.Rerun(t.Context(), "x", "again", dispatch.Resume{State: dispatch.StateReady, At: f.now, Status: dispatch.StatusChange{State: dispatch.StatusPending}})
	f.must(err)
	statuses, err := f.j.NextStatuses(t.Context(), "github", f.now, 10)
	f.must(err)
	f.diff("statuses", 0, len(statuses))
}

func lists(t *testing.T, f *fixture) {
	first, _ := f.push(f.request("a"), f.request("b", onRoute("nightly")), f.request("c", inEnvironment("prod")))
	f.push(f.request("d", onRef("refs/heads/feature/x")), f.request("e", func(r *dispatch.NewRequest) { r.Repository = "acme/web" }))
	f.start("a")
	f.finish("d", dispatch.StateSucceeded)
	for name, row := range map[string]struct {
		filter dispatch.ExecutionFilter
		want   []string
	}{
		"all":         {dispatch.ExecutionFilter{}, []string{"e", "d", "c", "b", "a"}},
		"states":      {dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateRunning, dispatch.StateWaiting}}, []string{"c", "a"}},
		"repository":  {dispatch.ExecutionFilter{Repository: "acme/web"}, []string{"e"}},
		"route":       {dispatch.ExecutionFilter{Route: "nightly"}, []string{"b"}},
		"environment": {dispatch.ExecutionFilter{Environment: "prod"}, []string{"c"}},
		"ref":         {dispatch.ExecutionFilter{Ref: "refs/heads/feature/x"}, []string{"d"}},
		"branch":      {dispatch.ExecutionFilter{Ref: "feature/x"}, []string{"d"}},
		"commit":      {dispatch.ExecutionFilter{SHA: "sha-b"}, []string{"b"}},
		"prefix":      {dispatch.ExecutionFilter{SHA: "sha-"}, []string{"e", "d", "c", "b", "a"}},
		"delivery":    {dispatch.ExecutionFilter{Delivery: first}, []string{"c", "b", "a"}},
		"both":        {dispatch.ExecutionFilter{Delivery: first, Route: "nightly"}, []string{"b"}},
		"nothing":     {dispatch.ExecutionFilter{Repository: "acme/none"}, []string{}},
		"hostile":     {dispatch.ExecutionFilter{Repository: "'; DROP TABLE requests; --"}, []string{}},
	} {
		page, err := f.j.Executions(t.Context(), row.filter)
		f.must(err)
		f.diff(name, row.want, idsOf(page.Executions))
		f.diff(name+": no further page", int64(0), page.Next)
	}
	var paged []string
	for before := int64(0); ; {
		page, err := f.j.Executions(t.Context(), dispatch.ExecutionFilter{Before: before, Limit: 2})
		f.must(err)
		paged = append(paged, idsOf(page.Executions)...)
		if before = page.Next; before == 0 {
			break
		}
	}
	f.diff("pages", []string{"e", "d", "c", "b", "a"}, paged)
	all, err := f.j.Deliveries(t.Context(), dispatch.DeliveryFilter{Limit: 1})
	f.must(err)
	if len(all.Deliveries) != 1 || all.Deliveries[0].Requested != 2 || all.Next == 0 {
		t.Errorf("deliveries %+v", all)
	}
	rest, err := f.j.Deliveries(t.Context(), dispatch.DeliveryFilter{Before: all.Next, Source: "github", Repository: "acme/api"})
	f.must(err)
	if len(rest.Deliveries) != 1 || rest.Deliveries[0].ID != first || rest.Next != 0 {
		t.Errorf("deliveries %+v", rest)
	}
}

func prune(t *testing.T, f *fixture) {
	old, _ := f.push(f.request("old", reporting), f.request("waits", inEnvironment("prod")))
	gone, _ := f.push(f.request("gone"))
	reopened, _ := f.push()
	f.must(f.j.Reopen(t.Context(), reopened))
	f.start("old")
	f.finish("old", dispatch.StateSucceeded)
	f.finish("gone", dispatch.StateFailed)
	pending := f.deliver("pending")
	f.now = f.now.Add(time.Hour)
	limit := f.now
	fresh, _ := func() (string, []dispatch.Change) {
		f.must(f.j.Reopen(t.Context(), gone)) // its mark must not stay behind
		f.expand(f.seqOf(gone))
		f.expand(pending)
		return f.push(f.request("fresh"))
	}()
	f.finish("fresh", dispatch.StateSucceeded)
	for range 10 {
		n, err := f.j.Prune(t.Context(), limit)
		f.must(err)
		if n == 0 {
			break
		}
	}
	for _, id := range []string{"old", "gone"} {
		if _, err := f.j.Execution(t.Context(), id); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("%s is still there: %v", id, err)
		}
	}
	f.diff("kept", []dispatch.State{dispatch.StateWaiting, dispatch.StateSucceeded}, f.states("waits", "fresh"))
	page, err := f.j.Deliveries(t.Context(), dispatch.DeliveryFilter{})
	f.must(err)
	var kept []string
	for _, d := range page.Deliveries {
		kept = append(kept, d.ID)
	}
	f.diff("deliveries", []string{fresh, reopened, old}, kept)
	statuses, err := f.j.NextStatuses(t.Context(), "github", f.now, 10)
	f.must(err)
	f.diff("statuses", 0, len(statuses))
}

func (f *fixture) seqOf(id string) int64 {
	f.t.Helper()
	d, err := f.j.Delivery(f.t.Context(), id)
	f.must(err)
	return d.Seq
}

func numbers(t *testing.T, f *fixture) {
	f.push(f.request("x"))
	f.finish("x", dispatch.StateSucceeded)
	last := f.seqOf("github:delivery-1")
	f.now = f.now.Add(time.Hour)
	for range 10 {
		n, err := f.j.Prune(t.Context(), f.now)
		f.must(err)
		if n == 0 {
			break
		}
	}
	if seq := f.deliver("next"); seq <= last {
		t.Errorf("seq %d was used before: a delivery at or below %d counts as expanded", seq, last)
	}
	pending, err := f.j.Pending(t.Context(), 10)
	f.must(err)
	if !slices.ContainsFunc(pending, func(p dispatch.PendingDelivery) bool { return p.ID == "github:next" }) {
		t.Error("the new delivery is not pending")
	}
}

func contextBounds(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.j.Append(ctx, delivery("a", f.now)); !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v", err)
	}
	if _, err := f.j.Pending(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("pending: %v", err)
	}
	if _, err := f.j.Record(ctx, dispatch.Records{At: f.now}); !errors.Is(err, context.Canceled) {
		t.Errorf("record: %v", err)
	}
}
