package engine

import (
	"errors"
	"fmt"
	"time"

	"switchyard/asl"
	"switchyard/asl/catalog"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// program is a parsed definition, shared by all executions of its revision.
type program struct {
	rev     *catalog.Revision
	machine *asl.Machine
	states  map[string]*asl.State
	// children are the programs of the distributed Maps, by their states' names.
	children map[string]*program
}

func (e *Engine) compile(rev *catalog.Revision) (*program, error) {
	m, err := asl.ParseStored([]byte(rev.Definition))
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
		err = x.passThrough(b)
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
	there := *e
	there.Cause = fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", b.state.Name, b.entered, e.Cause)
	return &there
}

// evaluationFailed records that a field of b's state in JSONata did not evaluate
// to what it should, if that is the failure.
func (x *execution) evaluationFailed(b *branch, failure *asl.Error) {
	if !failure.Evaluation {
		return
	}
	ev := history.Event{Type: history.EvaluationFailed, Has: history.HasName | history.HasError | history.HasCause, Name: b.state.Name, Error: failure.Name, Cause: failure.Cause}
	if failure.Location != "" {
		ev.Has |= history.HasResource
		ev.Resource = failure.Location
	}
	x.follow(b, &ev)
	if b.state.Type == asl.TypeMap && b.phase == phaseEnter {
		x.follow(b, &history.Event{Type: history.MapStateFailed})
	}
}

// placedError is an error whose cause is complete as it is.
type placedError struct{ err *asl.Error }

func (e *placedError) Error() string { return e.err.Error() }

func tooLarge(state string) error { return &placedError{asl.TooLarge(state)} }

// complete leaves b's state, whose work has ended with result.
func (x *execution) complete(b *branch, result value.Value) error {
	exit, err := b.state.Fields.Complete(x.frameOf(b), result)
	if err != nil {
		return err
	}
	return x.leave(b, exit, b.state.Next)
}

// leave assigns variables, records that the state was left, and goes to the
// next one.
func (x *execution) leave(b *branch, exit asl.Exit, next *asl.State) error {
	text := exit.Output.JSON()
	if len(text) > asl.MaxData {
		return tooLarge(b.state.Name)
	}
	ev := history.Event{Type: exitedEvents[b.state.Type], Has: history.HasName | history.HasData, Name: b.state.Name, Data: text}
	if b.due == 0 && b.phase == phaseEnter {
		ev.Time = b.enteredAt // it took no time worth a look at the clock
	}
	if len(exit.Assigned) > 0 {
		ev.Has |= history.HasAssigned
		b.varsOwn = true
		for _, a := range exit.Assigned {
			b.vars = b.vars.With(a.Name, a.Value)
			ev.Assigned = append(ev.Assigned, history.Assigned{Name: a.Name, Value: a.Value.JSON()})
		}
	}
	x.follow(b, &ev)
	b.due, b.group = 0, nil
	b.effective = value.Value{}
	b.phase = phaseEnter
	x.mark(b)
	if x.test != nil {
		x.test.left(x, b, exit.Output, next)
		return nil
	}
	if next == nil {
		x.branchEnded(b, exit.Output)
		return nil
	}
	b.state, b.input = next, exit.Output
	x.makeRunnable(b)
	return nil
}

func (x *execution) pass(b *branch) error {
	exit, err := b.state.Fields.Pass(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, b.state.Next)
}

// passThrough leaves a Succeed, or a Wait whose time has come.
func (x *execution) passThrough(b *branch) error {
	exit, err := b.state.Fields.Leave(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, b.state.Next)
}

func (x *execution) choice(b *branch) error {
	next, exit, err := b.state.Fields.Choose(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, next)
}

func (x *execution) startWait(b *branch) error {
	due, err := x.waitsUntil(b)
	if err != nil {
		return err
	}
	b.phase = phaseWait
	if due <= b.enteredAt {
		return x.passThrough(b)
	}
	x.wait(b, due)
	x.mark(b)
	return nil
}

// waitsUntil is when a Wait state ends, in the engine's time. A Timestamp is the
// system's, which need not be the same.
func (x *execution) waitsUntil(b *branch) (due int64, err error) {
	drift := x.e.clock.drift()
	until, err := b.state.Fields.Until(x.frameOf(b), time.UnixMilli(b.enteredAt).Add(drift))
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

func (x *execution) failState(b *branch) error {
	failure, err := b.state.Fields.Failure(x.frameOf(b))
	if err != nil {
		return err
	}
	return &placedError{failure}
}

// timeIsUp goes on with a branch whose time has come.
func (x *execution) timeIsUp(b *branch, now int64) {
	var err error
	switch b.phase {
	case phaseWait:
		err = x.passThrough(b)
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
	x.evaluationFailed(b, failure)
	if x.test != nil {
		x.test.failed(x, b, failure)
		return
	}
	tries := func(at int) int {
		if b.retries == nil {
			return 0
		}
		return b.retries[at]
	}
	if r, i := s.Retrier(failure.Name, tries); r != nil {
		if b.retries == nil {
			b.retries = make([]int, len(s.Retry))
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
	if c, _ := s.Catcher(failure.Name); c != nil {
		x.groupFailed(b)
		exit, err := s.Fields.Catch(x.frameOf(b), c, failure)
		if err == nil {
			err = x.leave(b, exit, c.Next)
		}
		if err == nil {
			return
		}
		failure = x.located(b, err)
		x.evaluationFailed(b, failure)
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
	if event == history.ExecutionAborted {
		ev.Prev = 0 // it follows from nothing in the history
	}
	x.hist.Add(&ev)
	x.end = &store.Ending{Status: status, Stopped: now, Output: output, Error: errorName, Cause: cause}
	x.runnable = x.runnable[:0]
	x.starts = x.starts[:0]
}
