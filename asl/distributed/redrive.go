package distributed

import (
	"context"
	"errors"
	"strings"

	"switchyard/asl/store"
)

// ErrNotRedrivable says that a child execution stays as it ended: its history is
// full.
var ErrNotRedrivable = errors.New("the child execution cannot be redriven")

// unsuccessful is a child that has not succeeded before its run was redriven.
type unsuccessful struct {
	id     int64
	index  int
	size   int64 // how many items it works on
	status store.Status
}

// redriveAll lets the children that have not succeeded go on, before new ones
// start.
func (r *mapRun) redriveAll(ctx context.Context) error {
	for len(r.unsuccessful) > 0 {
		if err := r.await(ctx, true); err != nil {
			return err
		}
		u := r.unsuccessful[0]
		r.unsuccessful = r.unsuccessful[1:]
		r.mu.Lock()
		r.children.PendingRedrive--
		r.items.PendingRedrive -= u.size
		r.mu.Unlock()
		begin := func() (<-chan error, bool) { return r.c.host.Redrive(ctx, u.id, r.work.Redrives) }
		if err := r.start(ctx, starting{index: u.index, begin: begin, past: &u}, u.size); err != nil {
			return err
		}
	}
	return nil
}

// stays takes note of a child that cannot be redriven: it counts as failed again.
func (r *mapRun) stays(u *unsuccessful) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.children.FailuresNotRedrivable++
	r.items.FailuresNotRedrivable += u.size
	r.settled(u.index, u.size, u.status)
}

// giveUpRedrives counts the children that are not redriven any more, because the
// run has failed meanwhile, as what they were. The next redrive has them again.
func (r *mapRun) giveUpRedrives() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.unsuccessful {
		r.children.PendingRedrive--
		r.items.PendingRedrive -= u.size
		r.settled(u.index, u.size, u.status)
	}
	r.unsuccessful = nil
}

// AwaitCleared returns when no child of an aborted Map run of the execution with
// the ID exec is about to be stopped any more: a redrive must not cross that.
// Whether all went well is what [Coordinator.Clearing] says. [Coordinator.Clear]
// has to run meanwhile.
func (c *Coordinator) AwaitCleared(ctx context.Context, exec int64) error {
	select {
	case <-c.listed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var clearing []<-chan struct{}
	c.mu.Lock()
	for id, done := range c.clearing {
		if strings.HasPrefix(id, runsOf(exec)) {
			clearing = append(clearing, done)
		}
	}
	c.mu.Unlock()
	for _, done := range clearing {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Clearing reports whether children of the Map runs of the execution with the ID
// exec, which has ended, are still to be stopped.
func (c *Coordinator) Clearing(ctx context.Context, exec int64) (bool, error) {
	docs, err := c.store.Docs(ctx, KindOpen, runsOf(exec), 1)
	return err == nil && len(docs) > 0 && strings.HasPrefix(docs[0].Key, runsOf(exec)), err
}
