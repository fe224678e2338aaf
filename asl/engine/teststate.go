package engine

import (
	"context"
	"strings"

	"switchyard/internal/uuid"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/run"
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

// testedName is what AWS calls a state that is tested without its machine.
const testedName = "StateName"

// TestState runs one state by itself, with the engine's task handlers or with
// a mock, within five minutes. Nothing of it is stored.
func (e *Engine) TestState(ctx context.Context, in StateTest) (*run.StateResult, error) {
	s, err := testedState(&in)
	if err != nil {
		return nil, err
	}
	t := &run.Trial{RetryCount: in.RetryCount, Variables: value.EmptyObject}
	if err := in.checkMock(s, t); err != nil {
		return nil, err
	}
	if in.Input == "" {
		in.Input = "{}"
	}
	input, err := value.ParseString(in.Input)
	if err != nil {
		return nil, apierror.New(apierror.CodeInvalidExecutionInput, "Invalid State Machine Execution Input: '%s'", err)
	}
	if in.Variables != "" {
		if t.Variables, err = value.ParseString(in.Variables); err != nil || t.Variables.Kind() != value.Object {
			return nil, apierror.New(apierror.CodeValidation, "variables must be a JSON object")
		}
	}
	if in.Context != "" {
		if t.Context, err = value.ParseString(in.Context); err != nil || t.Context.Kind() != value.Object {
			return nil, apierror.New(apierror.CodeValidation, "context must be a JSON object")
		}
		t.HasContext = true
	}
	name := uuid.New()
	prog := &program{
		rev:     &catalog.Revision{RoleARN: in.RoleARN, Machine: name, Type: catalog.TypeExpress},
		Program: &run.Program{Machine: &asl.Machine{Graph: asl.Graph{Start: s}}, States: map[string]*asl.State{s.Name: s}},
	}
	x := e.newExpress(&request{
		Target: catalog.Target{Machine: &catalog.Machine{Name: name, Type: catalog.TypeExpress}},
		in:     &Start{Name: uuid.New(), Input: in.Input}, value: input, prog: prog,
	})
	x.trial = t
	ended, err := e.runToEnd(ctx, x)
	if err != nil {
		return nil, err
	}
	if ended.Status == store.TimedOut {
		t.Out.Status, t.Out.Error = run.StateFailed, asl.ErrTimeout
	}
	if ended.Status == store.Failed && t.Out.Status == "" { // it did not come to an end by itself
		t.Out.Status, t.Out.Error, t.Out.Cause = run.StateFailed, ended.Error, ended.Cause
	}
	t.Out.Inspection.Input = input.JSON()
	return &t.Out, nil
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
func (in *StateTest) checkMock(s *asl.State, t *run.Trial) error {
	works := s.Type == asl.TypeTask || s.Type == asl.TypeMap || s.Type == asl.TypeParallel
	m := in.Mock
	if m == nil {
		switch {
		case in.Context != "":
			return apierror.New(apierror.CodeValidation, "context can only be specified with a mock")
		case s.Type == asl.TypeMap || s.Type == asl.TypeParallel:
			return apierror.New(apierror.CodeInvalidDefinition, "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]")
		case s.Task == nil:
			return nil
		case in.RoleARN == "":
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
	case in.RevealSecrets:
		return apierror.New(apierror.CodeValidation, "TestState does not support RevealSecrets when a mock is specified.")
	}
	t.Mocked, t.Failure = true, m.Failure
	if m.Result == nil {
		return nil
	}
	var err error
	if t.Result, err = value.ParseString(*m.Result); err != nil {
		return apierror.New(apierror.CodeValidation, "Mocked result must be valid JSON")
	}
	list := t.Result.Kind() == value.Array
	switch {
	case s.Map != nil && s.Map.ResultWriter != nil && t.Result.Kind() != value.Object:
		return apierror.New(apierror.CodeValidation, "Mocked result must be a JSON object.")
	case (s.Map != nil && s.Map.ResultWriter == nil || s.Parallel != nil) && !list:
		return apierror.New(apierror.CodeValidation, "Mocked result must be an array.")
	case s.Parallel != nil && t.Result.Len() != len(s.Parallel.Branches):
		return apierror.New(apierror.CodeValidation, "Mocked result must contain the same number of items as number of Parallel branches.")
	}
	return nil
}
