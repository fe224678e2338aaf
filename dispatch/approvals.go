package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Approvals keeps what state machines ask people. It is part of the journal.
type Approvals interface {
	// Ask records an approval that waits, with the status that follows from it.
	// One that is known by its ID changes nothing. [ErrNotFound] when the execution
	// is unknown, [ErrFinished] when it has ended.
	Ask(ctx context.Context, a NewApproval) ([]Change, error)
	// Decide takes a decision as [Judge] says, and returns the approval as it is
	// then; repeating one that was taken changes nothing. [ErrNotFound] when the
	// execution is unknown, [*RefusedError].
	Decide(ctx context.Context, d Decision) (Approval, []Change, error)
	// Approvals lists approvals, newest first.
	Approvals(ctx context.Context, f ApprovalFilter) ([]Approval, error)
	// Expire makes expired what nobody has decided by now. They are untold until
	// grace has passed, in which the engine is to end the task itself. It returns
	// when the next one expires, zero for never.
	Expire(ctx context.Context, now time.Time, grace time.Duration) ([]Change, time.Time, error)
	// Untold returns what the engine is to be told now, at most limit; and when the
	// next falls due, as [Requests.Due] does.
	Untold(ctx context.Context, now time.Time, limit int) ([]Untold, time.Time, error)
	// Telling notes that the engine is about to be told for the first time.
	Telling(ctx context.Context, seq int64, at time.Time) error
	// Told notes that the engine was told, and forgets the token. late says that it
	// did not wait for that any more, which makes what was decided expired.
	Told(ctx context.Context, seq int64, at time.Time, late bool) error
	// TellFailed notes why the engine could not be told, and when it is to be tried
	// again.
	TellFailed(ctx context.Context, seq int64, retryAt time.Time, reason string) error
	// Live returns the commit of the last execution that succeeded on the same
	// state machine, source, repository and environment as an execution, "" if
	// there is none or the execution has no environment.
	Live(ctx context.Context, execution string) (sha string, err error)
}

// ApprovalFilter narrows a list of approvals; zero fields match everything.
type ApprovalFilter struct {
	// Execution is an execution's ID.
	Execution string
	// ID is that of one approval.
	ID string
	// Waiting leaves out those that are not waiting any more.
	Waiting bool
	// Limit is how many are returned at most: default 50, at most 1000.
	Limit int
}

// Untold is a decision, or the lack of one, that the engine is to be told.
type Untold struct {
	Seq int64
	// Approval has what [Approval.Verdict] needs.
	Approval
	// Token and ARN are those of the task that waits and of its execution.
	Token, ARN string
	// Begun is true when the engine may have been told already.
	Begun bool
	Tries int
}

// Responder is an [Engine] whose tasks end by what is said with their token.
// [ErrTokenSpent] says that the task is not waited for any more; other errors
// are those of [Engine].
type Responder interface {
	// Succeed ends a task with a JSON text as its output.
	Succeed(ctx context.Context, executionARN, token string, output []byte) error
	// Fail ends a task with an error.
	Fail(ctx context.Context, executionARN, token, errorName, cause string) error
}

// ErrTokenSpent says that the task of a token has ended, or was never there.
var ErrTokenSpent = errors.New("the task is not waited for any more")

// errNoTokens is what an engine that is no [Responder] gets for every question.
var errNoTokens = errors.New("the engine takes no answers by task token")

