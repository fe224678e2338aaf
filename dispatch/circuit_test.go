package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// forbidden is an engine on which some state machines cannot be started.
type forbidden struct {
	*engine
	mu      sync.Mutex
	blocked map[string]error
	tried   map[string]int
}

func newForbidden(stateMachine string) *forbidden {
	f := &forbidden{engine: newEngine(), tried: map[string]int{}}
	f.set(stateMachine, &dispatch.BlockedError{Err: errors.New("AccessDeniedException: no states:StartExecution")})
	return f
}

func (f *forbidden) set(stateMachine string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked = map[string]error{stateMachine: err}
}

func (f *forbidden) tries(stateMachine string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tried[stateMachine]
}

func (f *forbidden) Start(ctx context.Context, stateMachine, name string, input []byte) (dispatch.Started, error) {
	f.mu.Lock()
	f.tried[stateMachine]++
	err := f.blocked[stateMachine]
	f.mu.Unlock()
	if err != nil {
		return dispatch.Started{}, err
	}
	return f.engine.Start(ctx, stateMachine, name, input)
}

// byRoute starts the state machine that is called as the route.
type byRoute struct{ planner }

func (b byRoute) Plan(ev event.Event) event.Plan {
	plan := b.planner.Plan(ev)
	for i := range plan.Requests {
		plan.Requests[i].StateMachine = plan.Requests[i].Route
	}
	return plan
}

// noPolls leaves out what takes these tests the longest.
var noPolls = dispatch.Config{PollEvery: 24 * time.Hour}

var twoMachines = byRoute{planner{routes: []string{"bad", "good"}}}

func (s *service) count(f dispatch.ExecutionFilter) int {
	s.t.Helper()
	f.Limit = 1000
	page, err := s.Executions(s.t.Context(), f)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(page.Executions)
}

func TestBlockedStateMachineIsProbedAndTheOthersGoOn(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newForbidden("bad")
		s := runOn(t, path, unchanged, e, twoMachines, noPolls)
		defer s.stop()
		s.accept(push("d1", commits(40)...))
		time.Sleep(time.Minute)
		if n := s.count(dispatch.ExecutionFilter{Route: "good", States: []dispatch.State{dispatch.StateRunning}}); n != 40 {
			t.Errorf("%d executions of the other state machine run, want 40", n)
		}
		if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{dispatch.StateReady}}); n != 40 {
			t.Errorf("%d requests wait, want 40", n)
		}
		for _, id := range []string{"c000-bad", "c039-bad"} {
			if x := s.get(id); !strings.Contains(x.LastError, "no states:StartExecution") || x.Tries != 0 {
				t.Errorf("%+v", x)
			}
		}
		time.Sleep(20 * time.Minute)
		// Those that were under way when it was noticed, 16 at most, then one at
		// a time.
		if n := e.tries("bad"); n < 8 || n > 32 {
			t.Errorf("%d calls in 20 minutes", n)
		}
		s.accept(push("d2", "late"))
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"late-bad": dispatch.StateReady, "late-good": dispatch.StateRunning})

		e.set("", nil)
		time.Sleep(16 * time.Minute)
		if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{dispatch.StateRunning}}); n != 41 {
			t.Errorf("%d run after the repair, want 41", n)
		}
		if n := len(e.names()); n != 82 {
			t.Errorf("%d executions were started, want 82", n)
		}
	})
}

func TestReloadTriesABlockedStateMachineAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newForbidden("bad")
		s := runOn(t, path, unchanged, e, twoMachines, noPolls)
		defer s.stop()
		s.accept(push("d1", commits(40)...))
		time.Sleep(20 * time.Minute)
		e.set("", nil)
		if err := s.Reconfigure(twoMachines, noPolls); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{dispatch.StateRunning}}); n != 40 {
			t.Errorf("%d run, want 40", n)
		}
	})
}

func TestRestartTriesABlockedStateMachine(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newForbidden("bad")
		s := runOn(t, path, unchanged, e, twoMachines, noPolls)
		s.accept(push("d1", commits(40)...))
		time.Sleep(20 * time.Minute)
		s.stop()
		e.set("", nil)
		s = runOn(t, path, unchanged, e, twoMachines, noPolls)
		defer s.stop()
		time.Sleep(6 * time.Minute)
		if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{dispatch.StateRunning}}); n != 40 {
			t.Errorf("%d run, want 40", n)
		}
	})
}

