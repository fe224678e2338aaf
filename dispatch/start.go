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
	// startPage is how many ready requests are read into memory at once.
	startPage = 256
	// lookAhead is how many of them may be in memory while the first ones wait
	// for their quota: so far is looked for one of another quota.
	lookAhead = 4 * startPage
)

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
	if before := f.early[o.Name]; before == nil || !before.StoppedAt.After(o.StoppedAt) {
		f.early[o.Name] = o
	}
	return true
}

// held returns the outcome that came before the start of x was recorded.
func (f *inFlight) held(x *Execution, arn string) *event.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	if o := f.early[x.ID]; o != nil && o.ExecutionARN == arn && endedSince(o, x) {
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
	queues []*quotaQueue // one for each quota, the empty ones too
	queued int           // in all of them
	// active are the starts under way, of which slow have taken longer than
	// slowStart.
	active, slow int
	events       chan startEvent
	// more is true when the journal may hold requests that are due and not in
	// queue; otherwise the next falls due at nextDue, zero for none.
	more    bool
	nextDue time.Time
	// paused is true while the engine throttles a quota.
	paused bool
}

// slowStart is how long a start takes until another may be made in its place, and
// slowShare times MaxStarts how many such there may be. An answer takes a tenth
// of a second as a rule; one that never comes would hold its place for
// CallTimeout, and a few dozen of these would hold up everybody.
const (
	slowStart = time.Second
	slowShare = 8
)

// startEvent is what happens to a start under way.
type startEvent int

const (
	returned startEvent = iota
	turnedSlow
	returnedSlow
)

// note counts an event.
func (s *starter) note(e startEvent) {
	switch e {
	case turnedSlow:
		s.slow++
	case returnedSlow:
		s.slow--
		s.active--
	default:
		s.active--
	}
}

// free is how many more starts may be made at once.
func (s *starter) free() int {
	most := s.config().MaxStarts
	return most - (s.active - min(s.slow, slowShare*most))
}

// quotaQueue are the ready requests whose starts come out of one quota, in the
// order in which they fall due.
type quotaQueue struct {
	pace *pace
	rows []Execution
}

// enqueue puts x behind those of its quota.
func (s *starter) enqueue(x *Execution, cfg *Config) {
	s.queued++
	pace := s.paces.of(cfg.Quota(x.StateMachine))
	for _, q := range s.queues {
		if q.pace == pace {
			q.rows = append(q.rows, *x)
			return
		}
	}
	s.queues = append(s.queues, &quotaQueue{pace, []Execution{*x}})
}

// next is the queue whose first request falls due before that of the others,
// leaving out those that wait for their quota; nil when there is none.
func (s *starter) next(waiting map[*quotaQueue]bool) *quotaQueue {
	var first *quotaQueue
	for _, q := range s.queues {
		if len(q.rows) == 0 || waiting[q] {
			continue
		}
		if first == nil || q.rows[0].DueAt.Before(first.rows[0].DueAt) ||
			q.rows[0].DueAt.Equal(first.rows[0].DueAt) && q.rows[0].Seq < first.rows[0].Seq {
			first = q
		}
	}
	return first
}

