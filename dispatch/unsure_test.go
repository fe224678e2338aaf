package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// unsure is a journal whose writes are applied, but not as their caller is
// told.
type unsure struct {
	dispatch.Journal
	// lost has every write applied and reported as failed, as many times as it
	// says.
	lost atomic.Int64
	// late applies appends only after this long, when whoever asked has gone.
	late time.Duration
}

var errLost = errors.New("the report was lost")

func (u *unsure) report(err error) error {
	if err == nil && u.lost.Add(-1) >= 0 {
		return errLost
	}
	return err
}

func (u *unsure) Append(ctx context.Context, d dispatch.NewDelivery) (dispatch.Appended, error) {
	if u.late > 0 {
		go func() {
			time.Sleep(u.late)
			_, _ = u.Journal.Append(context.WithoutCancel(ctx), d) // its caller has gone
		}()
		<-ctx.Done()
		return dispatch.Appended{}, ctx.Err()
	}
	at, err := u.Journal.Append(ctx, d)
	if err = u.report(err); err != nil {
		return dispatch.Appended{}, err
	}
	return at, nil
}

func (u *unsure) Reopen(ctx context.Context, id string) error {
	return u.report(u.Journal.Reopen(ctx, id))
}

func (u *unsure) changes(changes []dispatch.Change, err error) ([]dispatch.Change, error) {
	if err = u.report(err); err != nil {
		return nil, err
	}
	return changes, nil
}

func (u *unsure) Expand(ctx context.Context, e []dispatch.Expansion) ([]dispatch.Change, error) {
	return u.changes(u.Journal.Expand(ctx, e))
}

func (u *unsure) Record(ctx context.Context, r dispatch.Records) ([]dispatch.Change, error) {
	return u.changes(u.Journal.Record(ctx, r))
}

func (u *unsure) Admit(ctx context.Context, environment string, limit int, now time.Time) ([]dispatch.Change, error) {
	return u.changes(u.Journal.Admit(ctx, environment, limit, now))
}

func (u *unsure) RequestStop(ctx context.Context, id string, s dispatch.StopRequest) ([]dispatch.Change, error) {
	return u.changes(u.Journal.RequestStop(ctx, id, s))
}

func (u *unsure) Redrive(ctx context.Context, id string, s dispatch.Resume) ([]dispatch.Change, error) {
	return u.changes(u.Journal.Redrive(ctx, id, s))
}

func (u *unsure) Rerun(ctx context.Context, id, reason string, s dispatch.Resume) (string, []dispatch.Change, error) {
	again, changes, err := u.Journal.Rerun(ctx, id, reason, s)
	if err = u.report(err); err != nil {
		return "", nil, err
	}
	return again, changes, nil
}

// onUnsure runs a dispatcher on such a journal.
func onUnsure(t *testing.T, cfg dispatch.Config, p planner, test func(t *testing.T, u *unsure, e *engine, s *service)) {
	t.Helper()
	bubble(t, func(t *testing.T, path string) {
		u, e := &unsure{}, newEngine()
		s := runOn(t, path, func(j dispatch.Journal) dispatch.Journal { u.Journal = j; return u }, e, p, cfg)
		defer s.stop()
		settle()
		test(t, u, e, s)
	})
}

func mayHaveBeenTaken(t *testing.T, err error) {
	t.Helper()
	var unavailable *dispatch.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.NotTaken() {
		t.Errorf("error %v, want one that says the change may have been made", err)
	}
}

func TestDeliveryThatNobodyWaitedForIsWorkedOff(t *testing.T) {
	for name, late := range map[string]time.Duration{"reported as failed": 0, "written later": 3 * time.Second, "much later": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			onUnsure(t, dispatch.Config{}, oneRoute, func(t *testing.T, u *unsure, e *engine, s *service) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if u.late = late; late == 0 {
					u.lost.Store(1)
				}
				_, err := s.Accept(ctx, push("d1", "a"))
				mayHaveBeenTaken(t, err)
				time.Sleep(2 * late)
				s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
			})
		})
	}
}

