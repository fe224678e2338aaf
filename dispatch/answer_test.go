package dispatch_test

import (
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/event"
)

// answers accepts an event and compares what the answer says is new.
func (s *service) answers(what string, ev event.Event, fresh int, executions ...string) {
	s.t.Helper()
	r := s.accept(ev)
	slices.Sort(r.Executions)
	if r.New != fresh || !slices.Equal(r.Executions, executions) {
		s.t.Errorf("%s: %d new of %v, want %d of %v", what, r.New, r.Executions, fresh, executions)
	}
}

func TestAnswersCountWhatIsNew(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		s := run(t, path, newEngine(), oneRoute, dispatch.Config{})
		settle()
		s.answers("two commits", push("d1", "a", "b"), 2, "a-r", "b-r")
		s.answers("one more, before those are expanded", push("d2", "a", "b", "c"), 1, "a-r", "b-r", "c-r")
		s.answers("a redelivery", push("d2", "a", "b", "c"), 0, "a-r", "b-r", "c-r")
		settle()
		s.answers("once they are", push("d3", "c", "d"), 1, "c-r", "d-r")
		s.answers("a redelivery then", push("d3", "c", "d"), 0, "c-r", "d-r")
		settle()
		s.stop()
		s = run(t, path, newEngine(), oneRoute, dispatch.Config{})
		defer func() { s.stop() }()
		s.answers("after a restart, at once", push("d4", "a", "e"), 1, "a-r", "e-r")
		settle()
		s.answers("and later", push("d5", "e", "f"), 1, "e-r", "f-r")
		settle()
		if err := s.Reconfigure(planner{routes: []string{"r", "new"}}, dispatch.Config{}); err != nil {
			t.Fatal(err)
		}
		for _, fresh := range []int{1, 0} {
			if r, err := s.Replay(t.Context(), "github:d5"); err != nil || len(r.Executions) != 4 || r.New != 2*fresh {
				t.Errorf("replay: %+v, %v, want %d new", r, err, 2*fresh)
			}
			settle()
		}
	})
}

// renamed plans as a version does that names requests otherwise than the one
// before; a push may revisit.
type renamed struct{ planner }

func (p renamed) Plan(ev event.Event) event.Plan {
	plan := p.planner.Plan(ev)
	for i := range plan.Requests {
		r := &plan.Requests[i]
		r.Former = &event.FormerIdentity{ID: r.ID, Environment: r.Environment}
		r.ID = "new-" + r.ID
		r.Revisit = r.Commit.SHA == ev.After
	}
	return plan
}

func TestAnswersKnowFormerNamesAndRevisits(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		moves := func(id, before, after string) event.Event {
			ev := push(id, after)
			ev.Before, ev.After = before, after
			return ev
		}
		s.answers("the version before", moves("d1", "", "a"), 1, "a-r")
		settle()
		s.stop()
		s = run(t, path, e, renamed{oneRoute}, dispatch.Config{})
		defer func() { s.stop() }()
		settle()
		s.answers("under its former name", push("d2", "a"), 0, "a-r")
		// Three pushes in a row, none of which is expanded when the next comes.
		s.answers("forward", moves("d3", "a", "b"), 1, "new-b-r")
		s.answers("back to the first", moves("d4", "b", "a"), 1, "a-r-r2")
		s.answers("and forward again", moves("d5", "a", "b"), 1, "new-b-r-r2")
		s.answers("from another webhook", moves("d6", "a", "b"), 0, "new-b-r")
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "new-b-r": dispatch.StateRunning, "a-r-r2": dispatch.StateRunning, "new-b-r-r2": dispatch.StateRunning})
		s.answers("a redelivery", moves("d4", "b", "a"), 0, "a-r-r2")
		s.answers("back, once all is expanded", moves("d7", "b", "a"), 1, "a-r-r3")
		s.want(map[string]dispatch.State{"a-r-r3": dispatch.StateRunning})
		for _, id := range []string{"a-r", "a-r-r2", "a-r-r3", "new-b-r", "new-b-r-r2"} {
			if e.calls(id) != 1 {
				t.Errorf("%s was started %d times", id, e.calls(id))
			}
		}
	})
}

func TestAnotherBodyIsAnotherDelivery(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		j, err := journal.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		core, logs := observer.New(zap.WarnLevel)
		d, err := dispatch.New(j, newEngine(), oneRoute, dispatch.Config{}, dispatch.WithLogger(zap.New(core)))
		if err != nil {
			t.Fatal(err)
		}
		with := func(digest string, shas ...string) event.Receipt {
			t.Helper()
			ev := push("d1", shas...)
			ev.Digest = digest
			r, err := d.Accept(t.Context(), ev)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		one, two := strings.Repeat("1", 64), strings.Repeat("2", 64)
		if r := with(one, "a"); r.Delivery != "github:d1" || r.Duplicate || r.Note != "" || r.New != 1 {
			t.Errorf("first: %+v", r)
		}
		if r := with(one, "a"); !r.Duplicate || r.Note != "" {
			t.Errorf("the same again: %+v", r)
		}
		const kept = "github:d1#222222222222"
		if r := with(two, "a", "b"); r.Delivery != kept || r.Duplicate || r.New != 1 || !slices.Equal(r.Executions, []string{"a-r", "b-r"}) ||
			r.Note != "the delivery ID github:d1 was known with another body; this one is kept as "+kept {
			t.Errorf("another body: %+v", r)
		}
		if r := with(two, "a", "b"); r.Delivery != kept || !r.Duplicate || r.New != 0 || r.Note == "" {
			t.Errorf("that one again: %+v", r)
		}
		if r := with("", "a"); r.Delivery != "github:d1" || !r.Duplicate || r.Note != "" {
			t.Errorf("one whose body is not known: %+v", r)
		}
		if logs.FilterMessage("a delivery ID was sent again with another body; both deliveries are kept").Len() != 1 {
			t.Errorf("warnings: %v", logs.All())
		}
		got, err := d.Delivery(t.Context(), kept)
		if err != nil || got.DeliveryID != "d1#222222222222" || got.Event.DeliveryID != got.DeliveryID || got.Commits != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// What a delivery was expected to come to, and did not, is new when it comes.
func TestAnswersForgetWhatDidNotCome(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{commit: map[string]event.Commit{"a": told("a", "no [skip]", "x")}}
		s := withHost(t, path, newEngine(), h)
		defer func() { s.stop() }()
		settle()
		s.answers("expected until the host is asked", pulled("d1", 1, "a"), 1, "a-r")
		settle()
		s.same("and then not", s.reasons("github:d1"), []string{"a it says [skip]"})
		ev := pushed("d2", "", false, told("a", "yes", "x"))
		s.answers("by another", ev, 1, "a-r")
		s.answers("and a third before that is expanded", pushed("d3", "", false, told("a", "yes", "x")), 0, "a-r")
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
	})
}
