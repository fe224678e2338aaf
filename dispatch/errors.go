package dispatch

import (
	"errors"
	"fmt"
	"time"
)

// ErrNotFound is returned for a delivery, request or execution that the
// journal or the engine does not know.
var ErrNotFound = errors.New("not found")

// ErrFinished is returned when an execution that has ended is to be stopped.
var ErrFinished = errors.New("the execution has ended")

// ErrUnfinished is returned when an execution that has not ended is to be run
// again.
var ErrUnfinished = errors.New("the execution has not ended")

// ErrNotDead is returned when an execution that is not dead is to be
// redriven.
var ErrNotDead = errors.New("the execution is not dead")

// PermanentError is a failure that no retry can repair, such as a state
// machine that does not exist or an input that is too large.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// ThrottledError says that the engine asks for fewer calls.
type ThrottledError struct {
	// After is how long to wait at least; zero when the engine did not say.
	After time.Duration
	Err   error
}

func (e *ThrottledError) Error() string { return e.Err.Error() }
func (e *ThrottledError) Unwrap() error { return e.Err }

// UnavailableError says that a delivery could not be made durable now. The
// caller answers 503; the delivery is not ours.
type UnavailableError struct {
	RetryAfter time.Duration
	Err        error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("journal cannot take the delivery now: %v", e.Err)
}
func (e *UnavailableError) Unwrap() error { return e.Err }

// RetryIn is how the webhook handler learns when the delivery may come again.
func (e *UnavailableError) RetryIn() time.Duration { return e.RetryAfter }
