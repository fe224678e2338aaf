package dispatch

import (
	"slices"
	"sync"
	"time"
)

// circuits keep state machines on which nothing can be started now, because a
// permission or the machine itself is missing, from being asked for each of
// their requests. While a machine's circuit is open one request after another
// probes it, with growing pauses, and the rest waits in the journal, put off as
// long as a pause can be, until a probe succeeds. Other machines go on.
//
// A request that waits like this keeps the slot of its environment: it is the
// oldest there, and passing it by would deploy a newer commit before it.
type circuits struct {
	mu   sync.Mutex
	open map[string]*circuit
	// closed are machines whose circuit has closed, and whose requests have
	// still to be brought forward.
	closed []string
}

type circuit struct {
	tries   int
	reason  string
	probeAt time.Time // monotonic
	probing bool
}

// slack is how much earlier than its pause says a probe may come: times in the
// journal are cut to milliseconds.
const slack = 100 * time.Millisecond

// enter reports whether a request of a machine may be started, or else the
// reason why it must wait. Whoever may must leave again.
func (c *circuits) enter(stateMachine string) (reason string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.open[stateMachine]
	switch {
	case m == nil:
		return "", true
	case m.probing || time.Until(m.probeAt) > slack:
		return m.reason, false
	}
	m.probing = true
	return "", true
}

// blocked opens the circuit of a machine, or keeps it open after a probe. It
// returns how many times in a row the machine was asked: 0 when this was not a
// probe, but a call that was under way when the circuit opened. The next probe
// comes after wait(tries).
func (c *circuits) blocked(stateMachine, reason string, wait func(tries int) time.Duration) (tries int, pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.open[stateMachine]
	switch {
	case m == nil:
		m = &circuit{}
		if c.open == nil {
			c.open = map[string]*circuit{}
		}
		c.open[stateMachine] = m
	case !m.probing:
		return 0, 0
	}
	pause = wait(m.tries)
	m.tries++
	m.probing, m.reason, m.probeAt = false, reason, time.Now().Add(pause)
	return m.tries, pause
}

// inconclusive ends a probe that told nothing of the machine, for example
// because the network failed: the next request that comes probes again.
func (c *circuits) inconclusive(stateMachine string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.open[stateMachine]; m != nil {
		m.probing = false
	}
}

// works closes the circuit of a machine, and reports whether it was open.
func (c *circuits) works(stateMachine string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[stateMachine] == nil {
		return false
	}
	delete(c.open, stateMachine)
	c.closed = append(c.closed, stateMachine)
	return true
}

// missed is called when a request of a machine was put off, and reports whether
// its circuit has closed meanwhile: the request has then to be brought forward.
func (c *circuits) missed(stateMachine string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[stateMachine] != nil {
		return false
	}
	c.closed = append(c.closed, stateMachine)
	return true
}

// reset closes all: what was wrong may have been repaired.
func (c *circuits) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for stateMachine := range c.open {
		c.closed = append(c.closed, stateMachine)
	}
	clear(c.open)
}

// takeClosed returns the machines whose requests are to be brought forward.
func (c *circuits) takeClosed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	closed := c.closed
	c.closed = nil
	slices.Sort(closed)
	return slices.Compact(closed)
}
