package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func TestExecutionThatEndedMeanwhileIsFoundAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		s.accept(push("d1", "a"))
		settle()
		s.stop()
		e.finish("a-r", event.TimedOut)
		s = run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Hour})
		defer s.stop()
		time.Sleep(time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateTimedOut})
	})
}

func TestForgottenExecutionIsFailed(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		e.mu.Lock()
		e.forget = true
		e.mu.Unlock()
		time.Sleep(3 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed})
		if x := s.get("a-r"); x.Error != "Switchyard.ExecutionLost" {
			t.Errorf("%+v", x)
		}
	})
}

func TestPollingKeepsToItsRate(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Minute, PollRate: 2})
		defer s.stop()
		var shas []string
		for i := range 300 {
			shas = append(shas, fmt.Sprintf("c%03d", i))
		}
		s.accept(push("d1", shas...))
		settle()
		for _, sha := range shas {
			e.finish(sha+"-r", event.Succeeded)
		}
		time.Sleep(2 * time.Minute)
		settle()
		ended := s.Stats().Ended
		if ended < 100 || ended > 160 {
			t.Errorf("%d found in the first minute of polling at 2 a second", ended)
		}
		time.Sleep(3 * time.Minute)
		settle()
		if n := s.Stats().Ended; n != 300 {
			t.Errorf("%d found in all, want 300", n)
		}
	})
}

// lister is an engine that lists what runs, a page of 100 at a time, and of
// those that have just ended some still.
type lister struct {
	*engine
	mu        sync.Mutex
	described int
	pages     int
	stale     map[string]bool
	fail      bool
}

func (l *lister) Describe(ctx context.Context, arn string) (event.Outcome, error) {
	l.mu.Lock()
	l.described++
	l.mu.Unlock()
	return l.engine.Describe(ctx, arn)
}

func (l *lister) ListRunning(_ context.Context, like, page string) (arns []string, next string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.pages++
	if l.fail {
		return nil, "", errors.New("connection refused")
	}
	var all []string
	for arn, o := range l.running {
		if !o.Status.Closed() || l.stale[o.Name] {
			all = append(all, arn)
		}
	}
	slices.Sort(all)
	from, _ := strconv.Atoi(page)
	to := min(from+100, len(all))
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

func TestManyRunningExecutionsAreListed(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		l := &lister{engine: newEngine(), stale: map[string]bool{"c0007-r": true}}
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { return j }, l, oneRoute, dispatch.Config{PollEvery: time.Minute, PollRate: 10})
		defer s.stop()
		time.Sleep(time.Second) // the first round is over
		var shas []string
		for i := range 2000 {
			shas = append(shas, fmt.Sprintf("c%04d", i))
		}
		s.accept(push("d1", shas...))
		settle()
		time.Sleep(3 * time.Minute) // the rounds before have seen them all
		l.mu.Lock()
		l.described, l.pages = 0, 0
		l.mu.Unlock()
		l.finish("c0007-r", event.Succeeded)
		l.finish("c1999-r", event.Failed)
		time.Sleep(2 * time.Minute)
		settle()
		s.want(map[string]dispatch.State{"c1999-r": dispatch.StateFailed, "c0007-r": dispatch.StateRunning, "c0000-r": dispatch.StateRunning})
		l.mu.Lock()
		if l.described > 10 || l.pages > 60 {
			t.Errorf("%d executions asked for singly and %d pages read in two minutes, want the one that had ended and 20 pages a round", l.described, l.pages)
		}
		l.stale = nil // the list has caught up
		l.mu.Unlock()
		time.Sleep(2 * time.Minute)
		settle()
		s.want(map[string]dispatch.State{"c0007-r": dispatch.StateSucceeded})

		// Without the lists each is asked for, as ever.
		l.finish("c0001-r", event.Succeeded)
		l.mu.Lock()
		l.fail = true
		l.mu.Unlock()
		time.Sleep(10 * time.Minute)
		settle()
		s.want(map[string]dispatch.State{"c0001-r": dispatch.StateSucceeded, "c0000-r": dispatch.StateRunning})
	})
}

func TestOutcomeMayOvertakeItsStart(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Hour})
		defer s.stop()
		e.answer(func(ctx context.Context, name string, _ int) error {
			return s.Observe(ctx, event.Outcome{ExecutionARN: arnOf(name), Name: name, Status: event.Succeeded, StoppedAt: time.Now()})
		})
		s.accept(push("d1", "a", "b", "c"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "b-r": dispatch.StateSucceeded, "c-r": dispatch.StateSucceeded})
	})
}

func TestNewerCommitSupersedesOlder(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		p := planner{routes: []string{"r"}, cancel: true}
		s := run(t, path, e, p, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning}) // of one push, all run
		s.accept(push("d2", "c"))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateAborted, "c-r": dispatch.StateRunning})
		if got := e.stopped[arnOf("a-r")]; got != "Switchyard.Superseded: superseded by c-r" {
			t.Errorf("stopped with %q", got)
		}
		// One whose start fails has not started: it is superseded without a call.
		e.answer(func(_ context.Context, name string, _ int) error {
			if name == "d-r" {
				return &dispatch.ThrottledError{After: time.Minute, Err: errors.New("slow down")}
			}
			return nil
		})
		s.accept(push("d3", "d"))
		settle()
		s.accept(push("d4", "e"))
		time.Sleep(2 * time.Minute)
		s.want(map[string]dispatch.State{"c-r": dispatch.StateAborted, "d-r": dispatch.StateSuperseded, "e-r": dispatch.StateRunning})
	})
}

func TestStopEndsWhateverTheState(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, dispatch.Config{EnvironmentLimit: func(string) int { return 1 }})
		defer s.stop()
		s.accept(push("d1", "a", "b", "c"))
		settle()
		for _, id := range []string{"b-r", "a-r"} {
			if err := s.Stop(t.Context(), id, "ada"); err != nil {
				t.Fatal(err)
			}
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateAborted, "c-r": dispatch.StateRunning})
		if e.calls("b-r") != 0 {
			t.Error("one that waited was started to be stopped")
		}
		if x := s.get("a-r"); x.Error != "Switchyard.Stopped" || x.Cause != "stopped by ada" {
			t.Errorf("%+v", x)
		}
		if err := s.Stop(t.Context(), "a-r", "ada"); !errors.Is(err, dispatch.ErrFinished) {
			t.Errorf("second stop: %v", err)
		}
	})
}
