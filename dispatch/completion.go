package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

const (
	// completions is how many deliveries are completed at once, and
	// completionsOf how many of one source: a host that hangs holds up no other.
	completions   = 8
	completionsOf = 2
	// judgements and judgementsOf are the same of commands, which anybody can give
	// and which hold up no other delivery. Of one source they are judged one after
	// another, so that what the host said of a person is known for the next.
	judgements   = 4
	judgementsOf = 1
	// surely is how often a host is asked again although it refuses for good: a
	// delivery may be ahead of what its API knows, by seconds.
	surely = 3
)

// WithHost sets who is asked for what deliveries leave out. Default: nobody.
func WithHost(h Host) Option { return func(d *Dispatcher) { d.completer.host = h } }

// completer asks git hosts for what deliveries left out. What it works on was
// set aside when it was expanded, and is expanded again with what was found
// out, or without it and with the reason.
type completer struct {
	host Host
	// others are deliveries, and commands those of people.
	others, commands backlog
}

func (c *completer) init() {
	c.others = backlog{most: completions, ofOne: completionsOf}
	c.commands = backlog{laneless: true, most: judgements, ofOne: judgementsOf}
	for _, b := range []*backlog{&c.others, &c.commands} {
		b.soon, b.underWay = make(chan struct{}, 1), map[int64]string{}
	}
}

// wake has both looked through.
func (c *completer) wake() {
	wake(c.others.soon)
	wake(c.commands.soon)
}

// deferral says whether a delivery waits for its host, and for what. plan is
// what would become of it now.
func (c *completer) deferral(ev *event.Event, plan *event.Plan, now time.Time) *Deferral {
	if c.refuses(ev.Source) != nil {
		return nil
	}
	switch {
	case unlisted(ev, plan) && ev.Unnamed():
		return &Deferral{DueAt: now, Reason: "the git host's word on which commit " + headOf(ev) + " is: the delivery tells no more of it"}
	case unlisted(ev, plan):
		return &Deferral{DueAt: now, Reason: "the git host's list of all commits of the " + whole(ev) + ": it came with only a part of them"}
	case plan.Unmerged:
		return &Deferral{DueAt: now, Reason: "the git host's word on what the pull request would be merged to"}
	case len(plan.Lacks) > 0:
		return &Deferral{DueAt: now, Reason: "the git host's word on " + lacking(plan.Lacks)}
	}
	return nil
}

// unlisted reports whether an event came without commits that a route takes, or
// might if any were listed.
func unlisted(ev *event.Event, plan *event.Plan) bool {
	return ev.Truncated && (plan.Unlisted || ev.Kind == event.Push && len(ev.Commits) == 0 && !ev.Unnamed())
}

// whole is what the commits of an event are a part of.
func whole(ev *event.Event) string {
	if ev.Kind == event.PullRequest {
		return "pull request"
	}
	return "push"
}

// notListed is the reason recorded for commits that nobody listed.
func notListed(ev *event.Event, why string) event.Ignored {
	if ev.Unnamed() {
		return event.Ignored{Reason: "nothing starts, since it is not known which commit " + headOf(ev) + " is: " + why}
	}
	return event.Ignored{Reason: "the host did not list the other commits of the " + whole(ev) + ": " + why}
}

// headOf is what an event that does not tell its commit's ID calls it instead.
func headOf(ev *event.Event) string {
	if ev.Head != "" {
		return ev.Head
	}
	return fmt.Sprintf("the head %q", ev.Ref)
}

// notMerged is the reason recorded where nobody told what a pull request would be
// merged to.
func notMerged(ev *event.Event, why string) event.Ignored {
	return event.Ignored{Commit: ev.After, Reason: "the host did not tell what the pull request would be merged to: " + why}
}

// lacking says for a person what a plan would have needed to know.
func lacking(lacks []event.Lack) string {
	message, paths := false, false
	shas := map[string]bool{}
	for _, l := range lacks {
		message, paths = message || l.Message, paths || l.Paths
		shas[l.Commit] = true
	}
	what := "what it says and changed"
	switch {
	case !paths:
		what = "its message"
	case !message:
		what = "what it changed"
	}
	of := "commit " + shortSHA(lacks[0].Commit)
	if len(shas) > 1 {
		of = fmt.Sprintf("%s and %d more", of, len(shas)-1)
	}
	return of + ": " + what
}

