package dispatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

// Redriver is an [Engine] that lets executions go on which ended without
// success.
type Redriver interface {
	// Redrive lets an execution that failed, timed out or was stopped go on
	// from where it ended, under the same ARN. A call that is repeated soon with
	// the same token, of up to 64 characters, does no more than the first. What
	// the engine refuses to redrive is a [*PermanentError].
	Redrive(ctx context.Context, executionARN, token string) error
}

// RedriveKind says what a redrive does.
type RedriveKind string

const (
	// RedriveStart starts an execution that the engine had refused to start.
	RedriveStart RedriveKind = "start"
	// RedriveContinue lets an execution go on from the state in which it failed,
	// timed out or was stopped.
	RedriveContinue RedriveKind = "continue"
)

// Redrive brings an execution on under its own name, and says how: one that is
// dead is started, after what the engine refused has been repaired, and one that
// failed, timed out or was aborted goes on from where it ended. Either waits for
// its turn like any other. [ErrNotFound], [ErrNotRedrivable].
//
// What the engine refuses later, when its turn has come, leaves the execution as
// it was, with the reason as its last error.
func (d *Dispatcher) Redrive(ctx context.Context, id string) (RedriveKind, error) {
	x, err := d.journal.Execution(ctx, id)
	if err != nil {
		return "", fmt.Errorf("redrive %s: %w", id, err)
	}
	kind, again := RedriveStart, d.resume(x.Environment, x.Attempt)
	if x.State != StateDead {
		if err := d.redrivable(ctx, &x); err != nil {
			return "", fmt.Errorf("redrive %s: %w", id, err)
		}
		kind = RedriveContinue
		again.Status = StatusOf(&Execution{State: again.State, Environment: x.Environment, RedriveOf: x.State})
	}
	again.From = x.State
	changes, err := d.journal.Redrive(ctx, id, again)
	d.changed(changes, err)
	if err != nil {
		return "", fmt.Errorf("redrive %s: %w", id, unavailable(err))
	}
	return kind, nil
}

// redrivable returns nil, or why x cannot go on, as far as that is known. An
// engine that does not answer now is asked again when the turn of x has come.
func (d *Dispatcher) redrivable(ctx context.Context, x *Execution) error {
	switch {
	case !x.State.Finished():
		return fmt.Errorf("%w: it has not ended", ErrNotRedrivable)
	case x.State == StateSucceeded:
		return fmt.Errorf("%w: it succeeded; a rerun runs it again", ErrNotRedrivable)
	case x.ARN == "" || x.State == StateSuperseded:
		return fmt.Errorf("%w: it was never started, so there is nothing to go on from; a rerun starts it", ErrNotRedrivable)
	}
	if _, ok := d.engine.(Redriver); !ok {
		return fmt.Errorf("%w: the engine does not redrive executions", ErrNotRedrivable)
	}
	o, err := d.describe(ctx, x.ARN)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: the engine does not know it any more; a rerun starts it from the beginning", ErrNotRedrivable)
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && o.Status.Closed() && o.NotRedrivable != "":
		return fmt.Errorf("%w: the engine says: %s", ErrNotRedrivable, o.NotRedrivable)
	}
	return nil
}

// redriveOne lets one execution go on, and hands on what the engine said.
func (d *Dispatcher) redriveOne(ctx context.Context, x *Execution) {
	r, err := d.tryToRedrive(ctx, x)
	if err == nil {
		d.results <- r
		return
	}
	if ctx.Err() != nil {
		d.starts.end(x) // interrupted is not failed
		return
	}
	cfg := d.config()
	var throttled *ThrottledError
	switch {
	case errors.As(err, &throttled):
		d.paces.of(cfg.Quota(x.StateMachine)).throttled(throttled.After, d.jitter)
		d.starts.end(x) // it keeps its place in the queue
		wake(d.startSoon)
	case d.logFault(err, "redrive", zap.String("request_id", x.ID)):
		d.results <- faultedStart(x, err, d.now())
	case errors.Is(err, ErrNotFound), errors.As(err, new(*PermanentError)), errors.As(err, new(*BlockedError)):
		// Somebody asked for it and can ask again: it holds up nobody meanwhile.
		d.log.Error("the engine refused to redrive an execution", zap.String("request_id", x.ID), zap.String("execution", x.ARN), zap.Error(err))
		d.results <- withdraw(x, "not redriven: "+err.Error())
	default:
		wait := backoff(cfg.RetryBase, cfg.RetryMax, x.Tries, d.jitter)
		d.log.Warn("redriving an execution failed; trying again", zap.String("request_id", x.ID), zap.String("execution", x.ARN), zap.Duration("wait", wait), zap.Error(err))
		d.results <- result{x: x, failed: notStartedYet(x, err.Error(), d.due.now().Add(wait))}
	}
}

// tryToRedrive looks first where the execution is: it may have been redriven
// already, by a call whose record a crash has lost, longer ago than the engine
// remembers tokens, or by another hand.
func (d *Dispatcher) tryToRedrive(ctx context.Context, x *Execution) (result, error) {
	o, err := d.describe(ctx, x.ARN)
	switch {
	case err != nil:
		return result{}, err
	case !o.Status.Closed():
		return d.goesOn(x, true), nil
	case endedSince(&o, x):
		end := endOf(&o)
		end.Seq, end.ARN = x.Seq, x.ARN
		return result{x: x, ended: &end}, nil
	case x.StopReason != "":
		return withdraw(x, "not redriven: "+x.StopReason), nil
	}
	redriver, ok := d.engine.(Redriver)
	if !ok {
		return result{}, &PermanentError{errors.New("the engine does not redrive executions")}
	}
	err = d.call(ctx, "redrive", func(ctx context.Context) error { return redriver.Redrive(ctx, x.ARN, redriveToken(x)) })
	if err != nil {
		return result{}, err
	}
	return d.goesOn(x, false), nil
}

// redriveToken is the same for every call that a redrive of x takes, and another
// one for the next redrive.
func redriveToken(x *Execution) string {
	sum := sha256.Sum256([]byte(x.ARN + "\n" + strconv.Itoa(x.Redrives)))
	return hex.EncodeToString(sum[:])
}

// goesOn is the record of an execution that runs again.
func (d *Dispatcher) goesOn(x *Execution, already bool) result {
	d.paces.of(d.config().Quota(x.StateMachine)).succeeded()
	status := StatusOf(&Execution{State: StateRunning})
	return result{x: x, started: &StartRecord{Seq: x.Seq, ARN: x.ARN, StartedAt: x.StartedAt, Status: &status}, askAtOnce: already}
}

// endedSince reports whether an outcome tells of a later end than the one from
// which x is redriven. News of that may come late, and again. Engines' times are
// whole milliseconds.
func endedSince(o *event.Outcome, x *Execution) bool {
	return x.RedriveOf == "" || o.StoppedAt.UnixMilli() > x.StoppedAt.UnixMilli()
}

func withdraw(x *Execution, reason string) result {
	r := Withdrawal(x, reason)
	return result{x: x, withdrawn: &r}
}

// Withdrawal is the record of a redrive that is given up, with the reason for
// it: the execution is again as it had ended.
func Withdrawal(x *Execution, reason string) WithdrawalRecord {
	was := *x
	was.State = x.RedriveOf
	return WithdrawalRecord{Seq: x.Seq, Reason: reason, Status: StatusOf(&was)}
}
