package dispatch

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

const (
	// stopPage is how many requests to be stopped are read at once, and
	// stoppers how many of them are stopped at once.
	stopPage = 64
	stoppers = 16
	// askAgain is when a stopped execution that has not ended yet is looked at
	// again.
	askAgain = 5 * time.Second
)

// stopper is the state of the stop loop.
type stopper struct {
	*Dispatcher
	calls sync.WaitGroup
	slots chan struct{}

	mu sync.Mutex
	// underWay are those that are being stopped, until that is recorded.
	underWay map[int64]struct{}
}

// stop stops the running executions whose end was asked for. They don't wait
// for one another.
func (d *Dispatcher) stop(ctx context.Context) {
	s := &stopper{Dispatcher: d, slots: make(chan struct{}, stoppers), underWay: map[int64]struct{}{}}
	defer s.calls.Wait()
	var idle lookout
	for ctx.Err() == nil {
		taken := s.snapshot()
		var page []Execution
		var next time.Time
		err := d.persist(ctx, "read requests to stop", func() (err error) {
			page, next, err = d.journal.Stopping(ctx, d.due.now(), stopPage+len(taken))
			return err
		})
		if err != nil {
			continue // persist has tried long enough
		}
		for i := range page {
			if _, ok := taken[page[i].Seq]; !ok && !s.begin(ctx, &page[i]) {
				return
			}
		}
		if len(page) == stopPage+len(taken) {
			continue
		}
		d.rest(ctx, &idle, next, d.stopSoon)
	}
}

func (s *stopper) snapshot() map[int64]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.underWay)
}

// begin stops x beside the others, and reports false when ctx ended first.
func (s *stopper) begin(ctx context.Context, x *Execution) bool {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	s.mu.Lock()
	s.underWay[x.Seq] = struct{}{}
	s.mu.Unlock()
	s.calls.Go(func() {
		defer func() { <-s.slots }()
		r := s.tryToStop(ctx, x)
		if r.ended == nil && r.failed == nil {
			return // interrupted
		}
		r.after = func() {
			s.mu.Lock()
			delete(s.underWay, x.Seq)
			s.mu.Unlock()
			wake(s.stopSoon) // it has to learn when it falls due again
		}
		s.results <- r
	})
	return true
}

// tryToStop stops one execution, whatever happens.
func (d *Dispatcher) tryToStop(ctx context.Context, x *Execution) result {
	var r result
	err := Guard(func() error { r = d.stopOne(ctx, x); return nil })
	if d.logFault(err, "stop", zap.String("request_id", x.ID)) {
		return d.stopLater(x, err)
	}
	return r
}

// stopLater has the stop of x tried again after its backoff.
func (d *Dispatcher) stopLater(x *Execution, err error) result {
	cfg := d.config()
	wait := backoff(cfg.RetryBase, cfg.RetryMax, x.Tries, d.jitter)
	d.log.Warn("stopping an execution failed; trying again", zap.String("execution", x.ARN), zap.Duration("wait", wait), zap.Error(err))
	return result{failed: &FailureRecord{Seq: x.Seq, Error: err.Error(), DueAt: d.due.now().Add(wait)}}
}

func (d *Dispatcher) stopOne(ctx context.Context, x *Execution) result {
	name := ErrorStopped
	if x.SupersededBy != "" {
		name = errorSuperseded
	}
	err := d.call(ctx, "stop", func(ctx context.Context) error { return d.engine.Stop(ctx, x.ARN, name, x.StopReason) })
	var o event.Outcome
	if err == nil {
		o, err = d.describe(ctx, x.ARN)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		end := lost(x, d.now())
		return result{ended: &end}
	case ctx.Err() != nil && err != nil:
		return result{} // interrupted is not failed
	case err != nil:
		d.logFault(err, "stop", zap.String("request_id", x.ID))
		return d.stopLater(x, err)
	case !o.Status.Closed():
		return result{failed: &FailureRecord{Seq: x.Seq, DueAt: d.due.now().Add(askAgain)}}
	default:
		end := endOf(&o)
		end.Seq, end.ARN = x.Seq, x.ARN
		return result{ended: &end}
	}
}
