package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"switchyard/internal/uuid"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/catalog"
	"switchyard/asl/distributed"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

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
	// origin is that of the parent, nil where it has none.
	origin json.RawMessage
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
	// Child is what a child of a Map run keeps.
	Child *distributed.ChildAttrs `json:"child,omitempty"`
	// Origin is what started the execution has for an origin, see [WithOrigin];
	// nil where the execution's own input tells it.
	Origin json.RawMessage `json:"origin,omitempty"`
	// Version and Alias are what the execution was started with.
	Version int    `json:"version,omitempty"`
	Alias   string `json:"alias,omitempty"`
	// Redrives counts redrives, Redriven is when the last one was, in Unix
	// milliseconds.
	Redrives int   `json:"redrives,omitempty"`
	Redriven int64 `json:"redriven,omitempty"`
	// Tokens are those of the last redrives.
	Tokens []redriveToken `json:"tokens,omitempty"`
}

// encode is nil when there is nothing to keep.
func (a *executionAttrs) encode() ([]byte, error) {
	body, err := json.Marshal(a)
	if string(body) == "{}" {
		return nil, err
	}
	return body, err
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
	r, err := e.request(ctx, &in)
	if err != nil {
		return Started{}, err
	}
	m := r.Machine
	if m.Type == catalog.TypeExpress {
		if in.parent != nil && in.parent.Waits {
			return Started{}, errExpress
		}
		x := e.newExpress(r)
		if err := e.begin(ctx, x); err != nil {
			return Started{}, err
		}
		return Started{x.arn(), x.rec.Started}, nil
	}
	rec := &store.Execution{
		ID: e.lastID.Add(1), Machine: m.Name, Name: in.Name, Revision: m.RevisionKey,
		Started: e.now().UnixMilli(), Input: []byte(in.Input),
	}
	if rec.ID > store.MaxExecID {
		return Started{}, apierror.Unavailable(fmt.Errorf("start execution %s: execution IDs are used up", in.Name))
	}
	attrs := executionAttrs{TraceHeader: in.TraceHeader, TestCase: r.caseName, Parent: in.parent, Origin: in.origin, Version: r.Version, Alias: r.Alias}
	if rec.Attrs, err = attrs.encode(); err != nil {
		return Started{}, apierror.Unavailable(err)
	}
	started := Started{e.names.Execution(m.Name, in.Name), rec.Started}
	x := newExecution(e, rec, r.prog, r.value)
	x.testCase, x.attrs = r.testCase, attrs
	err = e.create(ctx, x)
	switch {
	case errors.Is(err, store.ErrExists):
		return e.startedBefore(ctx, rec, r.caseName, in.parent)
	case err != nil:
		return Started{}, apierror.Unavailable(fmt.Errorf("start execution %s: %w", in.Name, err))
	}
	return started, nil
}

// request is a start that may be.
type request struct {
	catalog.Target
	in       *Start
	value    value.Value // the input
	prog     *program
	caseName string
	testCase *testCase
}

// request checks what an execution is asked for with, and fills in what was
// left out.
func (e *Engine) request(ctx context.Context, in *Start) (*request, error) {
	r := &request{in: in}
	machineARN, caseName, err := e.splitTestCase(in.MachineARN)
	if err != nil {
		return nil, err
	}
	r.caseName = caseName
	if r.Target, err = e.catalog.Resolve(ctx, machineARN); err != nil {
		return nil, err
	}
	if r.Machine.Status == catalog.MachineDeleting {
		return nil, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", in.MachineARN)
	}
	if in.Name == "" {
		in.Name = uuid.New()
	} else if !arns.ValidName(in.Name) {
		return nil, apierror.New(apierror.CodeInvalidName, "Invalid Name: '%s'", in.Name)
	}
	if in.Input == "" {
		in.Input = "{}"
	}
	if len(in.Input) > asl.MaxData {
		return nil, apierror.New(apierror.CodeValidation, "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to %d", asl.MaxData)
	}
	if r.value, err = value.ParseString(in.Input); err != nil {
		return nil, apierror.New(apierror.CodeInvalidExecutionInput, "Invalid State Machine Execution Input: '%s'", err)
	}
	if r.prog, err = e.program(ctx, r.Machine.RevisionKey); err != nil {
		return nil, apierror.Unavailable(err)
	}
	r.testCase, err = e.testCaseOf(r.prog, r.Machine.Name, caseName)
	return r, err
}

