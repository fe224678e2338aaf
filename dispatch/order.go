package dispatch

import (
	"context"
	"fmt"
	"slices"
	"time"

	"switchyard/internal/event"
)

const (
	// orderPage and orderPages bound how far back a command looks for
	// executions.
	orderPage  = 1000
	orderPages = 10
	// maxActs is how many executions one command is about, at most.
	maxActs = 500
)

// order is what is made of a command.
type order struct {
	*Dispatcher
	ev *event.Event
	o  *event.Order
	r  *rules
	e  *Expansion
	// said is when it reached us.
	said time.Time
}

// command makes of a command's delivery what it asks for. It is expanded twice:
// at first set aside until the host has said whether its author may give it,
// and then carried out, in the step in which it becomes expanded. So it is
// carried out once, whatever ends this process in between.
func (d *Dispatcher) command(ctx context.Context, p *PendingDelivery, ev *event.Event, r *rules, e *Expansion) error {
	c := order{Dispatcher: d, ev: ev, o: ev.Command, r: r, e: e, said: p.ReceivedAt}
	denied := func() { c.because(DeniedReason(ev)) }
	switch o := ev.Command; {
	case o == nil:
		c.because("the event does not say what is to be done")
	case p.Reopened:
		c.because("a command is carried out once; give it again")
	case !p.Completed:
		if refused := d.refusesCommands(ev.Source); refused != nil {
			c.because("not carried out: " + refused.Error())
			break
		}
		if d.denied.Has(ev, d.due.now()) {
			denied()
			break
		}
		e.Deferral = &Deferral{DueAt: d.due.now(), Reason: "the git host's word on whether " + shownLine(ev.Sender) + " may write to " + ev.Repository.FullName}
	case p.Unknown != "":
		c.because("not carried out: " + p.Unknown)
	case o.Verdict != event.Granted:
		denied()
	case o.Wrong != "":
		c.because(shownLine(o.Wrong))
		c.answer(RefusedText(o.Wrong))
	default:
		return c.carryOut(ctx)
	}
	return nil
}

func (c *order) because(reason string) {
	c.e.Ignored = append(c.e.Ignored, Ignored{Ignored: event.Ignored{Reason: reason}})
}

// answer tells who wrote a comment below it; a button shows what it did.
func (c *order) answer(text string) {
	if c.o.Comment == "" || c.o.PullRequest == 0 {
		return
	}
	c.e.Answers = append(c.e.Answers, Answer{Source: c.ev.Source, Repository: c.ev.Repository.FullName, PullRequest: c.o.PullRequest, Comment: c.o.Comment, Text: cutAnswer(text)})
}

func (c *order) refuse(reason string) {
	c.because(reason)
	c.answer(RefusedText(reason))
}

func (c *order) carryOut(ctx context.Context) error {
	switch c.o.Verb {
	case event.Allow:
		c.allow()
		return nil
	case event.Explain, event.Rerun, event.Stop, event.Approve, event.Reject:
	default:
		c.refuse(fmt.Sprintf("%q is not a command that is known here", shownLine(string(c.o.Verb))))
		return nil
	}
	found, sha, err := c.about(ctx)
	if err != nil {
		return err
	}
	switch c.o.Verb {
	case event.Explain:
		return c.explain(ctx, found, sha)
	case event.Rerun:
		return c.rerun(ctx, found, sha)
	case event.Approve, event.Reject:
		c.decide(found, sha)
		return nil
	default:
		c.stopAll(found, sha)
		return nil
	}
}

// about finds the executions that the order is about, newest first, and the
// commit.
func (c *order) about(ctx context.Context) (found []Execution, sha string, err error) {
	if sha = c.o.SHA; c.decides() {
		sha = "" // the head; what they name is what they have seen
	}
	if c.o.Execution != "" {
		var x Execution
		err := c.persist(ctx, "read the execution of a command", func() (err error) {
			if x, err = c.journal.Execution(ctx, c.o.Execution); err != nil && !decided(err) {
				return err
			}
			return nil
		})
		// Whoever names an execution must have it shown with their repository.
		if err != nil || x.ID == "" || x.Source != c.ev.Source || x.Repository != c.ev.Repository.FullName {
			return nil, sha, err
		}
		return []Execution{x}, x.SHA, nil
	}
	if sha == "" {
		sha = c.ev.After // the host's word is newer than a delivery's
	}
	if sha == "" && c.o.PullRequest != 0 {
		err := c.persist(ctx, "read the head of a pull request", func() (err error) {
			sha, err = c.journal.Tip(ctx, c.ev.Source, c.ev.Repository.FullName, pullRef(c.o.PullRequest))
			return err
		})
		if err != nil {
			return nil, "", err
		}
	}
	f := ExecutionFilter{Repository: c.ev.Repository.FullName, SHA: sha, Limit: orderPage}
	own := func(x *Execution) bool { return x.SHA == sha }
	switch {
	case c.o.Verb == event.Stop && c.o.PullRequest != 0 && c.o.SHA == "":
		// Whatever the pull request has asked for, its earlier heads too.
		f.SHA, f.States = "", []State{StateWaiting, StateReady, StateRunning}
		own = func(x *Execution) bool {
			return x.PullRequest == c.o.PullRequest || sha != "" && x.SHA == sha && x.Kind == event.Push
		}
	case sha == "":
		return nil, "", nil
	}
	for range orderPages {
		var page ExecutionPage
		err := c.persist(ctx, "read the executions of a commit", func() (err error) {
			page, err = c.journal.Executions(ctx, f)
			return err
		})
		if err != nil {
			return nil, "", err
		}
		for i := range page.Executions {
			x := &page.Executions[i]
			if own(x) && x.Source == c.ev.Source && !x.Teardown && (c.o.Route == "" || x.Route == c.o.Route) {
				found = append(found, *x)
			}
		}
		if f.Before = page.Next; f.Before == 0 {
			break
		}
	}
	return found, sha, nil
}

