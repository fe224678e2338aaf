// Package dispatch starts one execution for every commit and route, exactly
// once, and follows each to its end.
//
// Normal operation runs the recovery path: a delivery is appended to the
// journal, and everything after that (expanding it into requests, starting
// them, watching them) works from the journal alone, so that a crash at any
// instant costs nothing but time.
package dispatch

import (
	"context"
	"time"

	"switchyard/internal/event"
)

// Planner routes an event. It is pure, cheap and safe for concurrent use.
type Planner interface {
	Plan(ev event.Event) event.Plan
}

// Engine runs executions; both AWS and the embedded engine are reached through
// it. It is safe for concurrent use, and every call returns when ctx ends.
//
// Errors: a [*PermanentError] cannot be repaired by trying again; a
// [*BlockedError] concerns the state machine and every request of it alike; a
// [*ThrottledError] says the engine is limiting us; anything else is retried
// with backoff.
type Engine interface {
	// Start starts the execution named name, or finds it already started with
	// the same identity in its input, and returns its ARN. Calling it again is
	// safe.
	Start(ctx context.Context, stateMachine, name string, input []byte) (Started, error)
	// Describe says where the execution is now.
	Describe(ctx context.Context, executionARN string) (event.Outcome, error)
	// Stop asks for the end of a running execution; one that has already
	// ended is not an error.
	Stop(ctx context.Context, executionARN, errorName, cause string) error
}

// Lister is an [Engine] that tells of many executions in one call. What it says
// may be some seconds old.
type Lister interface {
	// ListRunning returns the ARNs of a page of the executions that run on the
	// state machine of the execution like, newest first, and what to call it
	// with for the next page: "" for the first, and after the last.
	ListRunning(ctx context.Context, like, page string) (arns []string, next string, err error)
}

// Started is an execution that the engine holds.
type Started struct {
	ExecutionARN string
	StartedAt    time.Time
	// Existed is true when the execution was there before this call.
	Existed bool
}
