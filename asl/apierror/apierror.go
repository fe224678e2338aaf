// Package apierror is the errors of the Step Functions API, by AWS's names.
package apierror

import (
	"errors"
	"fmt"
	"strings"
)

// Code is the name of an error of the Step Functions API.
type Code string

// The errors by Step Functions' names.
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
	CodeInvalidEncryption         Code = "InvalidEncryptionConfiguration"
	CodeInvalidExecutionInput     Code = "InvalidExecutionInput"
	CodeInvalidLogging            Code = "InvalidLoggingConfiguration"
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

// New makes an error with a message in the form of fmt.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// NotOneOf refuses a value of a field that takes one of some, which are in the
// order of the service's model.
func NotOneOf(field, v string, allowed ...string) *Error {
	return New(CodeValidation, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", v, field, strings.Join(allowed, ", "))
}

// Is reports whether err is the API's error with this code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Unavailable hides err, a failure of the engine's own, from the caller, who can
// only try again. An [*Error] stays as it is.
func Unavailable(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return &Error{Code: CodeServiceUnavailable, Message: "the engine's store cannot answer now; try again", err: err}
}
