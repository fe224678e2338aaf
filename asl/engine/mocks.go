package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/task"
)

// Mocks are the test cases of state machines. It is safe for concurrent use.
type Mocks interface {
	// TestCase gives what stands in for the work of Task states, by the names
	// of the states. ok is false when the machine has no such test case.
	TestCase(machine, name string) (states map[string]task.Mock, ok bool)
}

// WithMocks lets executions be started with #TestCase after the ARN of their
// state machine. The states that the test case names call no handler then.
func WithMocks(m Mocks) Option { return func(e *Engine) { e.mocks = m } }

// testCase is what an execution was started with.
type testCase struct {
	name string
	// states is nil when the engine does not know the test case any more.
	states map[string]task.Mock
}

// splitTestCase takes the test case off the ARN of a state machine.
func (e *Engine) splitTestCase(arn string) (machine, name string, err error) {
	machine, name, marked := strings.Cut(arn, "#")
	switch {
	case !marked:
		return arn, "", nil
	case e.mocks == nil:
		return "", "", apierror.New(apierror.CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'. An ARN with a test case (#Name) is for an engine that was given mocks.", arn)
	case name == "":
		return "", "", apierror.New(apierror.CodeInvalidArn, "Invalid Arn: 'Invalid ARN format: %s'. The name of the test case is missing after #.", arn)
	}
	return machine, name, nil
}

// testCaseOf finds the test case with which an execution of p was asked for.
func (e *Engine) testCaseOf(p *program, machine, name string) (*testCase, error) {
	if name == "" {
		return nil, nil
	}
	states, ok := e.mocks.TestCase(machine, name)
	if !ok {
		return nil, apierror.New(apierror.CodeValidation, "the mocks have no test case '%s' for the state machine '%s'", name, machine)
	}
	// A misspelt name would let the real handler run.
	var wrong []string
	for state := range states {
		if s := p.States[state]; s == nil || s.Task == nil {
			wrong = append(wrong, "'"+state+"'")
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, apierror.New(apierror.CodeValidation, "the test case '%s' names what is no Task state of the state machine '%s': %s", name, machine, strings.Join(wrong, ", "))
	}
	return &testCase{name, states}, nil
}

// resumeTestCase finds the test case of a stored execution.
func (e *Engine) resumeTestCase(machine, name string) *testCase {
	if name == "" {
		return nil
	}
	c := &testCase{name: name}
	if e.mocks != nil {
		c.states, _ = e.mocks.TestCase(machine, name)
	}
	return c
}

// mock is what stands in for the work of a state, nil for nothing.
func (c *testCase) mock(state string) task.Mock {
	if c.states == nil {
		// Better no work at all than real work in the middle of a test.
		return lostMock{c.name}
	}
	return c.states[state]
}

// mocked tells for which states a mock does the work.
func (c *testCase) mocked() func(state string) bool {
	if c == nil {
		return nil
	}
	return func(state string) bool { return c.mock(state) != nil }
}

// mocked is a handler that lets a mock answer.
type mocked struct {
	mock task.Mock
	try  int
}

// Run implements [task.Handler].
func (m mocked) Run(context.Context, task.Task) (json.RawMessage, error) { return m.mock.Answer(m.try) }

// lostMock answers in the place of mocks that were there before a restart.
type lostMock struct{ testCase string }

// Answer implements [task.Mock].
func (m lostMock) Answer(int) (json.RawMessage, error) {
	return nil, &task.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The execution runs the test case '%s', which the engine's mocks do not have any more.", m.testCase)}
}
