package dispatch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// pulledOf is a pull request's event that names the head of several commits.
func pulledOf(id string, number, total int, sha string) event.Event {
	ev := pulled(id, number, sha)
	ev.Truncated, ev.Total = true, total
	return ev
}

// headOnly takes the head of pull requests and no more.
type headOnly struct{ planner }

func (p headOnly) Plan(ev event.Event) event.Plan {
	plan := p.planner.Plan(ev)
	plan.Unlisted = false
	return plan
}

// The other commits of a pull request come from the host, before any is
// requested, and are the executions that a push of them asks for.
func TestAllCommitsOfAPullRequest(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		h := &host{commits: map[string][]event.Commit{"c": {told("a", "of a", "x"), told("b", "of b", "docs"), told("c", "of c", "x")}}}
		h.answer(func(context.Context, string, int) error { return errors.New("502") })
		s := withHost(t, path, e, h)
		defer func() { s.stop() }()
		if r := s.accept(pulledOf("d1", 1, 3, "c")); !slices.Equal(r.Executions, []string{"c-r"}) {
			t.Errorf("%+v", r)
		}
		settle()
		if d := s.delivery("github:d1"); d.State != dispatch.DeliveryCompleting || !strings.Contains(d.WaitsFor, "list the commits of the pull request: 502") {
			t.Errorf("%+v", d)
		}
		s.stop()
		h.answer(nil)
		s = withHost(t, path, e, h)
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "c-r": dispatch.StateRunning})
		page, err := s.Executions(t.Context(), dispatch.ExecutionFilter{})
		if err != nil || len(page.Executions) != 2 || page.Executions[0].ID != "c-r" {
			t.Errorf("the newest is not last: %+v, %v", page, err)
		}
		s.same("reasons", s.reasons("github:d1"), []string{"b docs alone"})
		asked := len(h.calls())
		s.accept(pushed("d2", "z", false, told("a", "of a", "x"), told("b", "of b", "docs"), told("c", "of c", "x")))
		settle()
		s.same("a push of them", s.reasons("github:d2"), []string{"b docs alone", "a a-r already requested by delivery github:d1", "c c-r already requested by delivery github:d1"})
		if e.calls("a-r") != 1 || e.calls("c-r") != 1 || len(e.names()) != 2 {
			t.Errorf("started %q", e.names())
		}
		if n := len(h.calls()); n != asked {
			t.Errorf("asked %d times for what is known", n-asked)
		}
	})
}

func TestNobodyIsAskedForWhatNoRouteTakes(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{}
		s := run(t, path, newEngine(), headOnly{oneRoute}, dispatch.Config{PollEvery: time.Hour}, dispatch.WithHost(h))
		defer s.stop()
		s.accept(pulledOf("d1", 1, 3, "c"))
		s.want(map[string]dispatch.State{"c-r": dispatch.StateRunning})
		s.same("reasons", s.reasons("github:d1"), nil)
		s.same("nobody was asked", h.calls(), nil)
	})
}

// Where a route lacks what the head says and wants no more commits, the host is
// asked for the head alone.
func TestOnlyTheHeadIsDescribedWhereNoMoreIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := &host{commit: map[string]event.Commit{"c": told("c", "of c", "x")}}
		s := run(t, path, newEngine(), lackingHead{picky{oneRoute}}, dispatch.Config{PollEvery: time.Hour}, dispatch.WithHost(h))
		defer s.stop()
		s.accept(pulledOf("d1", 1, 3, "c"))
		s.want(map[string]dispatch.State{"c-r": dispatch.StateRunning})
		s.same("asked", h.calls(), []string{"commit c"})
	})
}

type lackingHead struct{ picky }

func (p lackingHead) Plan(ev event.Event) event.Plan {
	plan := p.picky.Plan(ev)
	plan.Unlisted = false
	return plan
}

// Without access the head runs, and what is left out is a recorded reason.
func TestAPullRequestWithoutAccess(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		h := refuser{&host{}}
		s := run(t, path, newEngine(), oneRoute, dispatch.Config{PollEvery: time.Hour}, dispatch.WithHost(h))
		defer s.stop()
		s.accept(pulledOf("d1", 1, 3, "c"))
		s.want(map[string]dispatch.State{"c-r": dispatch.StateRunning})
		s.same("reasons", s.reasons("github:d1"), []string{"the host did not list the other commits of the pull request: the host's API cannot be asked: github is not set up"})
		s.same("nobody was asked", h.calls(), nil)
		s.accept(pushed("d2", "x", true, told("d", "of d", "x")))
		s.accept(pushed("d3", "d", false, told("e", "of e", "x")))
		settle()
		if n := s.Stats().Incomplete; n != 2 {
			t.Errorf("%d deliveries are counted as incomplete, want 2", n)
		}
	})
}

// A push and a pull request of one commit are one execution, which names both.
func TestAPushAndAPullRequestAreOneExecution(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, oneRoute, dispatch.Config{PollEvery: time.Hour})
		defer s.stop()
		s.accept(pushed("d1", "", false, told("c", "of c", "x")))
		s.accept(pulled("d2", 12, "c"))
		s.accept(pulled("d2", 12, "c"))
		settle()
		want := []dispatch.Asking{{Delivery: "github:d2", Kind: event.PullRequest, Ref: "refs/heads/main", PullRequest: 12}}
		if x := s.get("c-r"); x.Delivery != "github:d1" || !slices.Equal(x.AlsoAsked, want) {
			t.Errorf("%+v", x)
		}
		e.end(s, "c-r", event.Failed)
		again, err := s.Rerun(t.Context(), "c-r", "ada")
		if err != nil {
			t.Fatal(err)
		}
		if x := s.get(again); !slices.Equal(x.AlsoAsked, want) {
			t.Errorf("%+v", x)
		}
	})
}

// The same for a caller that keeps nothing.
func TestCompleteAPullRequest(t *testing.T) {
	h := &host{commits: map[string][]event.Commit{"c": {told("a", "of a", "x"), told("b", "of b", "x"), told("c", "of c", "x")}}}
	ev := pulledOf("d1", 1, 3, "c")
	plan, unknown, err := dispatch.Complete(t.Context(), h, oneRoute, &ev, 0)
	if err != nil || len(unknown) > 0 || len(plan.Requests) != 3 {
		t.Errorf("%+v, %+v, %v", plan, unknown, err)
	}
	ev = pulledOf("d1", 1, 3, "c")
	asked := len(h.calls())
	if plan, unknown, err = dispatch.Complete(t.Context(), h, headOnly{oneRoute}, &ev, 0); err != nil || len(unknown) > 0 || len(plan.Requests) != 1 || len(h.calls()) != asked {
		t.Errorf("%+v, %+v, %v, %q", plan, unknown, err, h.calls())
	}
	h.on = func(context.Context, string, int) error { return dispatch.ErrCannotAsk }
	ev = pulledOf("d1", 1, 3, "c")
	if plan, unknown, err = dispatch.Complete(t.Context(), h, oneRoute, &ev, 0); err != nil || len(unknown) != 1 || !strings.HasPrefix(unknown[0].Reason, "the host did not list the other commits of the pull request: ") || len(plan.Requests) != 1 {
		t.Errorf("%+v, %+v, %v", plan, unknown, err)
	}
}
