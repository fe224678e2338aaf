// Package run is what an execution of a state machine does: given a message and
// the time, [Execution.Advance] takes one execution on as far as it goes without
// waiting, and returns what to store and what is to happen outside once that is
// durable.
//
// There is no clock, store, logger, channel or goroutine in it. An execution is
// a tree of branches: the root, the branches of Parallel states, the iterations
// of Map states. Each is in a state, and waits in it for a time, a task, a
// token, another execution or its own branches. Whoever drives an execution
// gives it one message after the other, stores what it returns, and only then
// does what the effects say.
package run

import (
	"fmt"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// Never is the time of what waits for no time.
const Never int64 = 1<<63 - 1

// About is what an execution is. It does not change while the execution runs.
type About struct {
	ID int64
	// Machine and Name are those of the ARN; Machine is a state machine's name
	// or, for a child of a Map run, the run's key, see package arns.
	Machine, Name, ARN string
	RoleARN            string
	Input              value.Value
	// Started and Redriven are in Unix milliseconds, Redriven is 0 for never.
	Started, Redriven int64
	Redrives          int
	// Item is $$.Map.Item when HasItem: for a child of a Map run.
	Item    value.Value
	HasItem bool
	// Awaited: somebody waits for the end with a call. AWS shows such an
	// execution no count of redrives.
	Awaited bool
	// TimesOut is when the execution's own time is up, in Unix milliseconds,
	// [Never] for never.
	TimesOut int64
	// Mocked tells for which states a mock does the work; nil for none.
	Mocked func(state string) bool
}

// Worker is who does the work of a Task state.
type Worker uint8

// The workers.
const (
	ByHandler   Worker = iota + 1
	ByExecution        // another execution, that the task starts
	ByActivity         // a worker that asks for it
)

// Environment is what surrounds executions. Its functions are called while an
// execution is advanced; they must not block.
type Environment struct {
	Names  arns.Names
	Region string
	// MaxHistory is how many events an execution may have, 0 without limit.
	MaxHistory int
	// MapConcurrency is how many iterations of an inline Map run at once at
	// most.
	MapConcurrency int
	// FlushEvents is after how many events or states Advance returns at the
	// latest.
	FlushEvents int
	// ClockWasAhead says that times in the records come from a clock that was
	// ahead of the present one.
	ClockWasAhead bool
	// Random gives numbers in [0,1), UUID random ones.
	Random func() float64
	UUID   func() string
	// Deleted tells whether a state machine is being deleted, so that its
	// executions end at their next transition; nil when none is.
	Deleted func(machine string) bool
	// Token makes the token of an attempt.
	Token func(TaskRef) string
	// Work says who does the work of a resource. The error is what the state
	// fails with when nobody does.
	Work func(resource string) (Worker, error)
}

// Time is when a message came.
type Time struct {
	// Now is in Unix milliseconds.
	Now int64
	// Drift is how many milliseconds the system's clock, in which a Wait
	// state's Timestamp is written, is ahead of that.
	Drift int64
}

// Execution is a running execution. It belongs to one goroutine at a time.
type Execution struct {
	about About
	env   *Environment
	prog  *Program
	time  Time

	branches map[int64]*branch
	lastID   int64 // of a branch
	runnable []*branch
	due      dueHeap
	// working are the branches whose tasks or Map runs are under way, nested
	// those that wait for another execution.
	working     map[int64]struct{}
	nested      map[int64]struct{}
	lastAttempt int64
	// tries counts the attempts at mocked states; they are kept in the root's
	// record.
	tries map[string]int

	// frame is what a state's fields see; it is filled for the branch at hand.
	frame asl.Frame
	at    *branch
	// selecting is the item that an ItemSelector is evaluated for.
	selecting *item
	trial     *Trial // nil unless a state is tested by itself

	// What the next step carries.
	hist     history.Writer
	overflow bool // the history is full
	dirty    []*branch
	step     Step
	given    bool // step was returned; it is emptied before the next
}

// New returns an execution that is about to enter its first state.
func New(about About, prog *Program, env *Environment) *Execution {
	x := newExecution(about, prog, env)
	x.hist = history.NewWriter(2) // event 1 says what about says
	root := &branch{id: rootID, state: prog.Machine.Start, input: about.Input, vars: value.EmptyObject, varsOwn: true}
	x.lastID = rootID
	x.branches[rootID] = root
	x.makeRunnable(root)
	return x
}

func newExecution(about About, prog *Program, env *Environment) *Execution {
	x := &Execution{about: about, env: env, prog: prog, branches: make(map[int64]*branch, 1)}
	x.frame.Scope.Context = func() value.Value { return x.contextObject(x.at) }
	x.frame.Scope.NewUUID = env.UUID
	x.frame.Scope.Variable = func(name string) (value.Value, bool) { return x.at.vars.Get(name) }
	if about.TimesOut != Never && about.TimesOut != 0 {
		x.wait(nil, about.TimesOut)
	}
	return x
}

// Restore returns an execution as its records have it, whose last event so far
// is given. Its first step says what has to be done again.
func Restore(about About, prog *Program, env *Environment, records []Record, lastEvent int64, at Time) (*Execution, error) {
	x := newExecution(about, prog, env)
	x.time = at
	x.hist = history.NewWriter(lastEvent + 1)
	if err := x.restore(records); err != nil {
		return nil, err
	}
	return x, nil
}

// Broken is the end of an execution that cannot go on for a reason outside of
// it, after the event lastEvent.
func Broken(about About, env *Environment, lastEvent int64, failure *asl.Error, at Time) *Step {
	x := newExecution(about, &Program{}, env)
	x.time = at
	x.hist = history.NewWriter(lastEvent + 1)
	x.finish(history.ExecutionFailed, "", failure.Name, failure.Cause)
	return x.result()
}

// Advance hands the execution messages, and takes it on until all of it waits or
// enough has happened for one step. The step is valid until the next call.
func (x *Execution) Advance(at Time, messages ...Message) *Step {
	x.begin(at)
	for _, m := range messages {
		m.to(x)
	}
	x.runOn()
	return x.result()
}

// Note hands the execution messages without taking it on: what has ended is
// noted, what could begin does not.
func (x *Execution) Note(at Time, messages ...Message) *Step {
	x.begin(at)
	for _, m := range messages {
		m.to(x)
	}
	return x.result()
}

func (x *Execution) begin(at Time) {
	x.time = at
	if !x.given {
		return
	}
	x.given = false
	x.hist.Reset()
	clear(x.step.Effects)
	x.step = Step{Put: x.step.Put[:0], Drop: x.step.Drop[:0], Effects: x.step.Effects[:0]}
}

// runOn runs branches, a state of each in turn.
func (x *Execution) runOn() {
	limit := x.hist.First() + int64(x.env.FlushEvents)
	for steps := 0; x.step.End == nil; {
		if x.overflow {
			x.abortAll()
			x.finish(history.ExecutionFailed, "", asl.ErrRuntime, fmt.Sprintf("The execution reached the maximum number of history events (%d).", x.env.MaxHistory))
			return
		}
		if len(x.runnable) == 0 || x.hist.Next() >= limit || steps >= x.env.FlushEvents {
			return
		}
		b := x.runnable[0]
		if len(x.runnable) == 1 {
			x.runnable = x.runnable[:0]
		} else {
			x.runnable = x.runnable[1:]
		}
		b.queued = false
		if b.over() {
			continue
		}
		if x.terminated() {
			return
		}
		x.enter(b)
		steps++
	}
}

// terminated ends the execution as aborted if its state machine is being deleted.
func (x *Execution) terminated() bool {
	if x.env.Deleted == nil || !x.env.Deleted(arns.BaseMachine(x.about.Machine)) {
		return false
	}
	x.abortAll()
	x.finish(history.ExecutionAborted, "", "", "")
	return true
}

func (x *Execution) makeRunnable(b *branch) {
	if !b.queued {
		b.queued = true
		x.runnable = append(x.runnable, b)
	}
}

// now is in Unix milliseconds.
func (x *Execution) now() int64 { return x.time.Now }

// effect adds to what is to happen once the step is durable.
func (x *Execution) effect(e Effect) { x.step.Effects = append(x.step.Effects, e) }

// Ended reports whether the execution has ended with the last step.
func (x *Execution) Ended() bool { return x.step.End != nil }

// Working reports whether a task or a Map run is under way.
func (x *Execution) Working() bool { return len(x.working) > 0 }

// finish ends the execution.
func (x *Execution) finish(event history.Type, output, errorName, cause string) {
	ev := history.Event{Type: event, Time: x.now(), Error: errorName, Cause: cause}
	if event == history.ExecutionSucceeded {
		ev.Has |= history.HasData
		ev.Data = output
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
	x.step.End = &End{Event: event, At: ev.Time, Error: errorName, Cause: cause}
	if event == history.ExecutionSucceeded {
		x.step.End.Output = []byte(output)
	}
	x.runnable = x.runnable[:0]
}