func TestCommandWhoseReportIsLostTakesEffect(t *testing.T) {
	limited := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: time.Hour}
	prod := planner{routes: []string{"r"}, env: "prod"}
	t.Run("start", func(t *testing.T) {
		onUnsure(t, limited, prod, func(t *testing.T, u *unsure, e *engine, s *service) {
			u.lost.Store(1)
			_, err := s.Start(t.Context(), event.Request{ID: "m", StateMachine: "deploy", Input: []byte(`{}`)}, "ada")
			mayHaveBeenTaken(t, err)
			s.want(map[string]dispatch.State{"m": dispatch.StateRunning})
		})
	})
	t.Run("stop", func(t *testing.T) {
		onUnsure(t, limited, prod, func(t *testing.T, u *unsure, e *engine, s *service) {
			s.accept(push("d1", "a", "b"))
			settle()
			u.lost.Store(1)
			mayHaveBeenTaken(t, s.Stop(t.Context(), "a-r", "ada"))
			s.want(map[string]dispatch.State{"a-r": dispatch.StateAborted, "b-r": dispatch.StateRunning})
		})
	})
	t.Run("redrive", func(t *testing.T) {
		onUnsure(t, limited, prod, func(t *testing.T, u *unsure, e *engine, s *service) {
			e.answer(func(context.Context, string, int) error { return &dispatch.PermanentError{Err: errors.New("no")} })
			s.accept(push("d1", "a"))
			settle()
			e.answer(nil)
			u.lost.Store(1)
			_, err := s.Redrive(t.Context(), "a-r")
			mayHaveBeenTaken(t, err)
			s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		})
	})
	t.Run("rerun", func(t *testing.T) {
		onUnsure(t, limited, prod, func(t *testing.T, u *unsure, e *engine, s *service) {
			s.accept(push("d1", "a"))
			settle()
			if err := s.Observe(t.Context(), e.finish("a-r", event.Failed)); err != nil {
				t.Fatal(err)
			}
			settle()
			u.lost.Store(1)
			_, err := s.Rerun(t.Context(), "a-r", "ada")
			mayHaveBeenTaken(t, err)
			s.want(map[string]dispatch.State{"a-r-r2": dispatch.StateRunning})
		})
	})
	t.Run("replay", func(t *testing.T) {
		onUnsure(t, limited, planner{}, func(t *testing.T, u *unsure, e *engine, s *service) {
			s.accept(push("d1", "a"))
			settle()
			if err := s.Reconfigure(prod, limited); err != nil {
				t.Fatal(err)
			}
			u.lost.Store(1)
			_, err := s.Replay(t.Context(), "github:d1")
			mayHaveBeenTaken(t, err)
			s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning})
		})
	})
}

// Every write of a delivery's way is once applied and reported as failed: what
// follows from it must happen without waiting for the next delivery.
func TestWorkGoesOnWhenReportsAreLost(t *testing.T) {
	for n := range 4 {
		t.Run(fmt.Sprintf("%d reports", n+1), func(t *testing.T) {
			cfg := dispatch.Config{EnvironmentLimit: func(string) int { return 1 }, PollEvery: time.Hour}
			onUnsure(t, cfg, planner{routes: []string{"r"}, env: "prod"}, func(t *testing.T, u *unsure, e *engine, s *service) {
				u.lost.Store(int64(n + 1))
				_, err := s.Accept(t.Context(), push("d1", "a", "b", "c"))
				mayHaveBeenTaken(t, err)
				for _, id := range []string{"a-r", "b-r", "c-r"} {
					time.Sleep(time.Minute)
					synctest.Wait()
					if s.want(map[string]dispatch.State{id: dispatch.StateRunning}); t.Failed() {
						return
					}
					u.lost.Store(int64(n))
					if err := s.Observe(t.Context(), e.finish(id, event.Succeeded)); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}
