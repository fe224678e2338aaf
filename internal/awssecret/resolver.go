package awssecret

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/internal/awsaccess"
	"switchyard/internal/calmlog"
)

const (
	// parallel is how many secrets are asked for at once.
	parallel = 8
	// patience is how long it may take to read them all.
	patience = 30 * time.Second
	// PreviousFor is how long after a rotation the version that was current
	// before it is given too. Secrets Manager itself keeps it for ever.
	PreviousFor = 24 * time.Hour
)

// Settings say as whom secrets are read, and how often.
type Settings struct {
	awsaccess.Settings
	// Refresh is how often they are read again; 0 means never.
	Refresh time.Duration
}

// Wanted is a reference in a config.
type Wanted struct {
	Ref
	// Previous asks for the version from before a rotation too.
	Previous bool
}

// Answer is what a reference stands for.
type Answer struct {
	Text string
	// Previous is the text from before a rotation, "" when there was none in
	// the last PreviousFor, or it was not wanted.
	Previous string
	Err      error
}

// Resolver reads secrets, and remembers what it read: a secret that cannot be
// read again keeps its last good text. It is safe for concurrent use.
type Resolver struct {
	now    func() time.Time
	open   func(context.Context, awsaccess.Settings) (reader, error)
	called chan struct{} // Run is to look at the settings anew

	reading sync.Mutex // one reading of all at a time

	mu       sync.Mutex
	failures *calmlog.Failures
	settings Settings
	from     reader // made for fromWith
	fromWith awsaccess.Settings
	wanted   []Wanted
	kept     map[id]*kept
	failing  map[id]bool
	// handed is set when kept is newer than what Resolve last answered, so that
	// the Resolve that follows need not read all again.
	handed bool
}

// reader reads one secret, and where previous is set its version before that,
// unless it was replaced too long ago.
type reader interface {
	get(ctx context.Context, i id, previous bool, now time.Time) (versions, error)
}

// id is what one call asks for, however many keys are picked from it.
type id struct {
	parameter bool
	name      string
}

func (w Wanted) id() id { return id{w.Parameter, w.Name} }

// kept is what was last read of a secret.
type kept struct {
	versions
	read time.Time
}

// New returns a Resolver that has read nothing.
func New() *Resolver {
	return &Resolver{now: time.Now, open: openStore, called: make(chan struct{}, 1), failures: calmlog.New(zap.NewNop(), "", ""), kept: map[id]*kept{}, failing: map[id]bool{}}
}

// LogTo has the Resolver log to log. Before, it logs nothing.
func (r *Resolver) LogTo(log *zap.Logger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = calmlog.New(log.Named("secrets"), "a secret in AWS cannot be read again; its last good value stays", "the secrets in AWS can be read again")
}

