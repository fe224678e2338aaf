package dispatch_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// wallClock is a clock that people set.
type wallClock struct{ ahead atomic.Int64 }

func (w *wallClock) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *wallClock) step(d time.Duration) { w.ahead.Add(int64(d)) }

const years = 5 * 365 * 24 * time.Hour

// failing refuses so many starts.
func failing(times int) func(context.Context, string, int) error {
	return func(_ context.Context, _ string, call int) error {
		if call <= times {
			return errors.New("connection refused")
		}
		return nil
	}
}

func TestClockStepsDelayNothing(t *testing.T) {
	const soon = time.Minute // firstRetry and the longest look-out are shorter
	cfg := dispatch.Config{RetryBase: 10 * time.Second, EnvironmentLimit: func(string) int { return 1 }}
	running := map[string]dispatch.State{"a-r": dispatch.StateRunning}
	rows := map[string]func(s *service, e *engine, w *wallClock) map[string]dispatch.State{
		"back while a start waits for its backoff": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			e.answer(failing(1))
			s.accept(push("d1", "a"))
			settle()
			w.step(-time.Hour)
			return running
		},
		"back again and again": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			e.answer(failing(3))
			s.accept(push("d1", "a"))
			for range 5 {
				settle()
				w.step(-20 * time.Minute)
			}
			return running
		},
		"back by less than a backoff": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			e.answer(failing(2))
			s.accept(push("d1", "a"))
			time.Sleep(8 * time.Second)
			w.step(-4 * time.Minute)
			return running
		},
		"years ahead": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			e.answer(failing(1))
			s.accept(push("d1", "a"))
			settle()
			w.step(years)
			return running
		},
		"years ahead and back while a start waits": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			w.step(years)
			e.answer(failing(1))
			s.accept(push("d1", "a"))
			settle()
			w.step(-years)
			return running
		},
		"years ahead and back before a delivery": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			w.step(years)
			settle()
			w.step(-years)
			e.answer(failing(1))
			s.accept(push("d1", "a"))
			return running
		},
		"back while another waits for the environment": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			s.accept(push("d1", "a", "b"))
			settle()
			w.step(-time.Hour)
			if err := s.Observe(s.t.Context(), e.finish("a-r", event.Succeeded)); err != nil {
				s.t.Fatal(err)
			}
			return map[string]dispatch.State{"b-r": dispatch.StateRunning}
		},
		"back while a stop waits for its end": func(s *service, e *engine, w *wallClock) map[string]dispatch.State {
			s.accept(push("d1", "a"))
			settle()
			w.step(-time.Hour)
			if err := s.Stop(s.t.Context(), "a-r", "ada"); err != nil {
				s.t.Fatal(err)
			}
			w.step(-time.Hour)
			return map[string]dispatch.State{"a-r": dispatch.StateAborted}
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				w, e := &wallClock{}, newEngine()
				s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, cfg, dispatch.WithClock(w.now))
				defer s.stop()
				settle()
				want := row(s, e, w)
				time.Sleep(soon)
				s.want(want)
			})
		})
	}
}

// What a process wrote while the clock was ahead is due for the next one, which
// starts after the clock was corrected.
func TestTimesFarAheadAreDueAfterARestart(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"an hour": time.Hour, "years": years} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				w, e := &wallClock{}, newEngine()
				w.step(ahead)
				s := run(t, path, e, oneRoute, dispatch.Config{}, dispatch.WithClock(w.now))
				s.accept(push("d0", "running"))
				settle()
				e.answer(failing(20))
				s.accept(push("d1", "a"))
				time.Sleep(time.Minute)
				s.stop()
				e.answer(nil)
				e.finish("running-r", event.Succeeded)
				w.step(-ahead)
				s = run(t, path, e, oneRoute, dispatch.Config{}, dispatch.WithClock(w.now))
				defer s.stop()
				time.Sleep(2 * time.Minute)
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "running-r": dispatch.StateSucceeded})
			})
		})
	}
}

// A start in the future, by a clock that was set back since or by the engine's
// own, hides no execution from the rounds.
func TestExecutionStartedInTheFutureIsAskedFor(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		w, e := &wallClock{}, newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Minute}, dispatch.WithClock(w.now))
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		w.step(-time.Hour)
		e.finish("a-r", event.Succeeded)
		time.Sleep(2*time.Minute + time.Second)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateSucceeded})
	})
}
