// Package progress makes of an execution's history, as the dispatcher tells it, what
// pictures and timelines show: the visits of its states, and the state of each.
package progress

import (
	"encoding/json"
	"strings"

	"switchyard/asl/graph"
	"switchyard/asl/history"
	"switchyard/asl/trace"
	"switchyard/dispatch"
)

// types are the events by their names.
var types = func() map[string]history.Type {
	all := map[string]history.Type{}
	for t := history.ExecutionStarted; t.String() != "Unknown"; t++ {
		all[t.String()] = t
	}
	return all
}()

// Of builds the tree of visits from the events of an execution, oldest first and
// from the first one on. Events that are not known here are passed over, as far as
// what follows from them can still be placed.
func Of(events []dispatch.HistoryEvent) *trace.Trace {
	all := make([]history.Event, len(events))
	for i := range events {
		e := &events[i]
		var is struct {
			Name, Error, Cause, ResourceType, Resource string
			Index                                      int64
		}
		_ = json.Unmarshal(e.Details, &is) // what is there of another kind says nothing here
		all[i] = history.Event{
			ID: e.ID, Prev: e.Previous, Type: types[e.Type], Time: e.At.UnixMilli(), Name: e.State,
			Error: is.Error, Cause: is.Cause, Index: is.Index, ResourceType: is.ResourceType, Resource: is.Resource,
		}
		if e.State == "" {
			all[i].Name = is.Name
		}
	}
	return trace.Of(all)
}

// Status is how a visit stands, in an execution whose state is given.
func Status(v *trace.Visit, x dispatch.State) graph.Status {
	switch v.Result {
	case trace.OK:
		return graph.Succeeded
	case trace.Caught:
		return graph.Caught
	case trace.Failed:
		return graph.Failed
	case trace.Aborted:
		return graph.Aborted
	}
	switch {
	case v.Left != 0:
		return graph.Succeeded
	case groupLeft(v): // what else was under way then was aborted, and its history says so
		return graph.Failed
	case x == dispatch.StateSucceeded:
		return graph.Succeeded
	case !x.Finished() && (v.Kind == "Wait" || strings.HasSuffix(v.Resource, ".waitForTaskToken")):
		return graph.Waiting
	case !x.Finished():
		return graph.Running
	case x == dispatch.StateFailed:
		return graph.Failed
	}
	return graph.Aborted
}

// groupLeft reports whether a Map or Parallel was left around a visit that was not.
func groupLeft(v *trace.Visit) bool {
	for p := v.Parent; p != nil; p = p.Parent {
		if p.Left != 0 {
			return true
		}
	}
	return false
}

// weight orders the statuses of several visits to the same state: what goes on
// now tells more than what went wrong, and that more than what went well.
var weight = map[graph.Status]int{graph.Running: 6, graph.Waiting: 5, graph.Failed: 4, graph.Aborted: 3, graph.Caught: 2, graph.Succeeded: 1}

// Marks light up the picture of an execution whose state is given. Of several
// visits one after another the last counts; of those side by side, the one that
// tells most.
func Marks(t *trace.Trace, x dispatch.State) map[string]graph.Mark {
	marks := map[string]graph.Mark{}
	begun := map[string]int64{}
	t.All(func(v *trace.Visit) {
		status := Status(v, x)
		m, known := marks[v.Name]
		m.Visits++
		sideBySide := within(v)
		if !known || !sideBySide && v.Entered >= begun[v.Name] || sideBySide && weight[status] > weight[m.Status] {
			m.Status, m.Detail = status, problem(v)
			begun[v.Name] = v.Entered
		}
		for _, c := range v.Children {
			if c.Kind != trace.Iteration {
				continue
			}
			m.Items.Total++
			switch Status(c, x) {
			case graph.Succeeded:
				m.Items.Succeeded++
			case graph.Failed, graph.Aborted:
				m.Items.Failed++
			default:
				m.Items.Running++
			}
		}
		marks[v.Name] = m
	})
	return marks
}

// within reports whether a visit is one of several iterations.
func within(v *trace.Visit) bool {
	for p := v.Parent; p != nil; p = p.Parent {
		if p.Kind == trace.Iteration {
			return true
		}
	}
	return false
}

// problem is the last thing that went wrong in a visit.
func problem(v *trace.Visit) string {
	for i := len(v.Tries) - 1; i >= 0; i-- {
		if v.Tries[i].Error != "" {
			return v.Tries[i].Problem()
		}
	}
	return ""
}