// Resolve reads what is wanted, each secret once, and answers every reference.
// Where a secret cannot be read now but could before, it answers with that.
func (r *Resolver) Resolve(ctx context.Context, settings Settings, wanted []Wanted) map[Ref]Answer {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.mu.Lock()
	ids, known := idsOf(wanted), r.handed && r.settings.Settings == settings.Settings
	for _, i := range slices.Collect(maps.Keys(ids)) {
		known = known && r.kept[i] != nil && !r.failing[i]
	}
	r.handed = false
	r.mu.Unlock()
	errs := map[id]error{}
	if !known {
		errs = r.read(ctx, settings, ids)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	answers := r.answers(wanted, errs)
	for _, a := range answers {
		if a.Err != nil {
			return answers // such a config is refused, and the one in use stays
		}
	}
	r.settings, r.wanted = settings, wanted
	select {
	case r.called <- struct{}{}:
	default:
	}
	return answers
}

// idsOf lists the secrets, each with whether its previous version is wanted.
func idsOf(wanted []Wanted) map[id]bool {
	ids := map[id]bool{}
	for _, w := range wanted {
		ids[w.id()] = ids[w.id()] || w.Previous
	}
	return ids
}

// read asks AWS for each of ids, and returns what it could not.
func (r *Resolver) read(ctx context.Context, settings Settings, ids map[id]bool) map[id]error {
	errs := map[id]error{}
	if len(ids) == 0 {
		return errs
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	from, err := r.readerFor(ctx, settings.Settings)
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, previous := range ids {
		g.Go(func() error {
			var v versions
			err := err
			if err == nil {
				v, err = from.get(ctx, i, previous, r.now())
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if step := (Ref{Parameter: i.parameter, Name: i.name}).String(); err == nil {
				r.kept[i] = &kept{v, r.now()}
				delete(r.failing, i)
				r.failures.Succeeded(step)
			} else {
				errs[i], r.failing[i] = err, true
				if r.kept[i] != nil && ctx.Err() != context.Canceled {
					r.failures.Failed(step, err)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	return errs
}

func (r *Resolver) readerFor(ctx context.Context, settings awsaccess.Settings) (reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from != nil && r.fromWith == settings {
		return r.from, nil
	}
	from, err := r.open(ctx, settings)
	if err == nil {
		r.from, r.fromWith = from, settings
	}
	return from, err
}

// answers are made of what is kept; errs are for what was never read.
func (r *Resolver) answers(wanted []Wanted, errs map[id]error) map[Ref]Answer {
	all := map[Ref]Answer{}
	for _, w := range wanted {
		k := r.kept[w.id()]
		if k == nil {
			all[w.Ref] = Answer{Err: fmt.Errorf("%s: %w", w.Ref, errs[w.id()])}
			continue
		}
		text, err := pick(k.current, w.Key)
		if err != nil {
			all[w.Ref] = Answer{Err: fmt.Errorf("%s: %w", w.Ref, err)}
			continue
		}
		a := Answer{Text: text, Previous: all[w.Ref].Previous}
		if w.Previous && k.previous != "" && r.now().Sub(k.rotated) < PreviousFor {
			// A previous version without that key is none.
			if before, err := pick(k.previous, w.Key); err == nil && before != text {
				a.Previous = before
			}
		}
		all[w.Ref] = a
	}
	return all
}

// Refresh reads again what Resolve was last asked for, and reports whether an
// answer has changed. What cannot be read stays as it was.
func (r *Resolver) Refresh(ctx context.Context) (changed bool) {
	r.reading.Lock()
	defer r.reading.Unlock()
	r.mu.Lock()
	settings, wanted := r.settings, r.wanted
	before := r.answers(wanted, nil)
	r.mu.Unlock()
	r.read(ctx, settings, idsOf(wanted))
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = !maps.Equal(before, r.answers(wanted, nil))
	r.handed = changed
	return changed
}

// Run refreshes on the schedule of the settings until ctx ends, and calls changed
// after each Refresh that found a change.
func (r *Resolver) Run(ctx context.Context, changed func()) {
	for {
		r.mu.Lock()
		every, none := r.settings.Refresh, len(r.wanted) == 0
		r.mu.Unlock()
		var due <-chan time.Time // never
		if every > 0 && !none {
			// Spread, so that many services do not ask at the same moment.
			due = time.After(every*9/10 + rand.N(every/5+1)) //nolint:gosec // not for secrecy
		}
		select {
		case <-ctx.Done():
			return
		case <-r.called:
		case <-due:
			if r.Refresh(ctx) && ctx.Err() == nil {
				changed()
			}
		}
	}
}

// Every is how often the secrets are to be read again; 0 means never.
func (r *Resolver) Every() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings.Refresh
}

// Stats are for metrics.
type Stats struct {
	// Failing is how many secrets could not be read when last asked for.
	Failing int
	// Age is how long ago the one was read that was not read for longest.
	Age time.Duration
}

// Stats tells how fresh the secrets in use are.
func (r *Resolver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	var s Stats
	for i := range idsOf(r.wanted) {
		if r.failing[i] {
			s.Failing++
		}
		if k := r.kept[i]; k != nil {
			s.Age = max(s.Age, r.now().Sub(k.read))
		}
	}
	return s
}
