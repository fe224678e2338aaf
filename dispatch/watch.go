package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchyard/internal/event"
)

const (
	// watchPage is how many running requests are held in memory at once, and
	// watchers how many of them are asked for at once.
	watchPage = 64
	watchers  = 4
	// askAgain is when a stopped execution that has not ended yet is looked at
	// again.
	askAgain = 5 * time.Second
)

// poll asks the engine for every running execution, round after round: hints
// may be lost, this is the truth. A round takes PollEvery at least, its calls
// spread evenly. The first round asks at once, also for executions that started
// just now, since nobody listened while no process ran.
func (d *Dispatcher) poll(ctx context.Context) {
	for first := true; ; first = false {
		cfg := d.config()
		began := time.Now()
		interval := time.Duration(float64(time.Second) / cfg.PollRate)
		startedBy := d.now()
		if !first {
			startedBy = startedBy.Add(-cfg.PollEvery)
			if depth, err := d.journal.Unfinished(ctx); err == nil && depth.Running > 0 {
				interval = max(interval, cfg.PollEvery/time.Duration(depth.Running))
			}
		}
		d.pollRound(ctx, startedBy, interval)
		if !sleep(ctx, max(cfg.PollEvery-time.Since(began), time.Millisecond)) {
			return
		}
	}
}

func (d *Dispatcher) pollRound(ctx context.Context, startedBy time.Time, interval time.Duration) {
	for after := int64(0); ; {
		var page []Execution
		err := d.persist(ctx, "read running requests", func() (err error) {
			page, err = d.journal.Running(ctx, after, startedBy, watchPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return
		}
		after = page[len(page)-1].Seq
		var g errgroup.Group
		g.SetLimit(watchers)
		for i := range page {
			done, ok := d.yield.slice(ctx)
			if !ok {
				break
			}
			g.Go(func() error { d.pollOne(ctx, &page[i]); return nil })
			done()
			if !sleep(ctx, interval) {
				break
			}
		}
		_ = g.Wait() // the calls report their errors themselves
	}
}

func (d *Dispatcher) pollOne(ctx context.Context, x *Execution) {
	o, err := d.describe(ctx, x.ARN)
	var end EndRecord
	switch {
	case err == nil && !o.Status.Closed():
		return
	case err == nil:
		end = endOf(&o)
		end.Seq, end.ARN = x.Seq, x.ARN
	case errors.Is(err, ErrNotFound):
		d.log.Error("the engine does not know an execution any more", zap.String("execution", x.ARN), zap.String("request_id", x.ID))
		end = lost(x, d.now())
	case ctx.Err() != nil:
		return
	default:
		d.log.Warn("asking for an execution failed; the next round asks again", zap.String("execution", x.ARN), zap.Error(err))
		return
	}
	select {
	case d.results <- result{ended: &end}:
	case <-ctx.Done():
	}
}

func (d *Dispatcher) describe(ctx context.Context, arn string) (event.Outcome, error) {
	began := time.Now()
	callCtx, cancel := context.WithTimeout(ctx, d.config().CallTimeout)
	defer cancel()
	o, err := d.engine.Describe(callCtx, arn)
	if ctx.Err() == nil {
		d.called("describe", err, time.Since(began))
	}
	if err != nil {
		return event.Outcome{}, fmt.Errorf("describe %s: %w", arn, err)
	}
	return o, nil
}

// stop stops the running executions whose end was asked for.
func (d *Dispatcher) stop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var idle lookout
	for ctx.Err() == nil {
		var page []Execution
		var next time.Time
		err := d.persist(ctx, "read requests to stop", func() (err error) {
			page, next, err = d.journal.Stopping(ctx, d.now(), watchPage)
			return err
		})
		if err == nil && len(page) > 0 {
			d.stopSome(ctx, page)
			continue
		}
		wait := idle.pause()
		if !next.IsZero() {
			wait = min(wait, max(next.Sub(d.now()), time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-d.stopSoon:
			idle.reset()
		case <-timer.C:
		}
	}
}

func (d *Dispatcher) stopSome(ctx context.Context, page []Execution) {
	results := make([]result, len(page))
	var g errgroup.Group
	g.SetLimit(watchers)
	for i := range page {
		g.Go(func() error { results[i] = d.stopOne(ctx, &page[i]); return nil })
	}
	_ = g.Wait() // the calls report their errors themselves
	if ctx.Err() != nil {
		return // interrupted is not failed
	}
	records := Records{At: d.now()}
	for _, r := range results {
		if r.failed != nil {
			records.Failed = append(records.Failed, *r.failed)
		} else {
			records.Ended = append(records.Ended, *r.ended)
		}
	}
	if changes, err := d.write(ctx, records); err == nil {
		d.publish(changes)
	}
}

func (d *Dispatcher) stopOne(ctx context.Context, x *Execution) result {
	name := errorStopped
	if x.SupersededBy != "" {
		name = errorSuperseded
	}
	cfg := d.config()
	began := time.Now()
	callCtx, cancel := context.WithTimeout(ctx, cfg.CallTimeout)
	err := d.engine.Stop(callCtx, x.ARN, name, x.StopReason)
	cancel()
	if ctx.Err() == nil {
		d.called("stop", err, time.Since(began))
	}
	var o event.Outcome
	if err == nil {
		o, err = d.describe(ctx, x.ARN)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		end := lost(x, d.now())
		return result{ended: &end}
	case err != nil:
		wait := backoff(cfg.RetryBase, cfg.RetryMax, x.Tries, d.jitter)
		if ctx.Err() == nil {
			d.log.Warn("stopping an execution failed; trying again", zap.String("execution", x.ARN), zap.Duration("wait", wait), zap.Error(err))
		}
		return result{failed: &FailureRecord{Seq: x.Seq, Error: err.Error(), DueAt: d.now().Add(wait)}}
	case !o.Status.Closed():
		return result{failed: &FailureRecord{Seq: x.Seq, DueAt: d.now().Add(askAgain)}}
	default:
		end := endOf(&o)
		end.Seq, end.ARN = x.Seq, x.ARN
		return result{ended: &end}
	}
}
