package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// fragile panics where it is told to.
type fragile struct {
	*engine
	start, describe, stop atomic.Pointer[string]
}

func (f *fragile) panicsOn(p *atomic.Pointer[string], id string) { p.Store(&id) }

func panicOn(p *atomic.Pointer[string], text string) {
	if id := p.Load(); id != nil && strings.Contains(text, *id) {
		panic("a line\nbreak and \x1b[31m colour")
	}
}

func (f *fragile) Start(ctx context.Context, machine, name string, input []byte) (dispatch.Started, error) {
	panicOn(&f.start, name)
	return f.engine.Start(ctx, machine, name, input)
}

func (f *fragile) Describe(ctx context.Context, arn string) (event.Outcome, error) {
	panicOn(&f.describe, arn)
	return f.engine.Describe(ctx, arn)
}

func (f *fragile) Stop(ctx context.Context, arn, name, cause string) error {
	panicOn(&f.stop, arn)
	return f.engine.Stop(ctx, arn, name, cause)
}

func unchanged(j dispatch.Journal) dispatch.Journal { return j }

// moody is a planner that panics on a commit.
type moody struct {
	planner
	on string
}

func (m moody) Plan(ev event.Event) event.Plan {
	for _, c := range ev.Commits {
		if c.SHA == m.on {
			panic("no place for\n" + c.SHA)
		}
	}
	return m.planner.Plan(ev)
}

func TestDeliveryWhoseRoutingPanicsIsRecordedAndReplayed(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		broken := moody{oneRoute, "bad"}
		s := run(t, path, e, broken, dispatch.Config{})
		if r := s.accept(push("d1", "bad")); r.Delivery != "github:d1" || !strings.Contains(r.Ignored, `no place for\nbad`) {
			t.Errorf("answered %+v", r)
		}
		s.accept(push("d2", "good"))
		s.want(map[string]dispatch.State{"good-r": dispatch.StateRunning})
		if r := s.accept(push("d1", "bad")); !r.Duplicate || !strings.Contains(r.Ignored, "deliveries replay github:d1") {
			t.Errorf("answered again %+v", r)
		}
		s.stop()

		s = run(t, path, e, broken, dispatch.Config{})
		s.accept(push("d3", "better"))
		s.want(map[string]dispatch.State{"better-r": dispatch.StateRunning})
		d, err := s.Delivery(t.Context(), "github:d1")
		if err != nil || d.State != dispatch.DeliveryExpanded || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Reason, "a bug in Switchyard") {
			t.Errorf("%+v, %v", d, err)
		}
		if _, err := s.Replay(t.Context(), "github:d1"); err != nil {
			t.Fatal(err)
		}
		settle()
		s.stop()

		s = run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		if r, err := s.Replay(t.Context(), "github:d1"); err != nil || len(r.Executions) != 1 {
			t.Errorf("replay after the repair: %+v, %v", r, err)
		}
		s.want(map[string]dispatch.State{"bad-r": dispatch.StateRunning})
	})
}

func TestRequestWhoseStartPanicsIsDeadUntilRedriven(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &fragile{engine: newEngine()}
		e.panicsOn(&e.start, "bad")
		for range 2 { // the next process is no worse off
			s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{})
			s.accept(push("d1", "bad", "good"))
			s.want(map[string]dispatch.State{"bad-r": dispatch.StateDead, "good-r": dispatch.StateRunning})
			if x := s.get("bad-r"); x.Error != "Switchyard.Fault" || !strings.Contains(x.Cause, "a line") || !strings.Contains(x.Cause, "executions redrive bad-r") {
				t.Errorf("%+v", x)
			}
			s.stop()
		}
		e.start.Store(nil)
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{})
		defer s.stop()
		if _, err := s.Redrive(t.Context(), "bad-r"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"bad-r": dispatch.StateRunning})
	})
}

