package run

import (
	"strings"

	"switchyard/asl"
	"switchyard/asl/history"
	"switchyard/asl/value"
)

// nestedPoll is how often an execution that somebody else had started is
// looked at: its end is told to who started it. Milliseconds.
const nestedPoll = 1000

// waitsForExecution reports whether b's task starts an execution and ends with
// it.
func (x *Execution) waitsForExecution(b *branch) bool {
	if !StartsExecution(b.state.Task.Resource) || !WaitsForJob(b.state.Task.Resource) {
		return false
	}
	w, err := x.worker(b)
	return err == nil && w == ByExecution
}

// awaitChild lets b wait for the end of the execution it has started.
func (x *Execution) awaitChild(b *branch, l limits, started value.Value) {
	arn, _ := started.Get("ExecutionArn")
	child, _ := arn.Str()
	l.heartbeat = 0
	b.doing = &awaiting{l, child}
	x.await(b)
	x.mark(b)
	x.watch(b, l, 0)
	// It may have ended before anybody waited for that.
	x.effect(LookAtChild{b.id, child})
}

func (x *Execution) await(b *branch) {
	if x.nested == nil {
		x.nested = map[int64]struct{}{}
	}
	x.nested[b.id] = struct{}{}
}

func (x *Execution) lookAtChild(b *branch) {
	if d, ok := b.doing.(*awaiting); ok {
		x.effect(LookAtChild{b.id, d.child})
	}
}

// childSeen goes on with a task when the execution it waits for has ended.
func (x *Execution) childSeen(m *ChildSeen) {
	b := x.branches[m.Branch]
	if x.step.End != nil || b == nil || b.over() {
		return
	}
	d, ok := b.doing.(*awaiting)
	if !ok || d.child != m.ARN {
		return
	}
	switch {
	case m.Ended != nil || m.Missing != "":
		delete(x.nested, b.id)
		b.due, b.doing = 0, nil
		x.childEnded(b, m)
	case m.LookAgain > 0:
		if at := x.now() + m.LookAgain; b.due == 0 || at < b.due {
			x.wait(b, at)
		}
	}
}

// childEnded ends the task with what became of the execution.
func (x *Execution) childEnded(b *branch, m *ChildSeen) {
	f := familyOf(b.state.Task.Resource)
	if m.Ended == nil {
		x.workFailed(b, f.event(f.failed), &asl.Error{Name: asl.ErrTaskFailed, Cause: m.Missing})
		return
	}
	described := m.Ended.Described
	if strings.HasSuffix(b.state.Task.Resource, sync2Suffix) {
		described = m.Ended.Parsed
	}
	text := described.JSON()
	if !m.Ended.Succeeded {
		x.workFailed(b, f.event(f.failed), &asl.Error{Name: asl.ErrTaskFailed, Cause: text})
		return
	}
	if len(text) > asl.MaxData {
		x.stateFailed(b, asl.TooLarge(b.state.Name))
		return
	}
	ev := f.event(f.succeeded)
	ev.Has, ev.Data = ev.Has|history.HasData, text
	x.follow(b, &ev)
	x.complete(b, described)
}

// stopChild stops the execution that b waited for.
func (x *Execution) stopChild(b *branch, d *awaiting) {
	delete(x.nested, b.id)
	b.doing = nil
	x.effect(StopChild{d.child})
}
