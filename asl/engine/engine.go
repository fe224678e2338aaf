// Package engine runs Amazon States Language state machines durably.
//
// An execution is plain data: a tree of branches (the root, the branches of
// Parallel states, the iterations of Map states), each with the state it is in
// and what it waits for. No goroutine belongs to an execution. A worker
// advances an execution until every branch of it waits for something, then
// what happened (history events, changed branches, status) goes to the store
// in one write, and only when that is durable does it have effects: tasks are
// started, timers set, subscribers told, callers answered. So a process that
// dies loses nothing that anybody has seen, and an execution is resumed from
// its records exactly where it was.
//
// An execution that only waits is dropped from memory; a timer's entry is all
// that stays.
//
// Ownership: at any time an execution belongs to one worker, to the store (its
// write is under way), or to nobody (it is idle). Everything else reaches it
// as a message in its inbox.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/catalog"
	"switchyard/asl/distributed"
	"switchyard/asl/history"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/internal/calmlog"
	"switchyard/internal/uuid"
)

const (
	// napTime is how long an execution must have to wait before it is worth
	// dropping it from memory.
	napTime = 500 * time.Millisecond
	// pruneEvery is how often executions older than Config.Retention are
	// looked for; pruneBatch of them are deleted at a time.
	pruneEvery = time.Hour
	pruneBatch = 500
)

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// Region and Account are those in the ARNs: us-east-1, 123456789012.
	Region  string
	Account string
	// Workers advance executions; default GOMAXPROCS.
	Workers int
	// Retention is how long closed executions are kept: 90 days. Negative
	// keeps them for ever.
	Retention time.Duration
	// MaxHistory is how many events an execution may have: 25,000.
	MaxHistory int
	// MapConcurrency is how many iterations of an inline Map run at once when
	// its MaxConcurrency is 0: 40.
	MapConcurrency int
	// FlushEvents is after how many events at most an execution that does
	// not wait is written to the store, and lets others run: 1,000.
	FlushEvents int
}

