package run

import (
	"switchyard/asl"
	"switchyard/asl/history"
)

// Step is what a call of [Execution.Advance] leads to: it is stored whole, and
// once that is durable its effects take place, in their order.
type Step struct {
	// Events are new in the history; there are none when Last is below First.
	Events history.Segment
	// Put are records that replace those with their IDs, Drop the IDs of those
	// that are not needed any more. Records matter while the execution runs.
	Put  []Record
	Drop []int64
	// End, when not nil, ends the execution.
	End *End
	// Wake is when a process that starts over must look at the execution, in
	// Unix milliseconds: 0 at once, [Never] when only a message moves it on.
	Wake int64
	// Due is when this process must send a [Tick].
	Due     int64
	Effects []Effect
	// More says that the execution can go on without waiting.
	More bool
}

// Changed reports whether there is anything to store or to do beside Wake.
func (s *Step) Changed() bool {
	return s.Events.Last >= s.Events.First || len(s.Put) > 0 || len(s.Drop) > 0 || len(s.Effects) > 0 || s.End != nil
}

// Record is the state of a branch, from which it is restored.
type Record struct {
	ID   int64
	Body []byte
}

// End is how an execution ended: with ExecutionSucceeded, ExecutionFailed,
// ExecutionTimedOut or ExecutionAborted.
type End struct {
	Event  history.Type
	At     int64  // Unix milliseconds
	Output []byte // JSON; nil unless it succeeded
	Error  string
	Cause  string
}

// Effect is something that is to happen outside of the execution.
type Effect interface{ effect() }

// StartTask asks for the work of a Task state. [TaskEnded] says how it ended.
type StartTask struct {
	Branch, Attempt int64
	Worker          Worker
	// ID is stable for the attempt over restarts; Retry counts the attempts
	// at the state from 0.
	ID       string
	Resource string
	Input    string // JSON
	State    string
	Retry    int
	// Restarted: an earlier process was at it.
	Restarted bool
	// Mocked: a mock does the work, for the Try-th time in this execution.
	Mocked bool
	Try    int
}

// Reason is why a task is not wanted any more.
type Reason uint8

// The reasons.
const (
	Aborted     Reason = iota // its branch has ended
	TimedOut                  // it took longer than its state allows
	Silent                    // it gave no sign of life for longer than its state allows
	AnsweredFor               // the holder of its token was faster; it may finish
)

// AbandonTask says that nobody waits for an attempt any more.
type AbandonTask struct {
	Attempt int64
	Reason  Reason
}

// BeatTask says that the holder of a task's token gave a sign of life, at a time
// in Unix milliseconds.
type BeatTask struct{ Attempt, At int64 }

// TaskStored says that how an attempt ended is durable.
type TaskStored struct{ Attempt int64 }

// EnqueueTask puts a task in the queue of its activity, DequeueTask takes it
// out. Both are also to be stored with the step; Restored says that the former
// may have been.
type EnqueueTask struct {
	QueuedTask
	Restored bool
}

// DequeueTask is the opposite of [EnqueueTask].
type DequeueTask struct{ Key string }

// QueuedTask is a task that waits for a worker of an activity. Keys order tasks
// by activity and time.
type QueuedTask struct {
	Key    string
	Branch int64
}

// LookAtChild asks how the execution is that a task has started. [ChildSeen]
// tells.
type LookAtChild struct {
	Branch int64
	ARN    string
}

// StopChild asks for the end of an execution that was started; the wish is
// stored with the step.
type StopChild struct{ ARN string }

// StartMapRun begins the run of a distributed Map, or goes on with it: with its
// children as they are when Restored, and after a redrive with those that have
// not succeeded.
// [MapRunEnded] says how it ended.
type StartMapRun struct {
	Branch, Attempt int64
	Work            *MapWork
	State           string
	Started         int64 // Unix milliseconds
	Restored        bool
}

// EndMapRun says that a run is over: as a success or a failure when Aborted is
// false. The run's description is stored with the step.
type EndMapRun struct {
	Attempt int64
	Failed  bool
	Aborted bool
	At      int64 // Unix milliseconds
}

// Reply answers a message that asks for an answer.
type Reply struct {
	To Message
	// Accepted is false when nothing waits for the message any more.
	Accepted bool
	// Token and Input are for a [TakeTask].
	Token, Input string
}

func (StartTask) effect()   {}
func (AbandonTask) effect() {}
func (BeatTask) effect()    {}
func (TaskStored) effect()  {}
func (EnqueueTask) effect() {}
func (DequeueTask) effect() {}
func (LookAtChild) effect() {}
func (StopChild) effect()   {}
func (StartMapRun) effect() {}
func (EndMapRun) effect()   {}
func (Reply) effect()       {}

// result completes the step.
func (x *Execution) result() *Step {
	s := &x.step
	x.given = true
	s.Events = x.hist.Segment()
	for _, b := range x.dirty {
		b.dirty = false
		switch {
		case s.End != nil:
		case b.over():
			delete(x.branches, b.id)
			if b.stored && !b.dead { // it was the last of its group to end
				s.Drop = append(s.Drop, b.id)
			}
		default:
			s.Put = append(s.Put, Record{ID: b.id, Body: b.encode(x.tries)})
			b.stored = true
			if b.done() { // it lives on in its parent's results
				delete(x.branches, b.id)
				b.in.stored = append(b.in.stored, b.id)
			}
		}
	}
	clear(x.dirty)
	x.dirty = x.dirty[:0]
	if s.End != nil {
		s.Put, s.Drop, s.Wake, s.Due = s.Put[:0], s.Drop[:0], Never, Never
		return s
	}
	s.More = len(x.runnable) > 0
	s.Due = x.nextDue()
	s.Wake = s.Due
	// A child may end while nobody is there to be told.
	if s.More || len(x.working) > 0 || len(x.nested) > 0 {
		s.Wake = 0
	}
	return s
}

// MapWork is what a distributed Map state works on: what its fields evaluate to.
// It follows from the state's input and variables, so that a restart finds the
// same.
type MapWork struct {
	State *asl.State
	asl.Iterations
	asl.Distribution
	// ID is the last part of the run's ARN, Key the Machine of its children.
	ID, Key string
	// Redrives counts the redrives of the run, Redriven is when the last one was,
	// in Unix milliseconds.
	Redrives int
	Redriven int64
	// Frame is what the ItemSelector sees beside the item; its context object
	// lacks that.
	Frame MapFrame
}

// Reads reports whether the items are read from elsewhere.
func (w *MapWork) Reads() bool { return w.State.Map.ItemReader != nil }

// Total is how many items and children there will be, as far as it is known
// before the run begins.
func (w *MapWork) Total() (items, children int64) {
	if w.Reads() {
		return 0, 0
	}
	if items = int64(len(w.Items)); w.Batching == nil {
		children = items
	}
	return items, children
}
