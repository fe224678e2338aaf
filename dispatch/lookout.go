package dispatch

import (
	"context"
	"time"
)

// lookout is how a worker waits for work. It is called when there may be some,
// and looks from time to time even when nobody calls: a write whose caller was
// told of an error, or has gone, may be applied after the call, and then
// nothing else tells of it. Such a write comes soon or not at all, so the
// looks are close together at first.
type lookout struct{ next time.Duration }

const (
	firstLook   = 500 * time.Millisecond
	longestLook = 30 * time.Second
)

func (l *lookout) reset() { l.next = 0 }

// pause is how long to wait for a call before the next look.
func (l *lookout) pause() time.Duration {
	l.next = min(max(2*l.next, firstLook), longestLook)
	return l.next
}

// wait returns true when called, and false when it is time to look anyway or
// ctx has ended.
func (l *lookout) wait(ctx context.Context, call <-chan struct{}) bool {
	timer := time.NewTimer(l.pause())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return false
	case <-call:
		l.reset()
		return true
	}
}

// rest waits until called, or until it is time to look anyway or for what falls due
// next, zero for nothing, or until ctx has ended.
func (d *Dispatcher) rest(ctx context.Context, idle *lookout, next time.Time, call <-chan struct{}) {
	wait := idle.pause()
	if !next.IsZero() {
		wait = min(wait, d.due.until(next))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-call:
		idle.reset()
	case <-timer.C:
	}
}
