package journaltest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

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
	asked := []dispatch.Asking{{Delivery: second, Kind: event.Push, Ref: "refs/heads/main"}}
	f.diff("also asked", asked, x.AlsoAsked)
	f.diff("also asked for z", []dispatch.Asking(nil), f.execution("z").AlsoAsked)
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

func appendTellsBodiesApart(t *testing.T, f *fixture) {
	add := func(id, digest string) dispatch.Appended {
		d := delivery(id, f.now)
		d.Digest = digest
		at, err := f.j.Append(t.Context(), d)
		f.must(err)
		at.Seq = 0
		return at
	}
	f.diff("first", dispatch.Appended{}, add("a", "d1"))
	f.diff("the same body", dispatch.Appended{Existed: true}, add("a", "d1"))
	f.diff("another body", dispatch.Appended{Existed: true, Differs: true}, add("a", "d2"))
	f.diff("an unknown body", dispatch.Appended{Existed: true}, add("a", ""))
	f.diff("from before digests", dispatch.Appended{}, add("b", ""))
	f.diff("which is all that is known", dispatch.Appended{Existed: true}, add("b", "d1"))
}
