package distributed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
	"switchyard/internal/fault"
)

// maxStarting is how many child executions may be on their way to the store at
// once: enough for one write of the store to carry many.
const maxStarting = 256

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
}

// starting is a child that is on its way to the store.
type starting struct {
	batch   batch
	created <-chan error
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
		if err := r.start(ctx, b); err != nil {
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
	return r.c.eachChild(ctx, r.work.Key, nil, func(x *store.Execution) error {
		size, err := r.sizeOf(ctx, x)
		if err != nil {
			return err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if x.Status == store.Running {
			r.begun(arns.ChildIndex(x.Name), size)
		} else {
			r.settled(arns.ChildIndex(x.Name), size, x.Status)
		}
		return nil
	})
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

// sizeOf is how many items a child works on.
func (r *mapRun) sizeOf(ctx context.Context, x *store.Execution) (int64, error) {
	if r.work.Batching == nil {
		return 1, nil
	}
	var err error
	if x.Attrs == nil { // it comes from a list
		if x, err = r.c.store.ExecutionByID(ctx, x.ID); err != nil {
			return 0, err
		}
	}
	attrs, err := ChildOf(x)
	if err != nil {
		return 0, err
	}
	return int64(attrs.Items), nil
}

// has reports whether the child of this index was started, by an earlier
// process.
func (r *mapRun) has(index int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started.has(index)
}

// start lets the child for b begin, without waiting until it is durable.
func (r *mapRun) start(ctx context.Context, b batch) error {
	r.mu.Lock()
	r.begun(b.index, int64(b.items))
	r.mu.Unlock()
	created, ok := r.begin(r.child(b))
	if !ok {
		<-ctx.Done() // the engine stops
		return context.Cause(ctx)
	}
	r.starting = append(r.starting, starting{b, created})
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
		err := <-s.created
		for ; err != nil && again; err = <-s.created {
			if errors.Is(err, store.ErrExists) {
				if err := r.existing(ctx, s.batch.index); err != nil {
					return err
				}
				break
			}
			r.c.log.Error("cannot store a child execution; trying again", zap.String("map_run", r.arn()), zap.Int("index", s.batch.index), zap.Error(err))
			if err := fault.Sleep(ctx, storeRetry); err != nil {
				return err
			}
			var ok bool
			if s.created, ok = r.begin(r.child(s.batch)); !ok {
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
	return r.childEnded(ctx, x)
}

// childEnded takes note of the durable end of a child.
func (r *mapRun) childEnded(ctx context.Context, x *store.Execution) error {
	size, err := r.sizeOf(ctx, x)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled(arns.ChildIndex(x.Name), size, x.Status)
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

// ChildAttrs are what a child execution keeps of where it comes from.
type ChildAttrs struct {
	// State is the name of the Map state.
	State string `json:"state"`
	// Items is how many items it works on; a Batch has no $$.Map.Item.
	Items int  `json:"items"`
	Batch bool `json:"batch,omitempty"`
	// Item is $$.Map.Item, unless its value is the execution's input.
	Item json.RawMessage `json:"item,omitempty"`
}

// ChildOf reads what a child execution keeps of its Map run, which is under
// "child" in its attributes.
func ChildOf(x *store.Execution) (*ChildAttrs, error) {
	var attrs struct {
		Child *ChildAttrs `json:"child"`
	}
	if len(x.Attrs) > 0 {
		if err := json.Unmarshal(x.Attrs, &attrs); err != nil {
			return nil, fmt.Errorf("decode attributes of execution %s of %s: %w", x.Name, x.Machine, err)
		}
	}
	if attrs.Child == nil {
		return nil, fmt.Errorf("execution %s/%s does not say which Map it belongs to", x.Machine, x.Name)
	}
	return attrs.Child, nil
}

// ItemContext is $$.Map.Item in the child with this name that works on input;
// ok is false for one that works on a batch.
func (a *ChildAttrs) ItemContext(name string, input value.Value) (item value.Value, ok bool) {
	if a.Batch {
		return value.Value{}, false
	}
	if a.Item == nil {
		return mapItem{value: input}.context(int64(arns.ChildIndex(name))), true
	}
	v, err := value.Parse(a.Item)
	return v, err == nil
}

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
