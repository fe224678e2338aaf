package distributed

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// mapRun works on the items of a distributed Map, each in an execution of its
// own. It has a goroutine while its Map state is in memory, and nothing of it
// but its description is stored: which items have been taken, and how they
// ended, is what the store says of the children, whose names follow from the
// run and their index. So a child is started once, whatever dies when.
type mapRun struct {
	c     *Coordinator
	work  *run.MapWork
	begin Start
	// source gives the items; frame is what the ItemSelector sees, and item is
	// $$.Map.Item for it.
	source itemSource
	frame  asl.Frame
	item   value.Value

	mu        sync.Mutex
	limit     int64
	tolerance asl.Tolerance
	started   bitset
	ended     bitset
	active    int
	items     Counts
	children  Counts
	// news: something has happened since the run last looked.
	news   bool
	asleep bool
	wake   chan struct{} // capacity 1
	done   chan struct{} // closed when the run has left this process

	starting []starting
	// unsuccessful are the children that are still to be redriven.
	unsuccessful []unsuccessful
}

// bitset is a set of small numbers.
type bitset []uint64

func (s bitset) has(i int) bool { return i>>6 < len(s) && s[i>>6]&(1<<(i&63)) != 0 }

func (s *bitset) add(i int) {
	for i>>6 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[i>>6] |= 1 << (i & 63)
}

// errRunFailed ends a run whose failures are too many.
var errRunFailed = &asl.Error{Name: asl.ErrExceedToleratedThreshold, Cause: "The specified tolerated failure threshold was exceeded"}

// toEnd works until every item has been dealt with, and gives the result of the
// Map state. When ctx ends it leaves the children as they are. An error other
// than an asl.Error says that the store failed; then it is to be repeated.
func (r *mapRun) toEnd(ctx context.Context) (json.RawMessage, error) {
	err := r.throughItems(ctx)
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), r.settleStarting(ctx, false))
	}
	var failure *asl.Error
	if err != nil {
		if !errors.As(err, &failure) {
			return nil, err
		}
		if err := r.c.stopChildren(ctx, r.work.Key); err != nil {
			return nil, err
		}
		if err := r.awaitChildren(ctx); err != nil {
			return nil, err
		}
		r.giveUpRedrives()
	}
	output, err := r.results(ctx, failure != nil)
	var unwritten *asl.Error
	switch {
	case failure == nil:
		return output, err
	case errors.As(err, &unwritten):
		// What failed the run is what its execution is about. That the results
		// of the children are missing too has to be said beside it.
		r.c.log.Warn("the results of a failed map run could not be written", zap.String("map_run", r.arn()), zap.Error(unwritten))
		failure = &asl.Error{Name: failure.Name, Cause: strings.TrimSuffix(failure.Cause, ".") + ". Its results could not be written: " + unwritten.Cause}
	case err != nil:
		return nil, err
	}
	return nil, failure
}

func (r *mapRun) throughItems(ctx context.Context) error {
	if err := r.recover(ctx); err != nil {
		return err
	}
	if err := r.count(); err != nil {
		return err
	}
	if err := r.redriveAll(ctx); err != nil {
		return err
	}
	n := 0
	for b, err := range r.batches() {
		if err != nil {
			return errors.Join(err, r.settleStarting(ctx, true))
		}
		n++
		if r.has(b.index) {
			continue
		}
		if err := r.await(ctx, true); err != nil {
			return err
		}
		begin := func() (<-chan error, bool) { return r.begin(r.child(b)) }
		if err := r.start(ctx, starting{index: b.index, begin: begin}, int64(b.items)); err != nil {
			return err
		}
	}
	if err := r.settleStarting(ctx, true); err != nil {
		return err
	}
	r.mu.Lock()
	r.children.Total = int64(n)
	r.mu.Unlock()
	return r.await(ctx, false)
}

// recover learns from the store which children there are.
func (r *mapRun) recover(ctx context.Context) error {
	err := r.c.eachChild(ctx, r.work.Key, nil, func(x *store.Execution) error {
		attrs, err := ChildOf(x)
		if err != nil {
			return err
		}
		index, size := arns.ChildIndex(x.Name), int64(attrs.Items)
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case x.Status == store.Running:
			r.begun(index, size)
		case x.Status != store.Succeeded && attrs.Redrive < r.work.Redrives:
			r.unsuccessful = append(r.unsuccessful, unsuccessful{id: x.ID, index: index, size: size, status: x.Status})
			r.children.PendingRedrive++
			r.items.PendingRedrive += size
		default:
			r.settled(index, size, x.Status)
		}
		return nil
	})
	slices.SortFunc(r.unsuccessful, func(a, b unsuccessful) int { return cmp.Compare(a.index, b.index) })
	return err
}

