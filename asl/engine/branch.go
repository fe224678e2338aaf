package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// rootID is the branch that the execution itself is.
const rootID = 1

// phase is where a branch is within its state. The values are stored.
type phase uint8

const (
	phaseEnter    phase = iota // about to enter the state
	phaseWait                  // in a Wait state, until due
	phaseTask                  // an attempt at a Task state is under way
	phaseBackoff               // before the next attempt, until due
	phaseChildren              // in a Parallel or Map state
	phaseDone                  // a child that succeeded; output is its output
	phaseMapRun                // in a distributed Map state, whose run is under way
	phaseToken                 // a Task state whose token is still out
	phaseQueued                // a Task state that waits for an activity's worker
	phaseNested                // a Task state that waits for another execution
)

// branch is one line of control of an execution: plain data.
type branch struct {
	id     int64
	parent *branch // nil for the root
	in     *group  // the parent's, that it was started in
	slot   int     // its place in in.children
	// index is the number of a Parallel's branch or of a Map's item.
	index int
	state *asl.State
	phase phase

	entered   int64 // ID of the event that entered the state
	enteredAt int64 // Unix milliseconds
	prev      int64 // ID of the branch's last event
	input     value.Value
	vars      value.Value
	varsOwn   bool // vars differ from the parent's
	attempt   int  // how often the state was tried again
	retries   []int
	due       int64 // Unix milliseconds, 0 for none

	// A task's: its input, and its limits in milliseconds, 0 for none.
	effective value.Value
	timeout   int64
	heartbeat int64
	startedAt int64
	// beat is when the holder of the task's token last gave a sign of life.
	beat int64
	// child is the ARN of the execution that a Task state waits for.
	child string
	// try numbers a mocked state's attempts within the execution; the root
	// counts them, by state.
	try   int
	tries map[string]int

	output value.Value // when done

	// A Parallel's or Map's.
	group *group

	dirty  bool // to be stored
	stored bool // there is a record
	queued bool // in execution.runnable
	dead   bool // not part of the execution any more
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

// over reports whether b is not part of the execution any more, itself or with
// the group it was in.
func (b *branch) over() bool { return b.dead || b.parent != nil && b.parent.group != b.in }

func (b *branch) done() bool { return b.phase == phaseDone }

// item is what $$.Map.Item shows.
type item struct {
	index int64
	item  value.Value
}

// iteration finds the innermost Map item that b works on, or is about to.
func (b *branch) iteration(x *execution) *item {
	if x.selecting != nil {
		return x.selecting
	}
	for ; b.parent != nil; b = b.parent {
		if p := b.parent; p.state.Type == asl.TypeMap && p.group != nil && b.index < len(p.group.items) {
			return &item{int64(b.index), p.group.items[b.index]}
		}
	}
	return nil
}

func (x *execution) mark(b *branch) {
	if !b.dirty {
		b.dirty = true
		x.dirty = append(x.dirty, b)
	}
}

// The flags of a branch's record.
const (
	flagVars = 1 << iota
	flagEffective
	flagTry
	flagTries
	flagChild
)

// recordVersion is the first byte of a record.
const recordVersion = 1

// encode gives the branch's record.
func (b *branch) encode() []byte {
	r := make([]byte, 0, 96+len(b.state.Name))
	var flags byte
	if b.varsOwn && !b.done() {
		flags |= flagVars
	}
	switch b.phase {
	case phaseTask:
		flags |= flagEffective
		if b.try > 0 {
			flags |= flagTry
		}
	case phaseQueued:
		flags |= flagEffective
	case phaseNested:
		flags |= flagChild
	default: // nothing more to keep
	}
	if len(b.tries) > 0 {
		flags |= flagTries
	}
	parent := int64(0)
	if b.parent != nil {
		parent = b.parent.id
	}
	r = append(r, recordVersion, byte(b.phase), flags)
	for _, n := range [...]int64{parent, int64(b.index)} {
		r = binary.AppendUvarint(r, uint64(n))
	}
	if b.done() {
		return history.AppendText(r, b.output.JSON())
	}
	r = history.AppendText(r, b.state.Name)
	for _, n := range [...]int64{b.entered, b.enteredAt, b.prev, int64(b.attempt), b.due, b.timeout, b.heartbeat, b.startedAt, b.beat} {
		r = binary.AppendUvarint(r, uint64(n))
	}
	r = binary.AppendUvarint(r, uint64(len(b.retries)))
	for _, n := range b.retries {
		r = binary.AppendUvarint(r, uint64(n))
	}
	r = history.AppendText(r, b.input.JSON())
	if flags&flagVars != 0 {
		r = history.AppendText(r, b.vars.JSON())
	}
	if flags&flagEffective != 0 {
		r = history.AppendText(r, b.effective.JSON())
	}
	if flags&flagTry != 0 {
		r = binary.AppendUvarint(r, uint64(b.try))
	}
	if flags&flagTries != 0 {
		r = binary.AppendUvarint(r, uint64(len(b.tries)))
		for state, n := range b.tries {
			r = binary.AppendUvarint(history.AppendText(r, state), uint64(n))
		}
	}
	if flags&flagChild != 0 {
		r = history.AppendText(r, b.child)
	}
	return r
}

var errBadRecord = errors.New("execution record is damaged")

// restore rebuilds the branches from their records. Parents have lower IDs
// than their children, so they come first.
func (x *execution) restore(records []store.Record) error {
	for _, rec := range records {
		if err := x.restoreBranch(rec); err != nil {
			return fmt.Errorf("record %d: %w", rec.ID, err)
		}
	}
	if x.branches[rootID] == nil {
		return fmt.Errorf("%w: it has no root", errBadRecord)
	}
	ids := make([]int64, 0, len(x.branches))
	for id := range x.branches {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b := x.branches[id]
		if b.done() {
			delete(x.branches, id)
			continue
		}
		x.resume(b)
	}
	return nil
}

func (x *execution) restoreBranch(rec store.Record) error {
	d := history.NewDecoder(rec.Body)
	if v := d.Byte(); v != recordVersion {
		return fmt.Errorf("%w: version %d", errBadRecord, v)
	}
	b := &branch{id: rec.ID, stored: true, phase: phase(d.Byte())}
	flags := d.Byte()
	parent := d.Int()
	b.index = int(d.Int())
	if parent != 0 {
		if b.parent = x.branches[parent]; b.parent == nil || b.parent.state == nil || b.index < 0 {
			return fmt.Errorf("%w: its parent is missing", errBadRecord)
		}
	}
	x.lastID = max(x.lastID, rec.ID)
	x.branches[rec.ID] = b
	var err error
	parse := func() (v value.Value) {
		if text := d.Text(); err == nil && !d.Bad {
			v, err = value.ParseString(text)
		}
		return v
	}
	if b.done() {
		b.output = parse()
	} else {
		b.state = x.prog.states[d.Text()]
		for _, n := range [...]*int64{&b.entered, &b.enteredAt, &b.prev, nil, &b.due, &b.timeout, &b.heartbeat, &b.startedAt, &b.beat} {
			if n == nil {
				b.attempt = int(d.Int())
			} else {
				*n = d.Int()
			}
		}
		for range d.Count() {
			b.retries = append(b.retries, int(d.Int()))
		}
		b.input = parse()
		switch {
		case flags&flagVars != 0:
			b.vars, b.varsOwn = parse(), true
		case b.parent != nil:
			b.vars = b.parent.vars
		default:
			b.vars, b.varsOwn = value.EmptyObject, true
		}
		if flags&flagEffective != 0 {
			b.effective = parse()
		}
		if flags&flagTry != 0 {
			b.try = int(d.Int())
		}
		if flags&flagTries != 0 {
			n := d.Count()
			b.tries = make(map[string]int, n)
			for range n {
				state := d.Text()
				b.tries[state] = int(d.Int())
			}
		}
		if flags&flagChild != 0 {
			b.child = d.Text()
		}
		d.Bad = d.Bad || b.state == nil
	}
	if d.Bad || err != nil {
		return errors.Join(errBadRecord, err)
	}
	if b.phase == phaseChildren {
		if err := x.regroup(b); err != nil {
			return err
		}
	}
	if p := b.parent; p != nil {
		if p.group == nil || b.index >= len(p.group.results) {
			return fmt.Errorf("%w: its parent does not know it", errBadRecord)
		}
		p.group.adopt(b)
	}
	return nil
}

// adopt takes a restored child into its parent's group.
func (g *group) adopt(b *branch) {
	b.in = g
	g.next = max(g.next, b.index+1)
	if b.done() {
		g.results[b.index] = b.output
		g.stored = append(g.stored, b.id)
		return
	}
	g.add(b)
}

// regroup makes the group of a branch whose children will follow from their
// records.
func (x *execution) regroup(b *branch) error {
	if b.state.Type == asl.TypeParallel {
		n := len(b.state.Parallel.Branches)
		b.group = &group{results: make([]value.Value, n), limit: n}
		return nil
	}
	g, err := x.mapGroup(b)
	if err != nil {
		return fmt.Errorf("map state %s: %w", b.state.Name, err)
	}
	b.group = g
	return nil
}

// resume lets a restored branch go on.
func (x *execution) resume(b *branch) {
	x.restoreTimes(b)
	switch b.phase {
	case phaseEnter:
		x.makeRunnable(b)
	case phaseTask:
		x.again(b)
	case phaseChildren:
		x.refill(b)
	case phaseQueued:
		// It stands in line already, unless the write that put it there was
		// reported failed.
		x.e.desk.push(x.queued(b), false)
	case phaseMapRun:
		x.resumeMapRun(b)
	default: // waits for its time
	}
	if b.due != 0 {
		x.wait(b, b.due)
	}
	if b.phase == phaseNested {
		x.nest(b)
		x.lookAtChild(b)
	}
}
