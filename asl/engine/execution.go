package engine

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"switchyard/internal/uuid"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// execution is a running execution in memory.
type execution struct {
	e  *Engine
	id int64

	mu    sync.Mutex // guards inbox, busy and gone
	inbox []message
	// busy: a worker, the run queue or the store has the execution.
	busy bool
	// gone: it was dropped from memory; messages go to its successor.
	gone bool

	// What follows belongs to the worker that runs the execution; while a
	// write is under way nobody touches it.

	rec      *store.Execution // nil until loaded
	prog     *program
	testCase *testCase // nil unless it was started with one
	input    value.Value
	hist     history.Writer
	branches map[int64]*branch
	lastID   int64 // of a branch
	runnable []*branch
	due      dueHeap
	running  map[int64]*running // tasks, by branch
	nested   map[int64]struct{} // branches in phaseNested
	// created, when not nil, is where the caller waits who asked for this
	// execution, which is not in the store yet.
	created  chan error
	overflow bool // the history is full
	// attrs are the decoded ones of rec.
	attrs executionAttrs
	// from is the execution's origin, once it was asked for.
	from *json.RawMessage
	// suffix ends the ARN of an EXPRESS execution; result, when not nil, is
	// where somebody waits for the end of one; test is not nil for a state
	// that is tested by itself.
	suffix string
	result chan *store.Execution
	test   *stateTest

	// What the next write carries, and what it allows once it is durable.
	dirty  []*branch
	drop   []int64
	starts []*running
	end    *store.Ending
	stops  []chan struct{}
	docs   []store.Doc
	after  []func()
	// aborted are Map runs whose children are to be stopped.
	aborted []string

	write    store.Write
	writing  bool
	failed   bool // the write failed and is to be repeated
	unstored bool // that was said
	writeErr error
	wake     int64 // as the store has it
	newWake  int64

	// handling are the messages of this turn that are not done with, the one at
	// hand first; condemned says that a turn has panicked.
	handling  []message
	condemned bool

	// frame is what a state's fields see; it is filled for the branch at hand.
	frame asl.Frame
	at    *branch
	// looks and lookedAt belong to stateTime.
	looks    int
	lookedAt int64
	// selecting is the item an ItemSelector is evaluated for.
	selecting *item
}

type messageKind uint8

const (
	msgTime messageKind = iota // a timer has expired
	msgStop
	msgTask // a task has ended
	msgCall // somebody wants something of a branch
)

// message is what reaches an execution from outside.
type message struct {
	kind      messageKind
	errorName string
	cause     string
	ended     chan struct{} // closed once the execution has ended durably
	task      *running
	output    []byte
	err       error
	// call is what the message is about; in its place gone is called when the
	// execution has ended, or (there is false) never was.
	call func(x *execution)
	gone func(there bool)
}

func newExecution(e *Engine, rec *store.Execution, prog *program, input value.Value) *execution {
	x := &execution{e: e, id: rec.ID}
	x.setup(rec, prog, input)
	x.created = make(chan error, 1)
	x.hist.StartAt(2) // event 1 is the execution's row
	root := &branch{id: rootID, state: prog.machine.Start, input: input, vars: value.EmptyObject, varsOwn: true}
	x.lastID = rootID
	x.branches[rootID] = root
	x.makeRunnable(root)
	return x
}

func (x *execution) setup(rec *store.Execution, prog *program, input value.Value) {
	x.rec, x.prog, x.input = rec, prog, input
	x.branches = make(map[int64]*branch, 1)
	x.nested = nil
	x.wake = rec.Wake
	x.frame = asl.Frame{}
	x.frame.Scope.Context = func() value.Value { return x.contextObject(x.at) }
	x.frame.Scope.NewUUID = uuid.New
	x.frame.Scope.Variable = func(name string) (value.Value, bool) { return x.at.vars.Get(name) }
	if t := x.timeLimit(); t > 0 {
		x.wait(nil, x.e.clock.since(x.id, max(rec.Started, x.attrs.Redriven), x.now())+t.Milliseconds())
	}
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
	// Whoever reads the execution from the store may send it a message as
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

// post gives an execution a message; one that is not in memory is loaded.
func (e *Engine) post(id int64, m message) {
	for {
		e.liveMu.Lock()
		x := e.live[id]
		if x == nil {
			x = &execution{e: e, id: id}
			e.live[id] = x
		}
		e.liveMu.Unlock()
		if x.post(m) {
			return
		}
	}
}

func (x *execution) post(m message) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone {
		return false
	}
	x.inbox = append(x.inbox, m)
	if !x.busy {
		x.busy = true
		x.e.hold()
		x.e.queue.push(x)
	}
	return true
}

