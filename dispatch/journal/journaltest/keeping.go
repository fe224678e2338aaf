package journaltest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"switchyard/dispatch"
)

func lists(t *testing.T, f *fixture) {
	first, _ := f.push(f.request("a"), f.request("b", onRoute("nightly")), f.request("c", inEnvironment("prod")))
	f.push(f.request("d", onRef("refs/heads/feature/x")), f.request("e", func(r *dispatch.NewRequest) { r.Repository = "acme/web" }))
	f.start("a")
	f.now = f.now.Add(time.Hour)
	f.finish("d", dispatch.StateSucceeded)
	f.push(f.request("late"))
	for name, row := range map[string]struct {
		filter dispatch.ExecutionFilter
		want   []string
	}{
		"all":         {dispatch.ExecutionFilter{}, []string{"late", "e", "d", "c", "b", "a"}},
		"states":      {dispatch.ExecutionFilter{States: []dispatch.State{dispatch.StateRunning, dispatch.StateWaiting}}, []string{"c", "a"}},
		"repository":  {dispatch.ExecutionFilter{Repository: "acme/web"}, []string{"e"}},
		"route":       {dispatch.ExecutionFilter{Route: "nightly"}, []string{"b"}},
		"environment": {dispatch.ExecutionFilter{Environment: "prod"}, []string{"c"}},
		"ref":         {dispatch.ExecutionFilter{Ref: "refs/heads/feature/x"}, []string{"d"}},
		"branch":      {dispatch.ExecutionFilter{Ref: "feature/x"}, []string{"d"}},
		"commit":      {dispatch.ExecutionFilter{SHA: "sha-b"}, []string{"b"}},
		"prefix":      {dispatch.ExecutionFilter{SHA: "sha-"}, []string{"late", "e", "d", "c", "b", "a"}},
		"delivery":    {dispatch.ExecutionFilter{Delivery: first}, []string{"c", "b", "a"}},
		"both":        {dispatch.ExecutionFilter{Delivery: first, Route: "nightly"}, []string{"b"}},
		"since":       {dispatch.ExecutionFilter{Since: f.now.Add(-time.Minute)}, []string{"late", "d"}},
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
	f.diff("pages", []string{"late", "e", "d", "c", "b", "a"}, paged)
	all, err := f.j.Deliveries(t.Context(), dispatch.DeliveryFilter{Limit: 1})
	f.must(err)
	if len(all.Deliveries) != 1 || all.Deliveries[0].Requested != 1 || all.Next == 0 {
		t.Errorf("deliveries %+v", all)
	}
	rest, err := f.j.Deliveries(t.Context(), dispatch.DeliveryFilter{Before: all.Next, Source: "github", Repository: "acme/api"})
	f.must(err)
	if len(rest.Deliveries) != 2 || rest.Deliveries[1].ID != first || rest.Next != 0 {
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
	statuses, err := f.j.NextStatuses(t.Context(), dispatch.StatusQuery{Source: "github", Now: f.now, Limit: 10})
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
