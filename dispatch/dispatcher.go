package dispatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/calmlog"
	"switchyard/internal/event"
)

// Dispatcher takes events and sees each of their requests to its end. Its
// methods are safe for concurrent use.
//
// What it holds in memory is only a window on the journal: losing it costs
// nothing but time.
type Dispatcher struct {
	journal  Journal
	engine   Engine
	log      *zap.Logger
	failures *calmlog.Failures // of the journal
	// unstarted are failed starts, by state machine.
	unstarted *calmlog.Failures
	now       func() time.Time
	due       dueClock
	jitter    func() float64
	observer  Observer
	tracer    Tracer

	// rules is replaced as a whole by what Prepare returns.
	rules atomic.Pointer[rules]

	yield     yield
	outlook   outlook
	completer completer
	denied    Denials
	commander Commander
	compare   func(source, repository, from, to string) string // nil for no links
	paces     paces
	feed      feed
	starts    inFlight
	blocked   circuits
	watched   watchlist
	asking    asking
	results   chan result
	ended     chan struct{} // closed when nobody takes results any more
	stats     counters

	// Each wakes one worker; a full channel means that it is awake already.
	expandSoon, startSoon, admitSoon, stopSoon, replySoon, tellSoon chan struct{}

	dirtyMu sync.Mutex
	dirty   map[string]struct{} // environments in which a slot may be free

	// bootSeq is the newest request of an earlier process: one that is ready
	// may have been started by it, without the bookkeeping.
	bootSeq int64
	running atomic.Bool
}

// rules are what a reload replaces.
type rules struct {
	planner Planner
	cfg     Config
}

// Option replaces a collaborator that has a default.
type Option func(*Dispatcher)

// WithLogger sets where the workers report what they repair by themselves.
// Default: nowhere.
func WithLogger(log *zap.Logger) Option {
	return func(d *Dispatcher) { d.log = log.Named("dispatch") }
}

// WithClock sets the source of persisted times. Default: time.Now.
func WithClock(now func() time.Time) Option { return func(d *Dispatcher) { d.now = now } }

// WithJitter sets the source of randomness in backoff: numbers in [0, 1).
// It must be safe for concurrent use. Default: math/rand.
func WithJitter(jitter func() float64) Option { return func(d *Dispatcher) { d.jitter = jitter } }

// WithObserver sets who is told of each step, for metrics.
func WithObserver(o Observer) Option { return func(d *Dispatcher) { d.observer = o } }

// WithTracer sets who carries traces from deliveries to executions.
func WithTracer(t Tracer) Option { return func(d *Dispatcher) { d.tracer = t } }

// Observer is told of each step, for metrics. Its methods must return at once
// and be safe for concurrent use.
type Observer interface {
	// Delivered is called for every answered delivery: "accepted",
	// "duplicate" or "unavailable", and how long the answer took.
	Delivered(outcome string, took time.Duration)
	// Called is called after every call to the engine ("start", "describe",
	// "stop" or "answer token") or to a git host ("list commits", "get commit", "get merge", "judge", "get
	// pull request" or "answer"), with "ok",
	// "throttled", "blocked", "permanent", "unfinished", "panic" or "error".
	Called(op, outcome string, took time.Duration)
	// Started is called for every execution started, with the time since its
	// delivery came.
	Started(latency time.Duration)
	// Ended is called for every execution that is finished.
	Ended(state State)
}

// Tracer carries a trace over the journal.
type Tracer interface {
	// Inject returns the W3C traceparent of ctx, or "".
	Inject(ctx context.Context) string
	// Start opens a span for the start of x, linked to x.Traceparent; the
	// function it returns closes it with the outcome.
	Start(ctx context.Context, x *Execution) (context.Context, func(error))
}

type silent struct{}

func (silent) Delivered(string, time.Duration)      {}
func (silent) Called(string, string, time.Duration) {}
func (silent) Started(time.Duration)                {}
func (silent) Ended(State)                          {}
func (silent) Inject(context.Context) string        { return "" }
func (silent) Start(ctx context.Context, _ *Execution) (context.Context, func(error)) {
	return ctx, func(error) {}
}

