package asl

import (
	"math/rand/v2"
	"time"

	"switchyard/asl/value"
)

// MaxData is the largest input, output or result, in bytes of JSON in UTF-8.
// Source: Step Functions developer guide, "Quotas".
const MaxData = 262_144

// Fields is what the fields of one state evaluate to. It is the seam for query
// languages: each is an implementation, and what runs a state does not know
// which one it has. A method is for the types of state that its comment names.
//
// Errors are of type [*Error]; the cause lacks the state and the event. Safe for
// concurrent use.
type Fields interface {
	// Arguments is what the work of a Task, the branches of a Parallel or the
	// further fields of a Map are given.
	Arguments(f *Frame) (value.Value, error)
	// Complete is how a Task, Parallel or Map is left whose work ended with
	// result.
	Complete(f *Frame, result value.Value) (Exit, error)
	// Catch is how a state is left whose error c takes.
	Catch(f *Frame, c *Catcher, failure *Error) (Exit, error)

	// Pass is how a Pass state is left.
	Pass(f *Frame) (Exit, error)
	// Leave is how a Succeed, or a Wait whose time has come, is left.
	Leave(f *Frame) (Exit, error)
	// Choose is how a Choice is left, and for which state.
	Choose(f *Frame) (*State, Exit, error)
	// Failure is the error that a Fail state ends with.
	Failure(f *Frame) (*Error, error)
	// Until is when a Wait ends that was entered at this time.
	Until(f *Frame, entered time.Time) (time.Time, error)
	// Limits are a Task's, 0 for none.
	Limits(f *Frame) (timeout, heartbeat time.Duration, err error)

	// Iterations is what a Map works on. Of one with an ItemReader it has no
	// items.
	Iterations(f *Frame) (Iterations, error)
	// Iteration is the input for one item; of is what Iterations gave. The
	// frame's context shows the item as $$.Map.Item.
	Iteration(f *Frame, of, item value.Value) (value.Value, error)
	// Distribution is what only a distributed Map has; of is what Iterations
	// gave.
	Distribution(f *Frame, of value.Value) (Distribution, error)
}

// Frame is what the fields of a state see.
type Frame struct {
	// Input is the state's, as it came.
	Input value.Value
	// Scope has the variables and the context object; its Input is for the
	// [Fields] to set.
	Scope Scope
	// Entered is when the state was entered, and Seed differs from one entry to
	// the next: what must come out the same after a restart is made of them.
	Entered time.Time
	Seed    uint64
	// Now is the time that expressions are told; the zero value is the present.
	Now time.Time
	// Trace, when not nil, is told of the state's data on their way.
	Trace func(stage Stage, v value.Value)
}

// Repeatable is f for an evaluation that gives the same whenever it is done
// again: time stands still, and random numbers follow from the seed and from
// which evaluation of several it is. UUIDs differ, but not in length.
func (f *Frame) Repeatable(which uint64) *Frame {
	same := *f
	same.Now = f.Entered
	same.Scope.Random = rand.New(rand.NewPCG(f.Seed, which)).Uint64N
	return &same
}

func (f *Frame) trace(stage Stage, v value.Value) {
	if f.Trace != nil {
		f.Trace(stage, v)
	}
}

// see gives the scope in which v is $.
func (f *Frame) see(v value.Value) *Scope {
	f.Scope.Input = v
	return &f.Scope
}

// Stage is a point that a state's data pass, by the field they have just been
// through.
type Stage uint8

// The stages that TestState shows.
const (
	AfterInputPath Stage = iota
	AfterParameters
	Result
	AfterResultSelector
	AfterResultPath
	AfterArguments
)

// Exit is how a state is left.
type Exit struct {
	Output value.Value
	// Assigned are the variables that are set, in order.
	Assigned []Binding
}

// Binding is a variable and its value.
type Binding struct {
	Name  string
	Value value.Value
}

// Iterations is what a Map works on.
type Iterations struct {
	// Input is what its further fields see.
	Input value.Value
	Items []value.Value
	// MaxConcurrency is 0 for as many as there are items.
	MaxConcurrency int64
}

// Distribution is what a distributed Map has beside its items.
type Distribution struct {
	Tolerance Tolerance
	// ReaderParameters are the ItemReader's; MaxItems is how many items it
	// reads at most, 0 for all; below 0 it cannot read.
	ReaderParameters value.Value
	MaxItems         int64
	// Batching is nil without an ItemBatcher.
	Batching *Batching
	// Writing is what becomes of the results.
	Writing Writing
}

// Writing is a ResultWriter, or what stands for it where there is none.
type Writing struct {
	Transformation string // NONE, COMPACT or FLATTEN
	Lines          bool   // JSON lines, not an array
	// Export writes the results to objects of Bucket whose keys begin with
	// Prefix; else they are the state's result.
	Export         bool
	Bucket, Prefix string
}

// Batching is an ItemBatcher.
type Batching struct {
	MaxItems int64 // 0 is without limit
	MaxBytes int64
	// Input is the BatchInput, when HasInput.
	Input    value.Value
	HasInput bool
}
