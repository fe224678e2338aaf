package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// maxAsked is how many commits of one delivery the host is asked for, the newest
// of them: each is a call of its own.
const maxAsked = 100

// inquiry asks a git host for what an event leaves out.
type inquiry struct {
	host Host
	// call makes one call of the named kind, within its time limit.
	call func(ctx context.Context, kind string, f func(context.Context) error) error
}

// list fills in the commits of an event that came with only a part of them, and
// which of them the head is where it does not tell.
func (q inquiry) list(ctx context.Context, ev *event.Event) error {
	var all []event.Commit
	err := q.call(ctx, "list commits", func(ctx context.Context) (err error) {
		all, err = q.host.Commits(ctx, ev)
		return err
	})
	if err != nil {
		return fmt.Errorf("list the commits of the %s: %w", whole(ev), err)
	}
	if ev.Unnamed() {
		if len(all) == 0 {
			return &PermanentError{Err: fmt.Errorf("the host names no commit for %s, which is all that the delivery says of the head", headOf(ev))}
		}
		ev.After = all[len(all)-1].SHA
	}
	ev.Commits, ev.Truncated = joined(all, ev.Commits, ev.After), false
	ev.Total = len(ev.Commits)
	return nil
}

// describe fills in what the plan of an event lacks.
func (q inquiry) describe(ctx context.Context, ev *event.Event, plan *event.Plan) error {
	asked := map[string]bool{}
	for _, lack := range slices.Backward(plan.Lacks) {
		if asked[lack.Commit] || len(asked) == maxAsked {
			continue
		}
		asked[lack.Commit] = true
		var c event.Commit
		err := q.call(ctx, "get commit", func(ctx context.Context) (err error) {
			c, err = q.host.Commit(ctx, ev.Source, ev.Repository.FullName, lack.Commit)
			return err
		})
		if err != nil {
			return fmt.Errorf("ask for commit %s: %w", shortSHA(lack.Commit), err)
		}
		c.MessageKnown = true
		for i := range ev.Commits {
			if ev.Commits[i].SHA == lack.Commit {
				ev.Commits[i].Learn(&c)
			}
		}
	}
	return nil
}

// merge fills in what the pull request of an event would be merged to.
func (q inquiry) merge(ctx context.Context, ev *event.Event) error {
	m, ok := q.host.(Merger)
	if !ok {
		return fmt.Errorf("%w: the source %s is of a kind that does not tell what pull requests would be merged to", ErrCannotAsk, ev.Source)
	}
	pull := *ev.PullRequest
	err := q.call(ctx, "get merge", func(ctx context.Context) (err error) {
		pull.Merge, pull.Conflict, err = m.Merge(ctx, ev)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask what pull request #%d would be merged to: %w", pull.Number, err)
	}
	ev.PullRequest = &pull
	return nil
}

// Complete routes an event after it has filled in, from h, what the event left
// out and p needs. It is for a caller that keeps nothing from one delivery to the
// next, and so knows nothing of a commit but what the event and the host say.
//
// The error is that of the host. One that cannot be asked, or that still will not
// tell after some tries, is none: unknown says then what was decided without
// being known. tries is how often the event has been completed in vain before.
func Complete(ctx context.Context, h Host, p Planner, ev *event.Event, tries int) (plan event.Plan, unknown []event.Ignored, err error) {
	q := inquiry{host: h, call: func(ctx context.Context, _ string, f func(context.Context) error) error { return f(ctx) }}
	if needsFacts(ev) {
		ev.Commits = namedBy(ev)
	}
	plan = p.Plan(*ev)
	if unlisted(ev, &plan) {
		err = q.list(ctx, ev)
		plan = p.Plan(*ev)
	}
	if err == nil && plan.Unmerged {
		err = q.merge(ctx, ev)
		plan = p.Plan(*ev)
	}
	if err == nil && len(plan.Lacks) > 0 {
		err = q.describe(ctx, ev, &plan)
		plan = p.Plan(*ev)
	}
	var permanent *PermanentError
	final := errors.Is(err, ErrCannotAsk) || errors.As(err, &permanent) && tries >= surely
	if err != nil && !final {
		return event.Plan{}, nil, err
	}
	why := fmt.Sprintf("the host was asked for the newest %d commits of the delivery", maxAsked)
	if err != nil {
		why = err.Error()
	}
	for _, i := range unknownReasons(&plan, why) {
		unknown = append(unknown, i.Ignored)
	}
	if unlisted(ev, &plan) {
		unknown = append(unknown, notListed(ev, why))
	}
	if plan.Unmerged {
		unknown = append(unknown, notMerged(ev, why))
	}
	return plan, unknown, nil
}

// joined is the host's list with what the payload says besides. What only the
// payload lists, because the branch was moved on by force meanwhile, comes
// before, and the head last, whoever lists it.
func joined(all, payload []event.Commit, head string) []event.Commit {
	said := map[string]*event.Commit{}
	for i := range payload {
		said[payload[i].SHA] = &payload[i]
	}
	listed := make([]event.Commit, len(all))
	for i := range all {
		if listed[i] = all[i]; said[all[i].SHA] != nil {
			listed[i] = *said[all[i].SHA]
			listed[i].Learn(&all[i])
			delete(said, all[i].SHA)
		}
	}
	var joined []event.Commit
	for i := range payload {
		if said[payload[i].SHA] != nil {
			joined = append(joined, payload[i])
		}
	}
	joined = append(joined, listed...)
	if at := slices.IndexFunc(joined, func(c event.Commit) bool { return c.SHA == head }); at >= 0 {
		last := joined[at]
		joined = append(slices.Delete(joined, at, at+1), last)
	}
	return joined
}
