package status

import (
	"context"
	"errors"
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
	// skipBatch is how many rows without a poster are taken off at once.
	skipBatch = 100
)

// lane is one source's way out. It works in rounds: as many rows as its limits
// allow now are read, posted at once, and recorded; then the next round. Rows
// are read only when they can be posted, so that each is posted in its newest
// state and newer commits overtake.
type lane struct {
	w      *Worker
	source string
	// wake ends a wait early.
	wake chan struct{}

	mu         sync.Mutex
	poster     Poster
	generation int
	stats      Stats

	// What follows belongs to the goroutine of run.

	budget budget
	// seen is the generation of the poster that the fields below are about.
	seen     int
	paused   time.Time
	throttle int // rounds in a row that ended throttled
	failures int // rounds in a row in which nothing got through
	// unrecorded are versions that the host has and the journal could not be
	// told of: they are recorded without being posted again.
	unrecorded map[rowKey]int64
}

type rowKey struct{ repository, sha, context string }

func keyOf(s dispatch.Status) rowKey { return rowKey{s.Repository, s.SHA, s.Context} }

func newLane(w *Worker, source string) *lane {
	return &lane{w: w, source: source, wake: make(chan struct{}, 1), stats: Stats{Source: source}, unrecorded: map[rowKey]int64{}}
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
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.wake:
		}
		timer.Reset(l.round(ctx))
	}
}

// round posts what may be posted now and returns how long to wait for the next.
func (l *lane) round(ctx context.Context) time.Duration {
	poster, generation := l.current()
	if generation != l.seen {
		l.seen, l.throttle, l.failures = generation, 0, 0
		l.pause(time.Time{})
	}
	now := l.w.now()
	if wait := l.paused.Sub(now); wait > 0 {
		return wait
	}
	room := skipBatch
	if poster != nil {
		limits := poster.Limits()
		var next time.Time
		if room, next = l.budget.room(now, limits, max(limits.Concurrent, 1)); room == 0 {
			return next.Sub(now)
		}
	}
	rows, err := l.w.outbox.NextStatuses(ctx, l.source, now, room)
	if err != nil {
		if ctx.Err() == nil {
			l.w.log.Warn("cannot read the status outbox", zap.String("source", l.source), zap.Error(err))
			l.failures++
		}
		return l.w.backoff(max(l.failures, 1), l.w.cfg.MinBackoff)
	}
	if len(rows) == 0 {
		return l.w.cfg.PollInterval
	}
	if poster == nil {
		return l.skip(ctx, rows)
	}
	return l.settle(l.post(ctx, poster, rows))
}

// skip takes rows that nobody is to be told as told.
func (l *lane) skip(ctx context.Context, rows []dispatch.Status) time.Duration {
	for _, row := range rows {
		if err := l.w.outbox.StatusPosted(ctx, row); err != nil {
			if ctx.Err() == nil {
				l.w.log.Warn("cannot record the status's fate", zap.String("source", l.source), zap.NamedError("journal_error", err))
			}
			return l.w.backoff(1, l.w.cfg.MinBackoff)
		}
	}
	return 0
}

// verdict is what became of a row in a round.
type verdict int

const (
	told        verdict = iota // the host has it
	refused                    // the host will never take it
	failed                     // to be repeated
	throttled                  // the host asks for fewer calls
	interrupted                // ctx ended
)

type result struct {
	row     dispatch.Status
	verdict verdict
	// after is how long a throttling host wants to be left alone, 0 if it did
	// not say.
	after time.Duration
	// recorded is false when the journal could not be told what it has to know.
	recorded bool
}

// post tells the host of all rows at once, and the journal of each as soon as
// it is known.
func (l *lane) post(ctx context.Context, poster Poster, rows []dispatch.Status) []result {
	results := make([]result, len(rows))
	var all sync.WaitGroup
	spent := 0
	for i, row := range rows {
		version, known := l.unrecorded[keyOf(row)]
		known = known && version == row.Version
		if !known {
			spent++
		}
		all.Go(func() {
			var err error
			if !known {
				err = l.tell(ctx, poster, row)
			}
			results[i] = l.record(ctx, row, err)
		})
	}
	l.budget.spend(l.w.now(), spent)
	all.Wait()
	return results
}