func TestBlockedRequestIsStoppedWithoutACall(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newForbidden("bad")
		s := runOn(t, path, unchanged, e, twoMachines, noPolls)
		s.accept(push("d1", "a", "b", "c"))
		time.Sleep(10 * time.Minute)
		calls := e.tries("bad")
		for _, id := range []string{"a-bad", "b-bad"} { // one of them may be the probe
			if err := s.Stop(t.Context(), id, "ada"); err != nil {
				t.Fatal(err)
			}
		}
		s.want(map[string]dispatch.State{"a-bad": dispatch.StateAborted, "b-bad": dispatch.StateAborted, "c-bad": dispatch.StateReady})
		if n := e.tries("bad"); n != calls {
			t.Errorf("%d calls to stop what had not started", n-calls)
		}
		s.stop()
		// Also when a process before this one had asked.
		s = runOn(t, path, unchanged, e, twoMachines, noPolls)
		if err := s.Stop(t.Context(), "c-bad", "ada"); err != nil {
			t.Fatal(err)
		}
		s.want(map[string]dispatch.State{"c-bad": dispatch.StateAborted})
		s.accept(push("d2", "d", "e"))
		time.Sleep(10 * time.Minute)
		defer s.stop()
		// What probes may go; another one does it then.
		if err := s.Stop(t.Context(), "d-bad", "ada"); err != nil {
			t.Fatal(err)
		}
		e.set("", nil)
		time.Sleep(16 * time.Minute)
		s.want(map[string]dispatch.State{"e-bad": dispatch.StateRunning})
	})
}

// The commits of an environment keep their order: a blocked one keeps its slot.
func TestBlockedRequestKeepsItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newForbidden("bad")
		p := byRoute{planner{routes: []string{"bad"}, env: "prod"}}
		s := runOn(t, path, unchanged, e, p, dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: 24 * time.Hour})
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		time.Sleep(5 * time.Minute)
		s.want(map[string]dispatch.State{"a-bad": dispatch.StateReady, "b-bad": dispatch.StateWaiting})
		e.set("", nil)
		time.Sleep(6 * time.Minute)
		s.want(map[string]dispatch.State{"a-bad": dispatch.StateRunning, "b-bad": dispatch.StateWaiting})
	})
}

// A probe that is itself refused, or gets no answer, is no end of probing.
func TestProbeWithAnotherOutcome(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want dispatch.State
	}{
		"refused for itself": {&dispatch.PermanentError{Err: errors.New("InvalidName")}, dispatch.StateDead},
		"no answer":          {errors.New("connection refused"), dispatch.StateReady},
		"throttled":          {&dispatch.ThrottledError{Err: errors.New("slow down")}, dispatch.StateReady},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newForbidden("bad")
				s := runOn(t, path, unchanged, e, twoMachines, noPolls)
				defer s.stop()
				s.accept(push("d1", commits(20)...))
				time.Sleep(2 * time.Minute)
				e.set("bad", row.err)
				time.Sleep(6 * time.Minute)
				if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{row.want}}); n != 20 {
					t.Errorf("%d are %s, want 20", n, row.want)
				}
				e.set("", nil)
				s.accept(push("d2", "z"))
				time.Sleep(6 * time.Minute)
				s.want(map[string]dispatch.State{"z-bad": dispatch.StateRunning})
				if row.want == dispatch.StateReady {
					if n := s.count(dispatch.ExecutionFilter{Route: "bad", States: []dispatch.State{dispatch.StateRunning}}); n != 21 {
						t.Errorf("%d run in the end, want 21", n)
					}
				}
			})
		})
	}
}

func TestBlockedIsToldToTheObserver(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		w := &witness{}
		s := runOn(t, path, unchanged, newForbidden("bad"), byRoute{planner{routes: []string{"bad"}}}, dispatch.Config{}, dispatch.WithObserver(w))
		s.accept(push("d1", "a"))
		settle()
		s.stop()
		if got := fmt.Sprint(w.notes); got != "[delivered accepted start blocked]" {
			t.Error(got)
		}
	})
}

// unspeakable is an error that panics when somebody reads it.
type unspeakable struct{}

func (unspeakable) Error() string { panic("cannot say") }

// A probe that panics tells nothing of the state machine: the next one probes.
func TestProbeThatPanicsIsFollowedByAnother(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		f := newForbidden("bad")
		s := runOn(t, path, unchanged, f, byRoute{planner{routes: []string{"bad"}}}, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		s.want(map[string]dispatch.State{"a-bad": dispatch.StateReady})
		f.set("bad", &dispatch.BlockedError{Err: unspeakable{}})
		time.Sleep(10 * time.Minute)
		s.want(map[string]dispatch.State{"a-bad": dispatch.StateDead})
		f.set("bad", nil)
		s.accept(push("d2", "b"))
		time.Sleep(time.Hour)
		s.want(map[string]dispatch.State{"b-bad": dispatch.StateRunning})
	})
}