// create makes x durable and lets it run. What it does before it first waits
// goes to the store with it, in one write.
func (e *Engine) create(ctx context.Context, x *execution) error {
	created := x.created
	if !e.admit(x) {
		e.store.Apply(&store.Write{Create: x.rec, Exec: x.id, Done: func(err error) {
			if !errors.Is(err, store.ErrExists) {
				// Also after a failure: it may have been stored all the same.
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
	arn := e.names.Execution(rec.Machine, rec.Name)
	old, err := e.store.Execution(ctx, rec.Machine, rec.Name)
	if err != nil {
		return Started{}, apierror.Unavailable(err)
	}
	was, err := attrsOf(old)
	if err != nil {
		return Started{}, apierror.Unavailable(err)
	}
	if parent != nil && was.Parent != nil && *was.Parent == *parent {
		return Started{arn, old.Started}, nil // this very task did it, before a crash
	}
	if old.Status != store.Running || string(old.Input) != string(rec.Input) || was.TestCase != caseName {
		return Started{}, apierror.New(apierror.CodeExecutionAlreadyExists, "Execution Already Exists: '%s'", arn)
	}
	return Started{arn, old.Started}, nil
}

// Execution describes an execution as it is on disk.
type Execution struct {
	store.Execution
	ARN         string
	MachineARN  string
	TraceHeader string
	// VersionARN and AliasARN are what the execution was started with, ""
	// where it was neither.
	VersionARN string
	AliasARN   string
	// Redrives counts redrives, Redriven is when the last one was, in Unix
	// milliseconds, 0 for never.
	Redrives int
	Redriven int64
	// NotRedrivable says why it cannot be redriven now; "" when it can, and for a
	// child that a redrive of its Map run takes along (ByMapRun). Lists leave both
	// out.
	NotRedrivable string
	ByMapRun      bool
	// MapRunARN is that of the Map run that started the execution, "" for
	// others; Items is, in lists of such executions, how many items of the
	// Map it works on.
	MapRunARN string
	Items     int64
}

func (e *Engine) view(x *store.Execution) (*Execution, error) {
	attrs, err := attrsOf(x)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	d := &Execution{
		Execution: *x, ARN: e.names.Execution(x.Machine, x.Name), MachineARN: e.names.Machine(x.Machine),
		TraceHeader: attrs.TraceHeader, Redrives: attrs.Redrives, Redriven: attrs.Redriven,
	}
	if attrs.Version > 0 {
		d.VersionARN = e.names.Version(x.Machine, attrs.Version)
	}
	if attrs.Alias != "" {
		d.AliasARN = d.MachineARN + ":" + attrs.Alias
	}
	if arns.IsChild(x.Machine) {
		d.MapRunARN = e.names.MapRun(x.Machine)
	}
	return d, nil
}

func (e *Engine) findExecution(ctx context.Context, arn string) (*store.Execution, error) {
	machine, name, err := e.names.ParseExecution(arn)
	if err != nil {
		return nil, err
	}
	x, err := e.store.Execution(ctx, machine, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, apierror.New(apierror.CodeExecutionDoesNotExist, "Execution Does Not Exist: '%s'", arn)
	}
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	return x, nil
}

// DescribeExecution returns one execution.
func (e *Engine) DescribeExecution(ctx context.Context, arn string) (*Execution, error) {
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return nil, err
	}
	found, err := e.view(x)
	if err != nil {
		return nil, err
	}
	found.NotRedrivable, err = e.notRedrivable(ctx, x)
	if found.NotRedrivable == redrivenByMapRun {
		found.NotRedrivable, found.ByMapRun = "", true
	}
	return found, err
}

// listScan is how many executions are read at a time where only those of a
// version or an alias are wanted.
const listScan = 500

// ListExecutions returns up to limit executions of a machine, or of one of its
// versions or aliases, the newest first, from the one before the execution with
// ID before on (0: from the newest). The executions lack input, output, error
// and cause.
func (e *Engine) ListExecutions(ctx context.Context, machineARN string, status *store.Status, before int64, limit int) ([]*Execution, error) {
	t, err := e.catalog.Resolve(ctx, machineARN)
	if err != nil {
		return nil, err
	}
	if t.Machine.Type == catalog.TypeExpress {
		return nil, errExpress
	}
	var list []*Execution
	for {
		q := store.Query{Machine: t.Machine.Name, Status: status, Before: before, Limit: limit}
		if t.Version != 0 {
			q.Limit = max(limit, listScan)
		}
		found, err := e.store.Executions(ctx, q)
		if err != nil {
			return nil, apierror.Unavailable(err)
		}
		for _, x := range found {
			d, err := e.view(x)
			if err != nil {
				return nil, err
			}
			if t.Alias != "" && d.AliasARN != machineARN || t.Alias == "" && t.Version != 0 && d.VersionARN != machineARN {
				continue
			}
			if list = append(list, d); len(list) == limit {
				return list, nil
			}
		}
		if len(found) < q.Limit {
			return list, nil
		}
		before = found[len(found)-1].ID
	}
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
	e.post(x.ID, letter{message: run.Stop{Error: errorName, Cause: cause}, ended: ended})
	select {
	case <-ended:
	case <-e.stopped:
		return 0, errStopping
	case <-ctx.Done():
		return 0, apierror.Unavailable(fmt.Errorf("stop execution %s: %w", arn, context.Cause(ctx)))
	}
	if x, err = e.store.ExecutionByID(ctx, x.ID); err != nil {
		return 0, apierror.Unavailable(err)
	}
	return x.Stopped, nil
}
