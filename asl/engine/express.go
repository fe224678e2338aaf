package engine

import (
	"context"
	"time"

	"switchyard/internal/uuid"

	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/store"
)

// expressTime is how long an EXPRESS execution may take.
const expressTime = 5 * time.Minute

var errExpress = &apierror.Error{Code: apierror.CodeTypeNotSupported, Message: "This operation is not supported by this type of state machine"}

// express tells EXPRESS executions from STANDARD ones. They live in memory
// alone, under negative IDs: nothing of them reaches the store, and they end
// with the process.
func (x *execution) express() bool { return x.id < 0 }

// timeLimit is how long the execution may take, 0 without limit.
func (x *execution) timeLimit() time.Duration {
	t := x.prog.Machine.Timeout
	if x.express() && (t == 0 || t > expressTime) {
		return expressTime
	}
	return t
}

// newExpress makes an EXPRESS execution.
func (e *Engine) newExpress(r *request) *execution {
	x := newExecution(e, &store.Execution{
		ID: e.lastExpress.Add(-1), Machine: r.Machine.Name, Name: r.in.Name, Revision: r.Machine.RevisionKey,
		Started: e.now().UnixMilli(), Input: []byte(r.in.Input),
	}, r.prog, r.value)
	x.suffix, x.testCase, x.attrs.Origin = uuid.New(), r.testCase, r.in.origin
	return x
}

// begin lets an EXPRESS execution run. Before the engine runs it waits for that.
func (e *Engine) begin(ctx context.Context, x *execution) error {
	created := x.created
	if !e.enter(x) {
		return errStopping
	}
	select {
	case err := <-created:
		return err
	case <-e.stopped:
		return errStopping
	case <-ctx.Done():
		return apierror.Unavailable(context.Cause(ctx))
	}
}

// StartSync runs an EXPRESS execution to its end. The executions of a name
// don't exclude one another. When ctx ends first the execution goes on, and
// nobody learns of its end.
func (e *Engine) StartSync(ctx context.Context, in Start) (*Execution, error) {
	r, err := e.request(ctx, &in)
	if err != nil {
		return nil, err
	}
	if r.Machine.Type != catalog.TypeExpress {
		return nil, errExpress
	}
	x := e.newExpress(r)
	ended, err := e.runToEnd(ctx, x)
	if err != nil {
		return nil, err
	}
	return &Execution{Execution: *ended, ARN: x.arn(), MachineARN: e.names.Machine(r.Machine.Name), TraceHeader: in.TraceHeader}, nil
}

// runToEnd runs an execution that is not stored.
func (e *Engine) runToEnd(ctx context.Context, x *execution) (*store.Execution, error) {
	x.result = make(chan *store.Execution, 1)
	if err := e.begin(ctx, x); err != nil {
		return nil, err
	}
	select {
	case ended := <-x.result:
		return ended, nil
	case <-e.stopped:
		return nil, errStopping
	case <-ctx.Done():
		return nil, apierror.Unavailable(context.Cause(ctx))
	}
}
