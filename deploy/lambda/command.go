package lambda

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Commands carries out what people ask for in comments and by the buttons of checks,
// as far as that can be told without a journal: from the routing of the pull request
// as it is, which names its executions, and from the engine, which knows them.
//
// A message may come more than once. What was done after it had been sent is what it
// asked for, and is not done again.
type Commands struct {
	// Commander says who may give commands, and answers them.
	Commander dispatch.Commander
	// Engine looks for executions and ends them.
	Engine interface {
		Finder
		Stop(ctx context.Context, executionARN, errorName, cause string) error
	}
	// StateMachines are the names of those among which a button's execution is
	// looked for.
	StateMachines []string

	denied dispatch.Denials
}

// command is one that is carried out.
type command struct {
	*Consumer
	*Commands
	ev *event.Event
	o  event.Order
	// pull is the pull request that it is about, with its head as the only commit.
	pull *event.Event
	// sent is when the command was put on the queue, and tries how often it was
	// received before.
	sent  time.Time
	tries int
	slots chan struct{}
}

// command carries a command out, and answers it. Who may not give any is not
// answered.
func (c *Consumer) command(ctx context.Context, ev *event.Event, sent time.Time, tries int, slots chan struct{}) error {
	k := &command{Consumer: c, Commands: c.Commands, ev: ev, sent: sent, tries: tries, slots: slots}
	if c.Commands == nil || ev.Command == nil {
		k.note("this function carries out no commands")
		return nil
	}
	k.o = *ev.Command
	may, err := k.mayCommand(ctx)
	if err != nil || !may {
		return err
	}
	if k.o.Wrong == "" && k.o.PullRequest != 0 {
		if err := k.lookUp(ctx); err != nil {
			return err
		}
	}
	var text string
	switch {
	case k.o.Wrong != "":
		text = k.refuse(k.o.Wrong)
	case k.o.Verb == event.Allow && k.pull != nil:
		text, err = k.allow(ctx)
	case k.o.Verb == event.Explain && k.pull != nil:
		text, err = k.explain(ctx)
	case k.o.Verb == event.Rerun:
		text, err = k.rerun(ctx)
	case k.o.Verb == event.Stop:
		text, err = k.stop(ctx)
	default:
		text = k.refuse(fmt.Sprintf("%q cannot be carried out without a server", string(k.o.Verb)))
	}
	if err != nil {
		return fmt.Errorf("command %s: %w", dispatch.DeliveryID(ev.Source, ev.DeliveryID), err)
	}
	return k.answer(ctx, text)
}

// note logs what came of a command.
func (k *command) note(reason string) {
	k.Log.Info("a command", zap.String("delivery_id", dispatch.DeliveryID(k.ev.Source, k.ev.DeliveryID)), zap.String("repo", k.ev.Repository.FullName), zap.String("reason", reason))
}

// refuse says why nothing is done.
func (k *command) refuse(reason string) string {
	k.note(reason)
	return dispatch.RefusedText(reason)
}

// mayCommand asks the host whether the author may give commands.
func (k *command) mayCommand(ctx context.Context) (bool, error) {
	if err := k.Commander.RefusesCommands(k.ev.Source); err != nil {
		k.note("not carried out: " + err.Error())
		return false, nil //nolint:nilerr // nobody can be asked, and what is wrong is logged
	}
	if k.denied.Has(k.ev, time.Now()) {
		k.note(dispatch.DeniedReason(k.ev))
		return false, nil
	}
	may, err := k.Commander.MayWrite(ctx, k.ev.Source, k.ev.Repository.FullName, k.ev.Sender)
	switch {
	case k.final(err):
		k.note("not carried out: " + err.Error())
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask whether %q may write to %s: %w", k.ev.Sender, k.ev.Repository.FullName, err)
	case !may:
		k.denied.Add(k.ev, time.Now())
		k.note(dispatch.DeniedReason(k.ev))
	}
	return may, nil
}

// final reports whether an error of a host is its last word on the command.
func (k *command) final(err error) bool {
	return errors.Is(err, dispatch.ErrCannotAsk) || k.tries >= surely && errors.As(err, new(*dispatch.PermanentError))
}

// surely is how often a host is asked again although it refuses for good.
const surely = 3

// lookUp reads the pull request.
func (k *command) lookUp(ctx context.Context) error {
	pull, err := k.Commander.PullRequest(ctx, k.ev.Source, k.ev.Repository.FullName, k.o.PullRequest)
	switch {
	case errors.Is(err, dispatch.ErrCannotAsk), errors.As(err, new(*dispatch.PermanentError)):
		k.o.Wrong = fmt.Sprintf("the host does not show pull request #%d as an open one", k.o.PullRequest)
		return nil
	case err != nil:
		return fmt.Errorf("read pull request #%d: %w", k.o.PullRequest, err)
	case pull.PullRequest == nil || pull.PullRequest.Number != k.o.PullRequest:
		return fmt.Errorf("read pull request #%d: the host answered with another", k.o.PullRequest)
	}
	pull.Source, pull.DeliveryID, pull.Repository.CloneURL = k.ev.Source, k.ev.DeliveryID, k.ev.Repository.CloneURL
	k.pull = &pull
	return nil
}

// answer tells who wrote a comment; a button shows what it did.
func (k *command) answer(ctx context.Context, text string) error {
	if k.o.Comment == "" || k.o.PullRequest == 0 {
		return nil
	}
	err := k.Commander.Answer(ctx, &dispatch.Answer{Source: k.ev.Source, Repository: k.ev.Repository.FullName, PullRequest: k.o.PullRequest, Comment: k.o.Comment, Text: text})
	if k.final(err) {
		k.note("it stays without an answer: " + err.Error())
		return nil
	}
	return err
}

