package status

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/dispatch"
)

const (
	// throttleWait is how long a host that says "too many" without saying for
	// how long is left alone, the first time. GitHub asks for a minute at least.
	throttleWait = time.Minute
	// recordTimeout bounds the bookkeeping after a post, which is done also
	// when the worker is told to stop.
	recordTimeout = 5 * time.Second
	// skipBatch is how many rows without a poster are taken off at once, and
	// page how many rows are looked at to find some that may be posted.
	skipBatch = 100
	page      = 32
	// maxHold is the longest that a repository is left alone which refuses its
	// statuses.
	maxHold = time.Hour
	// idle is the wait for a post that is under way, which ends it.
	idle = time.Hour
)

// lane is one source's way out. Rows are read only when they can be posted, so
// that each is posted in its newest state and newer commits overtake.
//
// Trouble is kept where it belongs. A repository whose statuses are refused or
// fail is left alone, longer each time, and found out about by single probes
// that have a budget of their own. The source as a whole waits only where the
// host says so, does not know our credentials, or fails for several
// repositories.
type lane struct {
	w      *Worker
	source string
	// wake ends a wait early.
	wake chan struct{}
	// done brings what became of posts.
	done chan result

	mu         sync.Mutex
	poster     Poster
	generation int
	stats      Stats

	// What follows belongs to the goroutine of run.

	// budget counts all posts, and wasted those that came to nothing.
	budget, wasted budget
	repositories   standings
	flying         map[rowKey]struct{}
	// seen is the generation of the poster that the fields below are about.
	seen   int
	paused time.Time
	// epoch counts the pauses. A post that began before the last pause says
	// nothing about the time after it.
	epoch    int
	throttle int // pauses in a row for which the host asked
	failures int // pauses in a row for other reasons
	// failing are the repositories that failed since the host last answered.
	failing map[string]struct{}
	// unrecorded are versions that the host has and the journal could not be
	// told of: they are recorded without being posted again.
	unrecorded map[rowKey]int64
}

type rowKey struct{ repository, sha, context string }

func keyOf(s dispatch.Status) rowKey { return rowKey{s.Repository, s.SHA, s.Context} }

func newLane(w *Worker, source string) *lane {
	return &lane{
		w: w, source: source, wake: make(chan struct{}, 1), done: make(chan result), stats: Stats{Source: source},
		repositories: standings{}, flying: map[rowKey]struct{}{}, failing: map[string]struct{}{}, unrecorded: map[rowKey]int64{},
	}
}

func (l *lane) setPoster(p Poster) {
	l.mu.Lock()
	l.poster = p
	l.generation++
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) current() (Poster, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.poster, l.generation
}

func (l *lane) snapshot() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

func (l *lane) count(f func(*Stats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.stats)
}

func (l *lane) run(ctx context.Context) {
	defer func() {
		for len(l.flying) > 0 {
			l.settle(<-l.done)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.wake:
		case r := <-l.done:
			l.settle(r)
		}
		timer.Reset(l.launch(ctx))
	}
}

// launch posts what may be posted now and returns how long to wait before
// looking again, unless a post ends before.
func (l *lane) launch(ctx context.Context) time.Duration {
	poster, generation := l.current()
	if generation != l.seen {
		l.seen, l.throttle, l.failures = generation, 0, 0
		clear(l.failing)
		l.repositories.forget()
		l.epoch++ // what the old poster still brings says nothing about the new one
		l.pause(time.Time{})
	}
	// Waits of this process are by the monotonic clock; what the journal keeps
	// falls due by one that survives the process and never goes back.
	now, due := time.Now(), l.w.due()
	if wait := l.paused.Sub(now); wait > 0 {
		return wait
	}
	if poster == nil {
		return l.skip(ctx)
	}
	limits := poster.Limits()
	free := max(limits.Concurrent, 1) - len(l.flying)
	if l.throttle+l.failures > 0 {
		free = min(free, 1-len(l.flying)) // one finds out whether it is over
	}
	if free <= 0 {
		return idle
	}
	if room, next := l.budget.room(now, limits, free); room == 0 {
		return next.Sub(now)
	}
	probes, _ := l.wasted.room(now, Limits{PerHour: limits.share(1, 20).PerHour}, 1)
	tries, _ := l.budget.room(now, limits.share(1, 2), 1)
	mayProbe, known := probes > 0, len(l.repositories)
	closed := l.repositories.closed(now, mayProbe, mayProbe || tries > 0)
	l.count(func(s *Stats) { s.Held = l.repositories.held(now) })
	rows, err := l.w.outbox.NextStatuses(ctx, dispatch.StatusQuery{
		Source: l.source, Now: due, Horizon: due.Add(l.w.cfg.MaxBackoff), Except: closed, Limit: page + len(l.flying),
	})
	if err != nil {
		if ctx.Err() == nil {
			l.w.log.Warn("cannot read the status outbox", zap.String("source", l.source), zap.Error(err))
			l.failures++
		}
		return l.w.backoff(max(l.failures, 1), l.w.cfg.MinBackoff, l.w.cfg.MaxBackoff)
	}
	launched := 0
	for _, row := range rows {
		if launched == free {
			break
		}
		if _, under := l.flying[keyOf(row)]; under {
			continue
		}
		s := l.repositories.of(row.Repository)
		if s.alone() && s.flying > 0 {
			continue
		}
		if room, _ := l.budget.room(now, l.allowance(limits, row, s, l.w.now(), mayProbe), 1); room == 0 {
			continue
		}
		l.send(ctx, poster, row, s, now)
		launched++
	}
	if launched > 0 || len(l.repositories) > known {
		return 0 // rows whose repository must wait may hide others
	}
	return l.w.cfg.PollInterval
}