// New joins a journal, an engine and a planner. Nothing runs until
// [Dispatcher.Run] is called, but deliveries can be accepted at once.
func New(j Journal, e Engine, p Planner, cfg Config, opts ...Option) (*Dispatcher, error) {
	if j == nil || e == nil || p == nil {
		return nil, errors.New("dispatch: journal, engine and planner are required")
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &Dispatcher{
		journal: j, engine: e,
		log: zap.NewNop(), now: time.Now, jitter: rand.Float64, observer: silent{}, tracer: silent{},
		results:    make(chan result, maxBatch),
		ended:      make(chan struct{}),
		expandSoon: make(chan struct{}, 1), startSoon: make(chan struct{}, 1),
		admitSoon: make(chan struct{}, 1), stopSoon: make(chan struct{}, 1), replySoon: make(chan struct{}, 1), tellSoon: make(chan struct{}, 1),
		dirty: map[string]struct{}{},
	}
	d.yield.init()
	d.outlook.init()
	d.completer.init()
	d.watched.init()
	d.asking.init(cfg.PollRate)
	for _, o := range opts {
		o(d)
	}
	d.due.wall = d.now
	d.failures = calmlog.New(d.log, "the journal failed; trying again", "the journal works again")
	d.unstarted = calmlog.New(d.log, "starting an execution failed; trying again", "executions are started again")
	watchers := &guarded{observer: d.observer, tracer: d.tracer}
	var once sync.Once
	watchers.caught = func(err error) {
		once.Do(func() { d.logFault(err, "metrics or traces; later ones are not logged") })
	}
	d.observer, d.tracer = watchers, watchers
	d.rules.Store(&rules{p, cfg})
	return d, nil
}

// Prepare checks a planner and a config that are to replace those in use. The
// function that it returns replaces both at once, while running, and cannot
// fail. Deliveries that are expanded from then on follow the new planner;
// requests that exist keep what they were made with, except that environment
// limits apply to all.
func (d *Dispatcher) Prepare(p Planner, cfg Config) (apply func(), err error) {
	if p == nil {
		return nil, errors.New("dispatch: a planner is required")
	}
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return func() {
		d.rules.Store(&rules{p, cfg})
		d.asking.configure(cfg.PollRate)
		d.blocked.reset() // what was wrong may have been in the config
		d.admitAll()
		wake(d.startSoon)
	}, nil
}

func (d *Dispatcher) config() Config { return d.rules.Load().cfg }

// Run works off the journal until ctx ends, and returns nil after its last
// goroutine. What is interrupted then is taken up by the next Run: it counts
// as no attempt. A Dispatcher runs once.
func (d *Dispatcher) Run(ctx context.Context) error {
	if d.running.Swap(true) {
		return errors.New("dispatch: already running")
	}
	err := d.boot(ctx)
	select {
	case <-ctx.Done():
		return nil // stopped before it began, which is no failure
	default:
	}
	if err != nil {
		return err
	}
	// The recorder outlives those who hand it results, so that a start that
	// succeeded in the last moment is written down.
	idle, recorded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(recorded)
		d.record(ctx, idle)
	}()
	var workers sync.WaitGroup
	for name, work := range map[string]func(context.Context){
		"expand": d.expand, "start": d.start, "admit": d.admit, "stop": d.stop, "poll": d.poll, "poll holders": d.pollHolders, "prune": d.prune, "recall IDs": d.recallIDs, "complete": d.complete, "judge commands": d.judgeCommands, "reply": d.reply, "tell": d.tell,
	} {
		workers.Go(func() { d.keepGoing(ctx, name, work) })
	}
	workers.Wait()
	d.asking.wait()
	close(idle)
	<-recorded
	return nil
}

// boot finds out where the last process ended.
func (d *Dispatcher) boot(ctx context.Context) error {
	return d.persist(ctx, "look at the journal", func() error {
		page, err := d.journal.Executions(ctx, ExecutionFilter{Limit: 1})
		if err != nil {
			return err
		}
		if len(page.Executions) > 0 {
			d.bootSeq = page.Executions[0].Seq
		}
		d.admitAll()
		return d.hastenAll(ctx)
	})
}

// persist repeats a step on the journal until it succeeds or ctx ends: a
// journal that cannot be written now, for example because the disk is full,
// recovers by itself.
func (d *Dispatcher) persist(ctx context.Context, what string, step func() error) error {
	return d.repeat(ctx, what, step, func(error) bool { return false })
}

// persistUnlessPanic also ends with a [*PanicError], which would come again: the
// caller finds the row that is to blame.
func (d *Dispatcher) persistUnlessPanic(ctx context.Context, what string, step func() error) error {
	return d.repeat(ctx, what, func() error { return Guard(step) }, func(err error) bool { return errors.As(err, new(*PanicError)) })
}

