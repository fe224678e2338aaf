package audit

import (
	"context"
	"fmt"

	"switchyard/internal/event"
)

// heard is what deliveries told of a repository since the last audit.
type heard struct {
	ledger             Ledger
	source, repository string
	// last is the number up to which was listened.
	last int64
	// told is by ref and by pull request.
	told map[place]*told
}

// place is a ref or, as far as routes go by it, a pull request.
type place struct {
	ref         string
	pullRequest int
	base        string
	draft       bool
}

// placeOf is where an event happened.
func placeOf(ev *event.Event) place {
	if pr := ev.PullRequest; pr != nil {
		return place{pullRequest: pr.Number, base: pr.Base, draft: pr.Draft}
	}
	return place{ref: ev.Ref}
}

// of is the place for all that befell a pull request, whatever its base.
func (p place) of() place { return place{ref: p.ref, pullRequest: p.pullRequest} }

// told is what was told of one place.
type told struct {
	// moves are the pushes of a ref, in order.
	moves []move
	// commits are those that were named.
	commits map[string]bool
	// ended is true when the deletion, or the closing, came last, and events counts
	// all that was told, whatever the base of a pull request.
	ended  bool
	events int
	// tip is where the last push left a ref, and pull what was told of a pull request
	// last, whatever its base.
	tip  string
	pull *event.Event
}

// move is what a push did, whole if the journal has all of its commits.
type move struct {
	before, after string
	whole         bool
}

func newHeard(ledger Ledger, repo *Repository, after int64) *heard {
	return &heard{ledger: ledger, source: repo.Source, repository: repo.Name, last: after, told: map[place]*told{}}
}

// listen reads what came since it was called last.
func (h *heard) listen(ctx context.Context) error {
	for more := true; more; {
		var evs []event.Event
		var err error
		evs, h.last, more, err = h.ledger.Heard(ctx, h.source, h.repository, h.last)
		if err != nil {
			return fmt.Errorf("read the deliveries of %s: %w", h.repository, err)
		}
		for i := range evs {
			h.note(&evs[i])
		}
	}
	return nil
}

func (h *heard) note(ev *event.Event) {
	t := h.at(placeOf(ev))
	for i := range ev.Commits {
		t.commits[ev.Commits[i].SHA] = true
	}
	if ev.After != "" {
		t.commits[ev.After] = true
	}
	all := h.at(placeOf(ev).of())
	all.ended = ev.Kind == event.Delete || ev.Action == "closed"
	all.events++
	if ev.PullRequest != nil && ev.After != "" {
		all.pull = ev
	}
	if ev.Kind == event.Push && !ev.Late {
		t.tip = ev.After
		t.moves = append(t.moves, move{ev.Before, ev.After, !ev.Truncated && !ev.BeforeUnknown})
	}
}

func (h *heard) at(p place) *told {
	t := h.told[p]
	if t == nil {
		t = &told{commits: map[string]bool{}}
		h.told[p] = t
	}
	return t
}

// leads reports whether the pushes lead from one commit to another without a
// gap, so that nothing can have been lost between them.
func (t *told) leads(from, to string) bool {
	for _, m := range t.moves {
		if m.whole && m.before == from {
			from = m.after
		}
	}
	return from == to
}
