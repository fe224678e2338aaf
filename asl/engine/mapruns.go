package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"switchyard/internal/uuid"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// The kinds of document that describe Map runs. The key is the run's ID, which
// begins with that of its execution.
const (
	kindMapRun = "maprun"
	// kindMapRunOpen lists the runs whose children may still be running.
	kindMapRunOpen = "maprun-open"
	// kindMapRunLimits is what UpdateMapRun has set. It is apart from the run
	// so that neither can overwrite the other.
	kindMapRunLimits = "maprun-limits"
)

// The statuses of a Map run.
const (
	RunRunning   = "RUNNING"
	RunSucceeded = "SUCCEEDED"
	RunFailed    = "FAILED"
	RunAborted   = "ABORTED"
)

// Counts are how many items or child executions of a Map run are where.
type Counts struct {
	Pending        int64 `json:"pending"`
	Running        int64 `json:"running"`
	Succeeded      int64 `json:"succeeded"`
	Failed         int64 `json:"failed"`
	TimedOut       int64 `json:"timedOut"`
	Aborted        int64 `json:"aborted"`
	Total          int64 `json:"total"`
	ResultsWritten int64 `json:"resultsWritten"`
}

func (c *Counts) add(s store.Status, n int64) {
	switch s {
	case store.Succeeded:
		c.Succeeded += n
	case store.TimedOut:
		c.TimedOut += n
	case store.Aborted:
		c.Aborted += n
	case store.Running:
		c.Running += n
	default:
		c.Failed += n
	}
}

// withPending fills in what has not been started.
func (c Counts) withPending() Counts {
	started := c.Running + c.Succeeded + c.Failed + c.TimedOut + c.Aborted
	c.Total = max(c.Total, started)
	c.Pending = c.Total - started
	return c
}

// MapRun describes a Map run.
type MapRun struct {
	// Machine is the Machine, in the store, of the execution that started the
	// run, Execution its name, and Key the Machine of the run's children.
	Machine   string `json:"machine"`
	Execution string `json:"execution"`
	Key       string `json:"key"`
	Status    string `json:"status"`
	Started   int64  `json:"started"` // Unix milliseconds
	Stopped   int64  `json:"stopped,omitempty"`
	Batched   bool   `json:"batched,omitempty"`

	MaxConcurrency      int64   `json:"max_concurrency,omitempty"`
	ToleratedCount      int64   `json:"tolerated_count,omitempty"`
	ToleratedPercentage float64 `json:"tolerated_percentage,omitempty"`

	Items    Counts `json:"items"`
	Children Counts `json:"children"`

	ARN          string `json:"-"`
	ExecutionARN string `json:"-"`
	MachineARN   string `json:"-"`
}

// mapSpec is what a distributed Map state works on, evaluated. It follows from
// the branch's input and variables, so that a restart finds the same.
type mapSpec struct {
	state *asl.State
	asl.Iterations
	asl.Distribution
	source itemSource
	read   bool // by source; else the items are those of Iterations
	writer *resultWriter
	// frame is what the ItemSelector sees; item is $$.Map.Item for it.
	frame asl.Frame
	item  value.Value
}

// mapSpec evaluates the Map state's fields but for those that are looked at
// after the first event.
func (x *execution) mapSpec(b *branch) (*mapSpec, error) {
	s := &mapSpec{state: b.state, read: b.state.Map.ItemReader != nil}
	var err error
	if s.Iterations, err = b.state.Fields.Iterations(x.frameOf(b)); err != nil {
		return nil, err
	}
	context, vars := x.contextObject(b), b.vars
	s.frame.Input = b.input
	s.frame.Scope.NewUUID = uuid.New
	s.frame.Scope.Variable = vars.Get
	s.frame.Scope.Context = func() value.Value {
		return context.With("Map", value.OfObject(value.Field{Key: "Item", Value: s.item}))
	}
	s.source = arraySource(s.Items)
	return s, nil
}

// complete evaluates the fields of ItemReader, ItemBatcher and ResultWriter.
func (s *mapSpec) complete(x *execution, b *branch) error {
	var err error
	if s.Distribution, err = b.state.Fields.Distribution(x.frameOf(b), s.Input); err != nil {
		return err
	}
	s.writer, err = newResultWriter(b.state.Map.ResultWriter, s.WriterParameters)
	return err
}

// startMapRun begins the run of a distributed Map.
func (x *execution) startMapRun(b *branch) error {
	s, err := x.mapSpec(b)
	if err != nil {
		return err
	}
	x.follow(b, &history.Event{Type: history.MapStateStarted, Has: history.HasLength, Length: int64(len(s.Items))})
	if err := s.complete(x, b); err != nil {
		return err
	}
	id, key := x.mapRunID(b)
	b.phase, b.startedAt = phaseMapRun, x.now()
	x.mark(b)
	x.follow(b, &history.Event{Type: history.MapRunStarted, Has: history.HasARN, ARN: x.e.names.MapRun(key)})
	x.describeRun(b, s, RunRunning, nil)
	x.docs = append(x.docs, store.Doc{Kind: kindMapRunOpen, Key: id, Body: []byte("{}")})
	x.launch(b, s)
	return nil
}

