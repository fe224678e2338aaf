package engine

import (
	"encoding/json"
	"fmt"

	"go.uber.org/zap"

	"switchyard/asl/distributed"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// foresee prepares for an effect of a step that is not stored yet, and adds what
// of it is to be stored with the step.
func (x *execution) foresee(e run.Effect, docs []store.Doc) []store.Doc {
	switch f := e.(type) {
	case run.StartTask:
		x.remember(f.Attempt, x.newAttempt(f))
	case run.AbandonTask:
		if a := x.attempts[f.Attempt]; a != nil && a.cancel == nil {
			a.abandoned.Store(true) // before it has begun
		}
	case run.EnqueueTask:
		if !f.Restored {
			body := fmt.Appendf(nil, `{"exec":%d,"branch":%d}`, x.id, f.Branch)
			docs = append(docs, store.Doc{Kind: kindQueued, Key: f.Key, Body: body})
		}
	case run.DequeueTask:
		docs = append(docs, store.Doc{Kind: kindQueued, Key: f.Key})
	case run.StopChild:
		docs = append(docs, store.Doc{Kind: kindOrphan, Key: f.ARN, Body: []byte("{}")})
	case run.StartMapRun:
		a := x.newMapAttempt(f)
		x.remember(f.Attempt, a)
		if !f.Restored {
			docs = x.describeRun(docs, a, distributed.RunRunning, 0)
			docs = append(docs, store.Doc{Kind: distributed.KindOpen, Key: f.Work.ID, Body: []byte("{}")})
		}
	case run.EndMapRun:
		a := x.attempts[f.Attempt]
		switch {
		case f.Aborted: // until its children have ended it stays open
			return x.describeRun(docs, a, distributed.RunAborted, f.At)
		case f.Failed:
			docs = x.describeRun(docs, a, distributed.RunFailed, f.At)
		default:
			docs = x.describeRun(docs, a, distributed.RunSucceeded, f.At)
		}
		docs = append(docs, store.Doc{Kind: distributed.KindOpen, Key: a.maps.work.ID})
	}
	return docs
}

func (x *execution) remember(number int64, a *attempt) {
	if x.attempts == nil {
		x.attempts = map[int64]*attempt{}
	}
	x.attempts[number] = a
}

// perform lets what was just stored have its effects.
func (x *execution) perform() {
	s := x.step
	if s.End != nil {
		x.rec.Status, x.rec.Stopped = statusOf[s.End.Event], s.End.At
		x.rec.Output, x.rec.Error, x.rec.Cause = s.End.Output, s.End.Error, s.End.Cause
	}
	for i := range s.Effects {
		x.do(s.Effects[i])
	}
	if s.End != nil {
		x.e.announce(x.rec)
		x.e.tellParent(x.rec)
		x.e.maps.ChildEnded(x.rec)
		return
	}
	if s.Due == run.Never {
		x.e.timers.clear(x.id)
	} else {
		x.e.timers.set(x.id, s.Due)
	}
}

// do lets one effect take place.
func (x *execution) do(e run.Effect) {
	switch f := e.(type) {
	case run.StartTask:
		x.start(x.attempts[f.Attempt])
	case run.StartMapRun:
		x.start(x.attempts[f.Attempt])
	case run.AbandonTask:
		if a := x.attempts[f.Attempt]; a != nil {
			delete(x.attempts, f.Attempt)
			a.abandon(f.Reason)
		}
	case run.BeatTask:
		if a := x.attempts[f.Attempt]; a != nil {
			a.lastBeat.Store(f.At)
		}
	case run.TaskStored:
		if a := x.attempts[f.Attempt]; a != nil {
			delete(x.attempts, f.Attempt)
			if k, ok := a.handler.(task.Keeper); ok {
				k.Forget(a.task)
			}
		}
	case run.EnqueueTask:
		x.e.queues.push(queued{Key: f.Key, Exec: x.id, Branch: f.Branch}, false)
	case run.DequeueTask:
		x.e.queues.remove(f.Key)
	case run.LookAtChild:
		x.lookAtChild(f)
	case run.StopChild:
		x.e.stopOrphan(f.ARN)
	case run.EndMapRun:
		if a := x.attempts[f.Attempt]; f.Aborted {
			x.e.maps.Abort([]string{a.maps.work.ID})
		} else {
			delete(x.attempts, f.Attempt)
		}
	case run.Reply:
		if answer := x.answers[f.To]; answer != nil {
			delete(x.answers, f.To)
			answer(f)
		}
	}
}

// describeRun adds the description of a Map run.
func (x *execution) describeRun(docs []store.Doc, a *attempt, status string, stopped int64) []store.Doc {
	w := a.maps.work
	d := distributed.MapRun{
		Machine: x.rec.Machine, Execution: x.rec.Name, Key: w.Key, Status: status, Started: a.maps.started, Stopped: stopped, Batched: w.Batching != nil,
		Redrives: w.Redrives, Redriven: w.Redriven,
		MaxConcurrency: w.MaxConcurrency, ToleratedCount: w.Tolerance.Count(), ToleratedPercentage: w.Tolerance.Percentage(),
	}
	d.Items.Total, d.Children.Total = w.Total()
	if status == distributed.RunSucceeded || status == distributed.RunFailed {
		d.Items, d.Children = a.maps.outcome.Items, a.maps.outcome.Children
	}
	body, err := json.Marshal(d)
	if err != nil {
		x.e.log.Error("cannot describe a map run", zap.String("map_run", x.e.names.MapRun(w.Key)), zap.Error(err))
		return docs
	}
	return append(docs, store.Doc{Kind: distributed.Kind, Key: w.ID, Body: body})
}