// newestOf are the last attempts of those found, oldest first.
func newestOf(found []Execution) []Execution {
	last := map[string]int{}
	for i := range found {
		if at, ok := last[found[i].Base]; !ok || found[i].Attempt > found[at].Attempt {
			last[found[i].Base] = i
		}
	}
	var all []Execution
	for i := range slices.Backward(found) {
		if last[found[i].Base] == i {
			all = append(all, found[i])
		}
	}
	return all[:min(len(all), maxActs)]
}

// none says that there is nothing that an order could be about.
func (c *order) none(sha string) {
	reason := "no execution of commit " + shortSHA(sha) + " is known"
	switch {
	case c.o.Execution != "":
		reason = fmt.Sprintf("no execution %q of this repository is known", shownLine(c.o.Execution))
	case sha == "":
		reason = fmt.Sprintf("nothing is known of the head of pull request #%d: no delivery has told of it, or it is closed", c.o.PullRequest)
	case c.o.Route != "":
		reason += fmt.Sprintf(" on a route %q", shownLine(c.o.Route))
	}
	c.refuse(reason)
}

// by is who asked, for a person.
func (c *order) by() string {
	by := shownLine(c.ev.Sender)
	if c.o.PullRequest != 0 {
		by += fmt.Sprintf(" on pull request #%d", c.o.PullRequest)
	}
	return by
}

// rerun runs again what has ended otherwise than well, or what is named.
func (c *order) rerun(ctx context.Context, found []Execution, sha string) error {
	newest := newestOf(found)
	if len(newest) == 0 {
		c.none(sha)
		return nil
	}
	named := c.o.Route != "" || c.o.Execution != ""
	unfinished, well := 0, 0
	for i := range newest {
		x := &newest[i]
		switch {
		case !x.State.Finished():
			unfinished++
		case x.State == StateSucceeded && !named:
			well++
		default:
			var attempt int
			err := c.persist(ctx, "read the attempts at an execution", func() (err error) {
				attempt, err = c.nextAttempt(ctx, x)
				return err
			})
			if err != nil {
				return err
			}
			c.e.Acts = append(c.e.Acts, Act{
				Execution: x.ID, Route: x.Route, Commit: x.SHA, Again: true,
				Reason: "rerun of " + x.ID + " by " + c.by(), Resume: c.resume(x.Environment, attempt),
			})
		}
	}
	switch {
	case len(c.e.Acts) > 0:
		c.answer("Running again:")
	case well > 0:
		c.refuse(fmt.Sprintf("all %d executions of commit %s that have ended succeeded; name a route to run it again", well, shortSHA(sha)))
	default:
		c.refuse(fmt.Sprintf("%d executions of commit %s have not ended", unfinished, shortSHA(sha)))
	}
	return nil
}

// stopAll ends what waits or runs.
func (c *order) stopAll(found []Execution, sha string) {
	reason := "stopped by " + c.by()
	for i := range found {
		if x := &found[i]; !x.State.Finished() && len(c.e.Acts) < maxActs {
			c.e.Acts = append(c.e.Acts, Act{
				Execution: x.ID, Route: x.Route, Commit: x.SHA, Reason: reason,
				Stop: StopRequest{Reason: reason, At: c.e.At, Status: StatusOf(&Execution{State: StateAborted, Cause: reason})},
			})
		}
	}
	switch {
	case len(c.e.Acts) > 0:
		c.answer("Stopping:")
	case len(found) == 0 && c.o.Execution != "":
		c.none(sha)
	case c.o.Route != "":
		c.refuse(fmt.Sprintf("nothing waits or runs on a route %q", shownLine(c.o.Route)))
	default:
		c.refuse("nothing waits or runs")
	}
}

// allow requests what routes ask for of the one commit that is let run.
func (c *order) allow() {
	if c.ev.PullRequest == nil || len(c.ev.Commits) != 1 || c.ev.Commits[0].SHA != c.o.SHA {
		c.because("the commit to be allowed was not looked up")
		return
	}
	pull := allowed(c.ev)
	plan := c.plan(c.r.planner, pull, DeliveryID(c.ev.Source, c.ev.DeliveryID))
	known := facts{journal: c.journal}
	c.e.Source, c.e.Repository, c.e.Learned = pull.Source, pull.Repository.FullName, known.learn(pull)
	c.e.Commits, c.e.Fork = commitsOf(pull), pull.PullRequest.Fork
	c.e.plan(plan, c.r)
	c.answer(AllowedText(c.o.SHA, &plan))
}

// explain says what the routes make of the pull request as it is, and what has
// become of that.
func (c *order) explain(ctx context.Context, found []Execution, sha string) error {
	if c.ev.PullRequest == nil && len(found) == 0 {
		c.none(sha)
		return nil
	}
	var known []Explained
	for _, x := range newestOf(found) {
		known = append(known, Explained{Execution: x.ID, Status: StatusOf(&x), Reason: x.Reason})
	}
	var reasons []event.Ignored
	if c.ev.PullRequest != nil {
		reasons = c.planKnowing(ctx, c.r.planner, asPull(c.ev), DeliveryID(c.ev.Source, c.ev.DeliveryID)).Ignored
	}
	c.because("explained to " + c.by())
	c.answer(ExplainedText(sha, known, reasons))
	return nil
}
