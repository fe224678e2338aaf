package run

import (
	"maps"
	"slices"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

func (x *Execution) startParallel(b *branch) error {
	v, err := b.state.Fields.Arguments(x.frameOf(b))
	if err != nil {
		return err
	}
	graphs := b.state.Parallel.Branches
	g := &group{results: make([]value.Value, len(graphs)), limit: len(graphs), effective: v}
	b.doing = g
	x.mark(b)
	x.follow(b, &history.Event{Type: history.ParallelStateStarted})
	x.fill(b, g)
	return nil
}

func (x *Execution) startMap(b *branch) error {
	if b.state.Map.Processor.Distributed {
		return x.startMapRun(b)
	}
	g, err := x.mapGroup(b)
	if err != nil {
		return err
	}
	x.follow(b, &history.Event{Type: history.MapStateStarted, Has: history.HasLength, Length: int64(len(g.items))})
	b.doing = g
	x.mark(b)
	x.fill(b, g)
	return nil
}

// mapGroup evaluates what the Map state works on. It is repeated after a
// restart, so it must depend on the branch's input and variables only.
func (x *Execution) mapGroup(b *branch) (*group, error) {
	it, err := b.state.Fields.Iterations(x.frameOf(b))
	if err != nil {
		return nil, err
	}
	limit := it.MaxConcurrency
	if most := int64(x.env.MapConcurrency); limit == 0 || limit > most {
		limit = most
	}
	return &group{effective: it.Input, items: it.Items, results: make([]value.Value, len(it.Items)), limit: int(limit)}, nil
}

// fill starts children up to the group's limit, and goes on when there are
// none left.
func (x *Execution) fill(b *branch, g *group) {
	for g.active < g.limit && g.next < len(g.results) {
		c := &branch{parent: b, in: g, index: g.next, vars: b.vars, prev: b.prev, input: g.effective}
		if b.state.Type == asl.TypeParallel {
			c.state = b.state.Parallel.Branches[c.index].Start
		} else {
			c.state = b.state.Map.Processor.Start
			x.selecting = &item{int64(c.index), g.items[c.index]}
			v, err := b.state.Fields.Iteration(x.frameOf(b), g.effective, g.items[c.index])
			x.selecting = nil
			if err != nil {
				x.stateFailed(b, located(b, err))
				return
			}
			c.input = v
			c.prev = x.record(b, &history.Event{Type: history.MapIterationStarted, Has: history.HasName | history.HasIndex, Name: b.state.Name, Index: int64(c.index)})
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
		x.join(b, g)
	}
}

// refill goes on with a restored group. All branches of a Parallel have records
// but those that a redrive finds without any history: they begin now.
func (x *Execution) refill(b *branch, g *group) {
	if b.state.Type == asl.TypeParallel && g.next < len(g.results) {
		var err error
		if g.effective, err = b.state.Fields.Arguments(x.frameOf(b)); err != nil {
			x.stateFailed(b, located(b, err))
			return
		}
	}
	x.fill(b, g)
}

func (g *group) add(c *branch) {
	g.active++
	c.in, c.slot = g, len(g.children)
	g.children = append(g.children, c)
}

// remove takes out a child that has ended.
func (g *group) remove(c *branch) {
	g.active--
	last := len(g.children) - 1
	g.children[c.slot] = g.children[last]
	g.children[c.slot].slot = c.slot
	g.children[last] = nil
	g.children = g.children[:last]
}

// childSucceeded takes the output of a child, lets the next one start, and goes
// on when it was the last.
func (x *Execution) childSucceeded(c *branch, output value.Value) {
	b, g := c.parent, c.in
	b.prev, g.ended = c.prev, c.prev
	if b.state.Type == asl.TypeMap {
		g.ended = x.record(c, &history.Event{Type: history.MapIterationSucceeded, Has: history.HasName | history.HasIndex, Name: b.state.Name, Index: int64(c.index)})
	}
	c.doing = finished{output}
	c.input, c.vars = value.Value{}, value.Value{}
	g.results[c.index] = output
	g.remove(c)
	x.mark(c)
	x.fill(b, g)
}

// childFailed fails the Parallel or Map state.
func (x *Execution) childFailed(c *branch, failure *asl.Error) {
	b, g := c.parent, c.in
	b.prev = c.prev
	if b.state.Type == asl.TypeMap {
		x.record(c, &history.Event{Type: history.MapIterationFailed, Has: history.HasName | history.HasIndex, Name: b.state.Name, Index: int64(c.index)})
	}
	g.remove(c)
	x.remove(c)
	x.stateFailed(b, failure)
}

// join goes on with a Parallel or Map state whose children have all succeeded.
func (x *Execution) join(b *branch, g *group) {
	if g.ended != 0 {
		b.prev = g.ended
	}
	if b.state.Type == asl.TypeParallel {
		x.record(b, &history.Event{Type: history.ParallelStateSucceeded})
	} else {
		x.record(b, &history.Event{Type: history.MapStateSucceeded})
	}
	x.disband(b)
	x.complete(b, value.OfArray(g.results))
}

// disband ends the group: its children's records are not needed any more.
func (x *Execution) disband(b *branch) {
	if g := b.group(); g != nil {
		x.step.Drop = append(x.step.Drop, g.stored...)
		b.doing = nil
	}
}

// remove takes a branch, which has no children any more, out of the execution.
func (x *Execution) remove(c *branch) {
	c.dead = true
	delete(x.branches, c.id)
	if c.stored {
		x.step.Drop = append(x.step.Drop, c.id)
	}
	x.withdraw(c)
}

// abortChildren ends what still runs below b, whose state has failed.
func (x *Execution) abortChildren(b *branch) {
	g := b.group()
	if g == nil {
		return
	}
	for _, c := range g.children {
		x.abortChildren(c)
		x.abortMapRun(c)
		at := c.phase()
		x.disband(c)
		if ev, ok := abortedEvents[c.state.Type]; ok && at != phaseEnter {
			x.record(c, &history.Event{Type: ev})
		}
		if b.state.Type == asl.TypeMap {
			x.record(c, &history.Event{Type: history.MapIterationAborted, Has: history.HasName | history.HasIndex, Name: b.state.Name, Index: int64(c.index)})
		}
		x.remove(c)
	}
	g.children, g.active = nil, 0
}

// groupFailed says that the Parallel or Map state itself has failed.
func (x *Execution) groupFailed(b *branch) {
	switch b.doing.(type) {
	case *mapping:
		x.follow(b, &history.Event{Type: history.MapStateFailed})
	case *group:
		x.disband(b)
		if b.state.Type == asl.TypeParallel {
			x.follow(b, &history.Event{Type: history.ParallelStateFailed})
		} else {
			x.follow(b, &history.Event{Type: history.MapStateFailed})
		}
	}
}

// abortAll ends every task of the execution, which itself is about to end.
func (x *Execution) abortAll() {
	for _, id := range slices.Sorted(maps.Keys(x.branches)) {
		x.abortMapRun(x.branches[id])
		x.withdraw(x.branches[id])
	}
}

// withdraw takes back what b asked of others. That becomes durable with what
// made it superfluous.
func (x *Execution) withdraw(b *branch) {
	switch d := b.doing.(type) {
	case *working:
		x.abandon(b, d.attempt, Aborted)
	case *mapping:
		x.abandon(b, d.attempt, Aborted)
	case *inQueue:
		x.effect(DequeueTask{x.queuedTask(b, d).Key})
	case *awaiting:
		x.stopChild(b, d)
	}
}
