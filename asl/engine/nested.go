package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"switchyard/internal/uuid"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// kindOrphan are the executions that are to be stopped because what waited for
// them does not any more. Each is written with that, and deleted with the
// execution's own end.
const kindOrphan = "orphan"

// nestedPoll is how often an execution that somebody else had started is
// looked at: its end is told to who started it. Milliseconds.
const nestedPoll = 1000

// parentTask is the task that started an execution.
type parentTask struct {
	Exec   int64 `json:"exec"`
	Branch int64 `json:"branch"`
	// Task is the task's ID: with it a task recognises its own child.
	Task string `json:"task"`
	// Waits is true when the parent is to be told of the end.
	Waits bool `json:"waits,omitempty"`
}

// nested is the handler of Task states that start executions.
type nested struct {
	e      *Engine
	parent parentTask
	origin json.RawMessage
}

type nestedInput struct {
	StateMachineArn string
	Name            string
	Input           json.RawMessage
	TraceHeader     string
}

// Run implements [task.Handler]: it starts the execution and returns once that
// is durable. A repetition finds the execution that the task has started.
func (n nested) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	var in nestedInput
	if err := json.Unmarshal(t.Input, &in); err != nil || in.StateMachineArn == "" {
		return nil, &task.Error{Name: asl.ErrRuntime, Cause: "The Parameters of startExecution need a StateMachineArn, which is a string; Name is a string too, and Input any JSON."}
	}
	n.parent.Task = t.ID
	start := Start{MachineARN: in.StateMachineArn, Name: in.Name, Input: string(in.Input), TraceHeader: in.TraceHeader, parent: &n.parent, origin: n.origin}
	if start.Name == "" {
		start.Name = t.ID
	}
	var text string
	switch {
	case json.Unmarshal(in.Input, &text) == nil && text != "":
		start.Input = text
	case start.Input == "null":
		start.Input = ""
	}
	// Once begun it is seen through: an end half-way would leave an execution
	// that nobody knows of.
	started, err := n.e.StartExecution(context.WithoutCancel(ctx), start)
	for isUnavailable(err) {
		// The engine's own trouble is no failure of the task.
		select {
		case <-time.After(store.Retry):
			started, err = n.e.StartExecution(context.WithoutCancel(ctx), start)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, serviceError(err)
	}
	if ctx.Err() != nil && n.parent.Waits && !errors.Is(context.Cause(ctx), ErrShutdown) {
		n.e.stopOrphan(started.ExecutionARN)
	}
	return json.Marshal(struct {
		ExecutionArn string
		task.Metadata
		StartDate int64
	}{started.ExecutionARN, task.MetadataOf(t, "application/x-amz-json-1.0"), started.StartDate})
}

// isUnavailable reports whether err is the store's, and may go away.
func isUnavailable(err error) bool {
	var known *apierror.Error
	return errors.As(err, &known) && known.Code == apierror.CodeServiceUnavailable
}

// serviceError is an error of the API as a state machine sees it.
func serviceError(err error) error {
	var known *apierror.Error
	if !errors.As(err, &known) {
		return err
	}
	return &task.Error{
		Name: "StepFunctions." + strings.TrimSuffix(string(known.Code), "Exception") + "Exception",
		Cause: fmt.Sprintf("%s (Service: AWSStepFunctions; Status Code: 400; Error Code: %s; Request ID: %s; Proxy: null)",
			known.Message, known.Code, uuid.New()),
	}
}

// lookAtChild tells how the execution is that a task waits for.
func (x *execution) lookAtChild(f run.LookAtChild) {
	seen := run.ChildSeen{Branch: f.Branch, ARN: f.ARN}
	child, err := x.e.findExecution(context.Background(), f.ARN)
	switch {
	case err != nil && !isUnavailable(err):
		seen.Missing = err.Error()
	case err != nil:
		x.e.log.Error("cannot look at nested execution; trying again", zap.String("execution", x.arn()), zap.String("child", f.ARN), zap.Error(err))
		seen.LookAgain = store.Retry.Milliseconds()
	case child.Status != store.Running:
		seen.Ended = &run.EndedChild{
			Succeeded: child.Status == store.Succeeded, Described: x.e.described(child, false), Parsed: x.e.described(child, true),
		}
	default:
		attrs, err := attrsOf(child)
		if p := attrs.Parent; err != nil || p == nil || p.Exec != x.id || p.Branch != f.Branch {
			seen.LookAgain = nestedPoll
		}
	}
	x.post(letter{message: seen})
}

// described is an execution that has ended as its parent sees it: the answer of
// DescribeExecution, with input and output as texts or, for .sync:2, as JSON.
func (e *Engine) described(x *store.Execution, parsed bool) value.Value {
	m := value.NewBuilder(12)
	data := func(key string, text []byte) {
		v := value.OfString(string(text))
		if parsed {
			if p, err := value.Parse(text); err == nil {
				v = p
			}
		}
		m.Set(key, v)
		m.Set(key+"Details", value.OfObject(value.Field{Key: "Included", Value: value.OfBool(true)}))
	}
	if x.Cause != "" {
		m.Set("Cause", value.OfString(x.Cause))
	}
	if x.Error != "" {
		m.Set("Error", value.OfString(x.Error))
	}
	m.Set("ExecutionArn", value.OfString(e.names.Execution(x.Machine, x.Name)))
	data("Input", x.Input)
	m.Set("Name", value.OfString(x.Name))
	if x.Output != nil {
		data("Output", x.Output)
	}
	m.Set("StartDate", value.OfInt(x.Started))
	m.Set("StateMachineArn", value.OfString(e.names.Machine(x.Machine)))
	m.Set("Status", value.OfString(x.Status.String()))
	m.Set("StopDate", value.OfInt(x.Stopped))
	return m.Object()
}

// unorphan deletes, with the execution's end, the wish to stop it.
func (x *execution) unorphan(docs []store.Doc) []store.Doc {
	if x.attrs.Parent == nil || !x.attrs.Parent.Waits {
		return docs
	}
	return append(docs, store.Doc{Kind: kindOrphan, Key: x.arn()})
}

// tellParent wakes the execution that waits for the end of rec.
func (e *Engine) tellParent(rec *store.Execution) {
	attrs, err := attrsOf(rec)
	if err != nil || attrs.Parent == nil || !attrs.Parent.Waits {
		return
	}
	e.post(attrs.Parent.Exec, letter{message: run.ChildMoved{Branch: attrs.Parent.Branch}})
}

// stopOrphan stops an execution without waiting for its end.
func (e *Engine) stopOrphan(arn string) {
	x, err := e.findExecution(context.Background(), arn)
	switch {
	case err == nil && x.Status == store.Running:
		e.post(x.ID, letter{message: run.Stop{}})
	case !isUnavailable(err):
		e.store.Apply(&store.Write{Docs: []store.Doc{{Kind: kindOrphan, Key: arn}}, Done: func(error) {
			// What is not deleted now is when the engine starts again.
		}})
	default:
		e.log.Error("cannot stop nested execution; the next start of the engine will", zap.String("execution", arn), zap.Error(err))
	}
}

// stopOrphans does what an earlier process did not get to.
func (e *Engine) stopOrphans(ctx context.Context) {
	err := store.EachDoc(ctx, e.store, kindOrphan, func(d store.Doc) error {
		e.stopOrphan(d.Key)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		e.log.Error("cannot look for nested executions to stop", zap.Error(err))
	}
}
