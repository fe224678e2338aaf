// Package trace tells from an execution's history which states it visited, how
// often it tried each and what became of them.
package trace

import (
	"strings"

	"switchyard/asl/history"
)

// The kinds of visits that are none to a state.
const (
	Execution = "Execution"
	Iteration = "Iteration" // of a Map
	Branch    = "Branch"    // of a Parallel
)

// What became of a visit. It is "" while it is open, and for the state in which
// an execution failed.
const (
	OK      = "ok"
	Caught  = "caught" // failed, and a Catch went on
	Failed  = "failed"
	Aborted = "aborted"
)

// Visit is a state that an execution entered, an iteration of a Map or a branch
// of a Parallel, with what ran in it.
type Visit struct {
	Parent   *Visit
	Children []*Visit
	Name     string // of the state; empty for an iteration or branch
	Kind     string // Task, Map, …; Iteration or Branch
	Index    int64  // an iteration's or branch's
	Entered  int64  // Unix milliseconds
	Left     int64  // 0 while it is open
	Result   string
	Resource string
	// Tries are the attempts of a Task, and the failures of a Parallel or Map.
	Tries []Try

	// attempt counts the children before the present attempt of a Parallel or
	// Map; over says that it will not be tried again.
	attempt int
	over    bool
}

// Try is an attempt of a Task state, or what went wrong with it.
type Try struct {
	At, Ended int64 // Unix milliseconds
	// Parameters is the JSON text that the work was given.
	Parameters string
	Failed     bool
	// Error and Cause are those of a Task; the history has none for a Parallel or
	// Map.
	Error, Cause string
}

// Problem is error and cause in one line.
func (t Try) Problem() string {
	if t.Cause == "" {
		return t.Error
	}
	return t.Error + ": " + t.Cause
}

// Trace is an execution as a tree of visits.
type Trace struct {
	Root          *Visit
	Started, Last int64 // Unix milliseconds
	Failed        bool  // the execution as a whole

	owner map[int64]*Visit // by event
}

// Of builds the tree from a history, by following each event to the one
// before it.
func Of(events []history.Event) *Trace {
	t := &Trace{Root: &Visit{Kind: Execution}, owner: make(map[int64]*Visit, len(events))}
	for i := range events {
		ev := &events[i]
		if i == 0 {
			t.Started = ev.Time
		}
		t.Last = ev.Time
		t.Failed = ev.Type == history.ExecutionFailed
		t.owner[ev.ID] = t.place(ev, events)
	}
	return t
}

// All calls f for each visit to a state, in the order in which they began.
func (t *Trace) All(f func(*Visit)) {
	var walk func(*Visit)
	walk = func(v *Visit) {
		if v.Name != "" {
			f(v)
		}
		for _, c := range v.Children {
			walk(c)
		}
	}
	walk(t.Root)
}

// Open are the tasks that have begun and not ended.
func (t *Trace) Open() []*Visit {
	var found []*Visit
	t.All(func(v *Visit) {
		if v.Kind == "Task" && v.Left == 0 {
			found = append(found, v)
		}
	})
	return found
}

// After is the visit that follows v in the same graph, nil for none.
func (v *Visit) After() *Visit {
	for i, c := range v.Parent.Children {
		if c == v && i+1 < len(v.Parent.Children) {
			return v.Parent.Children[i+1]
		}
	}
	return nil
}

// place notes what an event says, and returns the visit it belongs to.
func (t *Trace) place(ev *history.Event, events []history.Event) *Visit {
	what := ev.Type.String()
	at := t.owner[ev.Prev]
	if at == nil {
		at = t.Root
	}
	if kind, ok := strings.CutSuffix(what, "StateEntered"); ok {
		return enter(at, ev, kind, events)
	}
	switch {
	case ev.Type == history.ParallelStateStarted, ev.Type == history.MapStateStarted:
		at = at.up(func(v *Visit) bool { return strings.HasPrefix(what, v.Kind) && !v.over })
		if at.attempt = len(at.Children); at.attempt > 0 {
			at.try(ev.Time, true)
		}
	case ev.Type == history.MapIterationStarted:
		return at.add(&Visit{Kind: Iteration, Index: ev.Index, Entered: ev.Time})
	case strings.HasPrefix(what, "MapIteration"):
		at = at.up(func(v *Visit) bool { return v.Kind == Iteration })
		at.close(ev.Time, ended(what))
	case strings.HasSuffix(what, "StateExited"):
		at = at.up(func(v *Visit) bool { return v.Name == ev.Name })
		at.close(ev.Time, OK)
		if n := len(at.Tries); n > 0 && at.Tries[n-1].Failed {
			at.Result = Caught
		}
	case strings.HasSuffix(what, "StateAborted"):
		at.close(ev.Time, Aborted)
	case what == "ParallelStateSucceeded", what == "ParallelStateFailed", what == "MapStateSucceeded", what == "MapStateFailed":
		at = at.up(func(v *Visit) bool { return strings.HasPrefix(what, v.Kind) })
		at.over = true
		if failed := strings.HasSuffix(what, "Failed"); failed || len(at.Tries) > 0 {
			at.try(ev.Time, failed)
		}
	case strings.HasSuffix(what, "Scheduled"):
		at.Tries = append(at.Tries, Try{At: ev.Time, Parameters: ev.Data})
		at.Resource = ev.Resource
		if ev.ResourceType != "" {
			at.Resource = ev.ResourceType + ":" + ev.Resource
		}
	case at.Kind == "Task" && len(at.Tries) > 0 && at.Left == 0:
		last := &at.Tries[len(at.Tries)-1]
		last.Ended = ev.Time
		if strings.HasSuffix(what, "Failed") || strings.HasSuffix(what, "TimedOut") {
			last.Failed, last.Error, last.Cause = true, ev.Error, ev.Cause
		}
	}
	return at
}

// try notes how an attempt at a Parallel or Map went.
func (v *Visit) try(ended int64, failed bool) {
	begun := v.Entered
	if n := len(v.Tries); n > 0 {
		begun = v.Tries[n-1].Ended
	}
	v.Tries = append(v.Tries, Try{At: begun, Ended: ended, Failed: failed})
}

// enter opens a visit below or beside the one that the event follows.
func enter(at *Visit, ev *history.Event, kind string, events []history.Event) *Visit {
	v := &Visit{Name: ev.Name, Kind: kind, Entered: ev.Time}
	before := history.Type(0)
	if ev.Prev > 0 && ev.Prev <= int64(len(events)) {
		before = events[ev.Prev-1].Type
	}
	switch {
	case before == history.ParallelStateStarted:
		// Their order in the history is their order in the definition.
		branch := at.add(&Visit{Kind: Branch, Index: int64(len(at.Children) - at.attempt), Entered: ev.Time})
		return branch.add(v)
	case before == history.MapIterationStarted || at.Parent == nil:
		return at.add(v)
	}
	return at.Parent.add(v)
}

func (v *Visit) add(child *Visit) *Visit {
	child.Parent = v
	v.Children = append(v.Children, child)
	return child
}

// up is the innermost visit around v, or v itself, that is open and meant.
func (v *Visit) up(meant func(*Visit) bool) *Visit {
	for u := v; u.Parent != nil; u = u.Parent {
		if u.Left == 0 && meant(u) {
			return u
		}
	}
	return v
}

func (v *Visit) close(at int64, result string) {
	if v.Left == 0 {
		v.Left, v.Result = at, result
	}
}

func ended(what string) string {
	switch {
	case strings.HasSuffix(what, "Succeeded"):
		return OK
	case strings.HasSuffix(what, "Aborted"):
		return Aborted
	}
	return Failed
}
