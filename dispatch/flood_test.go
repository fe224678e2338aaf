package dispatch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Comments of people who may not write are no reason to ask the host for each of
// them, nor for others to wait.
func TestAFloodOfCommandsCostsOneQuestion(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		s := withPeople(t, path, e, oneRoute, who)
		defer s.stop()
		flood := func(round, n int) {
			for i := range n {
				ev := commanded(fmt.Sprintf("c%d-%d", round, i), event.Order{Verb: event.Rerun})
				ev.Sender = "eve"
				s.accept(ev)
			}
			settle()
		}
		flood(1, 40)
		flood(2, 2)
		if n := who.count("may eve"); n != 1 {
			t.Errorf("the host was asked %d times", n)
		}
		for _, id := range []string{"github:comment-acme/api-c-c1-0", "github:comment-acme/api-c-c1-39", "github:comment-acme/api-c-c2-1"} {
			s.same(id, s.reasons(id), []string{`"eve" may not write to acme/api, and commands are for those who may`})
		}
		elsewhere := commanded("other", event.Order{Verb: event.Rerun})
		elsewhere.Sender, elsewhere.Repository.FullName = "eve", "eve/api"
		s.accept(elsewhere)
		settle()
		if n := who.count("may eve"); n != 2 {
			t.Errorf("of another repository: the host was asked %d times", n)
		}
		// Whoever was let in meanwhile is heard a minute later.
		who.may["eve"] = true
		time.Sleep(time.Minute)
		flood(3, 1)
		if n := who.count("may eve"); n != 3 || len(who.answers()) != 1 {
			t.Errorf("the host was asked %d times and answered %q", n, who.answers())
		}
	})
}

// A host that does not say who may give commands is asked about pushes all the same.
func TestCommandsHoldUpNoPush(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{}
		who.answer(func(ctx context.Context, what string) error {
			if strings.HasPrefix(what, "may ") {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		h := &host{commits: map[string][]event.Commit{"b": {told("a", "of a", "x"), told("b", "of b", "x")}}}
		s := withPeople(t, path, e, oneRoute, who, dispatch.WithHost(h))
		defer s.stop()
		for i := range 100 {
			ev := commanded(fmt.Sprint("c", i), event.Order{Verb: event.Rerun})
			ev.Sender = fmt.Sprint("eve", i)
			s.accept(ev)
		}
		settle()
		s.accept(pushed("d1", "before", true, told("b", "of b", "x")))
		s.want(map[string]dispatch.State{"a-r": dispatch.StateRunning, "b-r": dispatch.StateRunning})
		if n := who.count("may "); n != 1 {
			t.Errorf("%d commands are judged at once", n)
		}
	})
}
