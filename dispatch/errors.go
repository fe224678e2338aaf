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

// ErrNotRedrivable is returned when an execution is to be redriven that is
// neither dead nor one that the engine would let go on.
var ErrNotRedrivable = errors.New("the execution cannot be redriven")

// ErrNotStarted is returned for what only an execution has that the engine has
// heard of.
var ErrNotStarted = errors.New("the execution has not been started, so the engine has no history of it")

var errNoHistory = errors.New("the engine keeps no history of executions")

// PermanentError is a failure that no retry of the same request can repair,
// such as an input that is too large.
type PermanentError struct{ Err error }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// BlockedError says that no request can be started on a state machine until
// somebody has repaired something: a permission, a key, or the machine itself
// is missing. It is not the request's fault, which waits for that.
type BlockedError struct{ Err error }

func (e *BlockedError) Error() string { return e.Err.Error() }
func (e *BlockedError) Unwrap() error { return e.Err }

// ThrottledError says that the engine asks for fewer calls.
type ThrottledError struct {
	// After is how long to wait at least; zero when the engine did not say.
	After time.Duration
	Err   error
}

func (e *ThrottledError) Error() string { return e.Err.Error() }
func (e *ThrottledError) Unwrap() error { return e.Err }

// UnfinishedError says that a host had not told all when the time of a call was
// over, but that the next call goes on from there. It is made soon.
type UnfinishedError struct{ Err error }

func (e *UnfinishedError) Error() string { return e.Err.Error() }
func (e *UnfinishedError) Unwrap() error { return e.Err }

// UnavailableError says that a delivery could not be confirmed as durable now.
// The caller answers 503, and the sender is to send it again.
type UnavailableError struct {
	RetryAfter time.Duration
	// Untouched is true when nothing was written. Otherwise the delivery may
	// have been taken: a write whose report was lost, or that nobody waited
	// for any more, counts.
	Untouched bool
	Err       error
}

func (e *UnavailableError) Error() string {
	if e.Untouched {
		return fmt.Sprintf("the journal cannot be used now: %v", e.Err)
	}
	return fmt.Sprintf("the journal could not confirm the change: %v", e.Err)
}
func (e *UnavailableError) Unwrap() error { return e.Err }

// NotTaken is how the webhook handler learns what to tell the sender.
func (e *UnavailableError) NotTaken() bool { return e.Untouched }

// RetryIn is how the webhook handler learns when the delivery may come again.
func (e *UnavailableError) RetryIn() time.Duration { return e.RetryAfter }
