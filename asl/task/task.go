// Package task is the seam between the embedded engine and the work that Task
// states do: local builds, local programs, HTTP endpoints, mocks, nested
// executions and, some day, real AWS calls.
package task

import (
	"context"
	"encoding/json"
	"errors"
)

// Handler does the work of Task states. It is safe for concurrent use.
//
// Run returns when the work is done or ctx has ended; by then everything it
// started (processes and their children too) is gone. The cause of ctx says
// why it ended: a timeout, a stop, or the engine shutting down. After a crash
// the engine calls Run again with the same ID and attempt, so work that
// outlived the engine must be found by ID or be safe to repeat.
//
// The output is a JSON text. An error of type [*Error] is the error that
// Retry and Catch see; any other error becomes States.TaskFailed.
type Handler interface {
	Run(ctx context.Context, t Task) (json.RawMessage, error)
}

// Keeper is a [Handler] that keeps the result of a task until it is durable
// elsewhere, so that work which ended as the engine was killed is not done
// again.
type Keeper interface {
	// Forget is called once the engine has stored the result of t. It must not
	// block, and may not be called at all for a task whose result nobody wants.
	Forget(t Task)
}

// Task is one attempt at one Task state.
type Task struct {
	// ID is stable for the attempt, also over a restart of the engine:
	// 1–80 characters of [0-9A-Za-z_-].
	ID string
	// Resource is the state's Resource, for example
	// arn:aws:states:::codebuild:startBuild.sync.
	Resource string
	// Input is the effective input: a JSON text after InputPath and Parameters.
	Input json.RawMessage
	// ExecutionARN, ExecutionName and StateName say where the task belongs.
	ExecutionARN  string
	ExecutionName string
	StateName     string
	// Origin is where the execution comes from, as the engine's WithOrigin reads it
	// in its input; nil when that says nothing. Executions that a state machine
	// starts, and those of a distributed Map, have the origin of what started
	// them, whatever their own input is.
	Origin json.RawMessage
	// Attempt counts from 0 and grows with each retry.
	Attempt int
	// Restarted is true when an earlier process was running this attempt.
	Restarted bool
	// Heartbeat tells the engine that the work is alive; never nil.
	Heartbeat func()
}

// MachineFault is the name of the error of a task that this machine, or the
// repository it builds from, kept from running for too long. Before it is
// reported the attempt has been tried again for up to an hour.
const MachineFault = "Switchyard.MachineFault"

// ErrShutdown is the cause of a context that ends because the engine does: the
// task will be run again, as the same attempt.
var ErrShutdown = errors.New("engine is shutting down")

// Error is a task's failure as a state machine sees it.
type Error struct {
	// Name is what ErrorEquals matches, for example States.TaskFailed.
	Name string
	// Cause is for a person, or a JSON text as AWS gives for some services.
	Cause string
}

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// Mock answers in the place of a state's handler, at once. It is safe for
// concurrent use.
type Mock interface {
	// Answer gives output and error as [Handler.Run] does. try counts from 0
	// the attempts at the state within the execution, over all its visits to
	// the state, retries and iterations of a Map.
	Answer(try int) (json.RawMessage, error)
}