func shortSHA(sha string) string { return sha[:min(12, len(sha))] }

// complete asks hosts for what deliveries left out, as they fall due.
func (d *Dispatcher) complete(ctx context.Context) { d.workOff(ctx, &d.completer.others) }

// judgeCommands asks hosts who may give commands.
func (d *Dispatcher) judgeCommands(ctx context.Context) { d.workOff(ctx, &d.completer.commands) }

// tryToComplete completes a delivery, whatever happens: one on which that
// panics goes on without, since it would panic at every start.
func (d *Dispatcher) tryToComplete(ctx context.Context, p *DeferredDelivery) {
	err := Guard(func() error { return d.completeOne(ctx, p) })
	if !d.logFault(err, "complete", zap.String("delivery_id", p.ID)) {
		return
	}
	reason := fmt.Sprintf("asking for it failed (%v): this is a bug in Switchyard, its log says more", err)
	err = d.persist(ctx, "complete a delivery", func() error {
		return Guard(func() error { return d.journal.Complete(ctx, p.Seq, nil, 0, reason) })
	})
	if err == nil {
		wake(d.expandSoon)
	}
}

// completeOne asks for what one delivery left out, and records what came of it.
func (d *Dispatcher) completeOne(ctx context.Context, p *DeferredDelivery) error {
	var known DeliveryDetail
	err := d.persist(ctx, "read a delivery that is set aside", func() (err error) {
		known, err = d.journal.Delivery(ctx, p.ID)
		return err
	})
	if err != nil {
		return err
	}
	ev := &known.Event
	err = d.askHost(ctx, ev)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // interrupted is not failed
	}
	cfg := d.config()
	unknown := ""
	if err != nil {
		var wait time.Duration
		if wait, unknown = d.retryHost(p, err, cfg); unknown == "" {
			return d.postpone(ctx, p, ev, wait, err)
		}
		d.log.Warn("a delivery goes on without what its host did not tell", zap.String("delivery_id", p.ID), zap.String("reason", unknown))
	}
	err = d.persistUnlessPanic(ctx, "complete a delivery", func() error {
		return d.journal.Complete(ctx, p.Seq, encoded(ev), len(ev.Commits), unknown)
	})
	if err == nil {
		wake(d.expandSoon)
	}
	return err
}

// encoded is an event as the journal keeps it; nil, which leaves it as it is,
// if that cannot be.
func encoded(ev *event.Event) []byte {
	text, err := json.Marshal(ev)
	if err != nil {
		return nil
	}
	return text
}

// postpone records a try in vain, with what it found out all the same.
func (d *Dispatcher) postpone(ctx context.Context, p *DeferredDelivery, ev *event.Event, wait time.Duration, failed error) error {
	d.log.Warn("asking a git host failed; trying again", zap.String("delivery_id", p.ID), zap.Int("attempt", p.Tries+1), zap.Duration("wait", wait), zap.Error(failed))
	reason := fmt.Sprintf("the git host, which was asked and said: %v", failed)
	// Unless that panicked, ctx has ended; the next process asks again.
	return d.persistUnlessPanic(ctx, "postpone a delivery", func() error {
		return d.journal.Postpone(ctx, p.Seq, d.due.now().Add(wait), clip(reason, maxReason), encoded(ev))
	})
}

// maxReason is how many bytes of a host's error are kept.
const maxReason = 500

// retryHost says when the host is to be asked again, or, where that would be
// of no use, what stays unknown.
func (d *Dispatcher) retryHost(p *DeferredDelivery, err error, cfg Config) (wait time.Duration, unknown string) {
	var permanent *PermanentError
	var throttled *ThrottledError
	var unfinished *UnfinishedError
	var fault *PanicError
	switch {
	case errors.As(err, &permanent) && p.Tries < surely:
	case errors.Is(err, ErrCannotAsk), errors.As(err, &permanent), errors.As(err, &fault):
		d.logFault(err, "ask a git host", zap.String("delivery_id", p.ID))
		return 0, clip(err.Error(), maxReason)
	}
	wait = backoff(cfg.RetryBase, cfg.RetryMax, p.Tries, d.jitter)
	switch {
	case errors.As(err, &unfinished):
		wait = cfg.RetryBase
	case errors.As(err, &throttled):
		wait = max(wait, throttled.After)
	}
	if d.due.now().Sub(p.Since) >= cfg.CompleteFor {
		return 0, clip(fmt.Sprintf("the host was asked for %v in vain, and said at last: %v", cfg.CompleteFor, err), maxReason)
	}
	return wait, ""
}

