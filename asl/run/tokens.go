package run

import (
	"fmt"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
)

// TaskRef names an attempt at a task.
type TaskRef struct {
	Exec    int64
	Branch  int64
	Entered int64 // ID of the event that entered the state
	Attempt int
	// At is when the state was entered, in Unix milliseconds: the states of a
	// branch without history share an event. Above redriveShift it counts the
	// redrives, for they neither enter the state anew nor go on with attempts.
	At int64
}

// redriveShift leaves room for the times of the next nine thousand years.
const redriveShift = 48

func (x *Execution) ref(b *branch) TaskRef {
	return TaskRef{x.about.ID, b.id, b.entered, b.attempt, b.enteredAt | int64(x.about.Redrives)<<redriveShift}
}

// awaitToken lets b wait for the holder of its token.
func (x *Execution) awaitToken(b *branch, l limits, beat int64) {
	b.doing = &outstanding{l, beat}
	x.mark(b)
	x.watch(b, l, beat)
}

// tokenUsed takes what the holder of a token says. It is false when the
// attempt is not waited for any more.
func (x *Execution) tokenUsed(m *TokenUse) bool {
	b := x.branches[m.Ref.Branch]
	if b == nil || b.over() || b.done() || x.ref(b) != m.Ref {
		return false
	}
	switch d := b.doing.(type) {
	case *outstanding:
		if m.Beat {
			d.beat = x.now()
			x.mark(b)
			x.watch(b, d.limits, d.beat)
			return true
		}
	case *working:
		if !wantsToken(b.state) {
			return false
		}
		if m.Beat {
			x.effect(BeatTask{d.attempt, x.now()})
			x.mark(b)
			x.watch(b, d.limits, x.now())
			return true
		}
		// The holder was faster than the handler that handed the token out;
		// that one may finish, but nobody asks for what it says.
		x.abandon(b, d.attempt, AnsweredFor)
	default:
		return false
	}
	b.due, b.doing = 0, nil
	f := familyOf(b.state.Task.Resource)
	if m.Failure != nil {
		x.workFailed(b, f.event(f.failed), &asl.Error{Name: m.Failure.Name, Cause: m.Failure.Cause})
		return true
	}
	ev := f.event(f.succeeded)
	ev.Has, ev.Data = ev.Has|history.HasData, m.Output.JSON()
	x.follow(b, &ev)
	x.complete(b, m.Output)
	return true
}

// queuedTask is b's task while it waits for a worker. It keeps its key over a
// restart.
func (x *Execution) queuedTask(b *branch, d *inQueue) QueuedTask {
	_, name, _ := arns.Split(b.state.Task.Resource)
	return QueuedTask{Key: fmt.Sprintf("%s/%013d-%011d-%09d", name, d.started, x.about.ID, b.id), Branch: b.id}
}

// takeTask gives a worker the task it was promised, when that still waits.
func (x *Execution) takeTask(m *TakeTask) {
	b := x.branches[m.Branch]
	if x.step.End != nil || b == nil || b.over() {
		x.effect(Reply{To: m})
		return
	}
	d, ok := b.doing.(*inQueue)
	if !ok || x.queuedTask(b, d) != m.QueuedTask {
		x.effect(Reply{To: m})
		return
	}
	x.effect(DequeueTask{m.Key})
	ev := history.Event{Type: history.ActivityStarted}
	if m.Worker != "" {
		ev.Has, ev.Name = history.HasName, m.Worker
	}
	x.follow(b, &ev)
	// The limits count from here: how long a task waits for a worker is not
	// the worker's fault.
	l := d.limits
	l.started = x.now()
	x.awaitToken(b, l, l.started)
	x.effect(Reply{To: m, Accepted: true, Token: x.env.Token(x.ref(b)), Input: d.input.JSON()})
}
