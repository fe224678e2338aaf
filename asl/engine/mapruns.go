package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/distributed"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// mapWork evaluates the Map state's fields but for those that are looked at
// after the first event.
func (x *execution) mapWork(b *branch) (*distributed.Work, error) {
	w := &distributed.Work{State: b.state, StateInput: b.input, Variables: b.vars}
	w.ID, w.Key = x.mapRunID(b)
	var err error
	if w.Iterations, err = b.state.Fields.Iterations(x.frameOf(b)); err != nil {
		return nil, err
	}
	w.Context = x.contextObject(b)
	return w, nil
}

// distribute evaluates the fields that only a distributed Map has.
func (x *execution) distribute(b *branch, w *distributed.Work) (err error) {
	w.Distribution, err = b.state.Fields.Distribution(x.frameOf(b), w.Input)
	return err
}

// startMapRun begins the run of a distributed Map.
func (x *execution) startMapRun(b *branch) error {
	s, err := x.mapWork(b)
	if err != nil {
		return err
	}
	x.follow(b, &history.Event{Type: history.MapStateStarted, Has: history.HasLength, Length: int64(len(s.Items))})
	if err := x.distribute(b, s); err != nil {
		return err
	}
	b.phase, b.startedAt = phaseMapRun, x.now()
	x.mark(b)
	x.follow(b, &history.Event{Type: history.MapRunStarted, Has: history.HasARN, ARN: x.e.names.MapRun(s.Key)})
	x.describeRun(b, s, distributed.RunRunning, nil)
	x.docs = append(x.docs, store.Doc{Kind: distributed.KindOpen, Key: s.ID, Body: []byte("{}")})
	x.launch(b, s)
	return nil
}

// resumeMapRun goes on with a run that an earlier process began.
func (x *execution) resumeMapRun(b *branch) {
	s, err := x.mapWork(b)
	if err == nil {
		err = x.distribute(b, s)
	}
	if err != nil {
		x.stateFailed(b, x.located(b, err))
		return
	}
	x.launch(b, s)
}

// launch hands the run over as a task is, once what was said of it is durable.
func (x *execution) launch(b *branch, s *distributed.Work) {
	h := &mapRunner{e: x.e, work: s, prog: x.prog.children[b.state.Name], rev: x.rec.Revision, testCase: x.testCase, origin: x.origin()}
	if x.running == nil {
		x.running = map[int64]*running{}
	}
	r := &running{exec: x.id, branch: b.id, handler: h, run: h, task: task.Task{ExecutionARN: x.arn(), StateName: b.state.Name}}
	x.running[b.id] = r
	x.starts = append(x.starts, r)
}

// describeRun writes the run's description along with the execution.
func (x *execution) describeRun(b *branch, w *distributed.Work, status string, last *distributed.Outcome) {
	d := distributed.MapRun{
		Machine: x.rec.Machine, Execution: x.rec.Name, Key: w.Key, Status: status, Started: b.startedAt, Batched: w.Batching != nil,
		MaxConcurrency: w.MaxConcurrency, ToleratedCount: w.Tolerance.Count(), ToleratedPercentage: w.Tolerance.Percentage(),
	}
	d.Items.Total, d.Children.Total = w.Total()
	if status != distributed.RunRunning {
		d.Stopped = x.now()
	}
	if last != nil {
		d.Items, d.Children = last.Items, last.Children
	}
	body, err := json.Marshal(d)
	if err != nil {
		x.e.log.Error("cannot describe a map run", zap.String("map_run", x.e.names.MapRun(w.Key)), zap.Error(err))
		return
	}
	x.docs = append(x.docs, store.Doc{Kind: distributed.Kind, Key: w.ID, Body: body})
}

// mapRunEnded goes on with a distributed Map state whose run is over.
func (x *execution) mapRunEnded(b *branch, h *mapRunner, output []byte, err error) {
	status := distributed.RunSucceeded
	if err != nil {
		status = distributed.RunFailed
	}
	x.describeRun(b, h.work, status, &h.outcome)
	x.docs = append(x.docs, store.Doc{Kind: distributed.KindOpen, Key: h.work.ID})
	if err != nil {
		var failure *asl.Error
		if !errors.As(err, &failure) {
			failure = &asl.Error{Name: asl.ErrRuntime, Cause: err.Error()}
		}
		if failure.Name != asl.ErrExceedToleratedThreshold {
			failure = x.located(b, failure)
		}
		x.follow(b, &history.Event{Type: history.MapRunFailed, Has: history.HasError | history.HasCause, Error: failure.Name, Cause: failure.Cause})
		x.stateFailed(b, failure)
		return
	}
	x.follow(b, &history.Event{Type: history.MapRunSucceeded})
	x.record(b, &history.Event{Type: history.MapStateSucceeded})
	b.phase = phaseEnter
	result, err := value.Parse(output)
	if err == nil {
		err = x.complete(b, result)
	}
	if err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// abortRun says that nobody waits for the run any more. Its children are
// stopped once that is durable.
func (x *execution) abortRun(r *running) {
	b := x.branches[r.branch]
	if r.run == nil || b == nil || b.phase != phaseMapRun {
		return
	}
	x.follow(b, &history.Event{Type: history.MapRunAborted})
	x.describeRun(b, r.run.work, distributed.RunAborted, nil)
	x.aborted = append(x.aborted, r.run.work.ID)
}

// mapRunID gives the ID of the run that a distributed Map state is about to
// make or has made, and the Machine of its children. Both follow from where the
// branch is.
func (x *execution) mapRunID(b *branch) (id, key string) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d", x.tag(), b.id, b.entered, b.attempt))
	digits := fmt.Sprintf("%09x%s", x.id, hex.EncodeToString(sum[:])[:11])
	id = digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-000000000000"
	return id, arns.BaseMachine(x.rec.Machine) + "/" + mapLabel(b.state) + ":" + id
}

// mapLabel is the state's Label, or its name where that can be one.
func mapLabel(s *asl.State) string {
	switch {
	case s.Map.Label != "":
		return s.Map.Label
	case len(s.Name) <= 40 && !strings.ContainsAny(s.Name, "?*<>{}[]:;,\\|^~$#%&`\"/ \t\r\n"):
		return s.Name
	}
	sum := sha256.Sum256([]byte(s.Name))
	return hex.EncodeToString(sum[:16])
}

// mapRunner is the handler of a distributed Map state.
type mapRunner struct {
	e    *Engine
	work *distributed.Work
	prog *program // of the children
	rev  string   // the revision they start with
	// testCase is that of the execution; its children run it too.
	testCase *testCase
	// origin is that of the execution, and of its children.
	origin  json.RawMessage
	outcome distributed.Outcome
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
