package dispatch

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// dueClock says what time it is for everything that falls due. It never goes
// back and never stands still: while the process lives it advances at least as
// the monotonic clock does, and where the wall clock is ahead of that it
// follows. So a wall clock that is set back makes nothing wait longer, and one
// that was set years ahead and is corrected leaves nothing due in years.
//
// Times that are kept for people, such as when a request was made, are those of
// the wall clock.
type dueClock struct {
	wall func() time.Time

	mu   sync.Mutex
	at   time.Time
	read time.Time // when at was right, with its monotonic reading
}

// SteadyClock returns a clock for what falls due that never goes back and
// advances at least as the monotonic clock does, whatever happens to the wall
// clock that it follows.
func SteadyClock(wall func() time.Time) (now func() time.Time) {
	return (&dueClock{wall: wall}).now
}

func (c *dueClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	read, wall := time.Now(), c.wall().Round(0)
	at := c.at.Add(read.Sub(c.read))
	if wall.After(at) {
		at = wall
	}
	c.at, c.read = at, read
	return at
}

// until is how long it takes until t, at least a moment.
func (c *dueClock) until(t time.Time) time.Duration { return max(t.Sub(c.now()), time.Millisecond) }

// hastenAll makes due what no backoff of a single request can have put off so
// far. It was written while the clock was ahead, or waits for a state machine
// that could not be started: the next process tries that again at once.
func (d *Dispatcher) hastenAll(ctx context.Context) error {
	now := d.due.now()
	n, err := d.hasten(ctx, "", now.Add(d.config().RetryMax), now)
	if n > 0 {
		d.log.Warn("work was put off for long, by a clock that was ahead or because a state machine or a git host failed; it is due now", zap.Int("rows", n))
	}
	return err
}

// hasten makes due at once the requests of a state machine, or of all if it is
// empty, that fall due after a time.
func (d *Dispatcher) hasten(ctx context.Context, stateMachine string, after, now time.Time) (total int, err error) {
	for {
		n, err := d.journal.Hasten(ctx, stateMachine, after, now)
		if total += n; err != nil || n == 0 {
			return total, err
		}
	}
}
