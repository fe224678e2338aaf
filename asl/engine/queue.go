package engine

import "sync"

// runQueue holds the executions that have something to do, in the order in
// which they got it. It is unbounded: it never holds an execution twice.
type runQueue struct {
	mu     sync.Mutex
	ready  sync.Cond
	items  []*execution
	head   int
	closed bool
}

func newRunQueue() *runQueue {
	q := &runQueue{}
	q.ready.L = &q.mu
	return q
}

// push is false when the queue is closed: nobody will run x.
func (q *runQueue) push(x *execution) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	if q.head > len(q.items)/2 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, x)
	q.mu.Unlock()
	q.ready.Signal()
	return true
}

// pop waits for an execution; ok is false after close.
func (q *runQueue) pop() (x *execution, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.head == len(q.items) {
		q.ready.Wait()
	}
	if q.closed {
		return nil, false
	}
	x = q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return x, true
}

func (q *runQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ready.Broadcast()
}