// by is who asked, for a person.
func (k *command) by() string {
	if k.o.PullRequest == 0 {
		return k.ev.Sender
	}
	return fmt.Sprintf("%s on pull request #%d", k.ev.Sender, k.o.PullRequest)
}

// allow starts what routes ask for of the one commit that is let run.
func (k *command) allow(ctx context.Context) (string, error) {
	one, err := dispatch.AllowCommit(ctx, k.Host, &k.o, k.pull)
	if err != nil && !k.final(err) {
		return "", err
	}
	if err != nil {
		return k.refuse(err.Error()), nil
	}
	if k.o.Wrong != "" {
		return k.refuse(k.o.Wrong), nil
	}
	plan, err := k.startAll(ctx, &one, k.tries, k.slots)
	if err != nil {
		return "", err
	}
	return dispatch.AllowedText(k.o.SHA, &plan), nil
}

// explain says what routes make of the pull request as it is, and what has become of
// that.
func (k *command) explain(ctx context.Context) (string, error) {
	found, err := k.found(ctx)
	if err != nil {
		return "", err
	}
	pull := *k.pull
	pull.Truncated = false // it is about the head
	plan, unknown, err := dispatch.Complete(ctx, k.Host, k.Planner, &pull, k.tries)
	if err != nil {
		return "", err
	}
	var known []dispatch.Explained
	for i := range found {
		known = append(known, dispatch.Explained{Execution: found[i].Name, Status: dispatch.StatusOfOutcome(&found[i].Outcome), Reason: found[i].reason})
	}
	k.note("explained to " + k.by())
	return dispatch.ExplainedText(k.head(), known, append(plan.Ignored, unknown...)), nil
}

// rerun runs again what has ended otherwise than well, or what is named.
func (k *command) rerun(ctx context.Context) (string, error) {
	found, err := k.found(ctx)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return k.none(), nil
	}
	named := k.o.Route != "" || k.o.Execution != ""
	unfinished, well := 0, 0
	var acts []dispatch.Ignored
	for i := range found {
		x := &found[i]
		switch {
		case x.attempt > 1 && !x.StartedAt.Before(k.sent): // it was started for this command
			acts = append(acts, k.act(x.base, x.Name, "rerun"))
		case !x.Status.Closed():
			unfinished++
		case x.Status == event.Succeeded && !named:
			well++
		default:
			name := dispatch.AttemptID(x.base, x.attempt+1)
			err := k.start(ctx, dispatch.DeliveryID(k.ev.Source, k.ev.DeliveryID), &event.Request{
				ID: name, StateMachine: x.machine, Repository: k.ev.Repository.FullName, Route: x.route, Input: []byte(x.Input), Reason: "rerun by " + k.by(),
			})
			if err != nil {
				return "", err
			}
			acts = append(acts, k.act(x.base, name, "rerun"))
		}
	}
	switch {
	case len(acts) > 0:
		return dispatch.AnswerText("Running again:", acts), nil
	case well > 0:
		return k.refuse(fmt.Sprintf("all %d executions of commit %.12s that have ended succeeded; name a route to run it again", well, k.head())), nil
	}
	return k.refuse(fmt.Sprintf("%d executions of commit %.12s have not ended", unfinished, k.head())), nil
}

// stop ends what runs.
func (k *command) stop(ctx context.Context) (string, error) {
	found, err := k.found(ctx)
	if err != nil {
		return "", err
	}
	if len(found) == 0 && k.o.Execution != "" {
		return k.none(), nil
	}
	reason := "stopped by " + k.by()
	var acts []dispatch.Ignored
	for i := range found {
		x := &found[i]
		switch {
		case !x.Status.Closed():
			if err := k.Commands.Engine.Stop(ctx, x.ExecutionARN, dispatch.ErrorStopped, reason); err != nil {
				return "", err
			}
		case x.Status != event.Aborted || x.Cause != reason || x.StoppedAt.Before(k.sent): // else it was stopped for this command
			continue
		}
		acts = append(acts, k.act("", x.Name, "stopped"))
	}
	switch {
	case len(acts) > 0:
		return dispatch.AnswerText("Stopping:", acts), nil
	case k.o.Route != "":
		return k.refuse(fmt.Sprintf("nothing runs on a route %q", k.o.Route)), nil
	}
	return k.refuse("nothing runs"), nil
}

// act is what was done about an execution, or what it was made of.
func (k *command) act(of, name, what string) dispatch.Ignored {
	reason := what + " by " + k.by()
	if of != "" {
		reason = what + " of " + of + " by " + k.by()
	}
	k.Log.Info("a command was carried out", zap.String("delivery_id", dispatch.DeliveryID(k.ev.Source, k.ev.DeliveryID)), zap.String("execution", name), zap.String("reason", reason))
	return dispatch.Ignored{Ignored: event.Ignored{Reason: reason}, Execution: name}
}

// none says that there is nothing that an order could be about.
func (k *command) none() string {
	switch {
	case k.o.Execution != "":
		return k.refuse(fmt.Sprintf("no execution %q of this repository is known", k.o.Execution))
	case k.pull == nil:
		return k.refuse("without a server it is not known which executions a commit has; ask for it on the pull request, or at a check of it")
	case k.o.Route != "":
		return k.refuse(fmt.Sprintf("no execution of commit %.12s is known on a route %q", k.head(), k.o.Route))
	}
	return k.refuse(fmt.Sprintf("no execution of commit %.12s is known", k.head()))
}