func (d *Dispatcher) repeat(ctx context.Context, what string, step func() error, final func(error) bool) error {
	for try := 0; ; try++ {
		err := step()
		if err == nil {
			if try > 0 {
				d.failures.Succeeded(what)
				// A try that was reported as failed may have been applied; this
				// one then changed nothing, and does not say what follows.
				d.wakeAll()
			}
			return nil
		}
		if ctx.Err() != nil || final(err) {
			return err
		}
		d.stats.journalErrors.Add(1)
		d.failures.Failed(what, err, zap.Int("attempt", try+1))
		if !sleep(ctx, backoff(time.Second, 30*time.Second, try, d.jitter)) {
			return err
		}
	}
}

// Stats are counts since the process started.
type Stats struct {
	Accepted, Duplicates, Refused int64
	Requested, Started, Ended     int64
	CallErrors, Throttled         int64
	JournalErrors                 int64
	// Incomplete counts deliveries that went on without commits of theirs, or
	// without what was to be merged, because nobody told.
	Incomplete int64
	// Faults counts panics that were caught.
	Faults int64
	// Starting is how many start calls are under way.
	Starting int64
}

type counters struct {
	accepted, duplicates, refused, requested, started, ended, callErrors, throttled, journalErrors, faults, incomplete, starting atomic.Int64
}

// Stats returns what this process has done; see [Dispatcher.Depth] for what
// lies before it.
func (d *Dispatcher) Stats() Stats {
	c := &d.stats
	return Stats{
		Accepted: c.accepted.Load(), Duplicates: c.duplicates.Load(), Refused: c.refused.Load(),
		Requested: c.requested.Load(), Started: c.started.Load(), Ended: c.ended.Load(),
		CallErrors: c.callErrors.Load(), Throttled: c.throttled.Load(), JournalErrors: c.journalErrors.Load(),
		Faults: c.faults.Load(), Incomplete: c.incomplete.Load(), Starting: c.starting.Load(),
	}
}

// Depth says how much work lies in the journal.
func (d *Dispatcher) Depth(ctx context.Context) (Depth, error) { return d.journal.Unfinished(ctx) }

// Subscribe returns a feed of changes for live displays, until cancel is
// called. A reader that falls behind by more than buffer loses changes, never
// delays anyone; Change carries so little that nothing is lost by reading the
// execution again.
func (d *Dispatcher) Subscribe(buffer int) (changes <-chan Change, cancel func()) {
	return d.feed.subscribe(buffer)
}

// publish tells of changes that are durable, and sets off what follows.
func (d *Dispatcher) publish(changes []Change) {
	ready := false
	for _, c := range changes {
		switch {
		case c.State == StateReady:
			ready = true
		case c.State.Finished():
			d.watched.remove(c.ID)
			if !c.Withdrawn {
				d.stats.ended.Add(1)
				d.observer.Ended(c.State)
			}
			if c.Environment != "" {
				d.slotMayBeFree(c.Environment)
			}
		}
		if c.State == StateWaiting {
			d.slotMayBeFree(c.Environment)
			wake(d.watched.soon)
		}
		if c.StopRequested {
			wake(d.stopSoon)
		}
		d.feed.publish(c)
	}
	if ready {
		wake(d.startSoon)
	}
}

// resume says in which state a request of an environment enters the queue.
func (c Config) resume(environment string) State {
	if environment != "" && c.EnvironmentLimit(environment) > 0 {
		return StateWaiting
	}
	return StateReady
}

// wakeAll has every worker look at the journal again.
func (d *Dispatcher) wakeAll() {
	wake(d.expandSoon)
	wake(d.startSoon)
	wake(d.stopSoon)
	d.completer.wake()
	wake(d.replySoon)
	wake(d.tellSoon)
	d.admitAll()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// backoff doubles from base to limit; jitter takes up to half of it away, so
// that many requests that failed together do not come back together.
func backoff(base, limit time.Duration, try int, jitter func() float64) time.Duration {
	d := limit
	if try < 30 {
		d = min(limit, base<<try)
	}
	if d <= 0 {
		d = limit
	}
	return d - time.Duration(jitter()*float64(d)/2)
}

var _ interface {
	Accept(context.Context, event.Event) (event.Receipt, error)
} = (*Dispatcher)(nil)
