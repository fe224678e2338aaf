package dispatch

import (
	"fmt"

	"switchyard/internal/event"
)

// Move is what a push or a deletion did to its ref, or an event of a pull
// request to where that is.
type Move struct {
	Source, Repository, Ref string
	// Before and After are as in [event.Event]: After is empty once the ref is
	// gone, or the pull request closed.
	Before, After string
	// Forced is true for a push that left commits of the ref behind.
	Forced bool
	// PullRequest is its number, and Ref stands for it then. It never comes
	// back to a commit: its pushes do.
	PullRequest int
}

// moveOf is what an event did to a ref, nil when it moved none or does not say
// where to.
func moveOf(ev *event.Event) *Move {
	switch {
	case ev.Source == ManualSource, ev.Late:
		return nil
	case ev.Kind == event.Push && ev.After != "", ev.Kind == event.Delete && ev.After == "":
	case ev.Kind == event.PullRequest && ev.PullRequest != nil:
		m := &Move{Source: ev.Source, Repository: ev.Repository.FullName, Ref: pullRef(ev.PullRequest.Number),
			After: ev.After, PullRequest: ev.PullRequest.Number}
		if ev.Action == "closed" {
			m.After = ""
		}
		return m
	default:
		return nil
	}
	return &Move{Source: ev.Source, Repository: ev.Repository.FullName, Ref: ev.Ref, Before: ev.Before, After: ev.After, Forced: ev.Forced}
}

// Leads reports whether a push led a ref from the tip that is known to another
// commit. It does not when another webhook has told of the same push, or when
// deliveries came out of order. The tip of a ref that was deleted is "", which
// is also where a push that made the ref began; a forced push without Before
// comes from a host that does not tell.
func (m *Move) Leads(tip string) bool {
	return m.PullRequest == 0 && m.After != "" && m.After != tip && (m.Before == tip || m.Before == "" && m.Forced)
}

// AlreadyRequested is the reason recorded with a delivery for a commit that
// another delivery has brought to the route before.
func AlreadyRequested(route, sha, id, delivery string) Ignored {
	return Ignored{
		Ignored:   event.Ignored{Route: route, Commit: sha, Reason: "already requested by delivery " + delivery},
		Execution: id,
	}
}

// MovedBack is [AlreadyRequested] for a commit that its branch left and came
// back to, on a route that does not ask for another attempt.
func MovedBack(route, sha, id, delivery string) Ignored {
	i := AlreadyRequested(route, sha, id, delivery)
	i.Reason += "; the branch moved back to it; set revisit: run on the route to run it again"
	return i
}

// pullRef stands in the journal for where the head of a pull request is.
func pullRef(number int) string { return fmt.Sprintf("pull request %d", number) }
