package engine

import (
	"errors"
	"fmt"

	"switchyard/asl/task"
)

// Code is the name of an error of the Step Functions API.
type Code string

// The errors that the engine's methods return, by Step Functions' names.
const (
	CodeActivityDoesNotExist      Code = "ActivityDoesNotExist"
	CodeConflict                  Code = "ConflictException"
	CodeExecutionNotRedrivable    Code = "ExecutionNotRedrivable"
	CodeResourceNotFound          Code = "ResourceNotFound"
	CodeServiceQuotaExceeded      Code = "ServiceQuotaExceededException"
	CodeTooManyTags               Code = "TooManyTags"
	CodeExecutionAlreadyExists    Code = "ExecutionAlreadyExists"
	CodeExecutionDoesNotExist     Code = "ExecutionDoesNotExist"
	CodeInternal                  Code = "InternalFailure"
	CodeInvalidArn                Code = "InvalidArn"
	CodeInvalidDefinition         Code = "InvalidDefinition"
	CodeInvalidExecutionInput     Code = "InvalidExecutionInput"
	CodeInvalidName               Code = "InvalidName"
	CodeInvalidToken              Code = "InvalidToken"
	CodeMissingParameter          Code = "MissingRequiredParameter"
	CodeServiceUnavailable        Code = "ServiceUnavailable"
	CodeStateMachineAlreadyExists Code = "StateMachineAlreadyExists"
	CodeStateMachineDeleting      Code = "StateMachineDeleting"
	CodeStateMachineDoesNotExist  Code = "StateMachineDoesNotExist"
	CodeInvalidOutput             Code = "InvalidOutput"
	CodeTaskDoesNotExist          Code = "TaskDoesNotExist"
	CodeTaskTimedOut              Code = "TaskTimedOut"
	CodeTypeNotSupported          Code = "StateMachineTypeNotSupported"
	CodeValidation                Code = "ValidationException"
)

// Error is an answer that the Step Functions API gives instead of a result.
type Error struct {
	Code    Code
	Message string
	// Resource is the ARN that ResourceNotFound and TooManyTags are about,
	// Reason what ValidationException gives as one; both may be empty.
	Resource string
	Reason   string
	// err is what went wrong inside; it is logged, never shown to a caller.
	err error
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Unwrap gives the failure behind an internal error.
func (e *Error) Unwrap() error { return e.err }

func fail(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

var errStopping = &Error{Code: CodeServiceUnavailable, Message: "the engine is shutting down; try again"}

// internal hides err from the caller, who can only try again.
func internal(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Code: CodeServiceUnavailable, Message: "the engine's store cannot answer now; try again", err: err}
}

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
