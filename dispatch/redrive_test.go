package dispatch_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// reporting is a config in which commits get statuses.
func reporting() dispatch.Config {
	return dispatch.Config{Statuses: func(string) bool { return true }}
}

// ended lets an execution end, and returns what the engine said of it.
func (s *service) ended(name string, status event.ExecutionStatus) event.Outcome {
	s.t.Helper()
	o := s.engine.finish(name, status)
	if err := s.Observe(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
	settle()
	return o
}

func (s *service) redrive(id string) {
	s.t.Helper()
	kind, err := s.Redrive(s.t.Context(), id)
	if err != nil || kind != dispatch.RedriveContinue {
		s.t.Fatalf("redrive of %s: %q, %v", id, kind, err)
	}
}

func (s *service) status() string {
	s.t.Helper()
	statuses, err := s.j.NextStatuses(s.t.Context(), dispatch.StatusQuery{Source: "github", Now: time.Now().Add(time.Hour), Limit: 1})
	if err != nil || len(statuses) != 1 {
		s.t.Fatalf("%+v, %v", statuses, err)
	}
	return string(statuses[0].State) + " " + statuses[0].Description
}

func TestWhatFailedGoesOnWhenRedriven(t *testing.T) {
	for _, status := range []event.ExecutionStatus{event.Failed, event.TimedOut, event.Aborted} {
		t.Run(string(status), func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newEngine()
				s := run(t, path, e, oneRoute, reporting())
				defer s.stop()
				s.accept(push("d1", "a"))
				settle()
				first := s.get("a-r")
				var old event.Outcome
				for range 3 {
					old = s.ended("a-r", status)
					s.redrive("a-r")
					s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
					if got := s.status(); got != "pending Running" {
						t.Errorf("status %q", got)
					}
					// News of the end before comes again.
					for range 2 {
						if err := s.Observe(t.Context(), old); err != nil {
							t.Fatal(err)
						}
						s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
					}
				}
				s.ended("a-r", event.Succeeded)
				if err := s.Observe(t.Context(), old); err != nil {
					t.Fatal(err)
				}
				s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
				x := s.get("a-r")
				if x.ARN != first.ARN || !x.StartedAt.Equal(first.StartedAt) || x.Redrives != 3 || x.Error != "" || e.redriven("a-r") != 3 || e.calls("a-r") != 1 {
					t.Errorf("%+v, redriven %d times, started %d times", x, e.redriven("a-r"), e.calls("a-r"))
				}
			})
		})
	}
}

// An end that nobody tells of is found by asking.
func TestRedrivenExecutionIsWatched(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		s.ended("a-r", event.Failed)
		s.redrive("a-r")
		settle()
		e.finish("a-r", event.TimedOut)
		time.Sleep(10 * time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateTimedOut})
	})
}

func TestRedriveWaitsForItsEnvironment(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, dispatch.Config{EnvironmentLimit: func(string) int { return 1 }})
		defer s.stop()
		s.accept(push("d1", "a", "b", "c"))
		settle()
		s.ended("a-r", event.Failed)
		s.redrive("a-r")
		s.want(map[string]dispatch.State{"a-r": dispatch.StateWaiting, "b-r": dispatch.StateRunning, "c-r": dispatch.StateWaiting})
		if e.redriven("a-r") != 0 {
			t.Error("it was redriven beside another")
		}
		s.ended("b-r", event.Succeeded)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "c-r": dispatch.StateWaiting}) // in the order of their arrival
		s.ended("a-r", event.Succeeded)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded, "c-r": dispatch.StateRunning})
	})
}

