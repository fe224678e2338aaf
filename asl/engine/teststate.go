package engine

import (
	"context"
	"strings"

	"switchyard/internal/uuid"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// StateTest asks how one state behaves.
type StateTest struct {
	// Definition is that of the state or, with StateName, of a state machine
	// that has a state of this name.
	Definition string
	StateName  string
	RoleARN    string
	// Input is a JSON text, {} when empty.
	Input string
	// Variables is a JSON object of them, Context the JSON text of $$; both
	// may be empty.
	Variables string
	Context   string
	// Mock, when not nil, stands for the work of a Task, Map or Parallel.
	Mock *StateMock
	// RetryCount is how often the state was tried again before.
	RetryCount    int
	RevealSecrets bool
}

// StateMock is what a state's work is said to have ended with: one of the two.
type StateMock struct {
	// Result is a JSON text.
	Result  *string
	Failure *asl.Error
}

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

// stateTest is what an execution of one state has beside others. Its methods
// take nil, which all other executions have.
type stateTest struct {
	in         *StateTest
	mock       value.Value // the parsed Mock.Result
	context    value.Value
	hasContext bool
	out        StateResult
}

// note shows the state's data at a stage.
func (t *stateTest) note(at asl.Stage, v value.Value) {
	d := &t.out.Inspection
	*map[asl.Stage]*string{
		asl.AfterInputPath: &d.AfterInputPath, asl.AfterParameters: &d.AfterParameters, asl.Result: &d.Result,
		asl.AfterArguments:      &d.AfterArguments,
		asl.AfterResultSelector: &d.AfterResultSelector, asl.AfterResultPath: &d.AfterResultPath,
	}[at] = v.JSON()
}

func (t *stateTest) mocks() bool { return t != nil && t.in.Mock != nil }

// left ends the test: the state was left for next, nil for the end.
func (t *stateTest) left(x *execution, b *branch, output value.Value, next *asl.State) {
	if t.out.Status == "" {
		t.out.Status = StateSucceeded
	}
	if next != nil {
		t.out.Next = next.Name
	}
	t.out.Output = output.JSON()
	t.end(x, b)
}

// failed ends the test: the state ended with an error.
func (t *stateTest) failed(x *execution, b *branch, failure *asl.Error) {
	t.out.Error, t.out.Cause = failure.Name, failure.Cause
	if r, i := b.state.Retrier(failure.Name, func(int) int { return t.in.RetryCount }); r != nil {
		t.out.Status = StateRetriable
		t.out.Inspection.RetryIndex = i
		t.out.Inspection.Backoff = int(r.Delay(t.in.RetryCount).Seconds())
		t.end(x, b)
		return
	}
	if c, i := b.state.Catcher(failure.Name); c != nil {
		exit, err := b.state.Fields.Catch(x.frameOf(b), c, failure)
		if err == nil {
			t.out.Status, t.out.Inspection.CatchIndex = StateCaught, i
			err = x.leave(b, exit, c.Next)
		}
		if err == nil {
			return
		}
		failure = x.located(b, err)
		t.out.Error, t.out.Cause, t.out.Inspection.CatchIndex = failure.Name, failure.Cause, -1
	}
	t.out.Status = StateFailed
	t.end(x, b)
}

// end ends the execution, whose own outcome nobody looks at.
func (t *stateTest) end(x *execution, b *branch) {
	if b.vars.Len() > 0 {
		t.out.Inspection.Variables = b.vars.JSON()
	}
	x.abortAll()
	x.finish(store.Succeeded, history.ExecutionSucceeded, []byte("{}"), "", "")
}

// mocked takes the mock's word for the state's work.
func (x *execution) mocked(b *branch) {
	err := x.mockInput(b)
	switch {
	case err != nil:
		x.stateFailed(b, x.located(b, err))
	case x.test.in.Mock.Failure != nil:
		x.stateFailed(b, x.test.in.Mock.Failure)
	default:
		if err := x.complete(b, x.test.mock); err != nil {
			x.stateFailed(b, x.located(b, err))
		}
	}
}

// mockInput evaluates what the work would have got.
func (x *execution) mockInput(b *branch) error {
	v, err := b.state.Fields.Arguments(x.frameOf(b))
	if err == nil && b.state.Type != asl.TypeMap && len(v.JSON()) > asl.MaxData {
		err = tooLarge(b.state.Name)
	}
	return err
}

// testedName is what AWS calls a state that is tested without its machine.
const testedName = "StateName"

// TestState runs one state by itself, with the engine's task handlers or with
// a mock, within five minutes. Nothing of it is stored.
func (e *Engine) TestState(ctx context.Context, in StateTest) (*StateResult, error) {
	s, err := testedState(&in)
	if err != nil {
		return nil, err
	}
	t := &stateTest{in: &in}
	t.out.Inspection.RetryIndex, t.out.Inspection.CatchIndex = -1, -1
	if err := t.checkMock(s); err != nil {
		return nil, err
	}
	if in.Input == "" {
		in.Input = "{}"
	}
	input, err := value.ParseString(in.Input)
	if err != nil {
		return nil, apierror.New(apierror.CodeInvalidExecutionInput, "Invalid State Machine Execution Input: '%s'", err)
	}
	vars := value.EmptyObject
	if in.Variables != "" {
		if vars, err = value.ParseString(in.Variables); err != nil || vars.Kind() != value.Object {
			return nil, apierror.New(apierror.CodeValidation, "variables must be a JSON object")
		}
	}
	if in.Context != "" {
		if t.context, err = value.ParseString(in.Context); err != nil || t.context.Kind() != value.Object {
			return nil, apierror.New(apierror.CodeValidation, "context must be a JSON object")
		}
		t.hasContext = true
	}
	name := uuid.New()
	prog := &program{
		rev:     &catalog.Revision{RoleARN: in.RoleARN, Machine: name, Type: catalog.TypeExpress},
		machine: &asl.Machine{Graph: asl.Graph{Start: s}},
		states:  map[string]*asl.State{s.Name: s},
	}
	x := e.newExpress(&request{
		Target: catalog.Target{Machine: &catalog.Machine{Name: name, Type: catalog.TypeExpress}},
		in:     &Start{Name: uuid.New(), Input: in.Input}, value: input, prog: prog,
	})
	x.test, x.frame.Trace = t, t.note
	root := x.branches[rootID]
	root.vars, root.attempt = vars, in.RetryCount
	ended, err := e.runToEnd(ctx, x)
	if err != nil {
		return nil, err
	}
	if ended.Status == store.TimedOut {
		t.out.Status, t.out.Error = StateFailed, asl.ErrTimeout
	}
	if ended.Status == store.Failed && t.out.Status == "" { // it did not come to an end by itself
		t.out.Status, t.out.Error, t.out.Cause = StateFailed, ended.Error, ended.Cause
	}
	t.out.Inspection.Input = input.JSON()
	return &t.out, nil
}

// testedState finds the state that is to be tested.
func testedState(in *StateTest) (*asl.State, error) {
	if v, err := value.ParseString(in.Definition); err != nil || v.Kind() != value.Object {
		return nil, apierror.New(apierror.CodeValidation, "Definition must be a valid JSON object")
	}
	if in.StateName == "" {
		s, err := asl.ParseState([]byte(in.Definition))
		if err != nil {
			return nil, apierror.New(apierror.CodeInvalidDefinition, "%s", err)
		}
		s.Name = testedName
		return s, nil
	}
	m, err := asl.Parse([]byte(in.Definition))
	if err != nil {
		return nil, apierror.New(apierror.CodeInvalidDefinition, "%s", err)
	}
	s := m.Find(in.StateName)
	if s == nil {
		return nil, apierror.New(apierror.CodeValidation, "State '%s' does not exist in the state machine definition", in.StateName)
	}
	return s, nil
}

// checkMock checks whether the state may be tested with this mock, or without
// one.
func (t *stateTest) checkMock(s *asl.State) error {
	works := s.Type == asl.TypeTask || s.Type == asl.TypeMap || s.Type == asl.TypeParallel
	m := t.in.Mock
	if m == nil {
		switch {
		case t.in.Context != "":
			return apierror.New(apierror.CodeValidation, "context can only be specified with a mock")
		case s.Type == asl.TypeMap || s.Type == asl.TypeParallel:
			return apierror.New(apierror.CodeInvalidDefinition, "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]")
		case s.Task == nil:
			return nil
		case t.in.RoleARN == "":
			return apierror.New(apierror.CodeValidation, "RoleArn must be specified when testing a Task state")
		case strings.HasSuffix(s.Task.Resource, ".waitForTaskToken"), strings.Contains(s.Task.Resource, ":activity:"):
			return apierror.New(apierror.CodeInvalidDefinition, "TestState supports activities and .waitForTaskToken only when a mock is specified: %s", s.Task.Resource)
		}
		return nil
	}
	switch {
	case !works:
		return apierror.New(apierror.CodeValidation, "State type '%s' is not supported when a mock is specified", s.Type)
	case m.Result != nil && m.Failure != nil:
		return apierror.New(apierror.CodeValidation, "A test mock should have only one of the following fields: [result, errorOutput].")
	case m.Result == nil && m.Failure == nil:
		return apierror.New(apierror.CodeValidation, "A test mock must have one of the following fields: [result, errorOutput].")
	case t.in.RevealSecrets:
		return apierror.New(apierror.CodeValidation, "TestState does not support RevealSecrets when a mock is specified.")
	case m.Result == nil:
		return nil
	}
	var err error
	if t.mock, err = value.ParseString(*m.Result); err != nil {
		return apierror.New(apierror.CodeValidation, "Mocked result must be valid JSON")
	}
	list := t.mock.Kind() == value.Array
	switch {
	case s.Map != nil && s.Map.ResultWriter != nil && t.mock.Kind() != value.Object:
		return apierror.New(apierror.CodeValidation, "Mocked result must be a JSON object.")
	case (s.Map != nil && s.Map.ResultWriter == nil || s.Parallel != nil) && !list:
		return apierror.New(apierror.CodeValidation, "Mocked result must be an array.")
	case s.Parallel != nil && t.mock.Len() != len(s.Parallel.Branches):
		return apierror.New(apierror.CodeValidation, "Mocked result must contain the same number of items as number of Parallel branches.")
	}
	return nil
}
