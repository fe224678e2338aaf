package dispatch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Who has lost their access while the host could not be asked for more is asked
// about again.
func TestAVerdictIsNotKeptForALaterTry(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e, who := newEngine(), &people{may: map[string]bool{"ada": true}}
		tries := 0
		who.answer(func(_ context.Context, what string) error {
			if what == "pull request 1" {
				if tries++; tries == 1 {
					who.mu.Lock()
					who.may = map[string]bool{}
					who.mu.Unlock()
					return errors.New("502")
				}
			}
			return nil
		})
		s := withPeople(t, path, e, oneRoute, who)
		defer s.stop()
		s.accept(commanded("c1", event.Order{Verb: event.Allow, SHA: "b"}))
		time.Sleep(20 * time.Minute)
		settle()
		if tries == 0 {
			t.Fatal("the pull request was not asked for")
		}
		if n := who.count("may ada"); n < 2 {
			t.Errorf("the host was asked %d times whether ada may", n)
		}
		if d := s.delivery("github:comment-acme/api-c-c1"); d.State != dispatch.DeliveryExpanded {
			t.Errorf("%+v", d)
		}
		s.same("nobody is told", who.answers(), nil)
	})
}