func TestPanicsOfOtherCallsAreRetried(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &fragile{engine: newEngine()}
		e.panicsOn(&e.describe, "a-r")
		e.panicsOn(&e.stop, "b-r")
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a", "b", "c"))
		settle()
		for _, id := range []string{"a-r", "c-r"} {
			e.finish(id, event.Succeeded)
		}
		if err := s.Stop(t.Context(), "b-r", "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning, "c-r": dispatch.StateSucceeded})
		if x := s.get("b-r"); x.Tries < 3 || x.Tries > 20 || !strings.Contains(x.LastError, "panic") {
			t.Errorf("%+v", x)
		}
		e.describe.Store(nil)
		e.stop.Store(nil)
		time.Sleep(6 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateAborted})
	})
}

// grumpy is an observer and a tracer that panics whatever it is told.
type grumpy struct{}

func (grumpy) Delivered(string, time.Duration)      { panic("delivered") }
func (grumpy) Called(string, string, time.Duration) { panic("called") }
func (grumpy) Started(time.Duration)                { panic("started") }
func (grumpy) Ended(dispatch.State)                 { panic("ended") }
func (grumpy) Inject(context.Context) string        { panic("inject") }
func (grumpy) Start(context.Context, *dispatch.Execution) (context.Context, func(error)) {
	panic("span")
}

// abrupt opens spans whose end panics.
type abrupt struct{ grumpy }

func (abrupt) Start(ctx context.Context, _ *dispatch.Execution) (context.Context, func(error)) {
	return ctx, func(error) { panic("end of a span") }
}

func TestPanicsOfObserverAndTracerCostNothing(t *testing.T) {
	for name, tracer := range map[string]dispatch.Tracer{"at its beginning": grumpy{}, "at its end": abrupt{}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newEngine()
				s := run(t, path, e, oneRoute, dispatch.Config{}, dispatch.WithObserver(grumpy{}), dispatch.WithTracer(tracer))
				defer s.stop()
				s.accept(push("d1", "a"))
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
				if err := s.Observe(t.Context(), e.finish("a-r", event.Succeeded)); err != nil {
					t.Fatal(err)
				}
				s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
			})
		})
	}
}

// cracked is a journal that panics on some of what the workers ask of it.
type cracked struct {
	dispatch.Journal
	record  string       // on the record of the end of this one
	pending atomic.Int64 // on so many looks for deliveries
	deliver atomic.Bool  // on every look at one
	// expand and complete are what it panics on in writing: a request, and
	// what was learned of a delivery.
	expand, complete string
	// caught: panics in writing come as errors, as the file's writer reports them.
	caught bool
}

func (c *cracked) panic(text string) error {
	fault := func() error { panic(text) }
	if c.caught {
		return fmt.Errorf("write: %w", dispatch.Guard(fault))
	}
	return fault()
}

func (c *cracked) Expand(ctx context.Context, all []dispatch.Expansion) ([]dispatch.Change, error) {
	for i := range all {
		for n := range all[i].Requests {
			if all[i].Requests[n].ID == c.expand {
				return nil, c.panic("expand " + c.expand)
			}
		}
	}
	return c.Journal.Expand(ctx, all)
}

func (c *cracked) Complete(ctx context.Context, seq int64, ev []byte, commits int, unknown string) error {
	if c.complete != "" && strings.Contains(string(ev), c.complete) {
		return c.panic("complete " + c.complete)
	}
	return c.Journal.Complete(ctx, seq, ev, commits, unknown)
}

func (c *cracked) Delivery(ctx context.Context, id string) (dispatch.DeliveryDetail, error) {
	if c.deliver.Load() {
		panic("delivery " + id)
	}
	return c.Journal.Delivery(ctx, id)
}

func (c *cracked) Record(ctx context.Context, r dispatch.Records) ([]dispatch.Change, error) {
	for i := range r.Started {
		if strings.Contains(r.Started[i].ARN, c.record) {
			return nil, c.panic("record of " + c.record)
		}
	}
	return c.Journal.Record(ctx, r)
}