func (l *lane) tell(ctx context.Context, poster Poster, row dispatch.Status) error {
	ctx, cancel := context.WithTimeout(ctx, l.w.cfg.PostTimeout)
	defer cancel()
	return poster.Post(ctx, row, l.w.targetURL(row))
}

// record writes down what a post came to.
func (l *lane) record(ctx context.Context, row dispatch.Status, err error) result {
	// What has been told is recorded even if the process is to stop meanwhile:
	// else the host would be told again.
	recordCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	log := l.w.log.With(zap.String("source", l.source), zap.String("repo", row.Repository), zap.String("sha", row.SHA), zap.String("context", row.Context), zap.String("state", string(row.State)))
	r := result{row: row}
	var permanent *dispatch.PermanentError
	var slower *dispatch.ThrottledError
	var recordErr error
	switch {
	case err == nil:
		r.verdict = told
		recordErr = l.w.outbox.StatusPosted(recordCtx, row)
		log.Debug("status posted")
	case errors.As(err, &permanent):
		r.verdict = refused
		log.Warn("status refused", zap.Error(err))
		recordErr = l.w.outbox.StatusFailed(recordCtx, row, time.Time{}, err.Error())
	case errors.As(err, &slower):
		// The row stays as it is: being one too many is no fault of it.
		r.verdict, r.after = throttled, slower.After
		log.Info("status throttled", zap.Error(err), zap.Duration("after", slower.After))
	case ctx.Err() != nil:
		r.verdict = interrupted
	default:
		r.verdict = failed
		wait := l.w.backoff(row.Tries+1, l.w.cfg.MinBackoff)
		log.Warn("status not posted, trying again", zap.Error(err), zap.Int("attempt", row.Tries+1), zap.Duration("after", wait))
		recordErr = l.w.outbox.StatusFailed(recordCtx, row, l.w.now().Add(wait), err.Error())
	}
	r.recorded = recordErr == nil
	if recordErr != nil {
		log.Warn("cannot record the status's fate", zap.NamedError("journal_error", recordErr))
	}
	return r
}

// settle draws the conclusions of a round and returns how long to wait for the
// next.
func (l *lane) settle(results []result) time.Duration {
	var through, failures, turnedAway, unrecorded int
	var after time.Duration
	for _, r := range results {
		switch r.verdict {
		case told:
			through++
			if !r.recorded {
				l.unrecorded[keyOf(r.row)] = r.row.Version
			}
			l.count(func(s *Stats) { s.Posted++ })
		case refused:
			through++
			l.count(func(s *Stats) { s.Refused++ })
		case failed:
			failures++
			l.count(func(s *Stats) { s.Failed++ })
		case throttled:
			turnedAway++
			after = max(after, r.after)
			l.count(func(s *Stats) { s.Throttled++ })
		case interrupted:
		}
		if r.recorded {
			delete(l.unrecorded, keyOf(r.row))
		} else {
			unrecorded++
		}
	}
	now := l.w.now()
	switch {
	case turnedAway > 0:
		l.throttle++
		if after == 0 {
			// Backoff draws from the upper half of what it is given.
			after = l.w.backoff(l.throttle, 2*throttleWait)
		}
		l.pause(now.Add(after))
	case through == 0 && failures > 0, unrecorded > 0:
		// The host, the way to it or the journal is down: without a pause,
		// every row of a long outbox would run into it in turn.
		l.throttle = 0
		l.failures++
		l.pause(now.Add(l.w.backoff(l.failures, l.w.cfg.MinBackoff)))
	default:
		l.throttle, l.failures = 0, 0
		l.pause(time.Time{})
	}
	return max(l.paused.Sub(now), 0)
}

func (l *lane) pause(until time.Time) {
	l.paused = until
	l.count(func(s *Stats) { s.PausedUntil = until })
}
