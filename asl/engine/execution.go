package engine

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"switchyard/asl/history"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// execution is a running execution in memory: package run says what it does,
// this type gives it its messages, one turn after the other, stores what comes
// of them, and then does what has to be done.
type execution struct {
	e  *Engine
	id int64

	mu    sync.Mutex // guards inbox, busy and gone
	inbox []letter
	// busy: a worker, the run queue or the store has the execution.
	busy bool
	// gone: it was dropped from memory; letters go to its successor.
	gone bool

	// What follows belongs to the worker that runs the execution; while a
	// write is under way nobody touches it.

	rec      *store.Execution // nil until loaded
	attrs    executionAttrs   // the decoded ones of rec
	prog     *program
	input    value.Value
	testCase *testCase      // nil unless it was started with one
	run      *run.Execution // nil before the first turn
	// attempts are the tasks and Map runs that were begun, by their numbers.
	attempts map[int64]*attempt
	// answers are for the letters whose effects are still to come.
	answers map[run.Message]func(run.Reply)
	// created, when not nil, is where the caller waits who asked for this
	// execution, which is not in the store yet.
	created chan error
	// from is the execution's origin, once it was asked for.
	from *json.RawMessage
	// suffix ends the ARN of an EXPRESS execution; result, when not nil, is
	// where somebody waits for the end of one; trial is not nil for a state
	// that is tested by itself.
	suffix string
	result chan *store.Execution
	trial  *run.Trial
	// stops are closed once the execution has ended.
	stops []chan struct{}

	// step is what the write under way is about.
	step     *run.Step
	write    store.Write
	writing  bool
	failed   bool // the write failed and is to be repeated
	unstored bool // that was said
	writeErr error
	wake     int64 // as the store has it

	// handling are the letters of this turn that are not done with; condemned
	// says that a turn has panicked.
	handling  []letter
	condemned bool
}

func newExecution(e *Engine, rec *store.Execution, prog *program, input value.Value) *execution {
	return &execution{e: e, id: rec.ID, rec: rec, prog: prog, input: input, created: make(chan error, 1), wake: rec.Wake}
}

// about is what the execution is for package run.
func (x *execution) about() run.About {
	a := run.About{
		ID: x.id, Machine: x.rec.Machine, Name: x.rec.Name, ARN: x.arn(), RoleARN: x.prog.rev.RoleARN, Input: x.input,
		Started: x.rec.Started, Redriven: x.attrs.Redriven, Redrives: x.attrs.Redrives,
		Awaited: x.result != nil, TimesOut: run.Never, Mocked: x.testCase.mocked(),
	}
	if x.attrs.Child != nil {
		a.Item, a.HasItem = x.attrs.Child.ItemContext(x.rec.Name, x.input)
	}
	if t := x.timeLimit(); t > 0 {
		a.TimesOut = x.e.clock.since(x.id, max(x.rec.Started, x.attrs.Redriven), x.e.now().UnixMilli()) + t.Milliseconds()
	}
	return a
}

// admit lets a new execution run. It is false when the engine does not run.
func (e *Engine) admit(x *execution) bool { return e.ran.Load() && e.enter(x) }

// enter lets x run, now or when the engine begins to. It is false when the
// engine ends.
func (e *Engine) enter(x *execution) bool {
	if e.stopping.Load() {
		return false
	}
	x.busy = true
	e.hold()
	// Whoever reads the execution from the store may send it a letter as
	// soon as it is durable, and must find this copy of it.
	e.liveMu.Lock()
	e.live[x.id] = x
	e.liveMu.Unlock()
	if e.queue.push(x) {
		return true
	}
	x.forget(true)
	e.release()
	return false
}

// forget drops x from memory, unless there is a letter for it and force is
// not set.
func (x *execution) forget(force bool) bool {
	x.e.liveMu.Lock()
	defer x.e.liveMu.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.inbox) > 0 && !force {
		return false
	}
	x.gone = true
	delete(x.e.live, x.id)
	return true
}

// turn advances x: what a worker does with it at a time.
func (x *execution) turn(ctx context.Context) {
	switch {
	case x.failed:
		x.failed = false
		x.apply()
		return
	case x.writing:
		x.writing = false
		if !x.stored() {
			return
		}
		if x.perform(); x.step.End != nil {
			x.close()
			return
		}
	}
	if x.run == nil && !x.begin(ctx) {
		return
	}
	x.take()
	if x.prepare() {
		x.apply()
		return
	}
	x.perform()
	x.rest()
}

// begin makes ready an execution that is new in memory. It is false when there
// is nothing to do any more, or it cannot be read now.
func (x *execution) begin(ctx context.Context) bool {
	if x.rec == nil {
		return x.load(ctx)
	}
	if x.trial != nil {
		x.run = run.NewTrial(x.about(), x.prog.Program, &x.e.env, x.trial)
	} else {
		x.run = run.New(x.about(), x.prog.Program, &x.e.env)
	}
	return true
}

// take hands over the letters that have come, and takes the execution on.
func (x *execution) take() {
	x.mu.Lock()
	inbox := x.inbox
	x.inbox = nil
	x.mu.Unlock()
	x.handling = inbox
	messages := make([]run.Message, 0, 4)
	for i := range inbox {
		l := &inbox[i]
		if l.unless != nil && l.unless() {
			l.refused()
			l.gone = nil
			continue
		}
		if l.ended != nil {
			x.stops = append(x.stops, l.ended)
		}
		if l.answer != nil {
			if x.answers == nil {
				x.answers = map[run.Message]func(run.Reply){}
			}
			x.answers[l.message] = l.answer
		}
		switch m := l.message.(type) {
		case nil:
		case run.Tick:
			messages = append(messages, run.Tick{Beats: x.beats()})
		default:
			messages = append(messages, m)
		}
	}
	if x.e.stopping.Load() {
		x.step = x.run.Note(x.e.time(), messages...)
	} else {
		x.step = x.run.Advance(x.e.time(), messages...)
	}
	x.handling = nil
	for _, l := range inbox {
		if l.running != nil {
			l.running <- x.step.End == nil
		}
	}
}

