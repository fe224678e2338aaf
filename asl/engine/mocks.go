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
		if s := p.states[state]; s == nil || s.Task == nil {
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

// mock is what stands in for the work of b's state, nil for nothing.
func (x *execution) mock(b *branch) task.Mock {
	if x.testCase == nil {
		return nil
	}
	if x.testCase.states == nil {
		// Better no work at all than real work in the middle of a test.
		return lostMock{x.testCase.name}
	}
	return x.testCase.states[b.state.Name]
}

// count gives an attempt at a mocked state its number. The numbers are kept in
// the record of the root, and so survive a restart.
func (x *execution) count(b *branch) {
	if x.mock(b) == nil {
		return
	}
	root := x.branches[rootID]
	if root.tries == nil {
		root.tries = map[string]int{}
	}
	b.try = root.tries[b.state.Name]
	root.tries[b.state.Name]++
	x.mark(root)
}

// handlerOf finds what does the work of b's state; nil when nothing does.
func (x *execution) handlerOf(b *branch) task.Handler {
	if m := x.mock(b); m != nil {
		return mocked{m, b.try}
	}
	if h := x.e.handlerFor(b.state.Task.Resource); h != nil {
		return h
	}
	if x.e.fallback != nil {
		return x.e.fallback
	}
	if pattern, ok := nestedPattern(b.state.Task.Resource); ok {
		return nested{x.e, parentTask{Exec: x.id, Branch: b.id, Waits: pattern.waits()}, x.origin()}
	}
	return nil
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
