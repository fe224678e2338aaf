package run

import (
	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// Message is what reaches an execution from outside.
type Message interface{ to(x *Execution) }

// Tick says that a time has come for which the execution waits.
type Tick struct {
	// Beats are when running tasks last gave a sign of life, by their branches,
	// in Unix milliseconds.
	Beats map[int64]int64
}

func (m Tick) to(x *Execution) { x.expire(m.Beats) }

// Stop ends the execution as aborted.
type Stop struct{ Error, Cause string }

func (m Stop) to(x *Execution) {
	if x.step.End == nil {
		x.abortAll()
		x.finish(history.ExecutionAborted, "", m.Error, m.Cause)
	}
}

// TaskEnded says how the work of a task ended: with a JSON text, or a failure.
type TaskEnded struct {
	Branch, Attempt int64
	Output          []byte
	Failure         *asl.Error
	// Beat is when the task last gave a sign of life, in Unix milliseconds.
	Beat int64
}

func (m TaskEnded) to(x *Execution) { x.taskEnded(&m) }

// MapRunEnded says how the run of a distributed Map ended.
type MapRunEnded struct {
	Branch, Attempt int64
	Output          []byte
	Failure         *asl.Error
}

func (m MapRunEnded) to(x *Execution) { x.mapRunEnded(&m) }

// TokenUse is what the holder of a task's token says; [Reply] answers.
type TokenUse struct {
	Ref TaskRef
	// Beat is a sign of life; else the task has ended, well or with Failure.
	Beat    bool
	Output  value.Value
	Failure *asl.Error
}

func (m *TokenUse) to(x *Execution) {
	x.effect(Reply{To: m, Accepted: x.step.End == nil && x.tokenUsed(m)})
}

// TakeTask is an activity's worker that takes a task from the queue; [Reply]
// answers.
type TakeTask struct {
	QueuedTask
	Worker string // its name, "" for none
}

func (m *TakeTask) to(x *Execution) { x.takeTask(m) }

// ChildSeen says how an execution is that a task waits for.
type ChildSeen struct {
	Branch int64
	ARN    string
	// Ended, when not nil, is what DescribeExecution says of it: Output is its
	// text when it succeeded.
	Ended *EndedChild
	// Missing says why there is no such execution, "" when there is.
	Missing string
	// LookAgain is after how many milliseconds it is to be looked at again; 0
	// when its end will be told.
	LookAgain int64
}

func (m ChildSeen) to(x *Execution) { x.childSeen(&m) }

// EndedChild is an execution that has ended.
type EndedChild struct {
	Succeeded bool
	// Described is what a .sync task gives out, Parsed what .sync:2 does.
	Described, Parsed value.Value
}

// ChildMoved says that the execution which a branch waits for may have ended.
type ChildMoved struct{ Branch int64 }

func (m ChildMoved) to(x *Execution) {
	if b := x.branches[m.Branch]; b != nil && x.step.End == nil && !b.over() {
		x.lookAtChild(b)
	}
}
