package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// call asks the engine for one thing. This is the only place where such a call
// gets its time limit, is counted, and has a panic turned into an error. An
// interruption by ctx is passed on and not counted.
func (d *Dispatcher) call(ctx context.Context, op string, ask func(ctx context.Context) error) error {
	limit := d.config().CallTimeout
	began := time.Now()
	callCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := Guard(func() error { return ask(callCtx) })
	if err != nil && ctx.Err() != nil {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) && callCtx.Err() != nil {
		// Not wrapped: our timeout must not look like the end of ctx.
		err = fmt.Errorf("%s: no answer within %v", op, limit)
	}
	d.called(op, err, time.Since(began))
	return err
}

// called counts a call to the engine.
func (d *Dispatcher) called(op string, err error, took time.Duration) {
	outcome := "ok"
	var throttled *ThrottledError
	var permanent *PermanentError
	var blocked *BlockedError
	var fault *PanicError
	switch {
	case err == nil:
	case errors.As(err, new(*UnfinishedError)):
		outcome = "unfinished"
	case errors.As(err, &throttled):
		outcome = "throttled"
		d.stats.throttled.Add(1)
	case errors.As(err, &blocked):
		outcome = "blocked"
		d.stats.callErrors.Add(1)
	case errors.As(err, &permanent):
		outcome = "permanent"
		d.stats.callErrors.Add(1)
	case errors.As(err, &fault):
		outcome = "panic"
		d.stats.callErrors.Add(1)
	default:
		outcome = "error"
		d.stats.callErrors.Add(1)
	}
	d.observer.Called(op, outcome, took)
}
