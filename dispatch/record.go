package dispatch

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

// maxBatch is how many results one transaction takes.
const maxBatch = 256

// Names of errors that Switchyard itself gives to executions, in the way of
// Step Functions' States.*.
const (
	errorRefused    = "Switchyard.StartRefused"
	errorLost       = "Switchyard.ExecutionLost"
	ErrorStopped    = "Switchyard.Stopped"
	errorSuperseded = "Switchyard.Superseded"
	errorFault      = "Switchyard.Fault"
)

// result is something the engine said, to be recorded.
type result struct {
	// x is the request that was being started, nil for a hint.
	x       *Execution
	started *StartRecord
	failed  *FailureRecord
	ended   *EndRecord
	// withdrawn is a redrive that is given up.
	withdrawn *WithdrawalRecord
	// outcome comes as a hint.
	outcome *event.Outcome
	// askAtOnce comes with the start of an execution that was there before: it
	// may have ended long ago, without anybody telling us.
	askAtOnce bool
	// after, unless nil, is called when the result has been recorded, or cannot
	// be.
	after func()
}

// errNotRunning is returned for hints that nobody would take.
var errNotRunning = errors.New("dispatch: not running")

// Observe takes a hint that an execution's status has changed. Hints may be
// lost, late or repeated, and may concern executions that are not ours: what
// counts is what polling finds. It waits while many hints are under way, for
// as long as ctx allows.
func (d *Dispatcher) Observe(ctx context.Context, o event.Outcome) error {
	if !o.Status.Closed() || o.Name == "" || o.ExecutionARN == "" {
		return nil
	}
	select {
	case <-d.ended:
		return errNotRunning
	default:
	}
	select {
	case d.results <- result{outcome: &o}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.ended:
		return errNotRunning
	}
}

// record writes results down, as many at once as there are, until idle is
// closed and nothing is left.
func (d *Dispatcher) record(ctx context.Context, idle <-chan struct{}) {
	defer close(d.ended)
	for {
		var batch []result
		select {
		case r := <-d.results:
			batch = append(batch, r)
		case <-idle:
			select {
			case r := <-d.results:
				batch = append(batch, r)
			default:
				return
			}
		}
	more:
		for len(batch) < maxBatch {
			select {
			case r := <-d.results:
				batch = append(batch, r)
			default:
				break more
			}
		}
		d.recordBatch(ctx, batch)
	}
}

func (d *Dispatcher) recordBatch(ctx context.Context, batch []result) {
	err := Guard(func() error { return d.recordResults(ctx, batch) })
	if d.logFault(err, "record results", zap.Int("results", len(batch))) {
		if len(batch) > 1 { // find the one it is about
			for i := range batch {
				d.recordBatch(ctx, batch[i:i+1])
			}
			return
		}
		d.endFaulted(ctx, &batch[0], err)
	}
	again := false
	for i := range batch {
		r := &batch[i]
		if r.x != nil {
			d.starts.end(r.x)
			again = again || r.failed != nil
		}
		if r.after != nil {
			r.after()
		}
	}
	if again {
		wake(d.startSoon) // it has to learn when they fall due
	}
}

// endFaulted ends the request whose result cannot be recorded, so that it is
// not started again and again.
func (d *Dispatcher) endFaulted(ctx context.Context, r *result, fault error) {
	if r.x == nil {
		return
	}
	err := Guard(func() error {
		changes, err := d.write(ctx, d.gather([]result{faultedStart(r.x, fault, d.now())}))
		d.publish(changes)
		return err
	})
	if err != nil {
		d.log.Error("a request whose start cannot be recorded is not marked dead either", zap.String("request_id", r.x.ID), zap.Error(err))
	}
}

// recordResults fails only when writing them panics.
func (d *Dispatcher) recordResults(ctx context.Context, batch []result) error {
	records := d.gather(batch)
	if len(records.Started)+len(records.Failed)+len(records.Ended)+len(records.Withdrawn) > 0 {
		changes, err := d.write(ctx, records)
		if errors.As(err, new(*PanicError)) {
			return err
		}
		if err != nil {
			// Only at shutdown. The next process starts the same names again,
			// and asks the engine for those that run.
			d.log.Warn("results were not recorded; the next start finds them again", zap.Int("results", len(batch)), zap.Error(err))
		}
		for i := range batch {
			if r := &batch[i]; r.started != nil {
				d.watched.add(r.x, r.started.ARN, r.askAtOnce, d.config())
			}
		}
		d.publish(changes)
	}
	return nil
}