// fresh is how long the end of an execution counts as news.
const fresh = 2 * time.Minute

// allowance is the part of the limits that row may use up. The rest is kept
// for what matters more: an end that was just reached has all of it, older ones
// leave a tenth to those, and what is still pending leaves half to all ends. So
// a long backlog never makes the end of a fresh commit wait for the next hour.
// A repository of which nothing good is known counts as pending too, once many
// others have been found wanting.
func (l *lane) allowance(limits Limits, row dispatch.Status, s *standing, wall time.Time, mayProbe bool) Limits {
	switch {
	case row.State == dispatch.StatusPending, s.alone() && !mayProbe:
		return limits.share(1, 2)
	case wall.Sub(row.WantedAt) > fresh:
		return limits.share(9, 10)
	default:
		return limits
	}
}

// send posts row, unless the host has it already, and has its fate recorded.
func (l *lane) send(ctx context.Context, poster Poster, row dispatch.Status, s *standing, now time.Time) {
	version, known := l.unrecorded[keyOf(row)]
	known = known && version == row.Version
	if !known {
		l.budget.spend(now, 1)
	}
	l.flying[keyOf(row)] = struct{}{}
	s.flying++
	epoch := l.epoch
	go func() {
		var err error
		if !known {
			err = l.tell(ctx, poster, row)
		}
		r := l.record(ctx, row, err)
		r.epoch = epoch
		l.done <- r
	}()
}

// skip takes rows that nobody is to be told as told.
func (l *lane) skip(ctx context.Context) time.Duration {
	rows, err := l.w.outbox.NextStatuses(ctx, dispatch.StatusQuery{Source: l.source, Now: l.w.due(), Limit: skipBatch})
	for _, row := range rows {
		if err == nil {
			err = l.w.outbox.StatusPosted(ctx, row)
		}
	}
	switch {
	case err != nil:
		if ctx.Err() == nil {
			l.w.log.Warn("cannot take statuses that nobody is to be told out of the outbox", zap.String("source", l.source), zap.Error(err))
		}
		return l.w.backoff(1, l.w.cfg.MinBackoff, l.w.cfg.MaxBackoff)
	case len(rows) == 0:
		return l.w.cfg.PollInterval
	default:
		return 0
	}
}

// tell posts row. One on which that panics is given up: it would end the process
// at every start.
func (l *lane) tell(ctx context.Context, poster Poster, row dispatch.Status) error {
	ctx, cancel := context.WithTimeout(ctx, l.w.cfg.PostTimeout)
	defer cancel()
	err := dispatch.Guard(func() error { return poster.Post(ctx, row, l.w.targetURL(row)) })
	var fault *dispatch.PanicError
	if !errors.As(err, &fault) {
		return err
	}
	l.w.log.Error("a panic was caught; this is a bug in Switchyard", zap.String("source", l.source), zap.String("repo", row.Repository), zap.String("sha", row.SHA),
		zap.String("step", "post a status"), zap.String("panic", fault.Text), zap.ByteString("stack", fault.Stack))
	return &dispatch.PermanentError{Err: fmt.Errorf("posting it failed (%v): this is a bug in Switchyard, its log says more", fault)}
}

// verdict is what became of a post.
type verdict int

const (
	told         verdict = iota // the host has it
	refused                     // the host will never take it
	turnedDown                  // the host does not take it as things are
	unauthorized                // the host does not know us
	failed                      // to be repeated
	throttled                   // the host asks for fewer calls
	interrupted                 // ctx ended
)

type result struct {
	row     dispatch.Status
	verdict verdict
	err     error
	epoch   int
	// after is how long a throttling host wants to be left alone, 0 if it did
	// not say.
	after time.Duration
	// recordErr is set when the journal could not be told what it has to know.
	recordErr error
}

