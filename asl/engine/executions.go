package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"switchyard/asl/store"
	"switchyard/asl/value"
)

// MaxData is the largest input, output or result, in bytes of UTF-8.
const MaxData = 262_144

// Start asks for an execution.
type Start struct {
	// MachineARN may end in #TestCase, see [WithMocks].
	MachineARN string
	// Name is a random one when empty.
	Name string
	// Input is a JSON text, {} when empty.
	Input       string
	TraceHeader string

	parent *parentTask
}

// Started is an execution that is on disk.
type Started struct {
	ExecutionARN string
	// StartDate is in Unix milliseconds.
	StartDate int64
}

// executionAttrs are what an execution keeps beside the store's own fields.
type executionAttrs struct {
	TraceHeader string `json:"trace,omitempty"`
	// TestCase is the name of the one that the execution runs.
	TestCase string `json:"testCase,omitempty"`
	// Parent is the task that started the execution; nil for none.
	Parent *parentTask `json:"parent,omitempty"`
}

func attrsOf(rec *store.Execution) (attrs executionAttrs, err error) {
	if len(rec.Attrs) > 0 {
		if err = json.Unmarshal(rec.Attrs, &attrs); err != nil {
			err = fmt.Errorf("decode attributes of execution %s of %s: %w", rec.Name, rec.Machine, err)
		}
	}
	return attrs, err
}

