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
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// pattern is how a Task state starts an execution.
type pattern string

// The resource of Task states that start executions, and what may follow it.
const (
	startExecution = "arn:aws:states:::states:startExecution"

	patternForget pattern = ""
	patternSync   pattern = ".sync"   // wait; the output is a text
	patternSync2  pattern = ".sync:2" // wait; the output is JSON
)

// waits reports whether the task ends with the execution that it started.
func (p pattern) waits() bool { return p == patternSync || p == patternSync2 }

func nestedPattern(resource string) (pattern, bool) {
	rest, ok := strings.CutPrefix(resource, startExecution)
	switch p := pattern(rest); p {
	case patternForget, patternSync, patternSync2:
		return p, ok
	case tokenSuffix:
		return patternForget, ok
	default:
		return "", false
	}
}

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
		case <-time.After(storeRetry):
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

// awaitChild lets b wait for the end of the execution it has started.
func (x *execution) awaitChild(b *branch, started value.Value) {
	arn, _ := started.Get("ExecutionArn")
	b.child, _ = arn.Str()
	b.phase, b.effective, b.heartbeat = phaseNested, value.Value{}, 0
	x.nest(b)
	x.mark(b)
	x.watch(b, 0)
	// It may have ended before anybody waited for that.
	x.then(func() { x.lookAtChild(b) })
}

func (x *execution) nest(b *branch) {
	if x.nested == nil {
		x.nested = map[int64]struct{}{}
	}
	x.nested[b.id] = struct{}{}
}

// lookAtChild goes on with b when the execution it waits for has ended.
func (x *execution) lookAtChild(b *branch) {
	if x.end != nil || b.over() || b.phase != phaseNested {
		return
	}
	again := func(wait int64) {
		at := x.now() + wait
		if b.due == 0 || at < b.due {
			x.wait(b, at)
			x.e.timers.set(x.id, x.nextDue())
		}
	}
	child, err := x.e.findExecution(context.Background(), b.child)
	switch {
	case err != nil && !isUnavailable(err):
		x.childEndedAs(b, nil, err.Error())
	case err != nil:
		x.e.log.Error("cannot look at nested execution; trying again", zap.String("execution", x.arn()), zap.String("child", b.child), zap.Error(err))
		again(storeRetry.Milliseconds())
	case child.Status != store.Running:
		x.childEndedAs(b, child, "")
	default:
		attrs, err := attrsOf(child)
		if p := attrs.Parent; err != nil || p == nil || p.Exec != x.id || p.Branch != b.id {
			again(nestedPoll)
		}
	}
}

// childEndedAs ends the task with what became of the child; nil when it is not
// there, for the reason missing.
func (x *execution) childEndedAs(b *branch, child *store.Execution, missing string) {
	delete(x.nested, b.id)
	b.phase, b.due = phaseTask, 0
	f := familyOf(b.state.Task.Resource)
	ev := history.Event{Type: f.failed, Has: f.has, ResourceType: f.resourceType, Resource: f.resource}
	var described value.Value
	cause := missing
	if child != nil {
		p, _ := nestedPattern(b.state.Task.Resource)
		described = x.e.described(child, p == patternSync2)
		cause = described.JSON()
	}
	if child == nil || child.Status != store.Succeeded {
		ev.Has |= history.HasError | history.HasCause
		ev.Error, ev.Cause = asl.ErrTaskFailed, cause
		x.follow(b, &ev)
		x.stateFailed(b, &asl.Error{Name: ev.Error, Cause: ev.Cause})
		return
	}
	if len(cause) > asl.MaxData {
		x.stateFailed(b, x.located(b, tooLarge(b.state.Name)))
		return
	}
	ev.Type, ev.Has, ev.Data = f.succeeded, ev.Has|history.HasData, cause
	x.follow(b, &ev)
	if err := x.complete(b, described); err != nil {
		x.stateFailed(b, x.located(b, err))
	}
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

func (x *execution) nestedOverdue(b *branch, now int64) {
	if name, cause := b.overdue(0, now); cause != nil {
		x.stopChild(b)
		x.taskTimedOut(b, name)
		return
	}
	x.watch(b, 0)
	x.lookAtChild(b)
}

// stopChild stops the execution that b waited for.
func (x *execution) stopChild(b *branch) {
	delete(x.nested, b.id)
	b.phase = phaseTask
	arn := b.child
	x.docs = append(x.docs, store.Doc{Kind: kindOrphan, Key: arn, Body: []byte("{}")})
	x.then(func() { x.e.stopOrphan(arn) })
}

// unorphan deletes, with the execution's end, the wish to stop it.
func (x *execution) unorphan() {
	attrs, err := attrsOf(x.rec)
	if err == nil && attrs.Parent != nil && attrs.Parent.Waits {
		x.docs = append(x.docs, store.Doc{Kind: kindOrphan, Key: x.arn()})
	}
}

// tellParent wakes the execution that waits for the end of rec.
func (e *Engine) tellParent(rec *store.Execution) {
	attrs, err := attrsOf(rec)
	if err != nil || attrs.Parent == nil || !attrs.Parent.Waits {
		return
	}
	branch := attrs.Parent.Branch
	e.post(attrs.Parent.Exec, message{
		kind: msgCall,
		call: func(x *execution) {
			if b := x.branches[branch]; b != nil {
				x.lookAtChild(b)
			}
		},
		gone: func(bool) {},
	})
}

// stopOrphan stops an execution without waiting for its end.
func (e *Engine) stopOrphan(arn string) {
	x, err := e.findExecution(context.Background(), arn)
	switch {
	case err == nil && x.Status == store.Running:
		e.post(x.ID, message{kind: msgStop, ended: make(chan struct{})})
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
