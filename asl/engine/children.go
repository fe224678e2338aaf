package engine

import (
	"fmt"

	"switchyard/asl"
	"switchyard/asl/value"
)

// maxChildren is how many iterations of a distributed Map run at once when its
// MaxConcurrency does not say less, as with Step Functions.
const maxChildren = 10_000

func (x *execution) startParallel(b *branch) error {
	v, err := x.effectiveInput(b)
	if err != nil {
		return err
	}
	graphs := b.state.Parallel.Branches
	b.group = &group{results: make([]value.Value, len(graphs)), limit: len(graphs), effective: v}
	b.phase = phaseChildren
	x.mark(b)
	x.follow(b, &Event{Type: ParallelStateStarted})
	x.fill(b)
	return nil
}

func (x *execution) startMap(b *branch) error {
	g, err := x.mapGroup(b)
	if err != nil {
		return err
	}
	x.follow(b, &Event{Type: MapStateStarted, Has: HasLength, Length: int64(len(g.items))})
	if g.tolerance, err = b.state.Map.Tolerance(x.see(b, g.effective)); err != nil {
		return err
	}
	b.group = g
	b.phase = phaseChildren
	x.mark(b)
	if b.state.Map.Processor.Distributed {
		x.follow(b, &Event{Type: MapRunStarted, Has: HasARN, ARN: x.mapRunARN(b)})
	}
	x.fill(b)
	return nil
}

// mapGroup evaluates what the Map state works on. It is repeated after a
// restart, so it must depend on the branch's input and variables only.
func (x *execution) mapGroup(b *branch) (*group, error) {
	m := b.state.Map
	if m.ItemReader != nil || m.ItemBatcher != nil || m.ResultWriter != nil {
		return nil, &asl.Error{Name: asl.ErrRuntime, Cause: "ItemReader, ItemBatcher and ResultWriter are not supported by this engine."}
	}
	g := &group{}
	var err error
	if g.effective, err = b.state.InputPath.Apply(x.see(b, b.input)); err != nil {
		return nil, err
	}
	sc := x.see(b, g.effective)
	limit, err := m.MaxConcurrency(sc)
	if err != nil {
		return nil, err
	}
	if g.items, err = m.Items(sc); err != nil {
		return nil, err
	}
	most := int64(x.e.cfg.MapConcurrency)
	if m.Processor.Distributed {
		most = maxChildren
	}
	if limit == 0 || limit > most {
		limit = most
	}
	g.limit = int(limit)
	g.results = make([]value.Value, len(g.items))
	return g, nil
}

// mapRunARN names the run of a distributed Map; it is the same after a restart.
func (x *execution) mapRunARN(b *branch) string {
	label := b.state.Map.Label
	if label == "" {
		label = b.state.Name
	}
	return fmt.Sprintf("%smapRun:%s/%s:%s-%d-%d", x.e.arnPrefix, x.rec.Machine, label, x.tag(), b.entered, b.attempt)
}

// fill starts children up to the group's limit, and goes on when there are
// none left.
func (x *execution) fill(b *branch) {
	g := b.group
	for g.active < g.limit && g.next < len(g.results) {
		c := &branch{
			parent: b, in: g, index: g.next, vars: b.vars, prev: b.prev, quiet: b.quiet, input: g.effective,
		}
		if b.state.Type == asl.TypeParallel {
			c.state = b.state.Parallel.Branches[c.index].Start
		} else {
			m := b.state.Map
			c.state = m.Processor.Start
			c.quiet = c.quiet || m.Processor.Distributed
			c.input = g.items[c.index]
			if m.ItemSelector != nil {
				x.selecting = &item{int64(c.index), c.input}
				v, err := m.ItemSelector.Eval(x.see(b, g.effective))
				x.selecting = nil
				if err != nil {
					x.stateFailed(b, x.located(b, err))
					return
				}
				c.input = v
			}
			if !c.quiet {
				c.prev = x.record(b, &Event{Type: MapIterationStarted, Has: HasName | HasIndex, Name: b.state.Name, Index: int64(c.index)})
			}
		}
		x.lastID++
		c.id = x.lastID
		c.enteredAt = b.enteredAt
		x.branches[c.id] = c
		g.add(c)
		g.next++
		x.mark(c)
		x.makeRunnable(c)
	}
	if g.active == 0 && g.next == len(g.results) {
		x.join(b)
	}
}

func (g *group) add(c *branch) {
	g.active++
	c.in, c.slot = g, len(g.children)
	g.children = append(g.children, c)
}

// remove takes a child that has ended off the group's hands.
func (g *group) remove(c *branch) {
	g.active--
	last := len(g.children) - 1
	g.children[c.slot] = g.children[last]
	g.children[c.slot].slot = c.slot
	g.children[last] = nil
	g.children = g.children[:last]
}

