package run

import (
	"fmt"
	"slices"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// Past is what the history of a closed execution tells about where it stood:
// its branches, each in a state that it entered and did not leave, or between
// two states, or at its end. Step Functions states the rule so: redriven are
// the states that were entered and not left.
//
// The records of an execution are deleted when it ends, and those of a failed
// Parallel or Map already before, when the failure looks for somebody who
// handles it. To keep them for a redrive would cost every execution that
// fails; to read the history costs those that are redriven.
type Past struct {
	prog  *Program
	homes map[string]home
	// owners are the branches that the events belong to.
	owners map[int64]*standing
	root   *standing
	err    string // name of the error that the execution failed with
}

// home is where a state stands: in which Parallel or Map state (nil for none),
// and in which of its graphs.
type home struct {
	state *asl.State
	index int
}

// standing is where a branch of the execution stood.
type standing struct {
	parent *standing
	index  int
	home   home
	// state is the last one that was entered, nil for none yet.
	state              *asl.State
	entered, enteredAt int64
	prev               int64
	input              string
	// left says that the state was exited, with output.
	left   bool
	output string
	// done says that the branch has ended well.
	done bool
	// worked and failed say how the work of the state ended last; error is
	// the name of its error.
	worked, failed bool
	error          string
	// run is that of a distributed Map, with which a redrive goes on.
	run      redriven
	vars     value.Value
	children []*standing // by index
}

func NewPast(prog *Program, input []byte) *Past {
	p := &Past{prog: prog, homes: map[string]home{}, owners: map[int64]*standing{}}
	p.index(&prog.Machine.Graph, home{})
	p.root = &standing{vars: value.EmptyObject, output: string(input)}
	p.owners[1] = p.root
	return p
}

func (p *Past) index(g *asl.Graph, h home) {
	for _, s := range g.States {
		p.homes[s.Name] = h
		for i, inner := range s.Graphs() {
			p.index(inner, home{s, i})
		}
	}
}

// up is the nearest branch, r itself or one above it, for which ok is true.
func (r *standing) up(ok func(*standing) bool) *standing {
	for ; r != nil && !ok(r); r = r.parent {
	}
	return r
}

// in reports whether the branch is in a state: entered, and not left.
func (r *standing) in(name string) bool { return r.state != nil && r.state.Name == name && !r.left }

func (r *standing) inGroup(t asl.Type) bool {
	return r.state != nil && r.state.Type == t && !r.left && !r.failed
}

func (r *standing) child(h home, index int) *standing {
	c := &standing{parent: r, index: index, home: h, prev: r.prev, vars: r.vars}
	for len(r.children) <= index {
		r.children = append(r.children, nil)
	}
	r.children[index] = c
	return c
}

// Event takes the next event of the history.
func (p *Past) Event(ev *history.Event) error {
	r := p.owners[ev.Prev]
	if r == nil {
		r = p.root
	}
	switch ev.Type {
	case history.PassStateEntered, history.ChoiceStateEntered, history.WaitStateEntered, history.SucceedStateEntered, history.FailStateEntered,
		history.TaskStateEntered, history.ParallelStateEntered, history.MapStateEntered:
		s := p.prog.States[ev.Name]
		if s == nil {
			return fmt.Errorf("%w: event %d enters the state %q, which the definition lacks", history.ErrDamaged, ev.ID, ev.Name)
		}
		h := p.homes[ev.Name]
		into := r.up(func(r *standing) bool { return r.home == h })
		if into == nil {
			at := r.up(func(r *standing) bool { return r.state == h.state })
			if at == nil {
				return fmt.Errorf("%w: event %d enters the state %q from outside", history.ErrDamaged, ev.ID, ev.Name)
			}
			into = at.child(h, h.index)
		}
		r = into
		r.enter(s, ev)
	case history.PassStateExited, history.ChoiceStateExited, history.WaitStateExited, history.SucceedStateExited, history.TaskStateExited, history.ParallelStateExited, history.MapStateExited:
		if r = r.up(func(r *standing) bool { return r.in(ev.Name) }); r == nil {
			return fmt.Errorf("%w: event %d leaves the state %q, which was not entered", history.ErrDamaged, ev.ID, ev.Name)
		}
		r.left, r.output, r.children = true, ev.Data, nil
		for _, a := range ev.Assigned {
			v, err := value.ParseString(a.Value)
			if err != nil {
				return fmt.Errorf("event %d assigns %s: %w", ev.ID, a.Name, err)
			}
			r.vars = r.vars.With(a.Name, v)
		}
	case history.ParallelStateStarted, history.MapStateStarted:
		if g := r.up(func(r *standing) bool { return r.inGroup(groupType(ev.Type)) }); g != nil {
			r, g.children, g.run = g, nil, redriven{} // at a retry it begins anew
		}
	case history.ParallelStateFailed, history.MapStateFailed:
		if g := r.up(func(r *standing) bool { return r.inGroup(groupType(ev.Type)) }); g != nil {
			r, g.failed = g, true
		}
	case history.MapRunStarted:
		r.run = redriven{key: arns.MapRunKey(ev.ARN), started: ev.Time}
	case history.MapRunRedriven:
		r.run.count = int(ev.Length)
	case history.MapRunSucceeded:
		r.run = redriven{} // what failed is the state, which makes a new one
	case history.MapRunFailed:
		if ev.Error == asl.ErrDataLimitExceeded || ev.Error == asl.ErrRuntime {
			r.run = redriven{} // on AWS, too, a new one is made
		}
	case history.MapIterationStarted:
		if at := r.up(func(r *standing) bool { return r.in(ev.Name) }); at != nil {
			r = at.child(home{at.state, 0}, int(ev.Index))
		}
	case history.MapIterationSucceeded:
		if at := r.up(func(r *standing) bool { return r.in(ev.Name) }); at != nil && int(ev.Index) < len(at.children) && at.children[ev.Index] != nil {
			at.children[ev.Index].done = true
		}
	case history.TaskSucceeded, history.LambdaFunctionSucceeded, history.ActivitySucceeded:
		r.worked, r.failed = true, false
	case history.TaskFailed, history.TaskTimedOut, history.TaskStartFailed, history.TaskSubmitFailed, history.LambdaFunctionFailed, history.LambdaFunctionTimedOut,
		history.LambdaFunctionScheduleFailed, history.LambdaFunctionStartFailed, history.ActivityFailed, history.ActivityTimedOut, history.ActivityScheduleFailed:
		r.worked, r.failed, r.error = false, true, ev.Error
	case history.ExecutionFailed:
		p.err = ev.Error
	case history.ExecutionRedriven:
		p.err = ""
		p.revive(p.root)
	default: // it belongs to the branch of the event before
	}
	p.owners[ev.ID] = r
	r.prev = ev.ID
	return nil
}

func groupType(t history.Type) asl.Type {
	if t == history.ParallelStateStarted || t == history.ParallelStateFailed {
		return asl.TypeParallel
	}
	return asl.TypeMap
}

func (r *standing) enter(s *asl.State, ev *history.Event) {
	r.state, r.input, r.entered, r.enteredAt = s, ev.Data, ev.ID, ev.Time
	r.left, r.worked, r.failed, r.error, r.children, r.run = false, false, false, "", nil, redriven{}
}

// revive does to the past what a redrive did to the execution.
func (p *Past) revive(r *standing) {
	if r == nil || r.done {
		return
	}
	if r.left {
		if _, known := r.next(); !known {
			r.left = false // its rules are looked at again
		}
		return
	}
	r.worked, r.failed, r.error = false, false, ""
	if p.rerun(r) {
		r.children = nil
	}
	for _, c := range r.children {
		p.revive(c)
	}
}

// next is the state that follows the one that was left, nil at the end. It is
// not known after a Choice.
func (r *standing) next() (s *asl.State, known bool) {
	caught := r.failed
	switch r.state.Type {
	case asl.TypeChoice:
		return nil, false
	case asl.TypeTask:
		// An error of evaluation leaves no event: the work neither ended
		// well nor badly.
		caught = !r.worked
	default:
	}
	if !caught {
		return r.state.Next, true
	}
	for i := range r.state.Catch {
		if c := &r.state.Catch[i]; r.error != "" && c.Matches(r.error) {
			return c.Next, true
		}
	}
	if n := len(r.state.Catch); n > 0 {
		return r.state.Catch[n-1].Next, true
	}
	return r.state.Next, true
}

// ended reports whether the branch has nothing left to do.
func (r *standing) ended() bool {
	if r.done || r.state == nil || !r.left {
		return r.done
	}
	next, known := r.next()
	return known && next == nil
}

// rerun reports whether a Parallel or Map state is to be done again with all
// its branches: its results as a whole were too large.
func (p *Past) rerun(r *standing) bool {
	return p.err == asl.ErrDataLimitExceeded && len(r.children) > 0 &&
		!slices.ContainsFunc(r.children, func(c *standing) bool { return c == nil || !c.ended() })
}

// Records are those of the execution as it is to go on.
func (p *Past) Records(now int64) ([]Record, error) {
	var records []Record
	last := int64(rootID - 1)
	var add func(r *standing, parent *branch) error
	add = func(r *standing, parent *branch) error {
		last++
		b, err := p.branch(r, now)
		if err != nil {
			return err
		}
		b.id, b.parent = last, parent
		b.varsOwn = parent == nil || r.vars.JSON() != r.parent.vars.JSON()
		records = append(records, Record{ID: b.id, Body: b.encode(nil)})
		if b.phase() != phaseChildren {
			return nil
		}
		for _, c := range r.children {
			// One that was not entered is started like those after it.
			if c == nil || c.state == nil {
				continue
			}
			if err := add(c, b); err != nil {
				return err
			}
		}
		return nil
	}
	if err := add(p.root, nil); err != nil {
		return nil, err
	}
	return records, nil
}

// branch is r as it is to go on.
func (p *Past) branch(r *standing, now int64) (*branch, error) {
	b := &branch{index: r.index, state: r.state, entered: r.entered, enteredAt: r.enteredAt, prev: r.prev, vars: r.vars}
	text := r.input
	switch {
	case r.state == nil: // only the root: the execution did not begin
		b.state, text = p.prog.Machine.Start, r.output
	case r.ended():
		v, err := value.ParseString(r.output)
		b.doing = finished{v}
		return b, err
	case r.left:
		next, known := r.next()
		if known {
			b.state, text = next, r.output
		} else {
			b.doing, b.due = backingOff{}, now
		}
	case r.state.Type == asl.TypeFail: // is entered again
	case len(r.children) > 0 && !p.rerun(r):
		b.doing = &group{}
	default:
		// The state is not entered again, but what it does is done again.
		b.doing, b.due = backingOff{r.run}, now
	}
	var err error
	b.input, err = value.ParseString(text)
	return b, err
}