// StartExecution starts an execution and returns once it is durable. With the
// name and the input of one that runs it returns that one; any other use of a
// name that is taken is ExecutionAlreadyExists.
func (e *Engine) StartExecution(ctx context.Context, in Start) (Started, error) {
	machineARN, caseName, err := e.splitTestCase(in.MachineARN)
	if err != nil {
		return Started{}, err
	}
	m, err := e.existing(ctx, machineARN)
	if err != nil {
		return Started{}, err
	}
	if m.Status == MachineDeleting {
		return Started{}, fail(CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", in.MachineARN)
	}
	if in.Name == "" {
		in.Name = newUUID()
	} else if !validName(in.Name) {
		return Started{}, fail(CodeInvalidName, "Invalid Name: '%s'", in.Name)
	}
	if in.Input == "" {
		in.Input = "{}"
	}
	if len(in.Input) > MaxData {
		return Started{}, fail(CodeValidation, "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to %d", MaxData)
	}
	input, err := value.ParseString(in.Input)
	if err != nil {
		return Started{}, fail(CodeInvalidExecutionInput, "Invalid State Machine Execution Input: '%s'", err)
	}
	prog, err := e.program(ctx, m.RevisionKey)
	if err != nil {
		return Started{}, internal(err)
	}
	mocks, err := e.testCaseOf(prog, m.Name, caseName)
	if err != nil {
		return Started{}, err
	}
	rec := &store.Execution{
		ID: e.lastID.Add(1), Machine: m.Name, Name: in.Name, Revision: m.RevisionKey,
		Started: e.now().UnixMilli(), Input: []byte(in.Input),
	}
	if rec.ID > store.MaxExecID {
		return Started{}, internal(fmt.Errorf("start execution %s: execution IDs are used up", in.Name))
	}
	if attrs := (executionAttrs{TraceHeader: in.TraceHeader, TestCase: caseName, Parent: in.parent}); attrs != (executionAttrs{}) {
		if rec.Attrs, err = json.Marshal(attrs); err != nil {
			return Started{}, internal(err)
		}
	}
	started := Started{e.executionARN(m.Name, in.Name), rec.Started}
	x := newExecution(e, rec, prog, input)
	x.testCase = mocks
	err = e.create(ctx, x)
	switch {
	case errors.Is(err, store.ErrExists):
		return e.startedBefore(ctx, rec, caseName, in.parent)
	case err != nil:
		return Started{}, internal(fmt.Errorf("start execution %s: %w", in.Name, err))
	}
	return started, nil
}

// create makes x durable and lets it run. What it does before it first waits
// goes to the store with it, in one write.
func (e *Engine) create(ctx context.Context, x *execution) error {
	created := x.created
	if !e.admit(x) {
		e.store.Apply(&store.Write{Create: x.rec, Exec: x.id, Done: func(err error) {
			if err == nil {
				e.timers.set(x.id, x.rec.Started)
			}
			created <- err
		}})
	}
	select {
	case err := <-created:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) startedBefore(ctx context.Context, rec *store.Execution, caseName string, parent *parentTask) (Started, error) {
	arn := e.executionARN(rec.Machine, rec.Name)
	old, err := e.store.Execution(ctx, rec.Machine, rec.Name)
	if err != nil {
		return Started{}, internal(err)
	}
	was, err := attrsOf(old)
	if err != nil {
		return Started{}, internal(err)
	}
	if parent != nil && was.Parent != nil && *was.Parent == *parent {
		return Started{arn, old.Started}, nil // this very task did it, before a crash
	}
	if old.Status != store.Running || string(old.Input) != string(rec.Input) || was.TestCase != caseName {
		return Started{}, fail(CodeExecutionAlreadyExists, "Execution Already Exists: '%s'", arn)
	}
	return Started{arn, old.Started}, nil
}

// Execution describes an execution as it is on disk.
type Execution struct {
	store.Execution
	ARN         string
	MachineARN  string
	TraceHeader string
}

func (e *Engine) findExecution(ctx context.Context, arn string) (*store.Execution, error) {
	machine, name, err := e.parseExecutionARN(arn)
	if err != nil {
		return nil, err
	}
	x, err := e.store.Execution(ctx, machine, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fail(CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
	}
	if err != nil {
		return nil, internal(err)
	}
	return x, nil
}

// DescribeExecution returns one execution.
func (e *Engine) DescribeExecution(ctx context.Context, arn string) (*Execution, error) {
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return nil, err
	}
	attrs, err := attrsOf(x)
	if err != nil {
		return nil, internal(err)
	}
	return &Execution{Execution: *x, ARN: arn, MachineARN: e.machineARN(x.Machine), TraceHeader: attrs.TraceHeader}, nil
}

// ListExecutions returns up to limit executions of a machine, the newest first,
// from the one before the execution with ID before on (0: from the newest). The
// executions lack input, output, error and cause.
func (e *Engine) ListExecutions(ctx context.Context, machineARN string, status *store.Status, before int64, limit int) ([]*Execution, error) {
	m, err := e.existing(ctx, machineARN)
	if err != nil {
		return nil, err
	}
	found, err := e.store.Executions(ctx, store.Query{Machine: m.Name, Status: status, Before: before, Limit: limit})
	if err != nil {
		return nil, internal(err)
	}
	list := make([]*Execution, len(found))
	for i, x := range found {
		list[i] = &Execution{Execution: *x, ARN: e.executionARN(x.Machine, x.Name), MachineARN: m.ARN}
	}
	return list, nil
}

// StopExecution ends a running execution as ABORTED and returns, once that is
// durable, when it stopped, in Unix milliseconds. One that has ended already
// stays as it is.
func (e *Engine) StopExecution(ctx context.Context, arn, errorName, cause string) (int64, error) {
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return 0, err
	}
	if x.Status != store.Running {
		return x.Stopped, nil
	}
	ended := make(chan struct{})
	e.post(x.ID, message{kind: msgStop, errorName: errorName, cause: cause, ended: ended})
	select {
	case <-ended:
	case <-e.stopped:
		return 0, errStopping
	case <-ctx.Done():
		return 0, internal(fmt.Errorf("stop execution %s: %w", arn, context.Cause(ctx)))
	}
	if x, err = e.store.ExecutionByID(ctx, x.ID); err != nil {
		return 0, internal(err)
	}
	return x.Stopped, nil
}

// History returns up to limit events of an execution, from event from on
// (from = 0 starts at the first, or in reverse at the last), and the ID to go
// on from, 0 at the end.
func (e *Engine) History(ctx context.Context, arn string, from int64, reverse bool, limit int) (events []Event, next int64, err error) {
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return nil, 0, err
	}
	if from == 0 {
		from = 1
		if reverse {
			from = math.MaxInt64
		}
	}
	for len(events) <= limit && (!reverse || from > 1) {
		// The first event is not stored: it says what the execution's row
		// says, and so is there as soon as the execution is.
		if !reverse && from == 1 {
			started, err := e.startedEvent(ctx, x)
			if err != nil {
				return nil, 0, internal(err)
			}
			events = append(events, started)
			from = 2
		}
		segments, err := e.store.Segments(ctx, x.ID, from, reverse, 2)
		if err != nil {
			return nil, 0, internal(err)
		}
		if len(segments) == 0 {
			from = 1
			break
		}
		for _, seg := range segments {
			found, err := decodeEvents(seg)
			if err != nil {
				return nil, 0, internal(fmt.Errorf("history of %s: %w", arn, err))
			}
			if reverse {
				for i := len(found) - 1; i >= 0; i-- {
					if found[i].ID <= from {
						events = append(events, found[i])
					}
				}
				from = seg.First - 1
			} else {
				for _, ev := range found {
					if ev.ID >= from {
						events = append(events, ev)
					}
				}
				from = seg.Last + 1
			}
		}
	}
	if reverse && len(events) <= limit {
		started, err := e.startedEvent(ctx, x)
		if err != nil {
			return nil, 0, internal(err)
		}
		events = append(events, started)
	}
	if len(events) > limit {
		next = events[limit].ID
		events = events[:limit]
	}
	return events, next, nil
}

func (e *Engine) startedEvent(ctx context.Context, x *store.Execution) (Event, error) {
	prog, err := e.program(ctx, x.Revision)
	if err != nil {
		return Event{}, err
	}
	return Event{
		ID: 1, Type: ExecutionStarted, Time: x.Started, Has: HasData | HasARN,
		Data: string(x.Input), ARN: prog.rev.RoleARN,
	}, nil
}
