package dispatch_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func TestRerunHasANameOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Second})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		if _, err := s.Rerun(t.Context(), "a-r", "ada"); !errors.Is(err, dispatch.ErrUnfinished) {
			t.Errorf("rerun of a running one: %v", err)
		}
		e.finish("a-r", event.Failed)
		time.Sleep(3 * time.Second)
		settle()
		id, err := s.Rerun(t.Context(), "a-r", "ada")
		if err != nil || id != "a-r-r2" {
			t.Fatalf("%q, %v", id, err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateFailed, "a-r-r2": dispatch.StateRunning})
		// A repeat of the delivery still names what it asked for, not the rerun.
		if r := s.accept(push("d1", "a")); !slices.Equal(r.Executions, []string{"a-r"}) {
			t.Errorf("%+v", r)
		}
	})
}

func TestManualStartTakesTheSameWay(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, planner{}, dispatch.Config{})
		req := event.Request{ID: "by-hand", Route: "manual", StateMachine: "deploy", Repository: "acme/api", Ref: "refs/heads/main", Commit: event.Commit{SHA: "a"}, Input: []byte(`{"sha":"a"}`)}
		r, err := s.Start(t.Context(), req, "ada")
		if err != nil || r.Duplicate || !slices.Equal(r.Executions, []string{"by-hand"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		s.want(map[string]dispatch.State{"by-hand": dispatch.StateRunning})
		if x := s.get("by-hand"); x.Reason != "started by ada" || x.Delivery != "manual:by-hand" || string(x.Input) != `{"sha":"a"}` {
			t.Errorf("%+v", x)
		}
		if r, err = s.Start(t.Context(), req, "ada"); err != nil || !r.Duplicate {
			t.Errorf("repeat: %+v, %v", r, err)
		}
		if r, err = s.Replay(t.Context(), "manual:by-hand"); err != nil || !slices.Equal(r.Executions, []string{"by-hand"}) {
			t.Errorf("replay: %+v, %v", r, err)
		}
		settle()
		if e.calls("by-hand") != 1 {
			t.Errorf("started %d times", e.calls("by-hand"))
		}
		s.stop()
		var permanent *dispatch.PermanentError
		for name, bad := range map[string]event.Request{
			"name":    {ID: "no spaces", StateMachine: "deploy", Input: []byte("{}")},
			"machine": {ID: "x", Input: []byte("{}")},
			"input":   {ID: "x", StateMachine: "deploy", Input: []byte("{")},
			"size":    {ID: "x", StateMachine: "deploy", Input: []byte(`"` + strings.Repeat("x", 262_143) + `"`)},
		} {
			if _, err := s.Start(t.Context(), bad, "ada"); !errors.As(err, &permanent) {
				t.Errorf("bad %s: %v", name, err)
			}
		}
	})
}

func TestReplayStartsWhatTheRoutesAskForNow(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{})
		defer s.stop()
		s.accept(push("d1", "a"))
		settle()
		if err := s.Reconfigure(planner{routes: []string{"r", "new"}}, dispatch.Config{}); err != nil {
			t.Fatal(err)
		}
		r, err := s.Replay(t.Context(), "github:d1")
		if err != nil || !slices.Equal(r.Executions, []string{"a-r", "a-new"}) {
			t.Fatalf("%+v, %v", r, err)
		}
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "a-new": dispatch.StateRunning})
		if e.calls("a-r") != 1 {
			t.Errorf("started %d times", e.calls("a-r"))
		}
		if _, err := s.Replay(t.Context(), "github:none"); !errors.Is(err, dispatch.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
	})
}
