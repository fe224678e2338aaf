package status

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
)

// Outbox is where statuses wait; see [dispatch.Outbox].
type Outbox = dispatch.Outbox

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// Link returns the page of an execution, an absolute URL that a status
	// points to. Nil points nowhere. Safe for concurrent use.
	Link func(execution string) string
	// PollInterval is how long an empty outbox is left alone. Default 1 s.
	PollInterval time.Duration
	// PostTimeout bounds one post. Default 30 s.
	PostTimeout time.Duration
	// MinBackoff is the wait after a first failure, doubled for each further
	// one up to MaxBackoff. Defaults 2 s and 15 min.
	MinBackoff time.Duration
	MaxBackoff time.Duration
}

// Option replaces what a test or the wiring may replace.
type Option func(*Worker)

// WithClock replaces time.Now for the times that the journal keeps.
func WithClock(now func() time.Time) Option { return func(w *Worker) { w.now = now } }

// WithJitter replaces the source of jitter, a number in [0, 1).
func WithJitter(f func() float64) Option { return func(w *Worker) { w.jitter = f } }

// WithLogger sets the logger. Without it nothing is logged.
func WithLogger(log *zap.Logger) Option { return func(w *Worker) { w.log = log.Named("status") } }

// Worker posts what lies in the outbox. One process may run one for an outbox.
type Worker struct {
	outbox Outbox
	cfg    Config
	now    func() time.Time
	due    func() time.Time // a steady clock, for what falls due
	jitter func() float64
	log    *zap.Logger
	// changed tells Run that there may be new lanes.
	changed chan struct{}

	mu    sync.Mutex
	lanes map[string]*lane
}

// New checks cfg. A source with a nil poster is one that has nowhere to tell
// anything: its rows are taken as told.
func New(outbox Outbox, posters map[string]Poster, cfg Config, opts ...Option) (*Worker, error) {
	if outbox == nil {
		return nil, errors.New("status: no outbox given")
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		byDef time.Duration
	}{
		{"poll interval", &cfg.PollInterval, time.Second},
		{"post timeout", &cfg.PostTimeout, 30 * time.Second},
		{"minimum backoff", &cfg.MinBackoff, 2 * time.Second},
		{"maximum backoff", &cfg.MaxBackoff, 15 * time.Minute},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("status: %s %v is negative", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.byDef
		}
	}
	if cfg.MaxBackoff < cfg.MinBackoff {
		return nil, fmt.Errorf("status: maximum backoff %v is under the minimum %v", cfg.MaxBackoff, cfg.MinBackoff)
	}
	w := &Worker{
		outbox: outbox, cfg: cfg,
		now: time.Now, jitter: rand.Float64, log: zap.NewNop(),
		changed: make(chan struct{}, 1),
		lanes:   map[string]*lane{},
	}
	for _, o := range opts {
		o(w)
	}
	w.due = dispatch.SteadyClock(w.now)
	w.SetPosters(posters)
	return w, nil
}

// SetPosters replaces the posters, as a reload of the config does; what is
// under way is finished with the old ones. A source that is no longer there is
// treated as one with a nil poster. Waits that the old poster ran into
// (backoff, the host's own) end; what it has spent of its limits stays spent.
func (w *Worker) SetPosters(posters map[string]Poster) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for source := range posters {
		if w.lanes[source] == nil {
			w.lanes[source] = newLane(w, source)
		}
	}
	for source, l := range w.lanes {
		l.setPoster(posters[source])
	}
	select {
	case w.changed <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run posts until ctx ends, and returns nil when the last post has. A post
// that the end interrupts counts as neither told nor failed.
func (w *Worker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	started := map[*lane]bool{}
	for {
		for _, l := range w.snapshot() {
			if !started[l] {
				started[l] = true
				running.Go(func() { l.run(ctx) })
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
	}
}

func (w *Worker) snapshot() []*lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*lane, 0, len(w.lanes))
	for _, l := range w.lanes {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *lane) int { return strings.Compare(a.source, b.source) })
	return all
}

// Stats counts what has become of one source's statuses since the process
// began. How many wait is the journal's to say.
type Stats struct {
	Source string
	// Posted were taken by the host; Refused were not, and will not be as
	// things are; Failed counts the tries that are repeated; Throttled those
	// that the host turned away for being too many.
	Posted, Refused, Failed, Throttled uint64
	// Lag is how long those that were posted had waited, all together.
	Lag time.Duration
	// Held counts the repositories that are left alone for now, since what was
	// posted to them was refused or failed.
	Held int
	// PausedUntil is when the source is told anything again, the zero time
	// when nothing holds it back but its limits.
	PausedUntil time.Time
}

// Stats returns a row for each source, in order of their names.
func (w *Worker) Stats() []Stats {
	lanes := w.snapshot()
	all := make([]Stats, len(lanes))
	for i, l := range lanes {
		all[i] = l.snapshot()
	}
	return all
}

// backoff is the wait after the given number of failures, from 1: doubled each
// time up to most, and drawn from its upper half so that rows that failed together are
// not tried together.
func (w *Worker) backoff(failures int, least, most time.Duration) time.Duration {
	wait := most
	if doublings := failures - 1; doublings < 30 {
		if d := least << doublings; d > 0 {
			wait = min(wait, d)
		}
	}
	return wait/2 + time.Duration(w.jitter()*float64(wait/2))
}

func (w *Worker) targetURL(s dispatch.Status) string {
	if w.cfg.Link == nil || s.Execution == "" {
		return ""
	}
	return w.cfg.Link(s.Execution)
}
