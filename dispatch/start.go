package dispatch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

// startPage is how many ready requests are read into memory at once.
const startPage = 256

// inFlight knows the requests between being read as ready and being recorded
// as started. Reading the journal again meanwhile must not start them again,
// and an outcome that is faster than the record of its start is held here.
type inFlight struct {
	mu    sync.Mutex
	bySeq map[int64]struct{}
	early map[string]*event.Outcome // by request ID; nil until one came
}

func (f *inFlight) begin(x *Execution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bySeq == nil {
		f.bySeq, f.early = map[int64]struct{}{}, map[string]*event.Outcome{}
	}
	f.bySeq[x.Seq] = struct{}{}
	f.early[x.ID] = nil
}

func (f *inFlight) end(x *Execution) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.bySeq, x.Seq)
	delete(f.early, x.ID)
}

// hold keeps o for the start that is under way, if there is one.
func (f *inFlight) hold(o *event.Outcome) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.early[o.Name]; !ok {
		return false
	}
	f.early[o.Name] = o
	return true
}

// held returns the outcome that came before the start of x was recorded.
func (f *inFlight) held(x *Execution, arn string) *event.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.early[x.ID]; o != nil && o.ExecutionARN == arn {
		return o
	}
	return nil
}

func (f *inFlight) snapshot() map[int64]struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.bySeq)
}

// starter is the state of the start loop; its goroutine owns it.
type starter struct {
	*Dispatcher
	queue    []Execution
	active   int
	returned chan struct{}
	// more is true when the journal may hold requests that are due and not in
	// queue; otherwise the next falls due at nextDue, zero for none.
	more    bool
	nextDue time.Time
}

