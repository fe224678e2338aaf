package run

import (
	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// The statuses of a tested state.
const (
	StateSucceeded = "SUCCEEDED"
	StateFailed    = "FAILED"
	StateRetriable = "RETRIABLE"
	StateCaught    = "CAUGHT_ERROR"
)

// StateResult is how a tested state ended.
type StateResult struct {
	Status string
	// Output is a JSON text, "" for none.
	Output string
	// Next is the state that follows, "" for none.
	Next         string
	Error, Cause string
	Inspection   Inspection
}

// Inspection shows the state's data on their way, as JSON texts, "" where they
// did not get there.
type Inspection struct {
	Input               string
	AfterInputPath      string
	AfterParameters     string
	AfterArguments      string
	Result              string
	AfterResultSelector string
	AfterResultPath     string
	Variables           string
	// RetryIndex and CatchIndex are the places of the retrier or catcher that
	// took the error, -1 for none; Backoff is what the retrier waits, in
	// seconds.
	RetryIndex, CatchIndex int
	Backoff                int
}

// Trial is what an execution of one state by itself has beside others. Its
// methods take nil, which all other executions have.
type Trial struct {
	// Mocked: Result or Failure, when that is not nil, stands for the state's
	// work.
	Mocked  bool
	Result  value.Value
	Failure *asl.Error
	// Context is $$ when HasContext.
	Context    value.Value
	HasContext bool
	Variables  value.Value
	// RetryCount is how often the state was tried again before.
	RetryCount int
	// Out is how the state ended.
	Out StateResult
}

// NewTrial returns an execution of the program's first state alone.
func NewTrial(about About, prog *Program, env *Environment, t *Trial) *Execution {
	x := New(about, prog, env)
	x.trial, x.frame.Trace = t, t.note
	t.Out.Inspection.RetryIndex, t.Out.Inspection.CatchIndex = -1, -1
	root := x.branches[rootID]
	root.vars, root.attempt = t.Variables, t.RetryCount
	return x
}

// note shows the state's data at a stage.
func (t *Trial) note(at asl.Stage, v value.Value) {
	d := &t.Out.Inspection
	*map[asl.Stage]*string{
		asl.AfterInputPath: &d.AfterInputPath, asl.AfterParameters: &d.AfterParameters, asl.Result: &d.Result,
		asl.AfterArguments:      &d.AfterArguments,
		asl.AfterResultSelector: &d.AfterResultSelector, asl.AfterResultPath: &d.AfterResultPath,
	}[at] = v.JSON()
}

func (t *Trial) mocks() bool { return t != nil && t.Mocked }

// left ends the test: the state was left for next, nil for the end.
func (t *Trial) left(x *Execution, b *branch, output value.Value, next *asl.State) {
	if t.Out.Status == "" {
		t.Out.Status = StateSucceeded
	}
	if next != nil {
		t.Out.Next = next.Name
	}
	t.Out.Output = output.JSON()
	t.end(x, b)
}

// failed ends the test: the state ended with an error.
func (t *Trial) failed(x *Execution, b *branch, failure *asl.Error) {
	t.Out.Error, t.Out.Cause = failure.Name, failure.Cause
	if r, i := b.state.Retrier(failure.Name, func(int) int { return t.RetryCount }); r != nil {
		t.Out.Status = StateRetriable
		t.Out.Inspection.RetryIndex = i
		t.Out.Inspection.Backoff = int(r.Delay(t.RetryCount).Seconds())
		t.end(x, b)
		return
	}
	if c, i := b.state.Catcher(failure.Name); c != nil {
		exit, err := b.state.Fields.Catch(x.frameOf(b), c, failure)
		if err == nil {
			t.Out.Status, t.Out.Inspection.CatchIndex = StateCaught, i
			err = x.leave(b, exit, c.Next)
		}
		if err == nil {
			return
		}
		failure = located(b, err)
		t.Out.Error, t.Out.Cause, t.Out.Inspection.CatchIndex = failure.Name, failure.Cause, -1
	}
	t.Out.Status = StateFailed
	t.end(x, b)
}

// end ends the execution, whose own outcome nobody looks at.
func (t *Trial) end(x *Execution, b *branch) {
	if b.vars.Len() > 0 {
		t.Out.Inspection.Variables = b.vars.JSON()
	}
	x.abortAll()
	x.finish(history.ExecutionSucceeded, "{}", "", "")
}

// mocked takes the mock's word for the state's work.
func (x *Execution) mocked(b *branch) {
	err := x.mockInput(b)
	switch {
	case err != nil:
		x.stateFailed(b, located(b, err))
	case x.trial.Failure != nil:
		x.stateFailed(b, x.trial.Failure)
	default:
		x.complete(b, x.trial.Result)
	}
}

// mockInput evaluates what the work would have got.
func (x *Execution) mockInput(b *branch) error {
	v, err := b.state.Fields.Arguments(x.frameOf(b))
	if err == nil && b.state.Type != asl.TypeMap && len(v.JSON()) > asl.MaxData {
		err = Whole(asl.TooLarge(b.state.Name))
	}
	return err
}
