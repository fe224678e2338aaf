package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// faulty fails every third write of executions: in turn unapplied, and applied but reported
// failed.
type faulty struct {
	store.Store
	n atomic.Int64
}

var errDisk = errors.New("disk full")

func (f *faulty) Apply(w *store.Write) {
	if w.Exec == 0 { // of the engine itself, at any time
		f.Store.Apply(w)
		return
	}
	n := f.n.Add(1)
	if n%3 != 0 {
		f.Store.Apply(w)
		return
	}
	if n%2 == 0 {
		w.Done(errDisk)
		return
	}
	applied := *w
	applied.Done = func(error) { w.Done(errDisk) }
	f.Store.Apply(&applied)
}

func TestExecutionsSurviveFailingWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: store.NewMemory()}
		var w workers
		e := newEngine(t, s, w.handlers()...)
		stop := run(t, e)
		ctx, cancel := context.WithCancel(t.Context())
		if err := w.start(ctx, e); err != nil {
			t.Fatal(err)
		}
		machine(t, e, "wait", interrupted["wait"].definition) // what "nested" starts
		for kind, c := range interrupted {
			m := machine(t, e, kind, c.definition)
			for i := range 10 {
				name := fmt.Sprint(kind, "-", i)
				// The caller tries again, as its client would. An execution
				// that was applied but reported failed is found, not made
				// twice.
				for range 9 {
					if _, err := e.StartExecution(t.Context(), engine.Start{MachineARN: m, Name: name, Input: restartInput}); err == nil {
						break
					}
				}
				x := wait(t, e, "arn:aws:states:us-east-1:123456789012:execution:"+kind+":"+name)
				wantOutput(t, x, c.output)
				types(t, e, x.ARN) // checks that no event is missing or there twice
			}
		}
		stop()
		cancel()
		w.wg.Wait()
	})
}

func TestStartBeforeRunThatWasAppliedButReportedFailedRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: store.NewMemory()}
		e := newEngine(t, s)
		m := machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`)
		s.n.Store(2) // the next write is applied and reported failed
		if _, err := e.StartExecution(t.Context(), engine.Start{MachineARN: m, Name: "x", Input: `[1]`}); !errors.Is(err, errDisk) {
			t.Errorf("start: %v, want the disk's error", err)
		}
		arn := start(t, e, m, "x", `[1]`)
		defer run(t, e)()
		wantOutput(t, wait(t, e, arn), `[1]`)
	})
}

func TestFailedStartIsAnErrorAndLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &faulty{Store: store.NewMemory()}
		e := newEngine(t, s)
		stop := run(t, e)
		m := machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}}`)
		s.n.Store(5) // the next write fails unapplied
		_, err := e.StartExecution(t.Context(), engine.Start{MachineARN: m, Name: "x"})
		var known *apierror.Error
		if !errors.As(err, &known) || known.Code != apierror.CodeServiceUnavailable || !errors.Is(err, errDisk) {
			t.Errorf("start: %v, want ServiceUnavailable because of the disk", err)
		}
		wantOutput(t, wait(t, e, start(t, e, m, "x", `[1]`)), `[1]`)
		stop()
	})
}

// slow takes a second for each write.
type slow struct{ store.Store }

func (s slow) Apply(w *store.Write) {
	time.AfterFunc(time.Second, func() { s.Store.Apply(w) })
}

func TestRedriveGoesOnWithoutItsCaller(t *testing.T) {
	for _, row := range []struct {
		name    string
		store   func(store.Store) store.Store
		timeout time.Duration
	}{
		{"who left", func(s store.Store) store.Store { return slow{s} }, time.Millisecond},
		{"who was told of a failure", func(s store.Store) store.Store {
			f := &faulty{Store: s}
			f.n.Store(2) // the next write is applied and reported failed
			return f
		}, time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := newBroken(`1`), &swapped{Store: store.NewMemory()}
				e := newEngine(t, s, engine.WithHandler(fn, b))
				defer run(t, e)()
				arn := start(t, e, machine(t, e, "m", `{"StartAt":"T","States":{`+failingTask+`}}`), "x", `1`)
				wait(t, e, arn)
				b.repair()
				s.set(row.store)
				ctx, cancel := context.WithTimeout(t.Context(), row.timeout)
				defer cancel()
				_, _ = e.Redrive(ctx, arn, "") // the caller does not learn of it
				time.Sleep(time.Minute)
				wantOutput(t, describe(t, e, arn), `1`)
			})
		})
	}
}

func TestUpdateHoldsWithoutItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &swapped{Store: store.NewMemory()}
		e := newEngine(t, s)
		defer run(t, e)()
		m := machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":1,"End":true}}}`)
		s.set(func(s store.Store) store.Store { return slow{s} })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		changed := `{"StartAt":"P","States":{"P":{"Type":"Pass","Result":2,"End":true}}}`
		_, _ = e.Catalog().UpdateMachine(ctx, m, catalog.MachineUpdate{Definition: &changed})
		if _, err := e.Catalog().DescribeMachine(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		wantOutput(t, wait(t, e, start(t, e, m, "x", `{}`)), `2`)
	})
}

// swapped lets writes take another way from some moment on.
type swapped struct {
	store.Store
	mu  sync.Mutex
	way store.Store
}

func (s *swapped) set(way func(store.Store) store.Store) {
	s.mu.Lock()
	s.way = way(s.Store)
	s.mu.Unlock()
}

func (s *swapped) Apply(w *store.Write) {
	s.mu.Lock()
	to := s.way
	s.mu.Unlock()
	if to == nil {
		to = s.Store
	}
	to.Apply(w)
}