// start starts ready requests in the order in which they fall due, a bounded
// number at once, at the pace the engine allows.
func (d *Dispatcher) start(ctx context.Context) {
	s := &starter{Dispatcher: d, returned: make(chan struct{}), more: true}
	defer func() {
		for ; s.active > 0; s.active-- {
			<-s.returned
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var idle lookout
	for ctx.Err() == nil {
		wait := d.pace.pause()
		if wait > 0 {
			s.putBack()
		} else {
			if s.more && len(s.queue) < d.config().MaxStarts {
				s.fetch(ctx)
			}
			wait = s.launch(ctx)
		}
		if wait == 0 && len(s.queue) == 0 {
			wait = idle.pause()
			if !s.nextDue.IsZero() {
				wait = min(wait, max(s.nextDue.Sub(d.now()), time.Millisecond))
			}
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
		case <-s.returned:
			s.active--
		case <-d.startSoon:
			idle.reset()
			s.more = true
		case <-timer.C:
			s.more = s.more || len(s.queue) == 0
		}
	}
}

// fetch fills the queue from the journal. What is in flight is left out as it
// was before the read: whatever leaves flight later was recorded before.
func (s *starter) fetch(ctx context.Context) {
	taken := s.starts.snapshot()
	limit := startPage + len(taken)
	var due []Execution
	err := s.persist(ctx, "read ready requests", func() (err error) {
		due, s.nextDue, err = s.journal.Due(ctx, s.now(), limit)
		return err
	})
	if err != nil {
		return
	}
	s.more = len(due) == limit
	for i := range due {
		if _, ok := taken[due[i].Seq]; !ok {
			s.starts.begin(&due[i])
			s.queue = append(s.queue, due[i])
		}
	}
}

// putBack empties the queue for a pause: until it ends, some of what is in it
// may be asked to stop.
func (s *starter) putBack() {
	for i := range s.queue {
		s.starts.end(&s.queue[i])
	}
	s.queue, s.more = nil, true
}

// launch starts what may be started now; a positive result is how long the
// pace makes the rest wait.
func (s *starter) launch(ctx context.Context) time.Duration {
	if len(s.queue) == 0 {
		return 0
	}
	busy := s.yield.busy()
	if busy {
		done, ok := s.yield.slice(ctx)
		if !ok {
			return 0
		}
		defer done()
	}
	var wait time.Duration
	for most := s.config().MaxStarts; len(s.queue) > 0 && s.active < most; {
		if wait = s.pace.wait(); wait > 0 {
			break
		}
		x := s.queue[0]
		s.queue = s.queue[1:]
		s.active++
		go func() {
			s.startOne(ctx, &x)
			s.returned <- struct{}{}
		}()
	}
	for ; busy && s.active > 0; s.active-- {
		<-s.returned
	}
	return wait
}

// startOne asks the engine for one execution and hands on what it said.
func (d *Dispatcher) startOne(ctx context.Context, x *Execution) {
	if x.StopReason != "" && x.Tries == 0 && x.Seq > d.bootSeq {
		d.results <- result{x: x, ended: neverStarted(x, d.now())}
		return
	}
	d.stats.starting.Add(1)
	began := time.Now()
	spanCtx, endSpan := d.tracer.Start(ctx, x)
	cfg := d.config()
	callCtx, cancel := context.WithTimeout(spanCtx, cfg.CallTimeout)
	started, err := d.engine.Start(callCtx, x.StateMachine, x.ID, x.Input)
	cancel()
	endSpan(err)
	d.stats.starting.Add(-1)
	if err != nil && ctx.Err() != nil {
		d.starts.end(x) // interrupted is not failed
		return
	}
	d.called("start", err, time.Since(began))
	if err == nil {
		d.hasStarted(ctx, x, started)
		return
	}
	log := d.log.With(zap.String("request_id", x.ID), zap.String("repo", x.Repository), zap.String("route", x.Route), zap.Int("attempt", x.Tries+1))
	var throttled *ThrottledError
	var permanent *PermanentError
	switch {
	case errors.As(err, &throttled):
		d.pace.throttled(throttled.After, d.jitter)
		d.starts.end(x) // it keeps its place in the queue
		wake(d.startSoon)
	case errors.As(err, &permanent):
		log.Error("the engine refused to start an execution", zap.Error(err))
		d.results <- result{x: x, ended: refused(x, err, d.now())}
	default:
		wait := backoff(cfg.RetryBase, cfg.RetryMax, x.Tries, d.jitter)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("the engine did not answer in %v: %w", cfg.CallTimeout, err)
		}
		log.Warn("starting an execution failed; trying again", zap.Duration("wait", wait), zap.Error(err))
		d.results <- result{x: x, failed: &FailureRecord{Seq: x.Seq, Error: err.Error(), DueAt: d.now().Add(wait)}}
	}
}

// hasStarted hands on a start. An execution that was there before may have
// ended long ago, without anybody telling us.
func (d *Dispatcher) hasStarted(ctx context.Context, x *Execution, started Started) {
	d.pace.succeeded()
	now := d.now()
	d.stats.started.Add(1)
	d.observer.Started(now.Sub(x.CreatedAt))
	if started.StartedAt.IsZero() {
		started.StartedAt = now
	}
	r := result{x: x, started: &StartRecord{Seq: x.Seq, ARN: started.ExecutionARN, StartedAt: started.StartedAt}}
	if started.Existed {
		if o, err := d.describe(ctx, started.ExecutionARN); err == nil && o.Status.Closed() {
			r.outcome = &o
		}
	}
	d.results <- r
}

// called counts a call to the engine.
func (d *Dispatcher) called(op string, err error, took time.Duration) {
	outcome := "ok"
	var throttled *ThrottledError
	var permanent *PermanentError
	switch {
	case err == nil:
	case errors.As(err, &throttled):
		outcome = "throttled"
		d.stats.throttled.Add(1)
	case errors.As(err, &permanent):
		outcome = "permanent"
		d.stats.callErrors.Add(1)
	default:
		outcome = "error"
		d.stats.callErrors.Add(1)
	}
	d.observer.Called(op, outcome, took)
}
