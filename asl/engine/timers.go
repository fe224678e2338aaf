package engine

import (
	"container/heap"
	"sync"
)

// timers remembers when each execution wants to be looked at: one entry for
// each that waits for a time, and all that a sleeping execution costs in
// memory. Times are Unix milliseconds.
type timers struct {
	mu    sync.Mutex
	heap  timerHeap
	byID  map[int64]*timerEntry
	wakeC chan struct{} // capacity 1: the earliest time has changed
}

type timerEntry struct {
	due, id int64
	at      int // index in the heap
}

func newTimers() *timers {
	return &timers{byID: map[int64]*timerEntry{}, wakeC: make(chan struct{}, 1)}
}

// set gives the execution its time, in place of an earlier one.
func (t *timers) set(id, due int64) {
	t.mu.Lock()
	e := t.byID[id]
	switch {
	case e == nil:
		e = &timerEntry{due: due, id: id}
		t.byID[id] = e
		heap.Push(&t.heap, e)
	case e.due != due:
		e.due = due
		heap.Fix(&t.heap, e.at)
	}
	first := e.at == 0
	t.mu.Unlock()
	if first {
		select {
		case t.wakeC <- struct{}{}:
		default:
		}
	}
}

// wakeAll gives everyone who waits for a time after now a look at it.
func (t *timers) wakeAll(now int64) {
	t.mu.Lock()
	for _, e := range t.heap {
		e.due = min(e.due, now)
	}
	heap.Init(&t.heap)
	t.mu.Unlock()
	select {
	case t.wakeC <- struct{}{}:
	default:
	}
}

func (t *timers) clear(id int64) {
	t.mu.Lock()
	if e := t.byID[id]; e != nil {
		delete(t.byID, id)
		heap.Remove(&t.heap, e.at)
	}
	t.mu.Unlock()
}

// next is the earliest time; ok is false when there is none.
func (t *timers) next() (due int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 {
		return 0, false
	}
	return t.heap[0].due, true
}

// expired takes one execution whose time has come.
func (t *timers) expired(now int64) (id int64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.heap) == 0 || t.heap[0].due > now {
		return 0, false
	}
	e := heap.Pop(&t.heap).(*timerEntry)
	delete(t.byID, e.id)
	return e.id, true
}

type timerHeap []*timerEntry

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

func (h *timerHeap) Push(x any) {
	e := x.(*timerEntry)
	e.at = len(*h)
	*h = append(*h, e)
}

func (h *timerHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
