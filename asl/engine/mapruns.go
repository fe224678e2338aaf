package engine

import (
	"context"
	"encoding/json"

	"switchyard/asl/distributed"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// mapRunner is the handler of a distributed Map state.
type mapRunner struct {
	e       *Engine
	work    *run.MapWork
	started int64    // Unix milliseconds
	prog    *program // of the children
	rev     string   // the revision they start with
	// testCase is that of the execution; its children run it too.
	testCase *testCase
	// origin is that of the execution, and of its children.
	origin  json.RawMessage
	outcome distributed.Outcome
}

func (x *execution) newMapAttempt(f run.StartMapRun) *attempt {
	h := &mapRunner{
		e: x.e, work: f.Work, started: f.Started, prog: x.prog.child(f.State), rev: x.rec.Revision, testCase: x.testCase, origin: x.origin(),
	}
	return &attempt{
		exec: x.id, branch: f.Branch, number: f.Attempt, handler: h, maps: h,
		task: task.Task{ExecutionARN: x.arn(), StateName: f.State},
	}
}

// Run implements [task.Handler].
func (h *mapRunner) Run(ctx context.Context, _ task.Task) (json.RawMessage, error) {
	var err error
	h.outcome, err = h.e.maps.Run(ctx, h.work, h.start)
	return h.outcome.Output, err
}

// start implements [distributed.Start].
func (h *mapRunner) start(c distributed.Child) (<-chan error, bool) {
	attrs := executionAttrs{Origin: h.origin, Child: &c.Attrs}
	if h.testCase != nil {
		attrs.TestCase = h.testCase.name
	}
	body, err := json.Marshal(attrs)
	if err != nil {
		failed := make(chan error, 1)
		failed <- err
		return failed, true
	}
	rec := &store.Execution{
		ID: h.e.lastID.Add(1), Machine: c.Work.Key, Name: c.Name, Revision: h.rev,
		Started: h.e.now().UnixMilli(), Input: []byte(c.Input.JSON()), Attrs: body,
	}
	x := newExecution(h.e, rec, h.prog, c.Input)
	x.testCase, x.attrs = h.testCase, attrs
	created := x.created // x is its worker's from here on
	return created, h.e.admit(x)
}
