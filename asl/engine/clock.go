package engine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/store"
)

// clock is the engine's time. While a process lives it goes on at the pace of
// the monotonic clock, whatever becomes of the system's: a clock that is set
// back makes nothing sleep longer, one that is set ahead ends no wait early. A
// virtual clock stands still until it is advanced.
type clock struct {
	began time.Time // with its monotonic reading
	// system reads the clock that people see and set.
	system func() time.Time
	// ahead says that times in the store come from a clock that was ahead of
	// the present one.
	ahead bool

	virtual bool
	mu      sync.Mutex
	now     int64 // Unix milliseconds
	// met is when executions that began later than now were met.
	met map[int64]int64
}

func newClock() *clock { return &clock{began: time.Now(), system: time.Now} }

func newVirtualClock(start time.Time) *clock {
	return &clock{virtual: true, now: start.UnixMilli()}
}

func (c *clock) read() time.Time {
	if !c.virtual {
		return c.began.Add(time.Since(c.began))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMilli(c.now)
}

func (c *clock) advance(to int64) {
	c.mu.Lock()
	c.now = max(c.now, to)
	c.mu.Unlock()
}

// drift is how far the system's clock is ahead of the engine's: what it was set
// by since the process began, if that is more than clockStep.
func (c *clock) drift() time.Duration {
	if c.virtual {
		return 0
	}
	d := c.system().Round(0).Sub(c.read().Round(0))
	if d.Abs() < clockStep {
		return 0
	}
	return d
}

// firstLook is when an execution is looked at for the first time that the store
// wants to have woken at a time.
func (c *clock) firstLook(wake int64) int64 {
	if c.ahead {
		return 0 // what it waits for has to be looked at, see [run.Restore]
	}
	return wake
}

// since is when the time limit of an execution begins: at its start, or where
// that is still to come, when the execution is first met.
func (c *clock) since(id, started, now int64) int64 {
	if started <= now {
		return started
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.met == nil {
		c.met = map[int64]int64{}
	}
	if _, ok := c.met[id]; !ok {
		c.met[id] = now
	}
	return c.met[id]
}

const (
	kindClock = "clock"
	clockLast = "last"
	// clockEvery is how often the store is told the time, and clockStep by how
	// much two clocks must differ to be worth a word.
	clockEvery = time.Minute
	clockStep  = time.Second
)

func (e *Engine) now() time.Time { return e.clock.read() }

// readClock compares the clock with the time at which the store was last in
// use.
func (e *Engine) readClock(ctx context.Context) error {
	body, err := e.store.Doc(ctx, kindClock, clockLast)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	last, err := strconv.ParseInt(string(body), 10, 64)
	if err != nil {
		return fmt.Errorf("the store's last time %q is not a number of milliseconds", body)
	}
	if back := time.UnixMilli(last).Sub(e.now()); back > clockStep && !e.clock.virtual {
		e.clock.ahead = true
		e.log.Warn("the system's clock is behind the time at which the engine last ran: executions that wait are looked at again", zap.Duration("behind", back.Round(time.Second)))
	}
	return nil
}

// clockLoop keeps the time in the store, and says when the system's clock was
// set.
func (e *Engine) clockLoop(ctx context.Context) {
	if e.clock.virtual {
		return
	}
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	told := time.Duration(0)
	for {
		last := strconv.AppendInt(nil, e.now().UnixMilli(), 10)
		err := e.keep(ctx, &store.Write{Docs: []store.Doc{{Kind: kindClock, Key: clockLast, Body: last}}})
		if err != nil && ctx.Err() == nil {
			e.log.Warn("cannot store the time; trying again in a minute", zap.Error(err))
		}
		if drift := e.clock.drift(); (drift - told).Abs() > clockStep {
			told = drift
			e.log.Warn("the system's clock was set, or this machine slept: the engine's times go on from before until it is restarted", zap.Duration("by", drift.Round(time.Second)))
			e.timers.wakeAll(e.now().UnixMilli()) // for those that wait for a Timestamp
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
