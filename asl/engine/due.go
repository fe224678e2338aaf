package engine

import (
	"container/heap"

	"switchyard/asl/history"
	"switchyard/asl/store"
)

// dueEntry says that a branch (nil: the execution as a whole) waits for a
// time. It is stale when the branch waits for another one by now.
type dueEntry struct {
	at int64
	b  *branch
}

type dueHeap []dueEntry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(v any)        { *h = append(*h, v.(dueEntry)) }
func (h *dueHeap) Pop() any {
	old := *h
	v := old[len(old)-1]
	old[len(old)-1] = dueEntry{}
	*h = old[:len(old)-1]
	return v
}

// wait lets b, or the execution as a whole, be looked at when the time has
// come.
func (x *execution) wait(b *branch, at int64) {
	if b != nil {
		b.due = at
	}
	heap.Push(&x.due, dueEntry{at, b})
}

// nextDue is the earliest time something waits for, [store.Never] for none.
func (x *execution) nextDue() int64 {
	for len(x.due) > 0 {
		d := x.due[0]
		if d.b == nil || d.b.due == d.at && !d.b.over() {
			return d.at
		}
		heap.Pop(&x.due)
	}
	return store.Never
}

// expire handles every time that has come.
func (x *execution) expire() {
	now := x.now()
	for x.end == nil && x.nextDue() <= now {
		d := heap.Pop(&x.due).(dueEntry)
		if d.b == nil {
			x.abortAll()
			x.finish(store.TimedOut, history.ExecutionTimedOut, nil, "", "")
			return
		}
		d.b.due = 0
		x.timeIsUp(d.b, now)
	}
	if x.end == nil && x.nextDue() != store.Never {
		x.e.timers.set(x.id, x.nextDue())
	}
}
