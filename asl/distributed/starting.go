package distributed

import (
	"context"
	"encoding/json"
	"errors"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/store"
	"switchyard/internal/fault"
)

// maxStarting is how many child executions may be on their way to the store at
// once: enough for one write of the store to carry many.
const maxStarting = 256

// starting is a child that is on its way to the store: a new one, or one that is
// redriven.
type starting struct {
	index int
	// begin lets it begin. It is called again while the store refuses, and is
	// false when the engine stops.
	begin   func() (durable <-chan error, ok bool)
	durable <-chan error
	// past is what the child was before its redrive, nil for a new one.
	past *unsuccessful
}

// start lets a child begin, without waiting until that is durable.
func (r *mapRun) start(ctx context.Context, s starting, size int64) error {
	r.mu.Lock()
	r.begun(s.index, size)
	r.mu.Unlock()
	var ok bool
	if s.durable, ok = s.begin(); !ok {
		<-ctx.Done() // the engine stops
		return context.Cause(ctx)
	}
	r.starting = append(r.starting, s)
	if len(r.starting) >= maxStarting {
		return r.settleStarting(ctx, true)
	}
	return nil
}

func (r *mapRun) child(b batch) Child {
	c := Child{Work: r.work, Name: arns.ChildName(r.work.ID, b.index), Input: b.input}
	c.Attrs = ChildAttrs{State: r.work.State.Name, Items: b.items, Batch: r.work.Batching != nil}
	if b.item != nil {
		c.Attrs.Item = json.RawMessage(b.item.context(int64(b.index)).JSON())
	}
	return c
}

// settleStarting waits until the children that were started are durable. With
// again, those that could not be stored are stored now.
func (r *mapRun) settleStarting(ctx context.Context, again bool) error {
	defer func() { r.starting = r.starting[:0] }()
	for _, s := range r.starting {
		err := <-s.durable
		for ; err != nil && again; err = <-s.durable {
			if errors.Is(err, ErrNotRedrivable) {
				r.stays(s.past)
				break
			}
			if errors.Is(err, store.ErrExists) {
				if err := r.existing(ctx, s.index); err != nil {
					return err
				}
				break
			}
			r.c.log.Error("cannot store a child execution; trying again", zap.String("map_run", r.arn()), zap.Int("index", s.index), zap.Error(err))
			if err := fault.Sleep(ctx, store.Retry); err != nil {
				return err
			}
			var ok bool
			if s.durable, ok = s.begin(); !ok {
				<-ctx.Done()
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// existing deals with a child whose write was said to have failed and had not.
func (r *mapRun) existing(ctx context.Context, index int) error {
	x, err := r.c.store.Execution(ctx, r.work.Key, arns.ChildName(r.work.ID, index))
	if err != nil {
		return err
	}
	if x.Status == store.Running {
		r.c.host.Wake(x.ID)
		return nil
	}
	return r.childEnded(x)
}
