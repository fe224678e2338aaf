package asl

import (
	"errors"
	"fmt"

	"switchyard/asl/intrinsic"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// The error names that Step Functions itself gives.
const (
	ErrAll                      = "States.ALL"
	ErrTimeout                  = "States.Timeout"
	ErrHeartbeatTimeout         = "States.HeartbeatTimeout"
	ErrTaskFailed               = "States.TaskFailed"
	ErrPermissions              = "States.Permissions"
	ErrRuntime                  = "States.Runtime"
	ErrDataLimitExceeded        = "States.DataLimitExceeded"
	ErrReferencePathConflict    = "States.ReferencePathConflict"
	ErrQueryEvaluationError     = "States.QueryEvaluationError"
	ErrBranchFailed             = "States.BranchFailed"
	ErrNoChoiceMatched          = "States.NoChoiceMatched"
	ErrIntrinsicFailure         = "States.IntrinsicFailure"
	ErrExceedToleratedThreshold = "States.ExceedToleratedFailureThreshold"
	ErrItemReaderFailed         = "States.ItemReaderFailed"
	ErrResultWriterFailed       = "States.ResultWriterFailed"
)

// Error is an error as a state machine sees it: what Retry and Catch match,
// and what an execution fails with.
type Error struct {
	// Name is what ErrorEquals matches.
	Name string
	// Cause is the core of AWS's text; the interpreter puts the state and the
	// event before it.
	Cause string
	// Evaluation says that a field in JSONata did not evaluate to what it
	// should, which the history tells as EvaluationFailed. Location is the
	// field, as Output/a[0], "" when it is none in particular.
	Evaluation bool
	Location   string
}

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// TooLarge is the error of a state whose data exceed [MaxData].
func TooLarge(state string) *Error {
	return &Error{
		Name:  ErrDataLimitExceeded,
		Cause: fmt.Sprintf("The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.", state),
	}
}

func runtimeError(format string, args ...any) error {
	return &Error{Name: ErrRuntime, Cause: fmt.Sprintf(format, args...)}
}

// fieldError gives the error of an expression that stands in a template's
// field or in a field like ErrorPath.
func fieldError(sc *Scope, field, expr string, err error) error {
	var (
		known    *Error
		failed   *intrinsic.Error
		argument *intrinsic.ArgumentError
		missing  *jsonpath.NotFoundError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &failed):
		return &Error{Name: ErrIntrinsicFailure, Cause: failed.Error()}
	case errors.As(err, &argument) && errors.As(err, &missing):
		return runtimeError("The function '%s' had the following error: The JsonPath argument for the field '%s' could not be found in the input '%s'",
			argument.Call, argument.Path, rootOf(sc, argument.Path).JSON())
	case errors.As(err, &missing):
		return runtimeError("The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'", expr, field, sc.Input.JSON())
	default:
		return runtimeError("The value of the field '%s' could not be computed: %v", field, err)
	}
}

// rootOf is the document that a path selects from.
func rootOf(sc *Scope, p *jsonpath.Path) value.Value {
	switch {
	case p.Root() == jsonpath.Context && sc.Context != nil:
		return sc.Context()
	case p.Root() == jsonpath.Variable && sc.Variable != nil:
		v, _ := sc.Variable(p.VariableName())
		return v
	default:
		return sc.Input
	}
}