// forget drops x from memory, unless there is a message for it and force is
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
	if x.rec == nil && !x.load(ctx) {
		return
	}
	if x.failed {
		x.failed = false
		x.apply()
		return
	}
	if x.writing {
		x.writing = false
		if x.created != nil && !x.born() {
			return
		}
		if x.writeErr != nil {
			x.e.failures.Failed(x.arn(), x.writeErr)
			x.failed, x.unstored = true, true
			x.e.timers.set(x.id, x.e.now().Add(storeRetry).UnixMilli())
			x.park()
			return
		}
		if x.unstored {
			x.unstored = false
			x.e.failures.Succeeded(x.arn())
		}
		ended := x.end != nil // durably; what is written may end it too
		x.written()
		if ended {
			x.close()
			return
		}
	}
	x.mu.Lock()
	inbox := x.inbox
	x.inbox = nil
	x.mu.Unlock()
	for i := range inbox {
		x.handling = inbox[i:]
		x.handle(&inbox[i])
	}
	x.handling = nil
	if !x.e.stopping.Load() {
		x.advance()
	}
	if x.changed() {
		x.prepare()
		x.apply()
		return
	}
	x.rest()
}

// born answers the caller who asked for x, now that its first write has gone
// through or failed. It is false when x does not exist.
func (x *execution) born() bool {
	err, created := x.writeErr, x.created
	x.created = nil
	if err != nil {
		x.forget(true)
		if !errors.Is(err, store.ErrExists) {
			// It may have been stored all the same. Look later: what is
			// there runs, what is not there is forgotten.
			x.e.timers.set(x.id, x.e.now().Add(storeRetry).UnixMilli())
		}
		created <- err
		x.e.release()
		return false
	}
	x.wake = x.rec.Wake
	x.e.announce(x.rec)
	created <- nil
	return true
}

// park leaves x alone although it may have messages.
func (x *execution) park() {
	x.mu.Lock()
	x.busy = false
	x.mu.Unlock()
	x.e.release()
}

