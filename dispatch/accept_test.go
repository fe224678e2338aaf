package dispatch_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/dispatch/journal"
	"switchyard/internal/event"
)

// sick is a journal that fails when told to.
type sick struct {
	dispatch.Journal
	failing atomic.Bool
	slow    chan struct{} // Append waits for it, unless nil
}

var errDisk = errors.New("the disk is full")

func (s *sick) Append(ctx context.Context, d dispatch.NewDelivery) (dispatch.Appended, error) {
	if s.slow != nil {
		<-s.slow
	}
	if s.failing.Load() {
		return dispatch.Appended{}, errDisk
	}
	return s.Journal.Append(ctx, d)
}

func (s *sick) Record(ctx context.Context, r dispatch.Records) ([]dispatch.Change, error) {
	if s.failing.Load() {
		return nil, errDisk
	}
	return s.Journal.Record(ctx, r)
}

func (s *sick) Expand(ctx context.Context, e []dispatch.Expansion) ([]dispatch.Change, error) {
	if s.failing.Load() {
		return nil, errDisk
	}
	return s.Journal.Expand(ctx, e)
}

func openSick(t *testing.T, path string) *sick {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return &sick{Journal: j}
}

func newOn(t *testing.T, j dispatch.Journal, e dispatch.Engine, cfg dispatch.Config, opts ...dispatch.Option) *dispatch.Dispatcher {
	t.Helper()
	d, err := dispatch.New(j, e, oneRoute, cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFailingJournalIsUnavailable(t *testing.T) {
	j := openSick(t, filepath.Join(t.TempDir(), "journal.db"))
	d := newOn(t, j, newEngine(), dispatch.Config{})
	j.failing.Store(true)
	_, err := d.Accept(t.Context(), push("d1", "a"))
	var unavailable *dispatch.UnavailableError
	if !errors.As(err, &unavailable) || !errors.Is(err, errDisk) || unavailable.RetryAfter <= 0 || !strings.Contains(err.Error(), "github:d1") {
		t.Errorf("%v", err)
	}
	j.failing.Store(false)
	if r, err := d.Accept(t.Context(), push("d1", "a")); err != nil || r.Duplicate {
		t.Errorf("after it has recovered: %+v, %v", r, err)
	}
}

func TestWorkersOutlastAFailingJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		j := openSick(t, path)
		e := newEngine()
		d := newOn(t, j, e, dispatch.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		e.answer(func(context.Context, string, int) error {
			j.failing.Store(true) // its bookkeeping will fail
			return nil
		})
		if _, err := d.Accept(ctx, push("d1", "a")); err != nil {
			t.Fatal(err)
		}
		settle()
		e.answer(nil)
		if x, err := d.Execution(ctx, "a-r"); err != nil || x.State != dispatch.StateReady {
			t.Errorf("%+v, %v", x, err)
		}
		time.Sleep(time.Minute)
		j.failing.Store(false)
		time.Sleep(time.Minute)
		if x, err := d.Execution(ctx, "a-r"); err != nil || x.State != dispatch.StateRunning || e.calls("a-r") != 1 {
			t.Errorf("%+v, %v, %d calls", x, err, e.calls("a-r"))
		}
		// A shutdown does not wait for a journal that fails for good.
		j.failing.Store(true)
		o := e.finish("a-r", event.Succeeded)
		if err := d.Observe(ctx, o); err != nil {
			t.Fatal(err)
		}
		settle()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := d.Observe(t.Context(), o); err == nil {
			t.Error("a hint was taken after the end")
		}
		if err := d.Run(t.Context()); err == nil {
			t.Error("it ran a second time")
		}
	})
}

func TestBacklogIsBounded(t *testing.T) {
	j := openSick(t, filepath.Join(t.TempDir(), "journal.db"))
	j.slow = make(chan struct{})
	d := newOn(t, j, newEngine(), dispatch.Config{MaxPending: 3})
	var wg sync.WaitGroup
	var refused atomic.Int64
	for i := range 5 {
		wg.Go(func() {
			_, err := d.Accept(context.Background(), push(string(rune('a'+i)), "x"))
			var unavailable *dispatch.UnavailableError
			if errors.As(err, &unavailable) {
				if refused.Add(1) == 2 {
					close(j.slow)
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s := d.Stats(); s.Refused != 2 || s.Accepted != 3 {
		t.Errorf("%+v, want 3 accepted and 2 refused", s)
	}
}

func TestAcceptRefusesWhatHasNoName(t *testing.T) {
	d := newOn(t, openSick(t, filepath.Join(t.TempDir(), "journal.db")), newEngine(), dispatch.Config{})
	for _, ev := range []event.Event{{}, {Source: "github"}, {DeliveryID: "d"}, {Source: dispatch.ManualSource, DeliveryID: "d"}} {
		if _, err := d.Accept(t.Context(), ev); err == nil {
			t.Errorf("accepted %+v", ev)
		}
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	j := openSick(t, filepath.Join(t.TempDir(), "journal.db"))
	if _, err := dispatch.New(nil, newEngine(), oneRoute, dispatch.Config{}); err == nil {
		t.Error("no journal")
	}
	for name, cfg := range map[string]dispatch.Config{
		"MaxStarts": {MaxStarts: -1}, "CallTimeout": {CallTimeout: -1}, "PollEvery": {PollEvery: -1}, "MaxPending": {MaxPending: -1},
	} {
		if _, err := dispatch.New(j, newEngine(), oneRoute, cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// witness is an observer and a tracer.
type witness struct {
	mu    sync.Mutex
	notes []string
}

func (w *witness) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, s)
}
func (w *witness) Delivered(outcome string, _ time.Duration)  { w.note("delivered " + outcome) }
func (w *witness) Called(op, outcome string, _ time.Duration) { w.note(op + " " + outcome) }
func (w *witness) Started(latency time.Duration)              { w.note("started") }
func (w *witness) Ended(s dispatch.State)                     { w.note("ended " + string(s)) }
func (w *witness) Inject(context.Context) string              { return "00-abc-def-01" }
func (w *witness) Start(ctx context.Context, x *dispatch.Execution) (context.Context, func(error)) {
	w.note("span of " + x.ID + " linked to " + x.Traceparent)
	return ctx, func(error) { w.note("span ended") }
}

func TestObserverAndTracerSeeEveryStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		w := &witness{}
		e := newEngine()
		d := newOn(t, openSick(t, path), e, dispatch.Config{}, dispatch.WithObserver(w), dispatch.WithTracer(w))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		for range 2 {
			if _, err := d.Accept(ctx, push("d1", "a")); err != nil {
				t.Fatal(err)
			}
			settle()
		}
		if err := d.Observe(ctx, e.finish("a-r", event.Failed)); err != nil {
			t.Fatal(err)
		}
		settle()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		got := strings.Join(w.notes, ", ")
		if want := "delivered accepted, span of a-r linked to 00-abc-def-01, span ended, start ok, started, delivered duplicate, ended failed"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
