package progress_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/graph"
	"switchyard/dispatch"
	"switchyard/ui/progress"
)

type m map[string]any

// events are the rows of a history: the event before, its type, the state and the
// details.
func events(rows ...[]any) (all []dispatch.HistoryEvent) {
	at := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	for i, r := range rows {
		e := dispatch.HistoryEvent{ID: int64(i + 1), Previous: int64(r[0].(int)), Type: r[1].(string), At: at.Add(time.Duration(i) * time.Second)}
		if len(r) > 2 {
			e.State = r[2].(string)
		}
		if len(r) > 3 {
			e.Details, _ = json.Marshal(r[3])
		}
		all = append(all, e)
	}
	return all
}

func statuses(marks map[string]graph.Mark) map[string]graph.Status {
	all := map[string]graph.Status{}
	for name := range marks {
		all[name] = marks[name].Status
	}
	return all
}

func TestMarksFollowTheHistory(t *testing.T) {
	task := []any{0, "ExecutionStarted"}
	for name, row := range map[string]struct {
		state  dispatch.State
		events []dispatch.HistoryEvent
		want   map[string]graph.Status
	}{
		"nothing yet": {dispatch.StateRunning, events(task), map[string]graph.Status{}},
		"one runs":    {dispatch.StateRunning, events(task, []any{1, "TaskStateEntered", "A"}, []any{2, "TaskScheduled", "A", m{"resource": "startBuild.sync", "resourceType": "codebuild"}}), map[string]graph.Status{"A": graph.Running}},
		"a token is waited for": {dispatch.StateRunning, events(task, []any{1, "TaskStateEntered", "A"}, []any{2, "TaskScheduled", "A", m{"resource": "putEvents.waitForTaskToken", "resourceType": "events"}}),
			map[string]graph.Status{"A": graph.Waiting}},
		"time passes":       {dispatch.StateRunning, events(task, []any{1, "WaitStateEntered", "W"}), map[string]graph.Status{"W": graph.Waiting}},
		"the end is nearer": {dispatch.StateRunning, events(task, []any{1, "PassStateEntered", "A"}, []any{2, "PassStateExited", "A"}, []any{3, "TaskStateEntered", "B"}), map[string]graph.Status{"A": graph.Succeeded, "B": graph.Running}},
		"failed": {dispatch.StateFailed, events(task, []any{1, "TaskStateEntered", "A"}, []any{2, "TaskScheduled", "A"}, []any{3, "TaskFailed", "A", m{"error": "Boom"}}, []any{4, "ExecutionFailed"}),
			map[string]graph.Status{"A": graph.Failed}},
		"a Fail state": {dispatch.StateFailed, events(task, []any{1, "FailStateEntered", "F"}, []any{2, "ExecutionFailed"}), map[string]graph.Status{"F": graph.Failed}},
		"stopped":      {dispatch.StateAborted, events(task, []any{1, "WaitStateEntered", "W"}, []any{2, "ExecutionAborted"}), map[string]graph.Status{"W": graph.Aborted}},
		"timed out":    {dispatch.StateTimedOut, events(task, []any{1, "WaitStateEntered", "W"}, []any{2, "ExecutionTimedOut"}), map[string]graph.Status{"W": graph.Aborted}},
		"caught": {dispatch.StateSucceeded, events(task, []any{1, "TaskStateEntered", "A"}, []any{2, "TaskScheduled", "A"}, []any{3, "TaskFailed", "A", m{"error": "Boom"}}, []any{4, "TaskStateExited", "A"},
			[]any{5, "SucceedStateEntered", "S"}, []any{6, "SucceedStateExited", "S"}, []any{7, "ExecutionSucceeded"}), map[string]graph.Status{"A": graph.Caught, "S": graph.Succeeded}},
		"caught around what failed": {dispatch.StateSucceeded, events(task, []any{1, "ParallelStateEntered", "P"}, []any{2, "ParallelStateStarted", "P"}, []any{3, "MapStateEntered", "M"}, []any{3, "WaitStateEntered", "W"},
			[]any{5, "WaitStateAborted", "W"}, []any{4, "ParallelStateFailed", "P"}, []any{7, "ParallelStateExited", "P"}, []any{8, "ExecutionSucceeded"}),
			map[string]graph.Status{"P": graph.Caught, "M": graph.Failed, "W": graph.Aborted}},
		"an event of tomorrow": {dispatch.StateRunning, events(task, []any{1, "QuantumStateLeapt", "Q"}, []any{1, "PassStateEntered", "A"}), map[string]graph.Status{"A": graph.Running}},
	} {
		if d := cmp.Diff(row.want, statuses(progress.Marks(progress.Of(row.events), row.state))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestIterationsAreCounted(t *testing.T) {
	h := events([]any{0, "ExecutionStarted"}, []any{1, "MapStateEntered", "Each"}, []any{2, "MapStateStarted", "Each", m{"length": 3}},
		[]any{3, "MapIterationStarted", "Each", m{"name": "Each", "index": 0}}, []any{4, "PassStateEntered", "One"}, []any{5, "PassStateExited", "One"}, []any{6, "MapIterationSucceeded", "Each", m{"name": "Each", "index": 0}},
		[]any{3, "MapIterationStarted", "Each", m{"name": "Each", "index": 1}}, []any{8, "TaskStateEntered", "One"}, []any{9, "TaskScheduled", "One"}, []any{10, "TaskFailed", "One", m{"error": "Boom", "cause": "on purpose"}}, []any{11, "MapIterationFailed", "Each", m{"name": "Each", "index": 1}},
		[]any{3, "MapIterationStarted", "Each", m{"name": "Each", "index": 2}}, []any{13, "TaskStateEntered", "One"})
	marks := progress.Marks(progress.Of(h), dispatch.StateRunning)
	if d := cmp.Diff(graph.Items{Total: 3, Succeeded: 1, Failed: 1, Running: 1}, marks["Each"].Items); d != "" {
		t.Error(d)
	}
	if one := marks["One"]; one.Status != graph.Running || one.Visits != 3 {
		t.Errorf("the state in it: %+v", one)
	}
}

// Of visits one after another the last counts: a retry that went well is well.
func TestTheLastVisitCounts(t *testing.T) {
	h := events([]any{0, "ExecutionStarted"}, []any{1, "TaskStateEntered", "A"}, []any{2, "TaskScheduled", "A"}, []any{3, "TaskFailed", "A", m{"error": "Boom", "cause": "why"}}, []any{4, "TaskStateExited", "A"},
		[]any{5, "TaskStateEntered", "A"}, []any{6, "TaskScheduled", "A"}, []any{7, "TaskSucceeded", "A"}, []any{8, "TaskStateExited", "A"})
	a := progress.Marks(progress.Of(h), dispatch.StateRunning)["A"]
	if a.Status != graph.Succeeded || a.Visits != 2 || a.Detail != "" {
		t.Errorf("%+v", a)
	}
	if first := progress.Marks(progress.Of(h[:5]), dispatch.StateRunning)["A"]; first.Status != graph.Caught || first.Detail != "Boom: why" {
		t.Errorf("after the first: %+v", first)
	}
}
