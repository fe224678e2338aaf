package engine

import (
	"context"
	"errors"
	"fmt"

	"switchyard/asl/apierror"
	"switchyard/asl/distributed"
	"switchyard/asl/store"
)

var errClearing = errors.New("child executions of an aborted Map run are still being stopped")

// awaitCleared returns when the children of the aborted Map runs of an execution
// that has ended have been stopped.
func (e *Engine) awaitCleared(ctx context.Context, id int64) error {
	if e.ran.Load() && !e.stopping.Load() {
		if err := e.maps.AwaitCleared(ctx, id); err != nil {
			return apierror.Unavailable(err)
		}
	}
	clearing, err := e.maps.Clearing(ctx, id)
	if err == nil && clearing {
		err = errClearing
	}
	if err != nil {
		return apierror.Unavailable(err)
	}
	return nil
}

// Redrive implements [distributed.Host].
func (h mapHost) Redrive(ctx context.Context, id int64, number int) (<-chan error, bool) {
	if h.e.stopping.Load() {
		return nil, false
	}
	durable := make(chan error, 1)
	go func() { durable <- h.e.redriveChild(ctx, id, number) }()
	return durable, true
}

// redriveChild lets a child that has not succeeded go on with the redrive of its
// Map run of this number, unless it does already.
func (e *Engine) redriveChild(ctx context.Context, id int64, number int) error {
	// The copy that ended may still be in memory, and repeat its last write.
	if _, err := e.isRunning(ctx, id); err != nil {
		return err
	}
	if err := e.awaitCleared(ctx, id); err != nil {
		return err
	}
	if e.stopping.Load() {
		return errStopping
	}
	x, err := e.store.ExecutionByID(ctx, id)
	if err != nil {
		return err
	}
	attrs, err := attrsOf(x)
	if err != nil {
		return err
	}
	if attrs.Child == nil {
		return fmt.Errorf("redrive execution %s/%s: it is no child of a Map run", x.Machine, x.Name)
	}
	if attrs.Child.Redrive < number {
		if full, err := e.historyFull(ctx, id); err != nil {
			return err
		} else if full {
			return distributed.ErrNotRedrivable
		}
		attrs.Child.Redrive = number
		if err := e.reopen(ctx, x, &attrs, e.now().UnixMilli(), ""); err != nil {
			return err
		}
		x.Status, x.Stopped, x.Output, x.Error, x.Cause = store.Running, 0, nil, "", ""
		e.announce(x)
	}
	if x.Status == store.Running {
		e.wake(ctx, id)
	}
	return nil
}
