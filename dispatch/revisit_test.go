package dispatch_test

import (
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// TestAPullRequestIsTornDownAgain closes a pull request twice, with another
// commit set up between.
func TestAPullRequestIsTornDownAgain(t *testing.T) {
	bubble(t, func(t *testing.T, path string) {
		e := newEngine()
		s := run(t, path, e, endings{}, dispatch.Config{})
		defer s.stop()
		pull := func(id, action, sha string) event.Event {
			ev := pulled(id, 7, sha)
			ev.Action = action
			return ev
		}
		s.answers("opened", pull("d1", "opened", "a"), 1, "a-up")
		settle()
		s.answers("closed", pull("d2", "closed", "a"), 1, "a-down")
		settle()
		s.answers("closed, by another webhook", pull("d3", "closed", "a"), 0, "a-down")
		settle()
		s.answers("another commit", pull("d4", "synchronize", "b"), 1, "b-up")
		settle()
		s.answers("and back", pull("d5", "synchronize", "a"), 0, "a-up")
		settle()
		s.answers("closed again", pull("d6", "closed", "a"), 1, "a-down-r2")
		s.want(map[string]dispatch.State{"a-down-r2": dispatch.StateRunning, "b-up": dispatch.StateRunning})
	})
}

// endings sets up and tears down by route.
type endings struct{}

func (endings) Plan(ev event.Event) event.Plan {
	c := ev.Commits[0]
	route := "up"
	if ev.Action == "closed" {
		route = "down"
	}
	return event.Plan{Requests: []event.Request{{
		ID: c.SHA + "-" + route, Route: route, StateMachine: "deploy", Source: ev.Source, Repository: ev.Repository.FullName, Ref: ev.Ref, Kind: ev.Kind,
		PullRequest: ev.PullRequest.Number, Commit: c, Input: []byte("{}"), Teardown: route == "down", Reason: "test",
	}}}
}
