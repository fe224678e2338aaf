package webhook

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// ordinaryBody is the size up to which a body draws on a share of its own,
	// so that large ones cannot keep ordinary pushes out.
	ordinaryBody = 64 << 10
	// decodeFactor is how many times its size a body takes to be decoded and
	// handed over: the members that are kept, their strings and lists, and the
	// text that the sink writes.
	decodeFactor = 6
	// memoryWait is how long a delivery waits for memory. A host that gives up
	// after 10 s still gets an answer that says to come again.
	memoryWait = 6 * time.Second
)

var errNoMemory = errors.New("too many bytes buffered")

// Budget bounds the memory of all deliveries under way, to the byte: their
// bodies, and what large ones become while they are decoded and accepted. Two
// handlers that take turns, as in a reload, can share one. It is safe for
// concurrent use.
type Budget struct {
	ordinary, large, decoding pool
}

// NewBudget returns a budget of so many bytes for bodies, of which a quarter is
// for those of up to 64 KiB, and of as many again for decoding the others.
func NewBudget(bytes int64) *Budget {
	ordinary := bytes / 4
	return &Budget{ordinary: newPool(ordinary), large: newPool(bytes - ordinary), decoding: newPool(bytes)}
}

// check reports whether any body within the limit has room, also while its
// buffer grows.
func (b *Budget) check(maxBody int64) error {
	if b.large.size <= maxBody/2*3 || b.ordinary.size < ordinaryBody {
		return fmt.Errorf("webhook: %d bytes of memory for large bodies have no room for one of %d: lower limits.body, or give the service more memory and restart it", b.large.size, maxBody)
	}
	return nil
}

// pool is a number of bytes that can be taken and given back.
//
// What is given back as garbage can be taken again only once it is collected:
// the runtime would otherwise let it pile up beside what is taken in its place.
type pool struct {
	size int64
	free *semaphore.Weighted

	mu      sync.Mutex
	garbage int64
	waiting int
}

func newPool(size int64) pool { return pool{size: size, free: semaphore.NewWeighted(size)} }

// take waits up to memoryWait for n bytes, first come, first served.
func (p *pool) take(ctx context.Context, n int64) error {
	if p.tryTake(n) {
		return nil
	}
	p.wait(1)
	defer p.wait(-1)
	// What became garbage before anybody knew of this one waiting.
	p.collect(1)
	ctx, cancel := context.WithTimeout(ctx, memoryWait)
	defer cancel()
	if p.free.Acquire(ctx, n) != nil {
		return errNoMemory
	}
	return nil
}

func (p *pool) wait(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting += n
}

// tryTake takes n bytes if they are free at once.
func (p *pool) tryTake(n int64) bool {
	if p.free.TryAcquire(n) {
		return true
	}
	return p.collect(1) && p.free.TryAcquire(n)
}

func (p *pool) give(n int64) { p.free.Release(n) }

// giveGarbage gives back n bytes that nobody refers to any more.
func (p *pool) giveGarbage(n int64) {
	p.mu.Lock()
	p.garbage += n
	enough := p.size / 3
	if p.waiting > 0 {
		enough = 1
	}
	p.mu.Unlock()
	p.collect(enough)
}

// collect runs the garbage collector if at least so much is waiting for it, and
// reports whether it did.
func (p *pool) collect(atLeast int64) bool {
	p.mu.Lock()
	n := p.garbage
	if n < atLeast {
		p.mu.Unlock()
		return false
	}
	p.garbage = 0
	p.mu.Unlock()
	debug.FreeOSMemory()
	p.free.Release(n)
	return true
}