// AskApproval records that an execution waits for a person. Nil promises that
// the question survives a crash. [ErrNotFound] says that no execution of ours has
// that ARN, [ErrFinished] that it has ended, and a [*PermanentError] what is wrong
// with the question; anything else is to be repeated.
func (d *Dispatcher) AskApproval(ctx context.Context, a Ask) error {
	if _, ok := d.engine.(Responder); !ok {
		return &PermanentError{errNoTokens}
	}
	if err := a.check(); err != nil {
		return &PermanentError{fmt.Errorf("approval: %w", err)}
	}
	name := a.ExecutionARN[strings.LastIndexByte(a.ExecutionARN, ':')+1:]
	x, err := d.journal.Execution(ctx, name)
	if err == nil && x.ARN != "" && x.ARN != a.ExecutionARN {
		err = ErrNotFound // another state machine has an execution of this name
	}
	if err != nil {
		return fmt.Errorf("approval of %s: %w", clip(a.ExecutionARN, maxTitle), unsure(err))
	}
	merge := mergeOf(&x)
	if err := a.contradicts(&x, merge); err != nil {
		return &PermanentError{err}
	}
	n := NewApproval{Token: a.Token, Approval: Approval{
		ID: ApprovalID(a.Token), Execution: x.ID, Merge: merge, Title: a.Title, AskedBy: a.AskedBy, Approvers: a.Approvers, Diff: a.Diff, AskedAt: a.At,
	}}
	if now := d.now(); n.AskedAt.IsZero() || n.AskedAt.After(now) {
		n.AskedAt = now // by the clock that what people say is compared with
	}
	if a.ExpiresIn > 0 {
		n.ExpiresAt = n.AskedAt.Add(a.ExpiresIn)
	}
	sender, err := d.own(ctx, &n, &x)
	if err != nil {
		return fmt.Errorf("approval of %s: %w", x.ID, unsure(err))
	}
	n.AskedBy = cmp.Or(n.AskedBy, sender)
	changes, err := d.journal.Ask(ctx, n)
	d.publish(changes)
	wake(d.tellSoon)
	if err != nil {
		return fmt.Errorf("approval of %s: %w", x.ID, unavailable(err))
	}
	d.log.Info("an execution waits for approval", zap.String("request_id", x.ID), zap.String("approval", n.ID))
	return nil
}

// unsure marks a read that failed: nothing was changed.
func unsure(err error) error {
	if decided(err) {
		return err
	}
	return &UnavailableError{RetryAfter: retryAfter, Untouched: true, Err: err}
}

// Decide takes a person's decision. It is durable when Decide returns nil, and
// the execution is told as soon as the engine can be reached, also by the next
// process. [ErrNotFound], [*RefusedError].
func (d *Dispatcher) Decide(ctx context.Context, made Decision) (Approval, error) {
	made.At, made.NotOwn = d.now(), d.config().NotOwn
	a, changes, err := d.journal.Decide(ctx, made.cut())
	d.publish(changes)
	wake(d.tellSoon)
	if err != nil {
		return Approval{}, fmt.Errorf("execution %s: %w", made.Execution, unavailable(err))
	}
	d.log.Info("an approval was decided", zap.String("request_id", a.Execution), zap.String("approval", a.ID), zap.String("state", string(a.State)),
		zap.String("by", shownLine(a.DecidedBy)), zap.String("way", string(a.Way)))
	return a, nil
}

func (d Decision) cut() Decision {
	d.By, d.Reason = clip(d.By, maxPerson), clip(d.Reason, maxWords)
	if d.By == "" {
		d.By = "somebody"
	}
	return d
}

// Approvals lists approvals, newest first, with what is live where they lead to.
func (d *Dispatcher) Approvals(ctx context.Context, f ApprovalFilter) ([]Approval, error) {
	all, err := d.journal.Approvals(ctx, f)
	if err != nil {
		return nil, err
	}
	for i := range all {
		a := &all[i]
		if a.State != ApprovalWaiting {
			continue // what is live by now may be that
		}
		if a.Live, err = d.journal.Live(ctx, a.Execution); err != nil {
			return nil, err
		}
		if a.Diff == "" && a.Live != "" && a.Live != a.SHA && d.compare != nil {
			a.Diff = d.compare(a.Source, a.Repository, a.Live, a.SHA)
		}
	}
	return all, nil
}

// WithCompare sets what makes the address of the page on which a git host shows
// what lies between two commits, "" where it has none. Default: none.
func WithCompare(f func(source, repository, from, to string) string) Option {
	return func(d *Dispatcher) { d.compare = f }
}