// write repeats until the journal has it, or until that panics; once ctx has
// ended it tries one last time, without ctx.
func (d *Dispatcher) write(ctx context.Context, records Records) ([]Change, error) {
	var changes []Change
	step := func(ctx context.Context) (err error) {
		changes, err = d.journal.Record(ctx, records)
		return err
	}
	if ctx.Err() == nil {
		err := d.persistUnlessPanic(ctx, "record results", func() error { return step(ctx) })
		if err == nil || errors.As(err, new(*PanicError)) {
			return changes, err
		}
	}
	const grace = 5 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return changes, step(last)
}

// gather turns results into records. An execution whose start and end come
// together is recorded once, as ended.
func (d *Dispatcher) gather(batch []result) Records {
	records := Records{At: d.now()}
	hints := map[string]*event.Outcome{}
	for i := range batch {
		if r := &batch[i]; r.x == nil && r.outcome != nil {
			hints[r.outcome.Name] = r.outcome
		}
	}
	for i := range batch {
		switch r := &batch[i]; {
		case r.failed != nil:
			records.Failed = append(records.Failed, *r.failed)
		case r.ended != nil:
			records.Ended = append(records.Ended, *r.ended)
		case r.withdrawn != nil:
			records.Withdrawn = append(records.Withdrawn, *r.withdrawn)
		case r.started != nil:
			o := d.starts.held(r.x, r.started.ARN)
			if h := hints[r.x.ID]; o == nil && h != nil && h.ExecutionARN == r.started.ARN && endedSince(h, r.x) {
				o = h
				delete(hints, r.x.ID)
			}
			if o == nil {
				records.Started = append(records.Started, *r.started)
				continue
			}
			end := endOf(o)
			end.Seq = r.x.Seq
			if end.StartedAt.IsZero() {
				end.StartedAt = r.started.StartedAt
			}
			records.Ended = append(records.Ended, end)
		}
	}
	for _, o := range hints {
		if !d.starts.hold(o) {
			records.Ended = append(records.Ended, endOf(o))
		}
	}
	return records
}

// endOf is the record of a closed execution.
func endOf(o *event.Outcome) EndRecord {
	e := EndRecord{
		ID: o.Name, ARN: o.ExecutionARN, State: stateOf(o.Status),
		StartedAt: o.StartedAt, StoppedAt: o.StoppedAt, Output: o.Output, Error: o.Error, Cause: o.Cause,
	}
	e.Status = StatusOf(&Execution{State: e.State, StartedAt: e.StartedAt, StoppedAt: e.StoppedAt, Error: e.Error, Cause: e.Cause})
	return e
}

// StatusOfOutcome is what the commit of an execution is to show, for a caller
// that knows no more of it than its engine.
func StatusOfOutcome(o *event.Outcome) StatusChange {
	return StatusOf(&Execution{State: stateOf(o.Status), StartedAt: o.StartedAt, StoppedAt: o.StoppedAt, Error: o.Error, Cause: o.Cause})
}

// refused is the record of a request that the engine will never start.
func refused(x *Execution, err error, now time.Time) *EndRecord {
	return unstarted(x, StateDead, errorRefused, err.Error(), now)
}

// faultedStart is the record of a request whose start panicked: one that was to
// be redriven is again as it had ended.
func faultedStart(x *Execution, err error, now time.Time) result {
	if x.RedriveOf != "" {
		return withdraw(x, "not redriven: "+err.Error()+"; this is a bug in Switchyard, its log says more")
	}
	cause := "Starting it failed (" + err.Error() + "): this is a bug in Switchyard, its log says more. Once it is repaired, run: switchyard executions redrive " + x.ID
	return result{x: x, ended: unstarted(x, StateDead, errorFault, cause, now)}
}

// neverStarted is the record of a request that was to be stopped before it was
// started.
func neverStarted(x *Execution, now time.Time) *EndRecord {
	if x.SupersededBy != "" {
		return unstarted(x, StateSuperseded, errorSuperseded, x.StopReason, now)
	}
	return unstarted(x, StateAborted, ErrorStopped, x.StopReason, now)
}

func unstarted(x *Execution, s State, name, cause string, now time.Time) *EndRecord {
	e := &EndRecord{Seq: x.Seq, State: s, StoppedAt: now, Error: name, Cause: cause}
	e.Status = StatusOf(&Execution{State: s, SupersededBy: x.SupersededBy, Error: name, Cause: cause})
	return e
}

// lost is the record of an execution that the engine has forgotten.
func lost(x *Execution, now time.Time) EndRecord {
	e := EndRecord{
		Seq: x.Seq, ARN: x.ARN, State: StateFailed, StartedAt: x.StartedAt, StoppedAt: now,
		Error: errorLost, Cause: "The engine does not know this execution any more.",
	}
	e.Status = StatusOf(&Execution{State: e.State, Error: e.Error, Cause: e.Cause})
	return e
}
