package asl

import (
	"math"
	"slices"
	"time"
)

// Retrier is one of a state's Retry entries.
type Retrier struct {
	ErrorEquals []string
	Interval    time.Duration
	MaxAttempts int
	BackoffRate float64
	// MaxDelay is 0 when there is no limit.
	MaxDelay time.Duration
	// FullJitter takes each delay at random between 0 and what Delay gives.
	FullJitter bool
}

// Matches reports whether the retrier is for the error with this name.
func (r *Retrier) Matches(name string) bool { return matchError(r.ErrorEquals, name) }

// Delay is how long to wait before retry n, counted from 0, without jitter.
func (r *Retrier) Delay(n int) time.Duration {
	d := float64(r.Interval) * math.Pow(r.BackoffRate, float64(n))
	if r.MaxDelay > 0 && d > float64(r.MaxDelay) {
		return r.MaxDelay
	}
	if d > math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return time.Duration(d)
}

// Catcher is one of a state's Catch entries.
type Catcher struct {
	ErrorEquals []string
	Comment     string
	Next        *State
	// ResultPath puts the error output into the state's input.
	ResultPath Placement
	Assign     *Assignment // nil when absent
}

// Matches reports whether the catcher is for the error with this name.
func (c *Catcher) Matches(name string) bool { return matchError(c.ErrorEquals, name) }

// Retrier gives the retrier that takes the error, and its place; nil and -1 when
// none does. tries says how often the retrier at a place has taken an error
// before.
func (s *State) Retrier(name string, tries func(at int) int) (r *Retrier, at int) {
	for i := range s.Retry {
		if r := &s.Retry[i]; r.Matches(name) {
			if tries(i) >= r.MaxAttempts {
				break
			}
			return r, i
		}
	}
	return nil, -1
}

// Catcher gives the catcher that takes the error, and its place; nil and -1 when
// none does.
func (s *State) Catcher(name string) (c *Catcher, at int) {
	for i := range s.Catch {
		if c := &s.Catch[i]; c.Matches(name) {
			return c, i
		}
	}
	return nil, -1
}

// matchError is the rule of ErrorEquals. States.Runtime ends an execution
// whatever is listed; States.TaskFailed stands for everything but timeouts and
// too much data; States.Timeout includes a missing heartbeat.
//
// That States.ALL stands for States.DataLimitExceeded is what AWS does with the
// result of a task; its documentation says otherwise.
func matchError(names []string, name string) bool {
	if name == ErrRuntime {
		return false
	}
	return slices.ContainsFunc(names, func(n string) bool {
		switch n {
		case name, ErrAll:
			return true
		case ErrTaskFailed:
			return name != ErrTimeout && name != ErrHeartbeatTimeout && name != ErrDataLimitExceeded
		case ErrTimeout:
			return name == ErrHeartbeatTimeout
		default:
			return false
		}
	})
}
