package dispatch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"switchyard/internal/event"
)

// Commander is who is needed to carry out commands: it knows who may give them,
// and tells people what came of theirs. It is safe for concurrent use, every call
// returns when ctx ends, and the errors are those of [Host].
type Commander interface {
	// RefusesCommands returns nil, or why no command of a source can be carried
	// out; see [ErrCannotAsk].
	RefusesCommands(source string) error
	// MayWrite reports whether a person may push to a repository.
	MayWrite(ctx context.Context, source, repository, login string) (bool, error)
	// Names returns the other names of a person, as [event.OtherNames] has them; none
	// where the host's deliveries tell them with each command, or it has none.
	Names(ctx context.Context, source, repository, login string) ([]string, error)
	// PullRequest returns an open pull request as the event that its last change
	// of head was.
	PullRequest(ctx context.Context, source, repository string, number int) (event.Event, error)
	// Answer tells the author of a command what came of it, or takes a label off.
	Answer(ctx context.Context, a *Answer) error
}

// WithCommander sets who is asked about commands. Default: nobody, and none is
// carried out.
func WithCommander(c Commander) Option { return func(d *Dispatcher) { d.commander = c } }

// refusesCommands says why commands of a source cannot be carried out.
func (d *Dispatcher) refusesCommands(source string) error {
	if d.commander == nil {
		return fmt.Errorf("%w: commands of the source %s are not carried out", ErrCannotAsk, source)
	}
	return d.commander.RefusesCommands(source)
}

// judge finds out whether a command is to be carried out, and what it needs
// beside that. After an error ev holds what was found out so far.
func (d *Dispatcher) judge(ctx context.Context, ev *event.Event) error {
	o := ev.Command
	if err := d.refusesCommands(ev.Source); err != nil {
		return err
	}
	if o.Verdict == "" && d.denied.Has(ev, d.due.now()) {
		o.Verdict = event.Denied
	}
	if o.Verdict == "" {
		may := false
		err := d.call(ctx, "judge", func(ctx context.Context) (err error) {
			may, err = d.commander.MayWrite(ctx, ev.Source, ev.Repository.FullName, ev.Sender)
			return err
		})
		if err != nil {
			return fmt.Errorf("ask whether %q may write to %s: %w", clip(ev.Sender, maxTitle), ev.Repository.FullName, err)
		}
		o.Verdict = event.Denied
		if may {
			o.Verdict = event.Granted
		} else {
			d.denied.Add(ev, d.due.now())
		}
	}
	if o.Verdict == event.Granted && o.Verb == event.Approve && len(ev.SenderNames) == 0 && d.config().NotOwn {
		err := d.call(ctx, "names", func(ctx context.Context) (err error) {
			ev.SenderNames, err = d.commander.Names(ctx, ev.Source, ev.Repository.FullName, ev.Sender)
			return err
		})
		if err != nil {
			o.Verdict = "" // by the next try the sender may have lost their access
			return fmt.Errorf("ask for the names of %q: %w", clip(ev.Sender, maxTitle), err)
		}
	}
	if o.Verdict != event.Granted || o.Wrong != "" || o.PullRequest == 0 || o.Verb != event.Allow && o.Verb != event.Explain {
		return nil
	}
	err := d.lookUp(ctx, ev)
	if err != nil {
		o.Verdict = "" // by the next try the sender may have lost their access
	}
	return err
}

// lookUp adds to a command the pull request that it is about, with the commits
// that it needs.
func (d *Dispatcher) lookUp(ctx context.Context, ev *event.Event) error {
	o := ev.Command
	var pull event.Event
	err := d.call(ctx, "get pull request", func(ctx context.Context) (err error) {
		pull, err = d.commander.PullRequest(ctx, ev.Source, ev.Repository.FullName, o.PullRequest)
		return err
	})
	var permanent *PermanentError
	switch {
	case errors.As(err, &permanent):
		o.Wrong = fmt.Sprintf("the host does not show pull request #%d as an open one", o.PullRequest)
		return nil
	case err != nil:
		return fmt.Errorf("read pull request #%d: %w", o.PullRequest, err)
	case pull.PullRequest == nil || pull.PullRequest.Number != o.PullRequest || pull.Repository.FullName != ev.Repository.FullName:
		return &PermanentError{fmt.Errorf("read pull request #%d: the host answered with another", o.PullRequest)}
	}
	pull.Source, pull.DeliveryID = ev.Source, ev.DeliveryID
	pull.Repository.CloneURL = ev.Repository.CloneURL
	q := inquiry{host: d.completer.asked(), call: d.call}
	if o.Verb == event.Allow {
		if err := q.single(ctx, o, &pull); err != nil || o.Wrong != "" {
			return err
		}
	}
	known := facts{journal: d.journal}
	if err := known.fill(ctx, &pull); err != nil {
		return err
	}
	if o.Verb == event.Allow {
		plan := d.plan(d.rules.Load().planner, allowed(&pull), DeliveryID(ev.Source, ev.DeliveryID))
		if plan.Unmerged {
			if err := q.merge(ctx, &pull); err != nil && !errors.Is(err, ErrCannotAsk) {
				return err
			}
			plan = d.plan(d.rules.Load().planner, allowed(&pull), DeliveryID(ev.Source, ev.DeliveryID))
		}
		if err := q.describe(ctx, &pull, &plan); err != nil && !errors.Is(err, ErrCannotAsk) {
			return err
		}
	}
	ev.Ref, ev.After, ev.PullRequest, ev.Commits = pull.Ref, pull.After, pull.PullRequest, pull.Commits
	ev.Truncated, ev.Total, ev.Repository = pull.Truncated, pull.Total, pull.Repository
	return nil
}

// single narrows a pull request to the commit that an order allows.
func (q inquiry) single(ctx context.Context, o *event.Order, pull *event.Event) error {
	has := func(c event.Commit) bool { return c.SHA == o.SHA }
	if !slices.ContainsFunc(pull.Commits, has) && pull.Truncated {
		if err := q.list(ctx, pull); err != nil {
			return err
		}
	}
	at := slices.IndexFunc(pull.Commits, has)
	if at < 0 {
		o.Wrong = fmt.Sprintf("pull request #%d has no commit %s", o.PullRequest, o.SHA)
		return nil
	}
	pull.Commits, pull.After, pull.Truncated, pull.Total = []event.Commit{pull.Commits[at]}, o.SHA, false, 1
	return nil
}

// AllowCommit makes of a pull request the event that lets the one commit of an order
// run, for a caller that keeps nothing; see [Complete]. Where it has no such commit,
// the order is Wrong.
func AllowCommit(ctx context.Context, h Host, o *event.Order, pull *event.Event) (event.Event, error) {
	one := *pull
	q := inquiry{host: h, call: func(ctx context.Context, _ string, f func(context.Context) error) error { return f(ctx) }}
	err := q.single(ctx, o, &one)
	return *allowed(&one), err
}

// allowed is the event that lets the one commit of a pull request run.
func allowed(ev *event.Event) *event.Event {
	pull := *ev
	pull.Kind, pull.Action, pull.Command = event.PullRequest, "allowed", nil
	return &pull
}

// asPull is the pull request that an order has looked up.
func asPull(ev *event.Event) *event.Event {
	pull := *ev
	pull.Kind, pull.Action, pull.Command = event.PullRequest, "synchronize", nil
	return &pull
}
