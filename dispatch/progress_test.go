package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// told takes what the outbox has for now, as a worker that posts at once does.
func (s *service) told() []string {
	s.t.Helper()
	rows, err := s.j.NextStatuses(s.t.Context(), dispatch.StatusQuery{Source: "github", Now: time.Now(), Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	var texts []string
	for _, row := range rows {
		texts = append(texts, row.SHA+": "+row.Description)
		if err := s.j.StatusPosted(s.t.Context(), row); err != nil {
			s.t.Fatal(err)
		}
	}
	slices.Sort(texts)
	return texts
}

func (s *service) wantTold(when string, want ...string) {
	s.t.Helper()
	settle()
	if got := s.told(); !slices.Equal(got, want) {
		s.t.Errorf("%s: told %q, want %q", when, got, want)
	}
}

func reported(cfg dispatch.Config) dispatch.Config {
	cfg.Statuses = func(string) bool { return true }
	cfg.PollEvery = time.Second
	return cfg
}

func TestStatusSaysWhatItWaitsForAndThatItRuns(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		cfg := reported(dispatch.Config{EnvironmentLimit: func(string) int { return 1 }})
		s := run(t, path, e, planner{routes: []string{"r"}, env: "prod"}, cfg)
		defer s.stop()
		s.accept(push("d1", "a", "b"))
		s.wantTold("one runs, too short to tell, one waits", "b: Waiting for environment prod")
		time.Sleep(6 * time.Second)
		s.wantTold("one has run for some time", "a: Running")
		e.finish("a-r", event.Succeeded)
		time.Sleep(3 * time.Second)
		s.wantTold("one has ended", "a: Succeeded after 6s")
		time.Sleep(6 * time.Second)
		s.wantTold("the other runs", "b: Running")
		if got := dispatch.StatusOf(ptr(s.get("b-r"))).Description; got != "Running" {
			t.Errorf("the page says %q", got)
		}
	})
}

func TestStatusOfAShortRunIsItsEndAlone(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, reported(dispatch.Config{}))
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		e.finish("a-r", event.Failed)
		time.Sleep(3 * time.Second)
		s.wantTold("ended", "a: Failed")
		time.Sleep(time.Minute)
		s.wantTold("later")
	})
}

func TestStatusSaysThatTheEngineIsAway(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		reason := errors.New("connection refused")
		e.on = func(context.Context, string, int) error { return reason }
		s := run(t, path, e, oneRoute, reported(dispatch.Config{RetryBase: 2 * time.Second, RetryMax: 10 * time.Second}))
		defer s.stop()
		s.accept(push("d1", "a"))
		s.wantTold("after the first try", "a: Waiting for the engine: connection refused")
		time.Sleep(time.Minute)
		if x := s.get("a-r"); x.Tries < 3 {
			t.Fatalf("only %d tries", x.Tries)
		}
		s.wantTold("after more, which say the same")
		if x := s.get("a-r"); dispatch.StatusOf(&x).Description != "Waiting for the engine: connection refused" || x.DueAt.IsZero() {
			t.Errorf("the page says %q, next try %v", dispatch.StatusOf(&x).Description, x.DueAt)
		}
		e.answer(func(context.Context, string, int) error { return errors.New("access denied") })
		time.Sleep(20 * time.Second)
		s.wantTold("for another reason", "a: Waiting for the engine: access denied")
		e.answer(nil)
		time.Sleep(20 * time.Second)
		s.wantTold("started", "a: Running")
	})
}

func TestStatusOfARerunNamesTheAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, reported(dispatch.Config{}))
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		e.finish("a-r", event.Failed)
		time.Sleep(3 * time.Second)
		s.wantTold("ended", "a: Failed")
		// What is requested again while nothing can be started.
		e.answer(func(ctx context.Context, _ string, _ int) error { <-ctx.Done(); return ctx.Err() })
		for _, want := range []string{"a: Queued again (attempt 2)", "a: Queued again (attempt 3)"} {
			id, err := s.Rerun(t.Context(), "a-r", "ada")
			if err != nil {
				t.Fatal(err)
			}
			s.wantTold("requested again", want)
			x := s.get(id)
			if got := dispatch.StatusOf(&x).Description; "a: "+got != want {
				t.Errorf("the page says %q, want %q", got, want)
			}
		}
	})
}

func ptr[T any](v T) *T { return &v }