// rest ends a turn after which nothing is left to write.
func (x *execution) rest() {
	idle := len(x.runnable) == 0
	if idle && len(x.running) == 0 && !x.express() {
		due := x.nextDue()
		if due == store.Never || due > x.e.now().Add(napTime).UnixMilli() {
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
	for _, m := range x.inbox {
		switch m.kind {
		case msgStop:
			x.stops = append(x.stops, m.ended)
		case msgCall:
			m.gone(x.rec != nil)
		default: // nobody waits for an answer
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

func (x *execution) handle(m *message) {
	switch m.kind {
	case msgTime:
		x.expire()
	case msgStop:
		x.stops = append(x.stops, m.ended)
		if x.end == nil {
			x.abortAll()
			x.finish(store.Aborted, history.ExecutionAborted, nil, m.errorName, m.cause)
		}
	case msgTask:
		x.taskEnded(m)
	case msgCall:
		m.call(x)
	}
}

// advance runs branches, a state of each in turn, until all of them wait or
// enough has happened for one write.
func (x *execution) advance() {
	limit := x.hist.First() + int64(x.e.cfg.FlushEvents)
	x.looks = 0
	steps := 0
	for x.end == nil {
		if x.overflow {
			x.abortAll()
			x.finish(store.Failed, history.ExecutionFailed, nil, asl.ErrRuntime, historyFull(x.e.cfg.MaxHistory))
			return
		}
		if len(x.runnable) == 0 || x.hist.Next() >= limit || steps >= x.e.cfg.FlushEvents {
			return
		}
		b := x.runnable[0]
		if len(x.runnable) == 1 {
			x.runnable = x.runnable[:0]
		} else {
			x.runnable = x.runnable[1:]
		}
		b.queued = false
		if !b.over() {
			x.step(b)
			steps++
		}
	}
}

func (x *execution) makeRunnable(b *branch) {
	if !b.queued {
		b.queued = true
		x.runnable = append(x.runnable, b)
	}
}

// changed reports whether there is anything to make durable, or to do.
func (x *execution) changed() bool {
	return x.created != nil || !x.hist.Empty() || len(x.dirty) > 0 || len(x.drop) > 0 || len(x.docs) > 0 || len(x.after) > 0 || len(x.starts) > 0 || x.end != nil || x.nextWake0() != x.wake
}

// nextWake0 is when a process that starts over must look at x: at once when
// there is something to do.
func (x *execution) nextWake0() int64 {
	// A child may end while nobody is there to be told.
	if len(x.runnable) > 0 || len(x.running) > 0 || len(x.starts) > 0 || len(x.nested) > 0 {
		return 0
	}
	return x.nextDue()
}

// prepare makes the write out of everything since the last one.
func (x *execution) prepare() {
	w := &x.write
	w.Exec, w.End = x.id, x.end
	w.Put, w.Drop = w.Put[:0], w.Drop[:0]
	w.History, w.Wake = nil, nil
	if !x.hist.Empty() {
		w.History = stored(x.hist.Segment())
	}
	if x.end == nil {
		for _, b := range x.dirty {
			b.dirty = false
			if b.over() {
				delete(x.branches, b.id)
				continue
			}
			w.Put = append(w.Put, store.Record{ID: b.id, Body: b.encode()})
			b.stored = true
			if b.done() {
				// It lives on in its parent's results.
				delete(x.branches, b.id)
				b.in.stored = append(b.in.stored, b.id)
			}
		}
		w.Drop = append(w.Drop, x.drop...)
		if x.newWake = x.nextWake0(); x.newWake != x.wake && x.created == nil {
			w.Wake = &x.newWake
		}
	}
	if x.end != nil {
		x.unorphan()
	}
	w.Docs = append(w.Docs[:0], x.docs...)
	if w.Create = nil; x.created != nil {
		x.rec.Wake = x.newWake
		w.Create = x.rec
	}
	if w.Done == nil {
		w.Done = func(err error) {
			x.writeErr = err
			x.e.queue.push(x)
		}
	}
}

func stored(s history.Segment) *store.Segment {
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

// written lets what was just stored have its effects.
func (x *execution) written() {
	x.hist.Reset()
	clear(x.dirty)
	x.dirty, x.drop, x.docs = x.dirty[:0], x.drop[:0], x.docs[:0]
	x.e.maps.Abort(x.aborted)
	x.aborted = x.aborted[:0]
	if x.end != nil {
		x.rec.Status, x.rec.Stopped = x.end.Status, x.end.Stopped
		x.rec.Output, x.rec.Error, x.rec.Cause = x.end.Output, x.end.Error, x.end.Cause
		x.e.announce(x.rec)
		x.e.tellParent(x.rec)
		x.e.maps.ChildEnded(x.rec)
		x.effects()
		return
	}
	x.wake = x.newWake
	for _, r := range x.starts {
		x.start(r)
	}
	clear(x.starts)
	x.starts = x.starts[:0]
	x.effects()
	if due := x.nextDue(); due == store.Never {
		x.e.timers.clear(x.id)
	} else {
		x.e.timers.set(x.id, due)
	}
}

// then lets f run once what happened up to now is durable.
func (x *execution) then(f func()) { x.after = append(x.after, f) }

func (x *execution) effects() {
	after := x.after
	x.after = nil
	for _, f := range after {
		f()
	}
}

func (x *execution) arn() string {
	if x.express() {
		return x.e.names.Express(x.rec.Machine, x.rec.Name, x.suffix)
	}
	return x.e.names.Execution(x.rec.Machine, x.rec.Name)
}

// now is in Unix milliseconds.
func (x *execution) now() int64 { return x.e.now().UnixMilli() }

// stateTime is now for the entry into a state. Sixteen states in a row share a
// look at the clock: they take microseconds, histories count milliseconds, and
// the clock would be a tenth of the cost of a transition.
func (x *execution) stateTime() int64 {
	if x.looks&15 == 0 {
		x.lookedAt = x.now()
	}
	x.looks++
	return x.lookedAt
}