// count goes through the items once, so that what is wrong with them is known
// before the first child starts, and what their number is.
func (r *mapRun) count() error {
	n := int64(len(r.work.Items))
	if r.work.Reads() {
		n = 0
		for _, err := range r.source {
			if err != nil {
				return err
			}
			n++
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items.Total, r.children.Total = n, n
	if b := r.work.Batching; b != nil {
		r.children.Total = 0 // it is not known before all are made
		if b.MaxItems > 0 {
			r.children.Total = (n + b.MaxItems - 1) / b.MaxItems
		}
	}
	return nil
}

// has reports whether the child of this index was started, by an earlier
// process.
func (r *mapRun) has(index int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started.has(index)
}

// childEnded takes note of the durable end of a child.
func (r *mapRun) childEnded(x *store.Execution) error {
	attrs, err := ChildOf(x)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled(arns.ChildIndex(x.Name), int64(attrs.Items), x.Status)
	return nil
}

// await waits until one more child may run, or, without more, until none runs.
// It fails when the failures are too many.
func (r *mapRun) await(ctx context.Context, more bool) error {
	for {
		r.mu.Lock()
		over := r.tolerance.Exceeded(r.items.Failed+r.items.TimedOut+r.items.Aborted, r.items.Total)
		free := r.active == 0 || more && int64(r.active) < r.limit
		r.mu.Unlock()
		if over {
			return errors.Join(errRunFailed, r.settleStarting(ctx, true))
		}
		if free {
			return ctx.Err()
		}
		// Nothing that is needed to go on may be left unanswered.
		if err := r.settleStarting(ctx, true); err != nil {
			return err
		}
		if err := r.sleep(ctx); err != nil {
			return err
		}
	}
}

// awaitChildren waits until no child runs, however they ended.
func (r *mapRun) awaitChildren(ctx context.Context) error {
	for {
		r.mu.Lock()
		active := r.active
		r.mu.Unlock()
		if active == 0 {
			return ctx.Err()
		}
		if err := r.sleep(ctx); err != nil {
			return err
		}
	}
}

// sleep waits for news. Meanwhile the run does not count as busy: only then
// does virtual time pass.
func (r *mapRun) sleep(ctx context.Context) error {
	r.mu.Lock()
	if r.news {
		r.news = false
		r.mu.Unlock()
		return ctx.Err()
	}
	r.asleep = true
	r.mu.Unlock()
	r.c.host.Release()
	select {
	case <-r.wake:
	case <-ctx.Done():
		r.mu.Lock()
		woken := !r.asleep
		r.asleep = false
		r.mu.Unlock()
		if woken {
			<-r.wake
		} else {
			r.c.host.Hold()
		}
	}
	r.mu.Lock()
	r.news = false
	r.mu.Unlock()
	return context.Cause(ctx)
}

// tell wakes the run. Who wakes it counts as busy in its place until it is up.
// r.mu is held.
func (r *mapRun) tell() {
	r.news = true
	if r.asleep {
		r.asleep = false
		r.c.host.Hold()
		r.wake <- struct{}{}
	}
}

// begun and settled keep the accounts, in whatever order they are told of a
// child, and however often. r.mu is held.
func (r *mapRun) begun(i int, size int64) {
	if i < 0 || r.started.has(i) {
		return
	}
	r.started.add(i)
	r.active++
	r.children.Running++
	r.items.Running += size
}

func (r *mapRun) settled(i int, size int64, status store.Status) {
	if i < 0 || r.ended.has(i) {
		return
	}
	if r.started.has(i) {
		r.active--
		r.children.Running--
		r.items.Running -= size
	}
	r.started.add(i)
	r.ended.add(i)
	r.children.add(status, 1)
	r.items.add(status, size)
	r.tell()
}

func (r *mapRun) arn() string { return r.c.names.MapRun(r.work.Key) }

// maxChildren is how many children run at once when MaxConcurrency does not say
// less, as with Step Functions.
const maxChildren = 10_000

func (r *mapRun) set(l Limits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.MaxConcurrency != nil {
		if r.limit = *l.MaxConcurrency; r.limit == 0 || r.limit > maxChildren {
			r.limit = maxChildren
		}
	}
	r.tolerance = r.tolerance.With(l.ToleratedCount, l.ToleratedPercentage)
	r.tell()
}
