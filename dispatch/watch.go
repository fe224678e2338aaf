package dispatch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"switchyard/internal/event"
)

const (
	// watchPage is how many running requests are read at once, and askers how
	// many of them are asked for at once: enough that a few which get no answer
	// hold up nobody.
	watchPage = 64
	askers    = 64
)

// poll asks the engine for every running execution, round after round: hints
// may be lost, this is the truth. A round takes PollEvery at least, its calls
// spread evenly; of many executions those that the engine lists as running are
// left out, see roll. The first round asks at once, also for executions that started
// just now, since nobody listened while no process ran.
func (d *Dispatcher) poll(ctx context.Context) {
	for first := true; ; first = false {
		cfg := d.config()
		began := time.Now()
		running := 0
		if depth, err := d.journal.Unfinished(ctx); err == nil {
			running = int(depth.Running)
		}
		var interval time.Duration
		if running > 0 && !first {
			interval = cfg.PollEvery / time.Duration(running)
		}
		d.pollRound(ctx, first, d.newRoll(running), interval)
		if !sleep(ctx, max(cfg.PollEvery-time.Since(began), time.Millisecond)) {
			return
		}
	}
}

func (d *Dispatcher) pollRound(ctx context.Context, first bool, listed *roll, interval time.Duration) {
	began := d.now()
	for after := int64(0); ; {
		var page []Execution
		err := d.persist(ctx, "read running requests", func() (err error) {
			page, err = d.journal.Running(ctx, after, endOfTime, watchPage)
			return err
		})
		if err != nil || len(page) == 0 {
			return
		}
		after = page[len(page)-1].Seq
		for i := range page {
			x, cfg := &page[i], d.config()
			d.watched.add(x, x.ARN, false, cfg)
			if first && !x.StartedAt.Before(began) || !first && young(x, d.now(), cfg.PollEvery) {
				continue
			}
			if d.runs(ctx, listed, x) {
				continue
			}
			if !d.ask(ctx, x) || interval > 0 && !sleep(ctx, interval) {
				return
			}
		}
	}
}

// endOfTime is later than any start: the round looks at all that run, and
// leaves out by itself those that began a moment ago. A clock that was set
// back, or the engine's that is ahead, makes starts lie in the future; those
// must not wait until the clock has caught up.
var endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func young(x *Execution, now time.Time, limit time.Duration) bool {
	age := now.Sub(x.StartedAt)
	return age >= 0 && age < limit
}

// asking bounds and paces the calls that ask for executions.
type asking struct {
	pace  *rate.Limiter
	slots chan struct{}
	calls sync.WaitGroup

	mu  sync.Mutex
	now map[int64]struct{} // those that are asked for at the moment
}

func (a *asking) init(perSecond float64) {
	a.pace = rate.NewLimiter(rate.Limit(perSecond), 1)
	a.slots = make(chan struct{}, askers)
	a.now = map[int64]struct{}{}
}

func (a *asking) configure(perSecond float64) { a.pace.SetLimit(rate.Limit(perSecond)) }

func (a *asking) wait() { a.calls.Wait() }

// begin reports false when x is being asked for already.
func (a *asking) begin(x *Execution) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.now[x.Seq]; ok {
		return false
	}
	a.now[x.Seq] = struct{}{}
	return true
}

func (a *asking) end(x *Execution) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.now, x.Seq)
}

// ask asks for x when its turn has come, and does not wait for the answer. It
// reports false when ctx ended first.
func (d *Dispatcher) ask(ctx context.Context, x *Execution) bool {
	a := &d.asking
	if !a.begin(x) {
		return ctx.Err() == nil
	}
	begun := false
	defer func() {
		if !begun {
			a.end(x)
		}
	}()
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if a.pace.Wait(ctx) != nil {
		<-a.slots
		return false
	}
	begun = d.yield.do(ctx, func() {
		a.calls.Go(func() {
			defer func() { a.end(x); <-a.slots }()
			err := Guard(func() error { d.pollOne(ctx, x); return nil })
			d.logFault(err, "ask for an execution", zap.String("request_id", x.ID))
		})
	})
	if !begun {
		<-a.slots
	}
	return begun
}

func (d *Dispatcher) pollOne(ctx context.Context, x *Execution) {
	var end EndRecord
	o, err := d.describe(ctx, x.ARN)
	d.watched.asked(x.ID)
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
		d.logFault(err, "ask for an execution", zap.String("request_id", x.ID))
		d.log.Warn("asking for an execution failed; the next round asks again", zap.String("execution", x.ARN), zap.Error(err))
		return
	}
	select {
	case d.results <- result{ended: &end, after: func() { d.watched.remove(x.ID) }}:
	case <-ctx.Done():
	}
}

func (d *Dispatcher) describe(ctx context.Context, arn string) (o event.Outcome, err error) {
	err = d.call(ctx, "describe", func(ctx context.Context) (err error) {
		o, err = d.engine.Describe(ctx, arn)
		return err
	})
	if err != nil {
		return event.Outcome{}, fmt.Errorf("describe %s: %w", arn, err)
	}
	return o, nil
}
