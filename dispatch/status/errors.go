package status

// RefusedError says that the host does not take a status now, and that trying
// again soon will not help: the token may not write to the repository, or
// cannot see it. Somebody may change that, so the status is kept.
type RefusedError struct{ Err error }

func (e *RefusedError) Error() string { return e.Err.Error() }
func (e *RefusedError) Unwrap() error { return e.Err }

// UnauthorizedError says that the host does not know our credentials, such as
// a token that was revoked. No repository of the source fares any better.
type UnauthorizedError struct{ Err error }

func (e *UnauthorizedError) Error() string { return e.Err.Error() }
func (e *UnauthorizedError) Unwrap() error { return e.Err }
