package engine

import (
	"errors"

	"switchyard/asl/apierror"
	"switchyard/asl/task"
)

var errStopping = &apierror.Error{Code: apierror.CodeServiceUnavailable, Message: "the engine is shutting down; try again"}

// What ctx says, through context.Cause, to a task that is to end.
var (
	// ErrShutdown: the engine stops; the task will be run again.
	ErrShutdown = task.ErrShutdown
	// ErrTimedOut: the task took longer than its state allows.
	ErrTimedOut = errors.New("task timed out")
	// ErrHeartbeat: the task was silent for longer than its state allows.
	ErrHeartbeat = errors.New("task missed its heartbeat")
	// ErrAborted: the result is not wanted any more, because the execution
	// was stopped or another branch of it failed.
	ErrAborted = errors.New("task was aborted")
)
