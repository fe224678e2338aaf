package engine

import (
	"errors"
	"fmt"
	"time"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// program is a parsed definition, shared by all executions of its revision.
type program struct {
	rev     *Revision
	machine *asl.Machine
	states  map[string]*asl.State
	// children are the programs of the distributed Maps, by their states' names.
	children map[string]*program
}

func (e *Engine) compile(rev *Revision) (*program, error) {
	m, err := asl.Parse([]byte(rev.Definition))
	if err != nil {
		return nil, err
	}
	p := &program{rev: rev, machine: m, states: map[string]*asl.State{}, children: map[string]*program{}}
	p.index(&m.Graph)
	return p, nil
}

func (p *program) index(g *asl.Graph) {
	for _, s := range g.States {
		p.states[s.Name] = s
		if s.Map != nil && s.Map.Processor.Distributed {
			inner := &asl.Machine{Graph: s.Map.Processor.Graph, Version: p.machine.Version, QueryLanguage: p.machine.QueryLanguage, Timeout: s.Map.Processor.Timeout}
			p.children[s.Name] = &program{rev: p.rev, machine: inner, states: p.states, children: p.children}
		}
		for _, inner := range s.Graphs() {
			p.index(inner)
		}
	}
}

func timestamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func historyFull(limit int) string {
	return fmt.Sprintf("The execution reached the maximum number of history events (%d).", limit)
}

// The events with which states begin and end.
var (
	enteredEvents = map[asl.Type]history.Type{
		asl.TypePass: history.PassStateEntered, asl.TypeTask: history.TaskStateEntered, asl.TypeChoice: history.ChoiceStateEntered,
		asl.TypeWait: history.WaitStateEntered, asl.TypeSucceed: history.SucceedStateEntered, asl.TypeFail: history.FailStateEntered,
		asl.TypeParallel: history.ParallelStateEntered, asl.TypeMap: history.MapStateEntered,
	}
	exitedEvents = map[asl.Type]history.Type{
		asl.TypePass: history.PassStateExited, asl.TypeTask: history.TaskStateExited, asl.TypeChoice: history.ChoiceStateExited,
		asl.TypeWait: history.WaitStateExited, asl.TypeSucceed: history.SucceedStateExited,
		asl.TypeParallel: history.ParallelStateExited, asl.TypeMap: history.MapStateExited,
	}
	abortedEvents = map[asl.Type]history.Type{
		asl.TypeTask: history.TaskStateAborted, asl.TypeWait: history.WaitStateAborted,
		asl.TypeParallel: history.ParallelStateAborted, asl.TypeMap: history.MapStateAborted,
	}
)

// record adds an event to the history. The last place is kept for the event
// that ends the execution.
func (x *execution) record(b *branch, ev *history.Event) int64 {
	if x.hist.Next() >= int64(x.e.cfg.MaxHistory) && !x.express() {
		x.overflow = true
		return b.prev
	}
	ev.Prev = b.prev
	if ev.Time == 0 {
		ev.Time = x.now()
	}
	return x.hist.Add(ev)
}

// follow records an event that the branch's next one follows.
func (x *execution) follow(b *branch, ev *history.Event) {
	b.prev = x.record(b, ev)
}

// step takes a runnable branch on: into its state, and through it as far as
// it goes without waiting.
func (x *execution) step(b *branch) {
	s := b.state
	b.enteredAt = x.stateTime()
	ev := history.Event{Type: enteredEvents[s.Type], Time: b.enteredAt, Has: history.HasName | history.HasData, Name: s.Name, Data: b.input.JSON()}
	b.entered = x.record(b, &ev)
	b.prev = b.entered
	b.attempt, b.retries = 0, nil
	x.execute(b)
}

// execute does what the state does, once it is entered.
func (x *execution) execute(b *branch) {
	if x.test.mocks() {
		x.mocked(b)
		return
	}
	var err error
	switch b.state.Type {
	case asl.TypePass:
		err = x.pass(b)
	case asl.TypeChoice:
		err = x.choice(b)
	case asl.TypeWait:
		err = x.startWait(b)
	case asl.TypeSucceed:
		err = x.succeed(b)
	case asl.TypeFail:
		err = x.failState(b)
	case asl.TypeTask:
		err = x.schedule(b)
	case asl.TypeParallel:
		err = x.startParallel(b)
	case asl.TypeMap:
		err = x.startMap(b)
	default:
		err = &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("State type %q is unknown.", b.state.Type)}
	}
	if err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// located turns an error of evaluation into what a state machine sees: the
// cause says where it happened.
func (x *execution) located(b *branch, err error) *asl.Error {
	var placed *placedError
	if errors.As(err, &placed) {
		return placed.err
	}
	var e *asl.Error
	if !errors.As(err, &e) {
		e = &asl.Error{Name: asl.ErrRuntime, Cause: err.Error()}
	}
	return &asl.Error{Name: e.Name, Cause: fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", b.state.Name, b.entered, e.Cause)}
}

// placedError is an error whose cause is complete as it is.
type placedError struct{ err *asl.Error }

func (e *placedError) Error() string { return e.err.Error() }

func tooLarge(name string) error {
	return &placedError{&asl.Error{
		Name:  asl.ErrDataLimitExceeded,
		Cause: fmt.Sprintf("The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.", name),
	}}
}

// effectiveInput applies InputPath and Parameters.
func (x *execution) effectiveInput(b *branch) (value.Value, error) {
	v, err := b.state.InputPath.Apply(x.see(b, b.input))
	if err != nil {
		return v, err
	}
	x.test.note(afterInputPath, v)
	if b.state.Parameters != nil {
		if v, err = b.state.Parameters.Eval(x.see(b, v)); err != nil {
			return v, err
		}
	}
	x.test.note(afterParameters, v)
	return v, nil
}

// complete applies ResultSelector, Assign, ResultPath and OutputPath to a
// state's result, and leaves the state.
func (x *execution) complete(b *branch, result value.Value) error {
	var err error
	s := b.state
	x.test.note(stateResult, result)
	if s.ResultSelector != nil {
		if result, err = s.ResultSelector.Eval(x.see(b, result)); err != nil {
			return err
		}
	}
	x.test.note(afterResultSelector, result)
	output, err := s.ResultPath.Apply(b.input, result)
	if err != nil {
		return err
	}
	x.test.note(afterResultPath, output)
	return x.leave(b, result, output, s.Assign, &s.OutputPath, s.Next)
}

var everything asl.Filter

// leave assigns variables, which see seen as $, applies OutputPath to output,
// records that the state was left, and goes to the next one.
func (x *execution) leave(b *branch, seen, output value.Value, assign *asl.Assignment, path *asl.Filter, next *asl.State) error {
	var assigned []history.Assigned
	vars := b.vars
	if assign != nil {
		err := assign.Eval(x.see(b, seen), func(name string, v value.Value) {
			vars = vars.With(name, v)
			assigned = append(assigned, history.Assigned{Name: name, Value: v.JSON()})
		})
		if err != nil {
			return err
		}
	}
	output, err := path.Apply(x.see(b, output))
	if err != nil {
		return err
	}
	text := output.JSON()
	if len(text) > MaxData {
		return tooLarge(b.state.Name)
	}
	ev := history.Event{Type: exitedEvents[b.state.Type], Has: history.HasName | history.HasData, Name: b.state.Name, Data: text, Assigned: assigned}
	if b.due == 0 && b.phase == phaseEnter {
		ev.Time = b.enteredAt // it took no time worth a look at the clock
	}
	if len(assigned) > 0 {
		ev.Has |= history.HasAssigned
		b.vars, b.varsOwn = vars, true
	}
	x.follow(b, &ev)
	b.due, b.group = 0, nil
	b.effective = value.Value{}
	b.phase = phaseEnter
	x.mark(b)
	if x.test != nil {
		x.test.left(x, b, output, next)
		return nil
	}
	if next == nil {
		x.branchEnded(b, output)
		return nil
	}
	b.state, b.input = next, output
	x.makeRunnable(b)
	return nil
}

func (x *execution) pass(b *branch) error {
	v, err := x.effectiveInput(b)
	if err != nil {
		return err
	}
	if b.state.Pass.HasResult {
		v = b.state.Pass.Result
	}
	return x.complete(b, v)
}

func (x *execution) succeed(b *branch) error {
	v, err := b.state.InputPath.Apply(x.see(b, b.input))
	if err != nil {
		return err
	}
	return x.leave(b, v, v, b.state.Assign, &b.state.OutputPath, nil)
}

func (x *execution) choice(b *branch) error {
	s := b.state
	v, err := s.InputPath.Apply(x.see(b, b.input))
	if err != nil {
		return err
	}
	next, assign := s.Choice.Default, s.Assign
	sc := x.see(b, v)
	for i := range s.Choice.Rules {
		rule := &s.Choice.Rules[i]
		ok, err := rule.Match(sc)
		if err != nil {
			return err
		}
		if ok {
			next, assign = rule.Next, rule.Assign
			break
		}
	}
	if next == nil {
		return &asl.Error{Name: asl.ErrNoChoiceMatched, Cause: "Failed to transition out of the state. The state does not point to a next state."}
	}
	return x.leave(b, v, v, assign, &s.OutputPath, next)
}

func (x *execution) startWait(b *branch) error {
	due, err := x.waitsUntil(b)
	if err != nil {
		return err
	}
	b.phase = phaseWait
	if due <= b.enteredAt {
		return x.endWait(b)
	}
	x.wait(b, due)
	x.mark(b)
	return nil
}

// waitsUntil is when a Wait state ends, in the engine's time. A Timestamp is the
// system's, which need not be the same.
func (x *execution) waitsUntil(b *branch) (due int64, err error) {
	v, err := b.state.InputPath.Apply(x.see(b, b.input))
	if err != nil {
		return 0, err
	}
	drift := x.e.clock.drift()
	until, err := b.state.Wait.Until(x.see(b, v), time.UnixMilli(b.enteredAt).Add(drift))
	if err != nil {
		return 0, err
	}
	until = until.Add(-drift)
	due = until.UnixMilli()
	if until.Nanosecond()%int(time.Millisecond) != 0 {
		due++ // never early
	}
	return due, nil
}

func (x *execution) endWait(b *branch) error {
	v, err := b.state.InputPath.Apply(x.see(b, b.input))
	if err != nil {
		return err
	}
	return x.leave(b, v, v, b.state.Assign, &b.state.OutputPath, b.state.Next)
}

func (x *execution) failState(b *branch) error {
	var failure asl.Error
	// A Fail state has neither InputPath nor Parameters.
	for _, f := range []struct {
		expr asl.Expression
		to   *string
		name string
	}{{b.state.Fail.Error, &failure.Name, "Error"}, {b.state.Fail.Cause, &failure.Cause, "Cause"}} {
		if f.expr == nil {
			continue
		}
		v, err := f.expr.Eval(x.see(b, b.input))
		if err != nil {
			return err
		}
		text, ok := v.Str()
		if !ok {
			return &asl.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The field '%s' must be a string, it is %s", f.name, v.JSON())}
		}
		*f.to = text
	}
	return &placedError{&failure}
}

// timeIsUp goes on with a branch whose time has come.
func (x *execution) timeIsUp(b *branch, now int64) {
	var err error
	switch b.phase {
	case phaseWait:
		err = x.endWait(b)
	case phaseBackoff:
		b.phase = phaseEnter
		x.mark(b)
		x.execute(b)
	case phaseTask:
		x.taskOverdue(b, now)
	case phaseToken:
		x.tokenOverdue(b, now)
	case phaseNested:
		x.nestedOverdue(b, now)
	default: // the other phases wait for nothing that a clock brings
	}
	if err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// stateFailed lets the state's Retry and Catch see the error, and fails the
// branch when they are not for it.
func (x *execution) stateFailed(b *branch, failure *asl.Error) {
	b.due = 0
	x.abortChildren(b)
	s := b.state
	if x.test != nil {
		x.test.failed(x, b, failure)
		return
	}
	for i := range s.Retry {
		r := &s.Retry[i]
		if !r.Matches(failure.Name) {
			continue
		}
		if b.retries == nil {
			b.retries = make([]int, len(s.Retry))
		}
		if b.retries[i] >= r.MaxAttempts {
			break
		}
		delay := r.Delay(b.retries[i])
		if r.FullJitter {
			delay = time.Duration(float64(delay) * x.e.random())
		}
		b.retries[i]++
		b.attempt++
		b.phase = phaseBackoff
		if b.group != nil {
			x.disband(b)
		}
		x.mark(b)
		x.wait(b, x.now()+delay.Milliseconds())
		return
	}
	for i := range s.Catch {
		c := &s.Catch[i]
		if !c.Matches(failure.Name) {
			continue
		}
		x.groupFailed(b)
		caught := value.OfObject(
			value.Field{Key: "Error", Value: value.OfString(failure.Name)},
			value.Field{Key: "Cause", Value: value.OfString(failure.Cause)},
		)
		output, err := c.ResultPath.Apply(b.input, caught)
		if err == nil {
			err = x.leave(b, caught, output, c.Assign, &everything, c.Next)
		}
		if err == nil {
			return
		}
		failure = x.located(b, err)
		break
	}
	x.groupFailed(b)
	x.branchFailed(b, failure)
}

// branchEnded ends a branch with its output.
func (x *execution) branchEnded(b *branch, output value.Value) {
	if b.parent == nil {
		x.finish(store.Succeeded, history.ExecutionSucceeded, []byte(output.JSON()), "", "")
		return
	}
	x.childEnded(b, output)
}

// branchFailed ends a branch with an error that no state of it handles.
func (x *execution) branchFailed(b *branch, failure *asl.Error) {
	if b.parent == nil {
		x.finish(store.Failed, history.ExecutionFailed, nil, failure.Name, failure.Cause)
		return
	}
	x.childFailed(b, failure)
}

// finish ends the execution.
func (x *execution) finish(status store.Status, event history.Type, output []byte, errorName, cause string) {
	now := x.now()
	ev := history.Event{Type: event, Time: now, Error: errorName, Cause: cause}
	if output != nil {
		ev.Has |= history.HasData
		ev.Data = string(output)
	}
	if errorName != "" {
		ev.Has |= history.HasError
	}
	if cause != "" {
		ev.Has |= history.HasCause
	}
	ev.Prev = x.hist.Next() - 1
	if root := x.branches[rootID]; root != nil {
		ev.Prev = root.prev
	}
	x.hist.Add(&ev)
	x.end = &store.Ending{Status: status, Stopped: now, Output: output, Error: errorName, Cause: cause}
	x.runnable = x.runnable[:0]
	x.starts = x.starts[:0]
}