// childEnded takes the output of a child, lets the next one start, and goes on
// when it was the last.
func (x *execution) childEnded(c *branch, output value.Value) {
	b, g := c.parent, c.in
	b.prev, g.ended = c.prev, c.prev
	if b.state.Type == asl.TypeMap && !c.quiet {
		g.ended = x.record(c, &Event{Type: MapIterationSucceeded, Has: HasName | HasIndex, Name: b.state.Name, Index: int64(c.index)})
	}
	x.settle(c, phaseDone, output)
}

// settle keeps what became of a child until the group is complete.
func (x *execution) settle(c *branch, ended phase, output value.Value) {
	g := c.in
	c.phase, c.output = ended, output
	c.input, c.vars = value.Value{}, value.Value{}
	g.results[c.index] = output
	g.remove(c)
	x.mark(c)
	x.fill(c.parent)
}

// childFailed fails the Parallel or Map state, unless it endures the failure.
func (x *execution) childFailed(c *branch, failure *asl.Error) {
	b, g := c.parent, c.in
	b.prev = c.prev
	if b.state.Type == asl.TypeMap {
		if b.state.Map.Processor.Distributed {
			g.failed++
			if !g.tolerance.Exceeded(int64(g.failed), int64(len(g.items))) {
				x.settle(c, phaseFailed, value.OfObject(
					value.Field{Key: "Error", Value: value.OfString(failure.Name)},
					value.Field{Key: "Cause", Value: value.OfString(failure.Cause)},
				))
				return
			}
			failure = &asl.Error{Name: asl.ErrExceedToleratedThreshold, Cause: "The specified tolerated failure threshold was exceeded"}
		} else if !c.quiet {
			x.record(c, &Event{Type: MapIterationFailed, Has: HasName | HasIndex, Name: b.state.Name, Index: int64(c.index)})
		}
	}
	g.remove(c)
	x.bury(c)
	x.stateFailed(b, failure)
}

// join goes on with a Parallel or Map state whose children have all succeeded.
func (x *execution) join(b *branch) {
	g := b.group
	if g.ended != 0 {
		b.prev = g.ended
	}
	if b.state.Type == asl.TypeParallel {
		x.record(b, &Event{Type: ParallelStateSucceeded})
	} else {
		if b.state.Map.Processor.Distributed {
			x.follow(b, &Event{Type: MapRunSucceeded})
		}
		x.record(b, &Event{Type: MapStateSucceeded})
	}
	x.disband(b)
	if err := x.complete(b, value.OfArray(g.results)); err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// disband ends the group: its children's records are not needed any more.
func (x *execution) disband(b *branch) {
	x.drop = append(x.drop, b.group.stored...)
	b.group = nil
}

// bury takes a branch, which has no children any more, out of the execution.
func (x *execution) bury(c *branch) {
	c.dead = true
	delete(x.branches, c.id)
	if c.stored {
		x.drop = append(x.drop, c.id)
	}
	if r := x.running[c.id]; r != nil {
		delete(x.running, c.id)
		r.abandon(ErrAborted)
	}
	x.withdraw(c)
}

// abortChildren ends what still runs below b, whose state has failed.
func (x *execution) abortChildren(b *branch) {
	g := b.group
	if g == nil {
		return
	}
	for _, c := range g.children {
		x.abortChildren(c)
		if c.group != nil {
			x.disband(c)
		}
		if ev, ok := abortedEvents[c.state.Type]; ok && c.phase != phaseEnter {
			x.record(c, &Event{Type: ev})
		}
		if b.state.Type == asl.TypeMap {
			x.record(c, &Event{Type: MapIterationAborted, Has: HasName | HasIndex, Name: b.state.Name, Index: int64(c.index)})
		}
		x.bury(c)
	}
	g.children, g.active = nil, 0
}

// groupFailed says that the Parallel or Map state itself has failed.
func (x *execution) groupFailed(b *branch, failure *asl.Error) {
	if b.group == nil {
		return
	}
	x.disband(b)
	if b.state.Type == asl.TypeParallel {
		x.follow(b, &Event{Type: ParallelStateFailed})
		return
	}
	if b.state.Map.Processor.Distributed {
		x.follow(b, &Event{Type: MapRunFailed, Has: HasError | HasCause, Error: failure.Name, Cause: failure.Cause})
	}
	x.follow(b, &Event{Type: MapStateFailed})
}

// abortAll ends every task of the execution, which itself is about to end.
func (x *execution) abortAll() {
	for id, r := range x.running {
		delete(x.running, id)
		r.abandon(ErrAborted)
	}
	for _, b := range x.branches {
		x.withdraw(b)
	}
}

// withdraw takes back what b asked of others: the work of an activity's
// worker, an execution. Both becomes durable with what made it superfluous.
func (x *execution) withdraw(b *branch) {
	switch b.phase {
	case phaseQueued:
		x.unqueue(b)
	case phaseNested:
		x.stopChild(b)
	default: // it asked for nothing
	}
}