// resumeMapRun goes on with a run that an earlier process began.
func (x *execution) resumeMapRun(b *branch) {
	s, err := x.mapSpec(b)
	if err == nil {
		err = s.complete(x, b)
	}
	if err != nil {
		x.stateFailed(b, x.located(b, err))
		return
	}
	x.launch(b, s)
}

// launch hands the run over as a task is, once what was said of it is durable.
func (x *execution) launch(b *branch, s *mapSpec) {
	id, key := x.mapRunID(b)
	h := &mapRunner{e: x.e, id: id, key: key, spec: s, prog: x.prog.children[b.state.Name], rev: x.rec.Revision, testCase: x.testCase, origin: x.origin()}
	if x.running == nil {
		x.running = map[int64]*running{}
	}
	r := &running{exec: x.id, branch: b.id, handler: h, run: h, task: task.Task{ExecutionARN: x.arn(), StateName: b.state.Name}}
	x.running[b.id] = r
	x.starts = append(x.starts, r)
}

// describeRun writes the run's description along with the execution.
func (x *execution) describeRun(b *branch, s *mapSpec, status string, last *mapRun) {
	id, key := x.mapRunID(b)
	d := MapRun{
		Machine: x.rec.Machine, Execution: x.rec.Name, Key: key, Status: status, Started: b.startedAt, Batched: s.Batching != nil,
		MaxConcurrency: s.MaxConcurrency, ToleratedCount: s.Tolerance.Count(), ToleratedPercentage: s.Tolerance.Percentage(),
	}
	if !s.read {
		d.Items.Total = int64(len(s.Items))
		if s.Batching == nil {
			d.Children.Total = d.Items.Total
		}
	}
	if status != RunRunning {
		d.Stopped = x.now()
	}
	if last != nil {
		last.mu.Lock()
		d.Items, d.Children = last.items, last.children
		last.mu.Unlock()
	}
	body, err := json.Marshal(d)
	if err != nil {
		x.e.log.Error("cannot describe a map run", zap.String("map_run", x.e.names.MapRun(key)), zap.Error(err))
		return
	}
	x.docs = append(x.docs, store.Doc{Kind: kindMapRun, Key: id, Body: body})
}

// mapRunEnded goes on with a distributed Map state whose run is over.
func (x *execution) mapRunEnded(b *branch, h *mapRunner, output []byte, err error) {
	status := RunSucceeded
	if err != nil {
		status = RunFailed
	}
	id, _ := x.mapRunID(b)
	x.describeRun(b, h.spec, status, h.last)
	x.docs = append(x.docs, store.Doc{Kind: kindMapRunOpen, Key: id})
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
	x.describeRun(b, r.run.spec, RunAborted, nil)
	x.aborted = append(x.aborted, r.run.id)
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
	e       *Engine
	id, key string
	spec    *mapSpec
	prog    *program
	rev     string
	// testCase is that of the execution; its children run it too.
	testCase *testCase
	// origin is that of the execution, and of its children.
	origin json.RawMessage
	last   *mapRun // the run as it ended
}

// Run implements [task.Handler].
func (h *mapRunner) Run(ctx context.Context, _ task.Task) (json.RawMessage, error) {
	for {
		output, err := h.try(ctx)
		var known *asl.Error
		if err == nil || errors.As(err, &known) || ctx.Err() != nil {
			return output, err
		}
		h.e.log.Error("cannot go on with a map run; trying again", zap.String("map_run", h.e.names.MapRun(h.key)), zap.Error(err))
		if err := h.last.pause(ctx); err != nil {
			return nil, err
		}
	}
}

func (h *mapRunner) try(ctx context.Context) (json.RawMessage, error) {
	s := h.spec
	if s.read {
		var err error
		if s.source, err = h.e.reader(ctx, s.state.Map.ItemReader, s.ReaderParameters, s.MaxItems); err != nil {
			h.last = h.newRun()
			return nil, err
		}
	}
	r := h.newRun()
	h.last = r
	limits, err := h.e.runLimits(ctx, h.id)
	if err != nil {
		return nil, err
	}
	r.set(limits)
	h.e.runs.add(r)
	defer h.e.runs.remove(r)
	return r.run(ctx)
}

func (h *mapRunner) newRun() *mapRun {
	r := &mapRun{
		e: h.e, id: h.id, key: h.key, spec: h.spec, prog: h.prog, rev: h.rev, testCase: h.testCase, origin: h.origin,
		tolerance: h.spec.Tolerance, wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	r.set(runLimits{MaxConcurrency: &h.spec.MaxConcurrency})
	return r
}

// runLimits are what UpdateMapRun may change.
type runLimits struct {
	MaxConcurrency      *int64   `json:"max_concurrency,omitempty"`
	ToleratedCount      *int64   `json:"tolerated_count,omitempty"`
	ToleratedPercentage *float64 `json:"tolerated_percentage,omitempty"`
}

func (r *mapRun) set(l runLimits) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.MaxConcurrency != nil {
		if r.limit = *l.MaxConcurrency; r.limit == 0 || r.limit > maxChildren {
			r.limit = maxChildren
		}
	}
	r.tolerance = r.tolerance.With(l.ToleratedCount, l.ToleratedPercentage)
	r.tell()
}

func (e *Engine) runLimits(ctx context.Context, id string) (l runLimits, err error) {
	body, err := e.store.Doc(ctx, kindMapRunLimits, id)
	if errors.Is(err, store.ErrNotFound) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &l)
	}
	return l, err
}
