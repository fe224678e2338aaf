package distributed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"switchyard/internal/fault"
	"switchyard/internal/uuid"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// page is how many documents or executions are read at a time.
const page = 1000

// Start lets a child begin; created gets nil once that is durable, or why it is
// not. ok is false when whoever runs executions stops.
type Start func(c Child) (created <-chan error, ok bool)

// Host runs executions. It is safe for concurrent use.
type Host interface {
	// Stop ends an execution; the channel is closed once that is durable.
	Stop(id int64) <-chan struct{}
	// Wake lets an execution be looked at that may be in the store only.
	Wake(id int64)
	// Redrive lets an execution that has not succeeded go on, with the redrive of
	// its Map run of this number; durable gets nil once that is so, also when it
	// was before, or why it is not, [ErrNotRedrivable] for ever. ok is false when
	// whoever runs executions stops.
	Redrive(ctx context.Context, id int64, number int) (durable <-chan error, ok bool)
	// Hold says that a run which slept has something to do, Release that it
	// sleeps. Virtual time passes only while nobody has anything to do.
	Hold()
	Release()
}

// Coordinator works on Map runs, finds those that are under way in this process,
// and stops the children of those that were aborted. It is safe for concurrent
// use.
type Coordinator struct {
	store   store.Store
	names   arns.Names
	objects ObjectStore // nil: there are none
	host    Host
	log     *zap.Logger

	updates sync.Mutex // held while the limits of a run are changed

	mu       sync.Mutex
	byKey    map[string]*mapRun
	aborted  []string
	aborting chan struct{} // capacity 1: aborted has grown
	// clearing are the aborted runs whose children are still to be stopped, each
	// with what is closed after that. listed is closed when it has those that an
	// earlier process left.
	clearing map[string]chan struct{}
	listed   chan struct{}
}

// New returns a coordinator. Without objects the ItemReader and ResultWriter of
// Maps fail.
func New(s store.Store, names arns.Names, objects ObjectStore, host Host, log *zap.Logger) *Coordinator {
	return &Coordinator{
		store: s, names: names, objects: objects, host: host, log: log,
		byKey: map[string]*mapRun{}, aborting: make(chan struct{}, 1), clearing: map[string]chan struct{}{}, listed: make(chan struct{}),
	}
}

// Outcome is what became of a run. Output is the result of the Map state.
type Outcome struct {
	Output          json.RawMessage
	Items, Children Counts
}

// Run works on w until every item has been dealt with. When ctx ends it leaves
// the children as they are. An error of type [*asl.Error] is the run's failure;
// any other says that ctx has ended.
func (c *Coordinator) Run(ctx context.Context, w *run.MapWork, start Start) (Outcome, error) {
	for {
		r := c.newRun(w, start)
		output, err := c.try(ctx, r)
		var known *asl.Error
		if err == nil || errors.As(err, &known) || ctx.Err() != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			return Outcome{output, r.items, r.children}, err
		}
		c.log.Error("cannot go on with a map run; trying again", zap.String("map_run", r.arn()), zap.Error(err))
		if err := fault.Sleep(ctx, store.Retry); err != nil {
			return Outcome{}, err
		}
	}
}

func (c *Coordinator) newRun(w *run.MapWork, start Start) *mapRun {
	r := &mapRun{c: c, work: w, begin: start, tolerance: w.Tolerance, wake: make(chan struct{}, 1), done: make(chan struct{})}
	r.frame.Input, r.frame.Entered, r.frame.Seed = w.Frame.Input, w.Frame.Entered, w.Frame.Seed
	r.frame.Scope.NewUUID = uuid.New
	r.frame.Scope.Variable = w.Frame.Variables.Get
	r.frame.Scope.Context = func() value.Value {
		return w.Frame.Context.With("Map", value.OfObject(value.Field{Key: "Item", Value: r.item}))
	}
	r.source = arraySource(w.Items)
	r.set(Limits{MaxConcurrency: &w.MaxConcurrency})
	return r
}

func (c *Coordinator) try(ctx context.Context, r *mapRun) (json.RawMessage, error) {
	w := r.work
	if w.Reads() {
		var err error
		if r.source, err = c.reader(ctx, w.State.Map.ItemReader, w.ReaderParameters, w.MaxItems); err != nil {
			return nil, err
		}
	}
	limits, err := c.limits(ctx, w.ID)
	if err != nil {
		return nil, err
	}
	r.set(limits)
	c.add(r)
	defer c.remove(r)
	return r.toEnd(ctx)
}

func (c *Coordinator) add(r *mapRun) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[r.work.Key] = r
}

func (c *Coordinator) remove(r *mapRun) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byKey, r.work.Key)
	close(r.done)
}

// Abort lets the children of these runs be stopped.
func (c *Coordinator) Abort(ids []string) {
	if len(ids) == 0 {
		return
	}
	c.mu.Lock()
	c.aborted = append(c.aborted, ids...)
	c.willClear(ids)
	c.mu.Unlock()
	select {
	case c.aborting <- struct{}{}:
	default:
	}
}

