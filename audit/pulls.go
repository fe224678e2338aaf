package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"switchyard/githost"
	"switchyard/internal/event"
)

// pullRequests holds the open pull requests against the journal.
func (r *run) pullRequests(ctx context.Context) error {
	if r.query.Branch != "" {
		return nil
	}
	host, able := r.repo.Host.(githost.PullRequests)
	if !able {
		return nil
	}
	mark := r.next.PullMark
	if !r.query.Since.IsZero() {
		mark = "" // they are looked at whether or not they changed
	}
	calling, cancel := context.WithTimeout(ctx, callTimeout)
	open, next, err := host.PullRequests(calling, r.repo.Name, mark)
	cancel()
	if errors.Is(err, githost.ErrUnchanged) {
		r.pullMark = mark
		r.summary.PullRequests = len(r.next.Pulls)
		return r.gonePulls(ctx, nil)
	}
	if err != nil {
		return err
	}
	r.summary.PullRequests = len(open)
	there := map[int]bool{}
	for i := range open {
		ev := &open[i]
		if ev.PullRequest == nil {
			continue
		}
		there[ev.PullRequest.Number] = true
		if err := r.look(ctx, fmt.Sprintf("pull request %d", ev.PullRequest.Number), func() error { return r.pullRequest(ctx, ev) }); err != nil {
			return err
		}
	}
	for _, number := range slices.Sorted(maps.Keys(r.next.Pulls)) {
		if there[number] {
			continue
		}
		if err := r.look(ctx, fmt.Sprintf("pull request %d", number), func() error { return r.closed(ctx, number, r.next.Pulls[number]) }); err != nil {
			return err
		}
	}
	if err := r.gonePulls(ctx, there); err != nil {
		return err
	}
	r.pullMark = next
	if !r.next.PullsBased {
		r.next.PullsBased = true
		for number := range there {
			_, known := r.next.Pulls[number]
			r.next.PullsBased = r.next.PullsBased && known
		}
	}
	return nil
}

// pullRequest audits one that is open.
func (r *run) pullRequest(ctx context.Context, ev *event.Event) error {
	number := ev.PullRequest.Number
	ev.Source, ev.Repository.FullName, ev.Repository.CloneURL, ev.Sender = r.repo.Source, r.repo.Name, r.repo.CloneURL, "audit"
	old, known := r.next.Pulls[number]
	if known && same(&old, ev) && r.query.Since.IsZero() {
		return nil
	}
	pull := *ev.PullRequest
	pull.LabelsVouched = false // who gave them, and for which head, nobody tells
	ev.PullRequest = &pull
	done := func() { r.next.Pulls[number] = *ev }
	if !known && r.firstPulls && r.query.Since.IsZero() {
		tip, err := r.ledger.Tip(ctx, r.repo.Source, r.repo.Name, fmt.Sprintf("pull request %d", number))
		if err != nil {
			return fmt.Errorf("read where its last event left it: %w", err)
		}
		if tip == "" || tip == ev.After {
			done()
			return nil
		}
		old, known = *ev, true
		old.After = tip
		r.next.Pulls[number] = old
	}
	r.summary.Changed++
	ev.Action = "opened"
	if known {
		ev.Action = changedTo(&old, ev)
	}
	if plan := r.plan(*ev); !wanted(&plan) {
		done()
		return nil
	}
	if err := r.heard.listen(ctx); err != nil {
		return err
	}
	ask := *ev
	ask.Truncated = true
	commits := ev.Commits
	if plan := r.plan(ask); len(plan.Requests) > 0 {
		calling, cancel := context.WithTimeout(ctx, callTimeout)
		all, err := r.repo.Host.Commits(calling, &ask)
		cancel()
		if err != nil {
			return err
		}
		commits = all
	}
	return r.compare(ctx, *ev, commits, r.heard.at(placeOf(ev)), done)
}

// changedTo is the action that tells of a change of a pull request.
func changedTo(old, ev *event.Event) string {
	switch {
	case old.After != ev.After:
		return "synchronize"
	case old.PullRequest.Base != ev.PullRequest.Base:
		ev.PullRequest.OldBase = old.PullRequest.Base
		return "edited"
	case old.PullRequest.Draft && !ev.PullRequest.Draft:
		return "ready_for_review"
	default:
		return "synchronize"
	}
}

// closed audits one that was open, and is no longer.
func (r *run) closed(ctx context.Context, number int, ev event.Event) error {
	// A list that others change meanwhile may lack one.
	if host, able := r.repo.Host.(githost.PullRequestReader); able {
		calling, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := host.PullRequest(calling, r.repo.Name, number)
		cancel()
		if err == nil || !r.refuses(err) {
			return err
		}
	}
	ev.Action = "closed"
	ev.Commits = []event.Commit{{SHA: ev.After}}
	r.summary.Changed++
	return r.ended(ctx, ev, func() { delete(r.next.Pulls, number) })
}