// start starts ready requests in the order in which they fall due, a bounded
// number at once, at the pace the engine allows.
func (d *Dispatcher) start(ctx context.Context) {
	s := &starter{Dispatcher: d, events: make(chan startEvent), more: true}
	defer func() {
		s.putBack()
		for s.active > 0 {
			s.note(<-s.events)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var idle lookout
	for ctx.Err() == nil {
		s.bringForward(ctx)
		wait, paused := d.paces.pause()
		if wait > 0 || s.paused && !paused {
			s.putBack()
		}
		s.paused = paused
		if wait == 0 {
			if s.more && s.queued < d.config().MaxStarts {
				s.fetch(ctx)
			}
			if wait = s.launch(ctx); wait > 0 && s.more && s.queued <= lookAhead-startPage {
				s.fetch(ctx)
				wait = s.launch(ctx)
			}
		}
		if wait == 0 && s.queued == 0 {
			wait = idle.pause()
			if !s.nextDue.IsZero() {
				wait = min(wait, d.due.until(s.nextDue))
			}
		}
		timer.Stop()
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
		case e := <-s.events:
			s.note(e)
		case <-d.startSoon:
			idle.reset()
			s.more = true
		case <-timer.C:
			s.more = s.more || s.queued == 0
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
		due, s.nextDue, err = s.journal.Due(ctx, s.due.now(), limit)
		return err
	})
	if err != nil {
		return
	}
	s.more = len(due) == limit
	cfg := s.config()
	for i := range due {
		if _, ok := taken[due[i].Seq]; !ok {
			s.starts.begin(&due[i])
			s.enqueue(&due[i], &cfg)
		}
	}
}

// putBack empties the queue for a pause, or after one: meanwhile some of what
// is in it may be asked to stop.
func (s *starter) putBack() {
	for _, q := range s.queues {
		for i := range q.rows {
			s.starts.end(&q.rows[i])
		}
	}
	s.queues, s.queued, s.more = nil, 0, true
}

// launch starts what may be started now, in the order in which it fell due,
// except that nobody waits for another's quota. A positive result is how long
// the next one waits for its own.
func (s *starter) launch(ctx context.Context) (wait time.Duration) {
	if s.queued == 0 || s.free() <= 0 {
		return 0
	}
	busy := s.yield.busy()
	s.yield.do(ctx, func() {
		launched := 0
		waiting := map[*quotaQueue]bool{}
		for s.free() > 0 {
			q := s.next(waiting)
			if q == nil {
				break
			}
			x := q.rows[0]
			entered := !s.neverReached(&x) && x.RedriveOf == ""
			if entered {
				if reason, ok := s.blocked.enter(x.StateMachine); !ok {
					s.take(q)
					s.results <- s.behindOthers(&x, reason)
					continue
				}
			}
			if w := q.pace.wait(); w > 0 {
				if entered {
					s.blocked.inconclusive(x.StateMachine)
				}
				waiting[q] = true
				if wait == 0 || w < wait {
					wait = w
				}
				continue
			}
			s.take(q)
			s.active++
			launched++
			go s.run(ctx, &x)
		}
		if busy {
			s.settle(ctx, launched)
		}
	})
	return wait
}

// take takes the first request out of a queue.
func (s *starter) take(q *quotaQueue) {
	q.rows = q.rows[1:]
	s.queued--
}

// settle counts the computing of n starts into the worker's turn. It waits for
// as many to return, but no longer than the pause after the turn can make up
// for: one that hangs must not keep the turn from the others.
func (s *starter) settle(ctx context.Context, n int) {
	timer := time.NewTimer(longestPause)
	defer timer.Stop()
	for n > 0 {
		select {
		case e := <-s.events:
			s.note(e)
			if e != turnedSlow {
				n--
			}
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// run starts one request, whatever happens.
func (s *starter) run(ctx context.Context, x *Execution) {
	told := make(chan struct{})
	slow := time.AfterFunc(slowStart, func() { s.events <- turnedSlow; close(told) })
	err := Guard(func() error { s.startOne(ctx, x); return nil })
	if s.logFault(err, "start", zap.String("request_id", x.ID)) {
		s.blocked.inconclusive(x.StateMachine) // in case it was a probe
		s.results <- faultedStart(x, err, s.now())
	}
	if slow.Stop() {
		s.events <- returned
		return
	}
	<-told
	s.events <- returnedSlow
}

// startOne asks the engine for one execution and hands on what it said.
func (d *Dispatcher) startOne(ctx context.Context, x *Execution) {
	if d.neverReached(x) {
		d.results <- result{x: x, ended: neverStarted(x, d.now())}
		return
	}
	if x.RedriveOf != "" {
		d.redriveOne(ctx, x)
		return
	}
	d.stats.starting.Add(1)
	spanCtx, endSpan := d.tracer.Start(ctx, x)
	var started Started
	err := d.call(spanCtx, "start", func(ctx context.Context) error {
		err := Guard(func() (err error) {
			started, err = d.engine.Start(ctx, x.StateMachine, x.ID, x.Input)
			return err
		})
		endSpan(err)
		return err
	})
	d.stats.starting.Add(-1)
	if err != nil && ctx.Err() != nil {
		d.blocked.inconclusive(x.StateMachine)
		d.starts.end(x) // interrupted is not failed
		return
	}
	var blocked *BlockedError
	if errors.As(err, &blocked) {
		d.results <- d.isBlocked(x, err)
		return
	}
	if errors.As(err, new(*PermanentError)) || err == nil {
		if d.blocked.works(x.StateMachine) {
			d.log.Info("executions of a state machine can be started again", zap.String("state_machine", x.StateMachine))
			wake(d.startSoon)
		}
	} else {
		d.blocked.inconclusive(x.StateMachine)
	}
	if err == nil {
		d.hasStarted(x, started)
		return
	}
	cfg := d.config()
	var throttled *ThrottledError
	var permanent *PermanentError
	switch {
	case d.logFault(err, "start", zap.String("request_id", x.ID)):
		d.results <- faultedStart(x, err, d.now())
	case errors.As(err, &throttled):
		d.paces.of(cfg.Quota(x.StateMachine)).throttled(throttled.After, d.jitter)
		d.starts.end(x) // it keeps its place in the queue
		wake(d.startSoon)
	case errors.As(err, &permanent):
		d.log.Error("the engine refused to start an execution", zap.String("request_id", x.ID), zap.String("repo", x.Repository), zap.String("route", x.Route),
			zap.Int("attempt", x.Tries+1), zap.Error(err))
		d.results <- result{x: x, ended: refused(x, err, d.now())}
	default:
		wait := backoff(cfg.RetryBase, cfg.RetryMax, x.Tries, d.jitter)
		d.unstarted.Failed(x.StateMachine, err, zap.String("request_id", x.ID), zap.String("repo", x.Repository), zap.String("route", x.Route),
			zap.Int("attempt", x.Tries+1), zap.Duration("wait", wait))
		d.results <- result{x: x, failed: notStartedYet(x, err.Error(), d.due.now().Add(wait))}
	}
}

// neverReached reports whether x is to be stopped and no start call for it can
// have reached the engine.
func (d *Dispatcher) neverReached(x *Execution) bool {
	return x.StopReason != "" && x.Tries == 0 && x.Seq > d.bootSeq && x.RedriveOf == ""
}

// hasStarted hands on a start.
func (d *Dispatcher) hasStarted(x *Execution, started Started) {
	d.paces.of(d.config().Quota(x.StateMachine)).succeeded()
	d.unstarted.Succeeded(x.StateMachine)
	now := d.now()
	d.stats.started.Add(1)
	d.observer.Started(max(now.Sub(x.CreatedAt), 0)) // a clock may have been set back
	if started.StartedAt.IsZero() {
		started.StartedAt = now
	}
	status := StatusOf(&Execution{State: StateRunning})
	d.results <- result{
		x: x, started: &StartRecord{Seq: x.Seq, ARN: started.ExecutionARN, StartedAt: started.StartedAt, Status: &status}, askAtOnce: started.Existed,
	}
}
