package run

import (
	"errors"
	"fmt"
	"time"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

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
func (x *Execution) record(b *branch, ev *history.Event) int64 {
	if x.env.MaxHistory > 0 && x.hist.Next() >= int64(x.env.MaxHistory) && !x.express() {
		x.overflow = true
		return b.prev
	}
	ev.Prev, ev.Time = b.prev, x.now()
	return x.hist.Add(ev)
}

// express tells executions whose history has no limit.
func (x *Execution) express() bool { return x.about.ID < 0 }

// follow records an event that the branch's next one follows.
func (x *Execution) follow(b *branch, ev *history.Event) { b.prev = x.record(b, ev) }

// enter takes a runnable branch into its state, and through it as far as it goes
// without waiting.
func (x *Execution) enter(b *branch) {
	s := b.state
	b.enteredAt = x.now()
	ev := history.Event{Type: enteredEvents[s.Type], Has: history.HasName | history.HasData, Name: s.Name, Data: b.input.JSON()}
	b.entered = x.record(b, &ev)
	b.prev = b.entered
	b.attempt, b.retries = 0, nil
	x.execute(b)
}

// execute does what the state does, once it is entered.
func (x *Execution) execute(b *branch) {
	if x.trial.mocks() {
		x.mocked(b)
		return
	}
	var err error
	switch b.state.Type {
	case asl.TypePass:
		err = x.pass(b)
	case asl.TypeChoice:
		err = x.choose(b)
	case asl.TypeWait:
		err = x.startWait(b)
	case asl.TypeSucceed:
		err = x.passThrough(b)
	case asl.TypeFail:
		err = x.fail(b)
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
		x.stateFailed(b, located(b, err))
	}
}

// located turns an error of evaluation into what a state machine sees: the
// cause says where it happened.
func located(b *branch, err error) *asl.Error {
	var whole *wholeError
	if errors.As(err, &whole) {
		return whole.err
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
func (x *Execution) evaluationFailed(b *branch, failure *asl.Error) {
	if !failure.Evaluation {
		return
	}
	ev := history.Event{Type: history.EvaluationFailed, Has: history.HasName | history.HasError | history.HasCause, Name: b.state.Name, Error: failure.Name, Cause: failure.Cause}
	if failure.Location != "" {
		ev.Has |= history.HasResource
		ev.Resource = failure.Location
	}
	x.follow(b, &ev)
	if b.state.Type == asl.TypeMap && b.doing == nil {
		x.follow(b, &history.Event{Type: history.MapStateFailed})
	}
}

// wholeError is an error whose cause is complete as it is.
type wholeError struct{ err *asl.Error }

func (e *wholeError) Error() string { return e.err.Error() }

// Whole marks an error whose cause is not to say in which state it happened.
func Whole(err *asl.Error) error { return &wholeError{err} }

// complete leaves b's state, whose work has ended with result.
func (x *Execution) complete(b *branch, result value.Value) {
	exit, err := b.state.Fields.Complete(x.frameOf(b), result)
	if err == nil {
		err = x.leave(b, exit, b.state.Next)
	}
	if err != nil {
		x.stateFailed(b, located(b, err))
	}
}

// leave assigns variables, records that the state was left, and goes to the
// next one.
func (x *Execution) leave(b *branch, exit asl.Exit, next *asl.State) error {
	text := exit.Output.JSON()
	if len(text) > asl.MaxData {
		return Whole(asl.TooLarge(b.state.Name))
	}
	ev := history.Event{Type: exitedEvents[b.state.Type], Has: history.HasName | history.HasData, Name: b.state.Name, Data: text}
	if len(exit.Assigned) > 0 {
		ev.Has |= history.HasAssigned
		b.varsOwn = true
		for _, a := range exit.Assigned {
			b.vars = b.vars.With(a.Name, a.Value)
			ev.Assigned = append(ev.Assigned, history.Assigned{Name: a.Name, Value: a.Value.JSON()})
		}
	}
	x.follow(b, &ev)
	b.due, b.doing = 0, nil
	x.mark(b)
	switch {
	case x.trial != nil:
		x.trial.left(x, b, exit.Output, next)
	case next == nil:
		x.branchEnded(b, exit.Output)
	default:
		b.state, b.input = next, exit.Output
		x.makeRunnable(b)
	}
	return nil
}

func (x *Execution) pass(b *branch) error {
	exit, err := b.state.Fields.Pass(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, b.state.Next)
}

// passThrough leaves a Succeed, or a Wait whose time has come.
func (x *Execution) passThrough(b *branch) error {
	exit, err := b.state.Fields.Leave(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, b.state.Next)
}

func (x *Execution) choose(b *branch) error {
	next, exit, err := b.state.Fields.Choose(x.frameOf(b))
	if err != nil {
		return err
	}
	return x.leave(b, exit, next)
}

func (x *Execution) startWait(b *branch) error {
	due, err := x.waitsUntil(b)
	if err != nil {
		return err
	}
	b.doing = waiting{}
	if due <= b.enteredAt {
		return x.passThrough(b)
	}
	x.wait(b, due)
	x.mark(b)
	return nil
}

// waitsUntil is when a Wait state ends, in the engine's time. A Timestamp is the
// system's, which need not be the same.
func (x *Execution) waitsUntil(b *branch) (due int64, err error) {
	drift := time.Duration(x.time.Drift) * time.Millisecond
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

func (x *Execution) fail(b *branch) error {
	failure, err := b.state.Fields.Failure(x.frameOf(b))
	if err != nil {
		return err
	}
	return Whole(failure)
}

// stateFailed lets the state's Retry and Catch see the error, and fails the
// branch when they are not for it.
func (x *Execution) stateFailed(b *branch, failure *asl.Error) {
	b.due = 0
	x.abortChildren(b)
	s := b.state
	x.evaluationFailed(b, failure)
	if x.trial != nil {
		x.trial.failed(x, b, failure)
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
			delay = time.Duration(float64(delay) * x.env.Random())
		}
		b.retries[i]++
		b.attempt++
		x.disband(b)
		b.doing = backingOff{}
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
		failure = located(b, err)
		x.evaluationFailed(b, failure)
	}
	x.groupFailed(b)
	x.branchFailed(b, failure)
}

// branchEnded ends a branch with its output.
func (x *Execution) branchEnded(b *branch, output value.Value) {
	if b.parent == nil {
		x.finish(history.ExecutionSucceeded, output.JSON(), "", "")
		return
	}
	x.childSucceeded(b, output)
}

// branchFailed ends a branch with an error that no state of it handles.
func (x *Execution) branchFailed(b *branch, failure *asl.Error) {
	if b.parent == nil {
		x.finish(history.ExecutionFailed, "", failure.Name, failure.Cause)
		return
	}
	x.childFailed(b, failure)
}