func (c *Config) fill() error {
	for _, d := range []struct {
		v    *int
		fill int
	}{
		{&c.Workers, runtime.GOMAXPROCS(0)}, {&c.MaxHistory, history.MaxEvents}, {&c.MapConcurrency, 40}, {&c.FlushEvents, 1000},
	} {
		if *d.v == 0 {
			*d.v = d.fill
		}
		if *d.v < 0 {
			return errors.New("engine: Workers, MaxHistory, MapConcurrency and FlushEvents must not be negative")
		}
	}
	if c.MaxHistory > store.MaxEventID {
		return fmt.Errorf("engine: MaxHistory is %d, the store holds %d", c.MaxHistory, store.MaxEventID)
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Account == "" {
		c.Account = "123456789012"
	}
	if c.Retention == 0 {
		c.Retention = 90 * 24 * time.Hour
	}
	return nil
}

// Engine runs executions. Its methods are safe for concurrent use, also before
// and after Run; executions move on only while it runs.
type Engine struct {
	store    store.Store
	cfg      Config
	log      *zap.Logger
	failures *calmlog.Failures // to store an execution
	handlers []handler
	clock    *clock
	env      run.Environment
	random   func() float64
	fallback task.Handler
	mocks    Mocks
	atRest   func()
	secret   []byte // seals task tokens
	names    arns.Names
	objects  distributed.ObjectStore // nil: there are none
	originOf func(input []byte) json.RawMessage

	catalog  *catalog.Catalog
	programs programs
	queues   *activityQueues
	timers   *timers
	queue    *runQueue
	events   *broadcast
	lastID   atomic.Int64
	// lastExpress is the ID of the last EXPRESS execution: they are negative.
	lastExpress atomic.Int64
	redrives    sync.Mutex // held while an execution is redriven
	maps        *distributed.Coordinator

	liveMu sync.Mutex
	live   map[int64]*execution

	// busy counts executions that a worker or the store has, and tasks.
	busy     atomic.Int64
	idle     chan struct{} // capacity 1: busy fell to zero
	stopping atomic.Bool
	stopped  chan struct{} // closed when Run begins to end
	ended    chan struct{} // closed when Run has ended
	noPolls  chan struct{} // closed by EndPolls
	endPolls sync.Once
	tasks    taskSet
	ran      atomic.Bool
}

// An Option replaces a part of the engine.
type Option func(*Engine)

// WithLogger gives the engine a logger; it logs nothing otherwise.
func WithLogger(log *zap.Logger) Option { return func(e *Engine) { e.log = log.Named("engine") } }

// WithHandler lets h do the work of the Task states whose Resource matches
// pattern: the ARN itself, or one in which * stands for any text. An exact
// pattern wins over others, and the longer over the shorter.
func WithHandler(pattern string, h task.Handler) Option {
	return func(e *Engine) { e.handlers = append(e.handlers, handler{pattern, h}) }
}

// WithFallback lets h do the work of the Task states that no other handler is
// for, activities and nested executions among them. Without one those are the
// engine's own, and the rest fail with States.Runtime.
func WithFallback(h task.Handler) Option { return func(e *Engine) { e.fallback = h } }

// WithRandom replaces the source of jitter, which gives numbers in [0,1).
func WithRandom(f func() float64) Option { return func(e *Engine) { e.random = f } }

// WithVirtualTime begins at start and lets time jump to the next timer
// whenever no execution and no task has anything to do. An hour's Wait takes
// no time then.
func WithVirtualTime(start time.Time) Option {
	return func(e *Engine) { e.clock = newVirtualClock(start) }
}

// WithRest calls f, while time is virtual, whenever no execution has anything
// to do or waits for a time: they have ended, or only a call from outside moves
// them on. f must not block.
func WithRest(f func()) Option { return func(e *Engine) { e.atRest = f } }

// WithObjects lets the ItemReader and ResultWriter of distributed Maps use s.
// Without it they fail.
func WithObjects(s distributed.ObjectStore) Option { return func(e *Engine) { e.objects = s } }

// New returns an engine on s. It reads from the store where executions left
// off, and starts nothing: see [Engine.Run].
func New(s store.Store, cfg Config, opts ...Option) (*Engine, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	e := &Engine{
		store: s, cfg: cfg, log: zap.NewNop(), clock: newClock(), random: randomFloat,
		names:    arns.New(cfg.Region, cfg.Account),
		programs: programs{byKey: map[string]*program{}}, queues: newActivityQueues(), timers: newTimers(), queue: newRunQueue(), events: &broadcast{},
		tasks: taskSet{running: map[*attempt]struct{}{}},
		live:  map[int64]*execution{}, idle: make(chan struct{}, 1), stopped: make(chan struct{}), ended: make(chan struct{}), noPolls: make(chan struct{}),
	}
	for _, o := range opts {
		o(e)
	}
	e.failures = calmlog.New(e.log, "cannot store an execution; trying again", "executions are stored again")
	if err := sortHandlers(e.handlers); err != nil {
		return nil, err
	}
	if err := e.readClock(context.Background()); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.env = run.Environment{
		Names: e.names, Region: cfg.Region, MaxHistory: cfg.MaxHistory, MapConcurrency: cfg.MapConcurrency, FlushEvents: cfg.FlushEvents,
		ClockWasAhead: e.clock.ahead, Random: e.random, UUID: uuid.New, Token: e.token, Work: e.work,
	}
	last, err := s.LastID(context.Background())
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.lastID.Store(last)
	if err := e.loadSecret(context.Background()); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.maps = distributed.New(s, e.names, e.objects, mapHost{e}, e.log)
	if e.catalog, err = catalog.New(context.Background(), s, e.names, e.now, e.random); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.env.Deleted = e.catalog.Deleting
	if err := e.loadActivityTasks(context.Background()); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	// An execution whose time is past is due at once: one code path resumes
	// executions and wakes them.
	err = s.Running(context.Background(), func(id, wake int64) error {
		if wake != store.Never {
			e.timers.set(id, e.clock.firstLook(wake))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return e, nil
}

// Run advances executions until ctx ends, and returns after its last goroutine
// and the last task handler have ended. Tasks that were interrupted are run
// again by the next engine on the same store. An engine runs once.
func (e *Engine) Run(ctx context.Context) error {
	if e.ran.Swap(true) {
		return errors.New("engine: Run was called before")
	}
	defer close(e.ended)
	var workers, loops sync.WaitGroup
	for range e.cfg.Workers {
		workers.Go(func() {
			for {
				x, ok := e.queue.pop()
				if !ok {
					return
				}
				x.runTurn(ctx)
			}
		})
	}
	loops.Go(func() { e.timeLoop(ctx) })
	loops.Go(func() { e.pruneLoop(ctx) })
	loops.Go(func() { e.clockLoop(ctx) })
	loops.Go(func() { e.stopOrphans(ctx) })
	loops.Go(func() { e.maps.Clear(ctx) })
	<-ctx.Done()

	e.stopping.Store(true)
	close(e.stopped)
	e.EndPolls()
	loops.Wait()
	e.tasks.interrupt()
	// What tasks reported to the last is still written; executions that
	// could go on do not, so the queue runs dry.
	for e.busy.Load() > 0 {
		<-e.idle
	}
	e.queue.close()
	workers.Wait()
	e.events.close()
	return nil
}

// Catalog is the engine's state machines and activities.
func (e *Engine) Catalog() *catalog.Catalog { return e.catalog }

// hold and release keep count of what is under way.
func (e *Engine) hold() { e.busy.Add(1) }

func (e *Engine) release() {
	if e.busy.Add(-1) == 0 {
		select {
		case e.idle <- struct{}{}:
		default:
		}
	}
}

// timeLoop hands executions their time.
func (e *Engine) timeLoop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := e.now().UnixMilli()
		for {
			id, ok := e.timers.expired(now)
			if !ok {
				break
			}
			e.post(id, letter{message: run.Tick{}})
		}
		idle := e.busy.Load() == 0 // before the timers: whoever is busy may set one
		due, ok := e.timers.next()
		if e.clock.virtual {
			switch {
			case idle && ok:
				e.clock.advance(due)
				continue
			case idle && e.atRest != nil:
				e.atRest()
			}
			select {
			case <-ctx.Done():
				return
			case <-e.idle:
			case <-e.timers.wakeC:
			}
			continue
		}
		wait := time.Hour
		if ok {
			wait = min(wait, time.Duration(due-now)*time.Millisecond)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-e.timers.wakeC:
		}
	}
}

// pruneLoop forgets executions that closed longer than the retention ago, and
// revisions that nothing refers to any more.
func (e *Engine) pruneLoop(ctx context.Context) {
	if e.cfg.Retention < 0 || e.clock.virtual {
		return
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		for {
			old := e.now().Add(-e.cfg.Retention)
			before, err := e.maps.KeepSince(ctx, old)
			n := 0
			if err == nil {
				n, err = e.store.Prune(ctx, before, pruneBatch)
			}
			if err == nil { // the store knows whether the clock can be believed
				e.maps.Prune(ctx, old)
			}
			if err != nil && ctx.Err() == nil {
				e.log.Warn("cannot prune old executions", zap.Error(err))
			}
			if n > 0 {
				e.log.Info("pruned old executions", zap.Int("count", n))
			}
			if n < pruneBatch || err != nil {
				break
			}
		}
		if _, err := e.catalog.PruneRevisions(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("cannot prune unused revisions", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// keep makes w durable, also when ctx ends meanwhile: the store does it then all
// the same, and what is in memory must follow it.
func (e *Engine) keep(ctx context.Context, w *store.Write) error {
	return store.Do(context.WithoutCancel(ctx), e.store, w)
}
