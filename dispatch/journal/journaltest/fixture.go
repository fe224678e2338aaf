package journaltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

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
func onRoute(route string) option { return func(r *dispatch.NewRequest) { r.Route = route } }
func onRef(ref string) option     { return func(r *dispatch.NewRequest) { r.Ref = ref } }
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