// record writes down what a post came to.
func (l *lane) record(ctx context.Context, row dispatch.Status, err error) result {
	// What has been told is recorded even if the process is to stop meanwhile:
	// else the host would be told again.
	recordCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	r := result{row: row, err: err}
	var permanent *dispatch.PermanentError
	var denied *RefusedError
	var unknown *UnauthorizedError
	var slower *dispatch.ThrottledError
	switch {
	case err == nil:
		r.verdict = told
		r.recordErr = l.w.outbox.StatusPosted(recordCtx, row)
		return r
	case errors.As(err, &permanent):
		r.verdict = refused
		r.recordErr = l.w.outbox.StatusFailed(recordCtx, row, time.Time{}, err.Error())
		return r
	case errors.As(err, &unknown):
		r.verdict = unauthorized // nor is that a fault of the row, as below
		return r
	case errors.As(err, &slower):
		// The row stays as it is: being one too many is no fault of it.
		r.verdict, r.after = throttled, slower.After
		return r
	case ctx.Err() != nil:
		r.verdict = interrupted
		return r
	case errors.As(err, &denied):
		r.verdict = turnedDown
	default:
		r.verdict = failed
	}
	wait := l.w.backoff(row.Tries+1, l.w.cfg.MinBackoff, l.w.cfg.MaxBackoff)
	r.recordErr = l.w.outbox.StatusFailed(recordCtx, row, l.w.due().Add(wait), err.Error())
	return r
}

// settle draws the conclusions of a post.
func (l *lane) settle(r result) {
	key := keyOf(r.row)
	delete(l.flying, key)
	s := l.repositories.of(r.row.Repository)
	s.flying--
	now := time.Now()
	log := l.w.log.With(zap.String("source", l.source), zap.String("repo", r.row.Repository), zap.String("sha", r.row.SHA), zap.String("context", r.row.Context), zap.String("state", string(r.row.State)))
	// What began before a pause does not end it.
	current := r.epoch == l.epoch
	delete(l.unrecorded, key)
	if r.recordErr != nil {
		log.Warn("cannot record the status's fate", zap.NamedError("journal_error", r.recordErr))
		if r.verdict == told {
			l.unrecorded[key] = r.row.Version
		}
		l.hold(current, &l.failures, now, 0) // else it would be posted again at once
		current = false
	}
	if current && (r.verdict == told || r.verdict == refused || r.verdict == turnedDown) {
		if l.failures > 0 {
			log.Info("the host answers again", zap.Int("pauses", l.failures))
		}
		l.throttle, l.failures = 0, 0
		clear(l.failing)
		l.pause(time.Time{})
	}
	switch r.verdict {
	case told:
		l.count(func(s *Stats) {
			s.Posted++
			s.Lag += max(l.w.now().Sub(r.row.WantedAt), 0)
		})
		log.Debug("status posted")
		if s.misses > 1 {
			log.Info("the repository's statuses are taken again", zap.Int("refused_or_failed", s.misses))
		}
		s.taken, s.misses, s.until = true, 0, time.Time{}
	case refused, turnedDown:
		l.count(func(s *Stats) { s.Refused++ })
		l.miss(s, now, maxHold, "refused", log, r)
	case failed:
		l.count(func(s *Stats) { s.Failed++ })
		l.miss(s, now, l.w.cfg.MaxBackoff, "failed", log, r)
		if l.failing[r.row.Repository] = struct{}{}; len(l.failing) > 1 {
			// The host or the way to it is down: without a pause, every
			// repository would run into it in turn.
			l.hold(current, &l.failures, now, 0)
		}
	case unauthorized:
		l.count(func(s *Stats) { s.Failed++ })
		if current && l.failures == 0 {
			log.Error("the host does not know our credentials; statuses wait", zap.Error(r.err))
		}
		l.wasted.spend(now, 1)
		l.hold(current, &l.failures, now, 0)
	case throttled:
		l.count(func(s *Stats) { s.Throttled++ })
		log.Info("status throttled", zap.Error(r.err), zap.Duration("after", r.after))
		l.hold(current, &l.throttle, now, r.after)
	case interrupted:
	}
}

// miss notes a post that came to nothing for the repository alone. The log has
// the first of a row of them, and a count as often as the wait is at its
// longest.
func (l *lane) miss(s *standing, now time.Time, longest time.Duration, outcome string, log *zap.Logger, r result) {
	l.wasted.spend(now, 1)
	hold := s.miss(now, func(times int) time.Duration { return l.w.backoff(times, l.w.cfg.MinBackoff, longest) })
	log = log.With(zap.Error(r.err), zap.String("outcome", outcome), zap.Int("times", s.misses), zap.Duration("wait", hold))
	switch {
	case s.misses == 1:
		log.Warn("the host did not take a status")
	case hold >= longest/2:
		log.Warn("the host does not take the repository's statuses")
	default:
		log.Debug("the host did not take a status")
	}
}

// hold pauses the lane for as long as the host asks, or with backoff by times,
// which it counts up. Of the posts that were under way together only the first
// counts, but the longest wait stands.
func (l *lane) hold(current bool, times *int, now time.Time, asked time.Duration) {
	if current {
		*times++
		l.epoch++
	}
	wait := asked
	if wait == 0 {
		least := l.w.cfg.MinBackoff
		if times == &l.throttle {
			least = 2 * throttleWait // backoff draws from the upper half of it
		}
		wait = l.w.backoff(max(*times, 1), least, l.w.cfg.MaxBackoff)
	}
	if until := now.Add(wait); until.After(l.paused) {
		l.pause(until)
	}
}

func (l *lane) pause(until time.Time) {
	l.paused = until
	l.count(func(s *Stats) { s.PausedUntil = until })
}
