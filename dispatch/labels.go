package dispatch

import (
	"context"
	"errors"
	"fmt"

	"switchyard/internal/event"
)

// labels adds to an expansion which labels of a pull request speak for an older
// commit and are taken off, and which was given for this one. What was found out
// about afterwards says neither.
func (d *Dispatcher) labels(ev *event.Event, outdated []string, e *Expansion) {
	pr := ev.PullRequest
	if ev.Late || pr == nil {
		return
	}
	about := func(label, head string) Answer {
		return Answer{Source: ev.Source, Repository: ev.Repository.FullName, PullRequest: pr.Number, Unlabel: label, Head: head}
	}
	if ev.Action == "labeled" && pr.Label != "" {
		given := about(pr.Label, "")
		e.Labeled = &given
	}
	if len(outdated) == 0 || d.refusesCommands(ev.Source) != nil {
		return
	}
	for _, label := range outdated {
		e.Answers = append(e.Answers, about(label, ev.After))
	}
}

// Give gives an answer. A label is taken off only while the commit for which it is
// too old is the newest: one that a person gave since may speak for a newer one.
func Give(ctx context.Context, c Commander, a *Answer) error {
	if a.Unlabel != "" && a.Head != "" {
		pull, err := c.PullRequest(ctx, a.Source, a.Repository, a.PullRequest)
		switch {
		case errors.Is(err, ErrCannotAsk), errors.As(err, new(*PermanentError)): // it is taken off unseen
		case err != nil:
			return fmt.Errorf("read the head of pull request #%d: %w", a.PullRequest, err)
		case pull.After != a.Head:
			return nil
		}
	}
	return c.Answer(ctx, a)
}