// willClear notes runs as being cleared. c.mu is held.
func (c *Coordinator) willClear(ids []string) {
	for _, id := range ids {
		if c.clearing[id] == nil {
			c.clearing[id] = make(chan struct{})
		}
	}
}

// cleared tells who waits that a run was cleared.
func (c *Coordinator) cleared(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := c.clearing[id]; done != nil {
		delete(c.clearing, id)
		close(done)
	}
}

// endClearing lets nobody wait any longer.
func (c *Coordinator) endClearing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, done := range c.clearing {
		delete(c.clearing, id)
		close(done)
	}
}

func (c *Coordinator) takeAborted() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := c.aborted
	c.aborted = nil
	return ids
}

func (c *Coordinator) get(key string) *mapRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKey[key]
}

// ChildEnded tells the Map run of x, if it has one, that x has ended durably.
func (c *Coordinator) ChildEnded(x *store.Execution) {
	if !arns.IsChild(x.Machine) {
		return
	}
	if r := c.get(x.Machine); r != nil {
		if err := r.childEnded(x); err != nil {
			c.log.Error("cannot account for a child execution", zap.String("execution", c.names.Execution(x.Machine, x.Name)), zap.Error(err))
		}
	}
}

// eachChild calls f with every child of a run, the newest first, or with those
// of one status.
func (c *Coordinator) eachChild(ctx context.Context, key string, status *store.Status, f func(*store.Execution) error) error {
	for before := int64(0); ; {
		found, err := c.store.Executions(ctx, store.Query{Machine: key, Status: status, Before: before, Limit: page})
		if err != nil {
			return err
		}
		for _, x := range found {
			if err := f(x); err != nil {
				return err
			}
			before = x.ID
		}
		if len(found) < page {
			return nil
		}
	}
}

// stopChildren stops every child of a run and returns when they have ended
// durably. No more of them may be started meanwhile.
func (c *Coordinator) stopChildren(ctx context.Context, key string) error {
	running := store.Running
	var stopping []<-chan struct{}
	flush := func() error {
		for _, ended := range stopping {
			select {
			case <-ended:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		stopping = stopping[:0]
		return nil
	}
	err := c.eachChild(ctx, key, &running, func(x *store.Execution) error {
		if stopping = append(stopping, c.host.Stop(x.ID)); len(stopping) == maxStarting {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// Clear stops, until ctx ends, the children of runs that were aborted:
// first of those that an earlier process left, then of those whose IDs come in.
func (c *Coordinator) Clear(ctx context.Context) {
	defer c.endClearing()
	todo, err := c.openRuns(ctx)
	if err != nil && ctx.Err() == nil {
		c.log.Error("cannot list open map runs", zap.Error(err))
	}
	c.mu.Lock()
	c.willClear(todo)
	c.mu.Unlock()
	close(c.listed)
	for {
		for _, id := range todo {
			for err := c.clearRun(ctx, id); err != nil && ctx.Err() == nil; err = c.clearRun(ctx, id) {
				c.log.Error("cannot stop the children of a map run; trying again", zap.String("map_run", id), zap.Error(err))
				_ = fault.Sleep(ctx, store.Retry) // the loop looks whether ctx has ended
			}
			c.cleared(id)
		}
		select {
		case <-c.aborting:
			todo = c.takeAborted()
		case <-ctx.Done():
			return
		}
	}
}

func (c *Coordinator) openRuns(ctx context.Context) (ids []string, err error) {
	for after := ""; ; {
		docs, err := c.store.Docs(ctx, KindOpen, after, 1000)
		if err != nil || len(docs) == 0 {
			return ids, err
		}
		for _, d := range docs {
			ids = append(ids, d.Key)
			after = d.Key
		}
	}
}

// clearRun stops the children of a run that was aborted.
func (c *Coordinator) clearRun(ctx context.Context, id string) error {
	body, err := c.store.Doc(ctx, Kind, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var m MapRun
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("decode map run %s: %w", id, err)
	}
	if m.Status == RunRunning {
		return nil
	}
	// The run may still be about to end; then it starts no child any more.
	if r := c.get(m.Key); r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := c.stopChildren(ctx, m.Key); err != nil {
		return err
	}
	if err := c.countChildren(ctx, &m); err != nil {
		return err
	}
	if body, err = json.Marshal(m); err != nil {
		return err
	}
	return store.Do(ctx, c.store, &store.Write{Docs: []store.Doc{
		{Kind: Kind, Key: id, Body: body}, {Kind: KindOpen, Key: id},
	}})
}

// countChildren makes the run's counts what the store says.
func (c *Coordinator) countChildren(ctx context.Context, m *MapRun) error {
	items, children := Counts{Total: m.Items.Total}, Counts{Total: m.Children.Total}
	err := c.eachChild(ctx, m.Key, nil, func(x *store.Execution) error {
		attrs, err := ChildOf(x)
		if err != nil {
			return err
		}
		children.add(x.Status, 1)
		items.add(x.Status, int64(attrs.Items))
		return nil
	})
	if err == nil {
		m.Items, m.Children = items, children
	}
	return err
}
