package run

import (
	"container/heap"

	"switchyard/asl/history"
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
func (x *Execution) wait(b *branch, at int64) {
	if b != nil {
		b.due = at
	}
	heap.Push(&x.due, dueEntry{at, b})
}

// watch lets b be looked at when its task's next limit may be exceeded.
func (x *Execution) watch(b *branch, l limits, beat int64) {
	if due := l.next(beat); due != 0 {
		x.wait(b, due)
	}
}

// nextDue is the earliest time something waits for, [Never] for none.
func (x *Execution) nextDue() int64 {
	for len(x.due) > 0 {
		d := x.due[0]
		if d.b == nil || d.b.due == d.at && !d.b.over() {
			return d.at
		}
		heap.Pop(&x.due)
	}
	return Never
}

// expire handles every time that has come.
func (x *Execution) expire(beats map[int64]int64) {
	for x.step.End == nil && x.nextDue() <= x.now() {
		d := heap.Pop(&x.due).(dueEntry)
		if d.b == nil {
			x.abortAll()
			x.finish(history.ExecutionTimedOut, "", "", "")
			return
		}
		d.b.due = 0
		x.timeIsUp(d.b, beats[d.b.id])
	}
}

// timeIsUp goes on with a branch whose time has come. beat is when its task last
// gave a sign of life.
func (x *Execution) timeIsUp(b *branch, beat int64) {
	switch d := b.doing.(type) {
	case waiting:
		if err := x.passThrough(b); err != nil {
			x.stateFailed(b, located(b, err))
		}
	case backingOff:
		b.doing = nil
		x.mark(b)
		if d.run.is() {
			x.redriveMapRun(b, d.run)
		} else {
			x.execute(b)
		}
	case *working:
		x.taskOverdue(b, d, beat)
	case *outstanding:
		if name, _, is := d.exceeded(d.beat, x.now()); is {
			x.taskTimedOut(b, name)
		} else {
			x.watch(b, d.limits, d.beat)
		}
	case *awaiting:
		if name, _, is := d.exceeded(0, x.now()); is {
			x.stopChild(b, d)
			x.taskTimedOut(b, name)
		} else {
			x.watch(b, d.limits, 0)
			x.lookAtChild(b)
		}
	}
}