// stored takes note of how the write went. It is false when it is to be
// repeated, or was to create x and did not.
func (x *execution) stored() bool {
	if x.created != nil && !x.answerCreator() {
		return false
	}
	if x.writeErr != nil {
		x.e.failures.Failed(x.arn(), x.writeErr)
		x.failed, x.unstored = true, true
		x.e.timers.set(x.id, x.e.now().Add(store.Retry).UnixMilli())
		x.park()
		return false
	}
	if x.unstored {
		x.unstored = false
		x.e.failures.Succeeded(x.arn())
	}
	x.wake = x.step.Wake
	return true
}

// answerCreator answers the caller who asked for x, now that its first write has
// gone through or failed. It is false when x does not exist.
func (x *execution) answerCreator() bool {
	err, created := x.writeErr, x.created
	x.created = nil
	if err != nil {
		x.forget(true)
		if !errors.Is(err, store.ErrExists) {
			// It may have been stored all the same. Look later: what is
			// there runs, what is not there is forgotten.
			x.e.timers.set(x.id, x.e.now().Add(store.Retry).UnixMilli())
		}
		created <- err
		x.e.release()
		return false
	}
	x.e.announce(x.rec)
	created <- nil
	return true
}

// park leaves x alone although it may have letters.
func (x *execution) park() {
	x.mu.Lock()
	x.busy = false
	x.mu.Unlock()
	x.e.release()
}

// rest ends a turn after which nothing is left to write.
func (x *execution) rest() {
	idle := !x.step.More
	if idle && !x.run.Working() && !x.express() {
		due := x.step.Due
		if due == run.Never || due > x.e.now().Add(napTime).UnixMilli() {
			if x.forget(false) {
				x.e.release()
				return
			}
		}
	}
	x.mu.Lock()
	if len(x.inbox) > 0 || !idle && !x.e.stopping.Load() {
		x.mu.Unlock()
		x.e.queue.push(x)
		return
	}
	x.busy = false
	x.mu.Unlock()
	x.e.release()
}

// close ends x's life in memory: it has ended, durably.
func (x *execution) close() {
	x.e.timers.clear(x.id)
	x.forget(true)
	for _, l := range x.inbox {
		if l.ended != nil {
			x.stops = append(x.stops, l.ended)
		}
		if l.running != nil {
			l.running <- false
		}
		if l.gone != nil {
			l.gone(x.rec != nil)
		}
	}
	if x.result != nil {
		x.result <- x.rec
	}
	for _, c := range x.stops {
		close(c)
	}
	x.e.release()
}

// prepare makes the write out of the step. It is false when there is nothing to
// store.
func (x *execution) prepare() bool {
	s, w := x.step, &x.write
	w.Exec, w.End, w.History, w.Wake, w.Create = x.id, nil, nil, nil, nil
	w.Put, w.Drop, w.Docs = w.Put[:0], append(w.Drop[:0], s.Drop...), w.Docs[:0]
	if s.Events.Last >= s.Events.First {
		w.History = segment(s.Events)
	}
	for _, r := range s.Put {
		w.Put = append(w.Put, store.Record(r))
	}
	for _, e := range s.Effects {
		w.Docs = x.foresee(e, w.Docs)
	}
	if end := s.End; end != nil {
		w.End = &store.Ending{Status: statusOf[end.Event], Stopped: end.At, Output: end.Output, Error: end.Error, Cause: end.Cause}
		w.Docs = x.unorphan(w.Docs)
	} else if s.Wake != x.wake && x.created == nil {
		w.Wake = &s.Wake
	}
	if x.created != nil {
		x.rec.Wake = s.Wake
		w.Create = x.rec
	}
	if w.Done == nil {
		w.Done = func(err error) {
			x.writeErr = err
			x.e.queue.push(x)
		}
	}
	return w.Create != nil || w.History != nil || w.End != nil || w.Wake != nil || len(w.Put) > 0 || len(w.Drop) > 0 || len(w.Docs) > 0
}

// statusOf is the status with which an event ends an execution.
var statusOf = map[history.Type]store.Status{
	history.ExecutionSucceeded: store.Succeeded, history.ExecutionFailed: store.Failed,
	history.ExecutionTimedOut: store.TimedOut, history.ExecutionAborted: store.Aborted,
}

func segment(s history.Segment) *store.Segment {
	seg := store.Segment(s)
	return &seg
}

func (x *execution) apply() {
	x.writing = true
	if x.express() { // nothing of it is kept
		x.write.Done(nil)
		return
	}
	x.e.store.Apply(&x.write)
}

func (x *execution) arn() string {
	if x.express() {
		return x.e.names.Express(x.rec.Machine, x.rec.Name, x.suffix)
	}
	return x.e.names.Execution(x.rec.Machine, x.rec.Name)
}

// time is now for package run.
func (e *Engine) time() run.Time {
	return run.Time{Now: e.now().UnixMilli(), Drift: int64(e.clock.drift() / time.Millisecond)}
}
