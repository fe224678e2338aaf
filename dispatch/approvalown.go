package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// maxOwn is how many names an approval has of those whose own its commit is.
const maxOwn = 64

// own finds who sent an execution's commit here, and whose own it is. Its delivery may
// have been pruned.
func (d *Dispatcher) own(ctx context.Context, n *NewApproval, x *Execution) (sender string, err error) {
	var names []string
	known, err := d.journal.KnownCommits(ctx, x.Source, x.Repository, []string{x.SHA})
	if err != nil {
		return "", fmt.Errorf("read the commit: %w", err)
	}
	if c, ok := known[x.SHA]; ok {
		names = append(names, c.Author, c.AuthorEmail)
	}
	delivery, err := d.journal.Delivery(ctx, x.Delivery)
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return "", fmt.Errorf("read the delivery: %w", err)
	default:
		sender = clip(delivery.Event.Sender, maxPerson)
		if brings(&delivery.Event) {
			n.PushedBy = sender
			names = append(append(names, sender), delivery.Event.SenderNames...)
		}
		names = append(names, ownersOf(&delivery.Event, x.SHA)...)
	}
	for _, name := range names {
		if name = clip(name, maxPerson); name != "" && !slices.Contains(n.Own, name) && len(n.Own) < maxOwn {
			n.Own = append(n.Own, name)
		}
	}
	return sender, nil
}

// brings reports whether the sender of an event is who brought its commit. Whoever
// gives a label, or a command, lets another's commit run.
func brings(ev *event.Event) bool {
	switch ev.Kind {
	case event.Command:
		return false
	case event.PullRequest:
		return ev.Action == "opened" || ev.Action == "synchronize"
	default:
		return true
	}
}

// ownersOf are the names that an event has of a commit's author, and of who opened the
// pull request.
func ownersOf(ev *event.Event, sha string) (names []string) {
	for i := range ev.Commits {
		if c := &ev.Commits[i]; c.SHA == sha {
			names = append(names, c.Author, c.AuthorEmail)
		}
	}
	if pull := ev.PullRequest; pull != nil {
		names = append(append(names, pull.Author), pull.AuthorNames...)
	}
	return names
}
