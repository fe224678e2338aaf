package run

import (
	"switchyard/asl"
	"switchyard/asl/value"
)

// rootID is the branch that the execution itself is.
const rootID = 1

// branch is one line of control of an execution: a header, and what it does in
// its state.
type branch struct {
	id     int64
	parent *branch // nil for the root
	in     *group  // the parent's, that it was started in
	slot   int     // its place in in.children
	// index is the number of a Parallel's branch or of a Map's item.
	index int
	state *asl.State

	entered   int64 // ID of the event that entered the state
	enteredAt int64 // Unix milliseconds
	prev      int64 // ID of the branch's last event
	input     value.Value
	vars      value.Value
	varsOwn   bool // vars differ from the parent's
	attempt   int  // how often the state was tried again
	retries   []int
	due       int64 // Unix milliseconds, 0 for none

	// doing is what it does in the state, nil when it is about to enter it.
	doing doing

	dirty  bool // to be stored
	stored bool // there is a record
	queued bool // in Execution.runnable
	dead   bool // not part of the execution any more
}

// doing is what a branch does in its state. There is a type for each phase.
type doing interface{ phase() phase }

// phase is where a branch is within its state. The values are stored.
type phase uint8

const (
	phaseEnter phase = iota
	phaseWait
	phaseTask
	phaseBackoff
	phaseChildren
	phaseDone
	phaseMapRun
	phaseToken
	phaseQueued
	phaseNested
)

type (
	// waiting: in a Wait state, until due.
	waiting struct{}
	// backingOff: before the next attempt, until due, or before a redrive goes on
	// with a Map run.
	backingOff struct{ run redriven }
	// working: an attempt at a Task state is under way.
	working struct {
		limits
		input   value.Value // the task's
		attempt int64       // as the effects name it
		try     int         // of a mocked state
	}
	// outstanding: the token of a Task state is still out. beat is when its
	// holder last gave a sign of life.
	outstanding struct {
		limits
		beat int64
	}
	// inQueue: a Task state waits for a worker of its activity.
	inQueue struct {
		limits
		input value.Value
	}
	// awaiting: a Task state waits for another execution.
	awaiting struct {
		limits
		child string // its ARN
	}
	// mapping: the run of a distributed Map is under way.
	mapping struct {
		started int64 // Unix milliseconds
		attempt int64
		run     redriven
	}
	// finished: a child that succeeded.
	finished struct{ output value.Value }
)

func (waiting) phase() phase      { return phaseWait }
func (backingOff) phase() phase   { return phaseBackoff }
func (*working) phase() phase     { return phaseTask }
func (*outstanding) phase() phase { return phaseToken }
func (*inQueue) phase() phase     { return phaseQueued }
func (*awaiting) phase() phase    { return phaseNested }
func (*mapping) phase() phase     { return phaseMapRun }
func (*group) phase() phase       { return phaseChildren }
func (finished) phase() phase     { return phaseDone }

func (b *branch) phase() phase {
	if b.doing == nil {
		return phaseEnter
	}
	return b.doing.phase()
}

// limits are a task's: milliseconds, 0 for none, since started.
type limits struct{ timeout, heartbeat, started int64 }

// exceeded gives the limit that the task has exceeded, if any, when it last gave
// a sign of life at beat.
func (l limits) exceeded(beat, now int64) (name string, why Reason, is bool) {
	switch {
	case l.timeout > 0 && now >= l.started+l.timeout:
		return asl.ErrTimeout, TimedOut, true
	case l.heartbeat > 0 && now >= beat+l.heartbeat:
		return asl.ErrHeartbeatTimeout, Silent, true
	}
	return "", 0, false
}

// next is when the next limit may be exceeded, 0 for never.
func (l limits) next(beat int64) (due int64) {
	if l.timeout > 0 {
		due = l.started + l.timeout
	}
	if l.heartbeat > 0 && (due == 0 || beat+l.heartbeat < due) {
		due = beat + l.heartbeat
	}
	return due
}

// group is what a branch keeps about its children. It is not stored: it
// follows from the branch and the records of the children, so that a child's
// end costs one record and not its parent's too.
type group struct {
	items     []value.Value // a Map's
	effective value.Value   // a Map's effective input
	results   []value.Value
	limit     int // how many children run at once
	next      int // index of the next child to start
	active    int
	children  []*branch // those that are active
	// ended is the event with which the last child ended.
	ended int64
	// stored are the records of finished children.
	stored []int64
}

// group is the branch's, nil when it is in no Parallel or Map.
func (b *branch) group() *group {
	g, _ := b.doing.(*group)
	return g
}

// over reports whether b is not part of the execution any more, itself or with
// the group it was in.
func (b *branch) over() bool { return b.dead || b.parent != nil && b.parent.group() != b.in }

func (b *branch) done() bool { return b.phase() == phaseDone }

// item is what $$.Map.Item shows.
type item struct {
	index int64
	item  value.Value
}

// iteration finds the innermost Map item that b works on, or is about to.
func (x *Execution) iteration(b *branch) *item {
	if x.selecting != nil {
		return x.selecting
	}
	for ; b.parent != nil; b = b.parent {
		p := b.parent
		if g := p.group(); p.state.Type == asl.TypeMap && g != nil && b.index < len(g.items) {
			return &item{int64(b.index), g.items[b.index]}
		}
	}
	return nil
}

func (x *Execution) mark(b *branch) {
	if !b.dirty {
		b.dirty = true
		x.dirty = append(x.dirty, b)
	}
}