// askHost fills in what an event left out. After an error ev holds what was
// found out so far.
func (d *Dispatcher) askHost(ctx context.Context, ev *event.Event) error {
	if ev.Kind == event.Command && ev.Command != nil {
		return d.judge(ctx, ev)
	}
	known := facts{journal: d.journal}
	if err := known.locate(ctx, ev); err != nil {
		return err
	}
	q := inquiry{host: d.completer.asked(), call: d.call}
	plan := func() event.Plan { return d.plan(d.rules.Load().planner, ev, DeliveryID(ev.Source, ev.DeliveryID)) }
	if ev.Truncated {
		if p := plan(); unlisted(ev, &p) {
			if err := q.list(ctx, ev); err != nil {
				return err
			}
		}
	}
	if err := known.fill(ctx, ev); err != nil {
		return err
	}
	p := plan()
	var unmerged error
	if p.Unmerged {
		unmerged = q.merge(ctx, ev)
		p = plan()
	}
	return errors.Join(unmerged, q.describe(ctx, ev, &p))
}

// unknown are the reasons that a delivery is recorded with for what nobody told.
func (c *completer) unknown(p *PendingDelivery, ev *event.Event, plan *event.Plan) []Ignored {
	why := p.Unknown
	if err := c.refuses(ev.Source); err != nil && why == "" {
		why = err.Error()
	}
	if why == "" {
		return unknownReasons(plan, fmt.Sprintf("the host was asked for the newest %d commits of the delivery", maxAsked))
	}
	reasons := unknownReasons(plan, why)
	if unlisted(ev, plan) {
		reasons = append(reasons, Ignored{Ignored: notListed(ev, why)})
	}
	if plan.Unmerged {
		reasons = append(reasons, Ignored{Ignored: notMerged(ev, why)})
	}
	return reasons
}

// unknownReasons says for each commit what routing had to do without. The
// requests were made all the same.
func unknownReasons(plan *event.Plan, why string) []Ignored {
	var reasons []Ignored
	for _, lack := range plan.Lacks {
		what := "its message and what it changed"
		switch {
		case !lack.Paths:
			what = "its message"
		case !lack.Message:
			what = "what it changed"
		}
		i := Ignored{Ignored: event.Ignored{Route: lack.Route, Commit: lack.Commit, Reason: "routed without knowing " + what + ": " + why}}
		for n := range plan.Requests {
			if r := &plan.Requests[n]; r.Route == lack.Route && r.Commit.SHA == lack.Commit {
				i.Execution = r.ID
			}
		}
		reasons = append(reasons, i)
	}
	return reasons
}

// refuses says why a source cannot be asked, where that is known beforehand.
func (c *completer) refuses(source string) error {
	if c.host == nil {
		return nobodyFor(source)
	}
	if h, ok := c.host.(Refuser); ok {
		return h.Refuses(source)
	}
	return nil
}

// asked is who is asked, also for what an earlier process has set aside.
func (c *completer) asked() Host {
	if c.host == nil {
		return nobody{}
	}
	return c.host
}

// nobody is the host when there is none to ask.
type nobody struct{}

// nobodyFor says what to do so that there is somebody.
func nobodyFor(source string) error {
	return fmt.Errorf("%w: give the source %s access to it, for example by a token", ErrCannotAsk, source)
}

func (nobody) Commits(_ context.Context, push *event.Event) ([]event.Commit, error) {
	return nil, nobodyFor(push.Source)
}

func (nobody) Commit(_ context.Context, source, _, _ string) (event.Commit, error) {
	return event.Commit{}, nobodyFor(source)
}