func (c *cracked) Pending(ctx context.Context, limit int) ([]dispatch.PendingDelivery, error) {
	if c.pending.Add(-1) >= 0 {
		panic("pending")
	}
	return c.Journal.Pending(ctx, limit)
}

// bothWays runs a test on a journal that panics, and on one that reports it.
func bothWays(t *testing.T, test func(t *testing.T, path string, caught bool)) {
	t.Helper()
	for name, caught := range map[string]bool{"here": false, "in the writer": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) { test(t, path, caught) })
		})
	}
}

func TestPanicOfARecordEndsOneRequest(t *testing.T) {
	bothWays(t, func(t *testing.T, path string, caught bool) {
		c := &cracked{record: ":bad-r", caught: caught}
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { c.Journal = j; return c }, newEngine(), oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a", "bad", "b"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "bad-r": dispatch.StateDead, "b-r": dispatch.StateRunning})
	})
}

func TestPanicOfAnExpansionCostsOneDelivery(t *testing.T) {
	bothWays(t, func(t *testing.T, path string, caught bool) {
		c := &cracked{expand: "bad-r", record: "nobody", caught: caught}
		on := func(j dispatch.Journal) dispatch.Journal { c.Journal = j; return c }
		e := newEngine()
		for range 2 { // the next process is no worse off
			s := runOn(t, path, on, e, oneRoute, dispatch.Config{})
			for id, sha := range map[string]string{"d1": "a", "d2": "bad", "d3": "b"} {
				s.accept(push(id, sha))
			}
			s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
			d, err := s.Delivery(t.Context(), "github:d2")
			if err != nil || d.State != dispatch.DeliveryExpanded || len(d.Reasons) != 1 ||
				!strings.Contains(d.Reasons[0].Reason, "expand bad-r") || !strings.Contains(d.Reasons[0].Reason, "deliveries replay github:d2") {
				t.Errorf("%+v, %v", d, err)
			}
			s.stop()
		}
		c.expand = ""
		s := runOn(t, path, on, e, oneRoute, dispatch.Config{})
		defer s.stop()
		if _, err := s.Replay(t.Context(), "github:d2"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"bad-r": dispatch.StateRunning})
	})
}

func TestPanicOfWhatAHostToldIsGivenUp(t *testing.T) {
	bothWays(t, func(t *testing.T, path string, caught bool) {
		c := &cracked{complete: "poison", record: "nobody", caught: caught}
		h := &host{commits: map[string][]event.Commit{"a": {told("a", "poison", "x")}}}
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { c.Journal = j; return c }, newEngine(), oneRoute, dispatch.Config{}, dispatch.WithHost(h))
		defer s.stop()
		ev := push("d1", "a")
		ev.After, ev.Truncated, ev.Commits[0].Message = "a", true, ""
		s.accept(ev)
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if got := s.reasons("github:d1"); len(got) == 0 || !strings.Contains(got[0], "a bug in Switchyard") {
			t.Errorf("%q", got)
		}
	})
}

func TestWorkerThatPanicsGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		c := &cracked{record: "nobody"}
		c.pending.Store(3)
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { c.Journal = j; return c }, newEngine(), oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if s.Stats().Faults != 3 {
			t.Errorf("%+v", s.Stats())
		}
	})
}

// A delivery that waits for its host goes on without it when asking panics.
func TestPanicOfACompletionEndsItsWait(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		c := &cracked{record: "nobody"}
		c.deliver.Store(true)
		h := &host{commits: map[string][]event.Commit{}}
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { c.Journal = j; return c }, newEngine(), oneRoute, dispatch.Config{}, dispatch.WithHost(h))
		defer s.stop()
		ev := push("d1", "a")
		ev.After, ev.Truncated = "a", true
		s.accept(ev)
		s.accept(push("d2", "b"))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
		c.deliver.Store(false)
		d, err := s.Delivery(t.Context(), "github:d1")
		if err != nil || len(d.Reasons) == 0 || !strings.Contains(d.Reasons[0].Reason, "a bug in Switchyard") {
			t.Errorf("%+v, %v", d, err)
		}
	})
}
