package run

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// The flags of a branch's record.
const (
	flagVars = 1 << iota
	flagInput
	flagTry
	flagTries
	flagChild
	flagRun
)

// recordVersion is the first byte of a record.
const recordVersion = 1

// ErrDamaged says that records are not those of a running execution of the
// program.
var ErrDamaged = errors.New("execution record is damaged")

// encode gives the branch's record. tries are what the root's has of mocked
// states.
func (b *branch) encode(tries map[string]int) []byte {
	var flags byte
	if b.varsOwn && !b.done() {
		flags |= flagVars
	}
	var (
		l     limits
		beat  int64
		input value.Value
		try   int
		child string
		run   redriven
	)
	switch d := b.doing.(type) {
	case *working:
		l, input, try = d.limits, d.input, d.try
		flags |= flagInput
		if try > 0 {
			flags |= flagTry
		}
	case *inQueue:
		l, input = d.limits, d.input
		flags |= flagInput
	case *outstanding:
		l, beat = d.limits, d.beat
	case *awaiting:
		l, child = d.limits, d.child
		flags |= flagChild
	case *mapping:
		l.started, run = d.started, d.run
	case backingOff:
		l.started, run = d.run.started, d.run
	}
	if run.is() {
		flags |= flagRun
	}
	if b.parent == nil && len(tries) > 0 {
		flags |= flagTries
	}
	parent := int64(0)
	if b.parent != nil {
		parent = b.parent.id
	}
	name := ""
	if b.state != nil {
		name = b.state.Name
	}
	r := make([]byte, 0, 96+len(name))
	r = append(r, recordVersion, byte(b.phase()), flags)
	for _, n := range [...]int64{parent, int64(b.index)} {
		r = binary.AppendUvarint(r, uint64(n))
	}
	if d, ok := b.doing.(finished); ok {
		return history.AppendText(r, d.output.JSON())
	}
	r = history.AppendText(r, name)
	for _, n := range [...]int64{b.entered, b.enteredAt, b.prev, int64(b.attempt), b.due, l.timeout, l.heartbeat, l.started, beat} {
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
	if flags&flagInput != 0 {
		r = history.AppendText(r, input.JSON())
	}
	if flags&flagTry != 0 {
		r = binary.AppendUvarint(r, uint64(try))
	}
	if flags&flagTries != 0 {
		r = binary.AppendUvarint(r, uint64(len(tries)))
		for state, n := range tries {
			r = binary.AppendUvarint(history.AppendText(r, state), uint64(n))
		}
	}
	if flags&flagChild != 0 {
		r = history.AppendText(r, child)
	}
	if flags&flagRun != 0 {
		r = history.AppendText(r, run.key)
		r = binary.AppendUvarint(r, uint64(run.count))
		r = binary.AppendUvarint(r, uint64(run.at))
	}
	return r
}

// restore rebuilds the branches from their records. Parents have lower IDs
// than their children, so they come first.
func (x *Execution) restore(records []Record) error {
	for _, rec := range records {
		if err := x.restoreBranch(rec); err != nil {
			return fmt.Errorf("record %d: %w", rec.ID, err)
		}
	}
	if x.branches[rootID] == nil {
		return fmt.Errorf("%w: it has no root", ErrDamaged)
	}
	ids := make([]int64, 0, len(x.branches))
	for id := range x.branches {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		b := x.branches[id]
		if b == nil { // its group has failed meanwhile
			continue
		}
		if b.done() {
			delete(x.branches, id)
			continue
		}
		x.resume(b)
	}
	return nil
}

func (x *Execution) restoreBranch(rec Record) error {
	d := history.NewDecoder(rec.Body)
	if v := d.Byte(); v != recordVersion {
		return fmt.Errorf("%w: version %d", ErrDamaged, v)
	}
	b := &branch{id: rec.ID, stored: true}
	at, flags := phase(d.Byte()), d.Byte()
	parent := d.Int()
	b.index = int(d.Int())
	if parent != 0 {
		if b.parent = x.branches[parent]; b.parent == nil || b.parent.state == nil || b.index < 0 {
			return fmt.Errorf("%w: its parent is missing", ErrDamaged)
		}
	}
	x.lastID = max(x.lastID, rec.ID)
	x.branches[rec.ID] = b
	if err := x.decode(b, &d, at, flags); err != nil {
		return err
	}
	if p := b.parent; p != nil {
		g := p.group()
		if g == nil || b.index >= len(g.results) {
			return fmt.Errorf("%w: its parent does not know it", ErrDamaged)
		}
		g.adopt(b)
	}
	return nil
}

// decode reads what follows the place of a branch in its record.
func (x *Execution) decode(b *branch, d *history.Decoder, at phase, flags byte) error {
	var err error
	parse := func() (v value.Value) {
		if text := d.Text(); err == nil && !d.Bad {
			v, err = value.ParseString(text)
		}
		return v
	}
	if at == phaseDone {
		b.doing = finished{parse()}
		if d.Bad || err != nil {
			return errors.Join(ErrDamaged, err)
		}
		return nil
	}
	var (
		l       limits
		beat    int64
		attempt int64
		input   value.Value
		try     int
		child   string
		run     redriven
	)
	b.state = x.prog.States[d.Text()]
	for _, n := range [...]*int64{&b.entered, &b.enteredAt, &b.prev, &attempt, &b.due, &l.timeout, &l.heartbeat, &l.started, &beat} {
		*n = d.Int()
	}
	b.attempt = int(attempt)
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
	if flags&flagInput != 0 {
		input = parse()
	}
	if flags&flagTry != 0 {
		try = int(d.Int())
	}
	if flags&flagTries != 0 {
		n := d.Count()
		x.tries = make(map[string]int, n)
		for range n {
			state := d.Text()
			x.tries[state] = int(d.Int())
		}
	}
	if flags&flagChild != 0 {
		child = d.Text()
	}
	if flags&flagRun != 0 {
		run = redriven{key: d.Text(), started: l.started, count: int(d.Int()), at: d.Int()}
	}
	if d.Bad || err != nil || b.state == nil {
		return errors.Join(ErrDamaged, err)
	}
	switch at {
	case phaseEnter:
	case phaseWait:
		b.doing = waiting{}
	case phaseBackoff:
		b.doing = backingOff{run}
	case phaseTask:
		b.doing = &working{limits: l, input: input, try: try}
	case phaseToken:
		b.doing = &outstanding{l, beat}
	case phaseQueued:
		b.doing = &inQueue{l, input}
	case phaseNested:
		b.doing = &awaiting{l, child}
	case phaseMapRun:
		b.doing = &mapping{started: l.started, run: run}
	case phaseChildren:
		return x.regroup(b)
	default:
		return fmt.Errorf("%w: phase %d", ErrDamaged, at)
	}
	isTask := at == phaseTask || at == phaseToken || at == phaseQueued || at == phaseNested
	if isTask && b.state.Task == nil || at == phaseWait && b.state.Wait == nil || (at == phaseMapRun || run.is()) && b.state.Map == nil {
		return fmt.Errorf("%w: phase %d in a %s state", ErrDamaged, at, b.state.Type)
	}
	return nil
}

// adopt takes a restored child into its parent's group.
func (g *group) adopt(b *branch) {
	b.in = g
	g.next = max(g.next, b.index+1)
	if d, ok := b.doing.(finished); ok {
		g.results[b.index] = d.output
		g.stored = append(g.stored, b.id)
		return
	}
	g.add(b)
}

// regroup makes the group of a branch whose children will follow from their
// records.
func (x *Execution) regroup(b *branch) error {
	if b.state.Type == asl.TypeParallel {
		n := len(b.state.Parallel.Branches)
		b.doing = &group{results: make([]value.Value, n), limit: n}
		return nil
	}
	if b.state.Type != asl.TypeMap {
		return fmt.Errorf("%w: %q has no branches", ErrDamaged, b.state.Name)
	}
	g, err := x.mapGroup(b)
	if err != nil {
		return fmt.Errorf("map state %s: %w", b.state.Name, err)
	}
	b.doing = g
	return nil
}

// resume lets a restored branch go on.
func (x *Execution) resume(b *branch) {
	x.restoreTimes(b)
	switch d := b.doing.(type) {
	case nil:
		x.makeRunnable(b)
	case *working:
		x.again(b, d)
	case *group:
		x.refill(b, d)
	case *inQueue:
		// It stands in the queue already, unless the write that put it there
		// was reported failed.
		x.effect(EnqueueTask{x.queuedTask(b, d), true})
	case *mapping:
		x.resumeMapRun(b, d)
	}
	if b.due != 0 && !b.over() {
		x.wait(b, b.due)
	}
	if d, ok := b.doing.(*awaiting); ok {
		x.await(b)
		x.effect(LookAtChild{b.id, d.child})
	}
}

// restoreTimes corrects the times of a restored branch. A Timestamp is looked at
// anew. Times that were taken from a clock ahead of the present one make the
// branch wait for no longer than it was to wait from the beginning.
func (x *Execution) restoreTimes(b *branch) {
	now, due := x.now(), b.due
	absolute := b.phase() == phaseWait && b.state.Wait.Absolute()
	switch {
	case absolute:
		if until, err := x.waitsUntil(b); err == nil { // it was no error before
			due = until
		}
	case !x.env.ClockWasAhead:
		return
	}
	switch d := b.doing.(type) {
	case waiting:
		if b.enteredAt > now && !absolute {
			due = now + due - b.enteredAt
			b.enteredAt = now
		}
	case backingOff:
		if due-now > b.longestBackoff() {
			due = now
		}
	case *working:
		if d.started > now {
			d.started = now
			x.mark(b)
		}
	case *outstanding:
		if d.started > now || d.beat > now {
			d.started, d.beat = min(d.started, now), min(d.beat, now)
			x.mark(b)
			b.due = 0
			x.watch(b, d.limits, d.beat)
			return
		}
	case *awaiting:
		due = min(due, now+nestedPoll)
	}
	if due != b.due {
		b.due = due
		x.mark(b)
	}
}

// longestBackoff is the longest that the state's Retry lets b wait before its
// present attempt, in milliseconds.
func (b *branch) longestBackoff() int64 {
	longest := int64(0)
	for i := range b.state.Retry {
		if i < len(b.retries) && b.retries[i] > 0 {
			longest = max(longest, b.state.Retry[i].Delay(b.retries[i]-1).Milliseconds())
		}
	}
	return longest
}
