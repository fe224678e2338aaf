package dispatch

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

const (
	// tellPage is how many decisions are read at once.
	tellPage = 16
	// expiryGrace is how long the engine has, after an approval has expired, to end
	// the task by its own TimeoutSeconds before it is told to.
	expiryGrace = time.Minute
)

// tell has approvals expire, and tells the engine what was decided.
func (d *Dispatcher) tell(ctx context.Context) {
	var idle lookout
	for ctx.Err() == nil {
		next := d.expire(ctx)
		for ctx.Err() == nil {
			var page []Untold
			var due time.Time
			err := d.persist(ctx, "read decisions", func() (err error) {
				page, due, err = d.journal.Untold(ctx, d.due.now(), tellPage)
				return err
			})
			for i := range page {
				d.tryToTell(ctx, &page[i])
			}
			if err != nil || len(page) < tellPage {
				next = earlier(next, due)
				break
			}
		}
		d.rest(ctx, &idle, next, d.tellSoon)
	}
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// expire ends the wait for what nobody has decided, and returns when the next
// wait ends.
func (d *Dispatcher) expire(ctx context.Context) (next time.Time) {
	_ = d.persist(ctx, "expire approvals", func() (err error) {
		var changes []Change
		changes, next, err = d.journal.Expire(ctx, d.due.now(), expiryGrace)
		d.publish(changes)
		return err
	})
	return next
}

// tryToTell tells the engine one decision, whatever happens.
func (d *Dispatcher) tryToTell(ctx context.Context, u *Untold) {
	fields := []zap.Field{zap.String("request_id", u.Execution), zap.String("approval", u.ID), zap.String("state", string(u.State))}
	// That a call was made is on disk before it is made: a task that has gone by the
	// next call was ended by this one, and not by its timeout.
	if !u.Begun && d.persist(ctx, "note a decision's telling", func() error { return d.journal.Telling(ctx, u.Seq, d.now()) }) != nil {
		return
	}
	err := Guard(func() error { return d.tellOne(ctx, u) })
	late := errors.Is(err, ErrTokenSpent) && !u.Begun
	cfg := d.config()
	wait := backoff(cfg.RetryBase, cfg.RetryMax, u.Tries, d.jitter)
	switch {
	case err == nil, errors.Is(err, ErrTokenSpent):
		if late && u.State != ApprovalExpired {
			d.log.Warn("a decision came too late: the execution did not wait for it any more", fields...)
		}
		_ = d.persist(ctx, "record a decision's telling", func() error { return d.journal.Told(ctx, u.Seq, d.now(), late) })
	case ctx.Err() != nil:
	default:
		d.logFault(err, "tell a decision", fields...)
		d.log.Warn("telling the engine a decision failed; trying again", append(fields, zap.Duration("wait", wait), zap.Error(err))...)
		_ = d.persist(ctx, "postpone a decision's telling", func() error {
			return d.journal.TellFailed(ctx, u.Seq, d.due.now().Add(wait), clip(err.Error(), maxReason))
		})
	}
}

func (d *Dispatcher) tellOne(ctx context.Context, u *Untold) error {
	responder, ok := d.engine.(Responder)
	if !ok {
		return errNoTokens
	}
	output, name, cause := u.Verdict()
	return d.call(ctx, "answer token", func(ctx context.Context) error {
		if name != "" {
			return responder.Fail(ctx, u.ARN, u.Token, name, cause)
		}
		return responder.Succeed(ctx, u.ARN, u.Token, output)
	})
}