// The process is killed after the engine has done what was asked and before that
// is recorded. The next one finds out what became of it.
func TestRedriveHappensOnceOverACrash(t *testing.T) {
	for name, row := range map[string]struct {
		meanwhile func(e *engine)
		want      dispatch.State
	}{
		"it runs":             {func(*engine) {}, dispatch.StateRunning},
		"it has failed again": {func(e *engine) { e.finish("a-r", event.Failed) }, dispatch.StateFailed},
		"it has succeeded":    {func(e *engine) { e.finish("a-r", event.Succeeded) }, dispatch.StateSucceeded},
	} {
		for _, after := range []time.Duration{0, time.Hour} { // the engine remembers tokens for a quarter of an hour
			t.Run(name+" after "+after.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T, path string) {
					e := newEngine()
					e.afterRedrive = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
					s := run(t, path, e, oneRoute, dispatch.Config{})
					s.accept(push("d1", "a"))
					settle()
					s.ended("a-r", event.Failed)
					s.redrive("a-r")
					settle()
					s.stop()
					time.Sleep(after)
					if after > 0 {
						e.redrives[arnOf("a-r")][0] = "forgotten"
					}
					row.meanwhile(e)
					e.afterRedrive = nil
					s = run(t, path, e, oneRoute, dispatch.Config{})
					defer s.stop()
					s.want(map[string]dispatch.State{"a-r": row.want})
					if n := e.redriven("a-r"); n != 1 {
						t.Errorf("redriven %d times", n)
					}
				})
			})
		}
	}
}

// A call that had its effect and reported an error is repeated without another.
func TestRedriveWhoseAnswerIsLostIsRepeated(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		lost := 2
		e.afterRedrive = func(context.Context) error {
			if lost--; lost >= 0 {
				return errors.New("connection reset")
			}
			return nil
		}
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		s.ended("a-r", event.Failed)
		s.redrive("a-r")
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if n := e.redriven("a-r"); n != 1 {
			t.Errorf("redriven %d times", n)
		}
	})
}

// News of the earlier end comes while the call is under way, and so does that of
// the next end, before the record of the redrive.
func TestNewsOfAnEndDuringARedrive(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		release := make(chan struct{})
		e.afterRedrive = func(ctx context.Context) error { <-release; return nil }
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		old := s.ended("a-r", event.Failed)
		tell := func(o event.Outcome) {
			if err := s.Observe(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			settle()
		}
		s.redrive("a-r")
		settle()
		tell(old)
		release <- struct{}{}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})

		old = s.ended("a-r", event.Failed)
		s.redrive("a-r")
		settle()
		fresh := e.finish("a-r", event.Succeeded)
		tell(fresh)
		tell(old)
		release <- struct{}{}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
	})
}

func TestRefusedRedriveLeavesTheExecutionAsItWas(t *testing.T) {
	refused := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	for name, row := range map[string]struct {
		on   func(context.Context) error
		want string
	}{
		"not redrivable": {refused(&dispatch.PermanentError{Err: errors.New("ExecutionNotRedrivable: too old")}), "not redriven: ExecutionNotRedrivable: too old"},
		"not permitted":  {refused(&dispatch.BlockedError{Err: errors.New("AccessDenied")}), "not redriven: AccessDenied"},
		"not known":      {refused(dispatch.ErrNotFound), "not redriven: not found"},
		"a bug":          {func(context.Context) error { panic("oops") }, "not redriven: "},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newEngine()
				s := run(t, path, e, oneRoute, reporting())
				defer s.stop()
				s.accept(push("d1", "a"))
				settle()
				s.ended("a-r", event.Failed)
				before, status := s.get("a-r"), s.status()
				e.onRedrive = row.on
				s.redrive("a-r")
				s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed})
				x := s.get("a-r")
				if !strings.HasPrefix(x.LastError, row.want) || !x.StoppedAt.Equal(before.StoppedAt) || x.Error != before.Error || x.ARN != before.ARN || s.status() != status {
					t.Errorf("%+v, status %s", x, s.status())
				}
				// Other executions of the state machine start as ever, and it can be
				// tried again.
				s.accept(push("d2", "b"))
				s.want(map[string]dispatch.State{"b-r": dispatch.StateRunning})
				e.onRedrive = nil
				s.redrive("a-r")
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
				if x := s.get("a-r"); x.LastError != "" {
					t.Errorf("last error %q", x.LastError)
				}
			})
		})
	}
}

func TestWhatCannotGoOnIsSaidAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, dispatch.Config{EnvironmentLimit: func(string) int { return 3 }})
		defer s.stop()
		s.accept(push("d1", "succeeded", "running", "old", "waiting"))
		settle()
		if err := s.Stop(t.Context(), "waiting-r", "ada"); err != nil {
			t.Fatal(err)
		}
		s.ended("succeeded-r", event.Succeeded)
		s.ended("old-r", event.Failed)
		e.mu.Lock()
		e.running[arnOf("old-r")].NotRedrivable = "Execution redrivable period exceeded"
		e.mu.Unlock()
		for id, want := range map[string]string{
			"succeeded-r": "it succeeded", "running-r": "it has not ended", "waiting-r": "never started", "old-r": "the engine says: Execution redrivable period exceeded",
		} {
			before := s.get(id)
			_, err := s.Redrive(t.Context(), id)
			if !errors.Is(err, dispatch.ErrNotRedrivable) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", id, err)
			}
			settle()
			if x := s.get(id); x.State != before.State || x.Redrives != 0 {
				t.Errorf("%s: %+v", id, x)
			}
		}
		e.forget = true
		if _, err := s.Redrive(t.Context(), "old-r"); !errors.Is(err, dispatch.ErrNotRedrivable) || !strings.Contains(err.Error(), "does not know it") {
			t.Errorf("forgotten: %v", err)
		}
	})
}

func TestRedriveThatIsStopped(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		settle()
		s.ended("a-r", event.Failed)
		s.ended("b-r", event.Failed)

		// No call has had an effect: it is as before.
		e.onRedrive = func(context.Context) error { return errors.New("unreachable") }
		s.redrive("a-r")
		s.want(map[string]dispatch.State{"a-r": dispatch.StateReady})
		if err := s.Stop(t.Context(), "a-r", "ada"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed})
		if x := s.get("a-r"); x.LastError != "not redriven: stopped by ada" {
			t.Errorf("%+v", x)
		}
		// One has, and its answer was lost: what runs is stopped.
		e.onRedrive, e.afterRedrive = nil, func(context.Context) error { return errors.New("connection reset") }
		s.redrive("b-r")
		s.want(map[string]dispatch.State{"b-r": dispatch.StateReady})
		if err := s.Stop(t.Context(), "b-r", "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"b-r": dispatch.StateAborted})
		if n := e.redriven("a-r") + e.redriven("b-r"); n != 1 {
			t.Errorf("redriven %d times", n)
		}
	})
}

// lagging is an engine that goes on telling of the earlier end after a redrive,
// as long as it has old news.
type lagging struct {
	*engine
	lag atomic.Int32
	old event.Outcome
}

func (l *lagging) Describe(ctx context.Context, arn string) (event.Outcome, error) {
	if l.redriven("a-r") > 0 && l.lag.Add(-1) >= 0 {
		return l.old, nil
	}
	return l.engine.Describe(ctx, arn)
}

// What the engine tells may be behind what it does, by Step Functions' own word.
// The call is repeated with the same token then, and old news ends nothing.
func TestRedriveAtAnEngineThatLags(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := &lagging{engine: newEngine()}
		lost := 3
		e.afterRedrive = func(context.Context) error {
			if lost--; lost >= 0 {
				return errors.New("connection reset")
			}
			return nil
		}
		s := runOn(t, path, unchanged, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.engine = e.engine
		s.accept(push("d1", "a"))
		settle()
		e.old = s.ended("a-r", event.Failed)
		e.lag.Store(10)
		s.redrive("a-r")
		time.Sleep(time.Hour)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		if left := e.lag.Load(); left > 0 {
			t.Errorf("%d pieces of old news were not asked for", left)
		}
		if n := e.redriven("a-r"); n != 1 {
			t.Errorf("redriven %d times", n)
		}
		s.ended("a-r", event.Succeeded)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
	})
}
