// Package pace divides a long job on a file that others write too into steps
// that they hardly feel.
package pace

import (
	"context"
	"time"
)

const (
	// target is how long a step may keep others waiting, apart from the commit
	// that they would have waited for anyway.
	target = 2 * time.Millisecond
	// Max bounds a step however quick it is: what it has changed must be synced
	// with the next commit.
	Max = 64
	// first is the size of the first step.
	first = 8
	// longestRest keeps a slow disk from putting the job off for ever.
	longestRest = 250 * time.Millisecond
)

// Rest is how much longer than a step the pause after it is.
type Rest int

const (
	// Alone is for a file that nobody else seems to need.
	Alone Rest = 3
	// Beside is for a file whose writers should not notice.
	Beside Rest = 20
)

// Steps says how large the next step is and when it may begin. The zero value
// is ready. One goroutine at a time uses it.
type Steps struct {
	size int
	next time.Time
}

// Size is how many rows the next step may change.
func (s *Steps) Size() int {
	if s.size == 0 {
		return first
	}
	return s.size
}

// Wait returns when the pause after the last step is over, or ctx has ended.
func (s *Steps) Wait(ctx context.Context) error {
	wait := time.Until(s.next)
	if wait <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Done says that a step has changed n rows: work is how long that took without
// the commit, total with it.
func (s *Steps) Done(n int, work, total time.Duration, rest Rest) {
	s.next = time.Now().Add(min(longestRest, time.Duration(rest)*total))
	if n == 0 {
		return
	}
	fits := Max
	if per := work / time.Duration(n); per > 0 {
		fits = int(min(Max, target/per))
	}
	// Half or double at most: one step that was held up by something else says
	// little of the next.
	s.size = max(1, min(Max, max(fits, s.Size()/2), 2*s.Size()))
}
