package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// merging starts what a pull request would be merged to.
type merging struct{ planner }

func (p merging) Plan(ev event.Event) event.Plan {
	if ev.Kind != event.PullRequest {
		return p.planner.Plan(ev)
	}
	switch pr := ev.PullRequest; {
	case pr.Conflict != "":
		return event.Plan{Ignored: []event.Ignored{{Route: "r", Commit: ev.After, Reason: "no merge: " + pr.Conflict}}}
	case pr.Merge == "":
		return event.Plan{Unmerged: true}
	}
	plan := p.planner.Plan(ev)
	for i := range plan.Requests {
		plan.Requests[i].ID += "-" + ev.PullRequest.Merge
	}
	return plan
}

// merger is a host that merges pull requests to try that.
type merger struct {
	*host
	merge, conflict string
}

func (m *merger) Merge(ctx context.Context, pull *event.Event) (sha, conflict string, err error) {
	return m.merge, m.conflict, m.ask(ctx, pull.Source, fmt.Sprint("merge of ", pull.PullRequest.Number))
}

func TestTheMergeIsKnownBeforeItIsRequested(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		h := &merger{host: &host{}, merge: "m1"}
		h.answer(func(context.Context, string, int) error { return errors.New("still merging") })
		start := func() *service {
			return run(t, path, e, merging{oneRoute}, dispatch.Config{PollEvery: time.Hour, CompleteFor: 10 * time.Minute}, dispatch.WithHost(h))
		}
		s := start()
		s.accept(pulled("d1", 1, "a"))
		settle()
		if d := s.delivery("github:d1"); d.State != dispatch.DeliveryCompleting || !strings.Contains(d.WaitsFor, "still merging") {
			t.Errorf("%+v", d)
		}
		s.stop()
		h.answer(nil)
		s = start()
		defer s.stop()
		time.Sleep(time.Minute)
		s.want(map[string]dispatch.State{"a-r-m1": dispatch.StateRunning})
		// A fork's commit is one whichever of both is built.
		if held, err := s.j.Holders(t.Context(), "m1"); err != nil || len(held) != 1 {
			t.Errorf("%+v, %v", held, err)
		}
		// The base has moved, and the pull request was changed.
		h.merge = "m2"
		s.accept(pulled("d2", 1, "a"))
		settle()
		s.want(map[string]dispatch.State{"a-r-m1": dispatch.StateRunning, "a-r-m2": dispatch.StateRunning})
		h.merge, h.conflict = "", "it conflicts with main"
		s.accept(pulled("d3", 1, "b"))
		settle()
		s.same("a conflict", s.reasons("github:d3"), []string{"b no merge: it conflicts with main"})
		if len(e.names()) != 2 {
			t.Errorf("started %q", e.names())
		}
	})
}

func TestAMergeThatNobodyTellsIsARecordedReason(t *testing.T) {
	for name, row := range map[string]struct {
		host dispatch.Host
		why  string
	}{
		"no access":    {refuser{&host{}}, "the host's API cannot be asked: github is not set up"},
		"another kind": {&host{}, "the host's API cannot be asked: the source github is of a kind that does not tell what pull requests would be merged to"},
		"never": {&merger{host: &host{on: func(context.Context, string, int) error { return errors.New("still merging") }}},
			"the host was asked for 10m0s in vain, and said at last: ask what pull request #1 would be merged to: still merging"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				e := newEngine()
				s := run(t, path, e, merging{oneRoute}, dispatch.Config{PollEvery: time.Hour, CompleteFor: 10 * time.Minute}, dispatch.WithHost(row.host))
				defer s.stop()
				s.accept(pulled("d1", 1, "a"))
				time.Sleep(15 * time.Minute)
				s.same("reasons", s.reasons("github:d1"), []string{"a the host did not tell what the pull request would be merged to: " + row.why})
				if len(e.names()) != 0 {
					t.Errorf("started %q", e.names())
				}
				ev := pulled("d2", 1, "a")
				plan, unknown, err := dispatch.Complete(t.Context(), row.host, merging{oneRoute}, &ev, 0)
				switch {
				case name == "never" && err == nil, name == "another kind" && (err != nil || len(unknown) != 1 || len(plan.Requests) > 0):
					t.Errorf("%+v, %+v, %v", plan, unknown, err)
				}
			})
		})
	}
}

// grouped starts the head of a merge group, until that is gone.
type grouped struct{ planner }

func (p grouped) Plan(ev event.Event) event.Plan {
	if ev.MergeGroup != nil && ev.MergeGroup.Gone != "" {
		return event.Plan{Ignored: []event.Ignored{{Reason: "gone"}}}
	}
	return p.planner.Plan(ev)
}

func group(id, sha, gone string) event.Event {
	ev := push(id, sha)
	ev.Kind, ev.Ref, ev.After, ev.MergeGroup = event.MergeGroup, "refs/heads/gh-readonly-queue/main/pr-1-x", sha, &event.Group{Base: "main", Gone: gone}
	return ev
}

func TestAMergeGroupThatIsGoneStopsWhatChecksIt(t *testing.T) {
	for name, row := range map[string]struct {
		gone   string
		cancel bool
		want   dispatch.State
	}{
		"dequeued":         {"dequeued", true, dispatch.StateAborted},
		"merged":           {"merged", true, dispatch.StateRunning},
		"nobody wanted it": {"invalidated", false, dispatch.StateRunning},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, path string) {
				s := run(t, path, newEngine(), grouped{planner{routes: []string{"r"}, cancel: row.cancel}}, dispatch.Config{PollEvery: time.Hour})
				defer s.stop()
				s.accept(group("d1", "a", ""))
				other := push("d2", "b")
				s.accept(other)
				settle()
				s.accept(group("d3", "a", row.gone))
				s.accept(group("d4", "b", row.gone)) // what a push asked for goes on
				time.Sleep(time.Minute)
				s.want(map[string]dispatch.State{"a-r": row.want, "b-r": dispatch.StateRunning})
			})
		})
	}
}

// An allowed commit of a fork is built as what it would be merged to, and one for
// which there is no such commit says so.
func TestAllowOfWhatWouldBeMerged(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}, pulls: map[int]event.Event{1: forked("c")}}
		h := &merger{host: &host{commits: map[string][]event.Commit{"c": {told("b", "of b", "x"), told("c", "of c", "x")}}}, merge: "m1"}
		s := withPeople(t, path, e, forks{merging{oneRoute}}, who, dispatch.WithHost(h))
		defer s.stop()
		s.accept(commanded("c1", event.Order{Verb: event.Allow, SHA: "c"}))
		settle()
		s.want(map[string]dispatch.State{"c-r-m1": dispatch.StateRunning})
		h.merge, h.conflict = "", "its head is another by now"
		s.accept(commanded("c2", event.Order{Verb: event.Allow, SHA: "b"}))
		settle()
		s.same("answers", who.answers(), []string{
			"#1 c-c1: `c` may run:\n- `c-r-m1`: route `r`",
			"#1 c-c2: No route asks for `b`:\n- route `r`: commit `b`: no merge: its head is another by now",
		})
		if len(e.names()) != 1 {
			t.Errorf("started %q", e.names())
		}
	})
}
