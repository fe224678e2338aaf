package dispatch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// yield lets deliveries go before everything else without starving it.
//
// A git host waits ten seconds for an answer and never asks again; an
// execution that starts a second later costs nothing. So while deliveries
// arrive at full speed (busyArrivals of them wait for the journal at once, or
// did so within calmAfter), the workers behind the journal take turns: one
// slice of work at a time, and after each a pause of pauseFactor times what the
// slice took, but never longer than longestPause. That leaves them about an
// eighth of one processor, and never nothing: the bound is well above what
// seven slices of computing take, and keeps those that wait for a slow engine
// from being paid for sevenfold. At any other time they run freely.
type yield struct {
	arrivals  atomic.Int64
	busyUntil atomic.Int64 // nanoseconds since began
	began     time.Time
	turn      chan struct{}

	mu   sync.Mutex
	next time.Time // the earliest start of the next slice
}

const (
	busyArrivals = 8
	calmAfter    = 20 * time.Millisecond
	pauseFactor  = 7
	longestPause = 100 * time.Millisecond
)

func (y *yield) init() { y.turn, y.began = make(chan struct{}, 1), time.Now() }

// arrive counts a delivery in, and says how many are waiting with it.
func (y *yield) arrive() (leave func(), waiting int) {
	n := y.arrivals.Add(1)
	if n >= busyArrivals {
		y.busyUntil.Store(int64(time.Since(y.began) + calmAfter))
	}
	return y.leave, int(n)
}

func (y *yield) leave() { y.arrivals.Add(-1) }

func (y *yield) busy() bool {
	until := y.busyUntil.Load()
	return until != 0 && int64(time.Since(y.began)) < until
}

// do does a slice of work when its turn has come. It reports false when ctx
// ended first.
func (y *yield) do(ctx context.Context, work func()) bool {
	done, ok := y.slice(ctx)
	if !ok {
		return false
	}
	defer done() // also when work panics
	work()
	return true
}

// slice waits for the worker's turn and returns what ends it. It reports false
// when ctx ended first.
func (y *yield) slice(ctx context.Context) (done func(), ok bool) {
	if !y.busy() {
		return func() {}, ctx.Err() == nil
	}
	select {
	case y.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, false
	}
	y.mu.Lock()
	next := y.next
	y.mu.Unlock()
	for wait := time.Until(next); wait > 0 && y.busy(); wait = time.Until(next) {
		if !sleep(ctx, min(wait, 5*time.Millisecond)) {
			<-y.turn
			return nil, false
		}
	}
	began := time.Now()
	return func() {
		pause := min(pauseFactor*time.Since(began), longestPause)
		y.mu.Lock()
		y.next = time.Now().Add(pause)
		y.mu.Unlock()
		<-y.turn
	}, true
}
