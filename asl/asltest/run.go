package asltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"switchyard/asl"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/trace"
)

// Result is how a test went.
type Result struct {
	File, Name string
	// Differences say what was not as expected, one or more lines each; none for
	// a test that passed.
	Differences []string
	// Took is how long the test ran, by the clock on the wall.
	Took time.Duration
}

// Passed reports whether everything was as expected.
func (r *Result) Passed() bool { return len(r.Differences) == 0 }

// outcome is an execution that has ended, or waits for what nobody will bring.
type outcome struct {
	execution *engine.Execution
	waiting   []string // states; empty when it has ended
	// traces are of the execution and of the children of its distributed Maps.
	traces []*trace.Trace
}

// Run runs a test and adds what it covered. The error is ctx's, or that the
// engine itself failed.
func (f *File) Run(ctx context.Context, t *Test, c *Coverage) (*Result, error) {
	began := time.Now()
	r := &Result{File: f.Path, Name: t.Name}
	mocks, own := f.mocksOf(t)
	o, err := f.execute(ctx, t, c, mocks)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", f.Path, t.Name, err)
	}
	for _, tr := range o.traces {
		c.add(tr)
	}
	r.Differences = t.compare(o, c)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		a := own[name]
		if tried := a.tried(); tried < a.count() {
			r.Differences = append(r.Differences, fmt.Sprintf("mocks: %q was tried %d times, and has %d answers", name, tried, a.count()))
		}
	}
	r.Took = time.Since(began)
	return r, nil
}

// mocksOf gives what Task states answer, and those answers that the test itself
// has.
func (f *File) mocksOf(t *Test) (all map[string]task.Mock, own map[string]*answers) {
	all, own = map[string]task.Mock{}, map[string]*answers{}
	if t.MockCase != "" {
		states, _ := f.mocks.TestCase(f.Machine, t.MockCase)
		maps.Copy(all, states)
	}
	for state, list := range t.Mocks {
		a := &answers{state: state, list: list}
		all[state], own[state] = a, a
	}
	return all, own
}

// oneCase is the only test case of an engine.
type oneCase map[string]task.Mock

// TestCase implements [engine.Mocks].
func (m oneCase) TestCase(string, string) (map[string]task.Mock, bool) { return m, true }

// unmocked fails the tasks for which a test has no answer.
type unmocked struct{}

// Run implements [task.Handler].
func (unmocked) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	return nil, &task.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf("The state '%s' has no mock: give its answers under mocks.", t.StateName)}
}

// role stands in the context object; nothing checks it.
const role = "arn:aws:iam::123456789012:role/switchyard"

// maxEvents is Step Functions' limit on a history.
const maxEvents = 25_000

// execute runs one execution to its end.
func (f *File) execute(ctx context.Context, t *Test, c *Coverage, mocks oneCase) (*outcome, error) {
	rest := make(chan struct{}, 1)
	ended := make(chan struct{}, 1)
	tell := func(ch chan struct{}) {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	e, err := engine.New(store.NewMemory(), engine.Config{}, engine.WithVirtualTime(t.Start), engine.WithMocks(mocks),
		engine.WithFallback(unmocked{}), engine.WithRest(func() { tell(rest) }))
	if err != nil {
		return nil, err
	}
	m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: f.Machine, Definition: c.definition, RoleARN: role})
	if err != nil {
		return nil, err
	}
	defer e.OnStatusChange(func([]byte) { tell(ended) })()
	// Started before the engine runs, so that it cannot come to rest before.
	started, err := e.StartExecution(ctx, engine.Start{MachineARN: m.ARN + "#test", Name: "test", Input: t.input})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- e.Run(running) }()
	o := &outcome{}
	for {
		resting := false
		select {
		case <-ctx.Done():
			stop()
			return nil, errors.Join(ctx.Err(), <-done)
		case <-ended:
		case <-rest:
			resting = true
		}
		o.execution, err = e.DescribeExecution(ctx, started.ExecutionARN)
		if err != nil || resting || o.execution.Status != store.Running {
			break
		}
	}
	stop()
	if err := errors.Join(err, <-done); err != nil {
		return nil, err
	}
	if err := o.read(ctx, e, started.ExecutionARN); err != nil {
		return nil, err
	}
	if o.execution.Status == store.Running {
		for _, v := range o.traces[0].Open() {
			o.waiting = append(o.waiting, v.Name)
		}
	}
	return o, nil
}

// read adds the trace of an execution and of its children.
func (o *outcome) read(ctx context.Context, e *engine.Engine, arn string) error {
	events, _, err := e.History(ctx, arn, 0, false, maxEvents)
	if err != nil {
		return err
	}
	o.traces = append(o.traces, trace.Of(events))
	if !slices.ContainsFunc(events, func(ev history.Event) bool { return ev.Type == history.MapRunStarted }) {
		return nil
	}
	runs, err := e.ListMapRuns(ctx, arn, "", maxEvents)
	if err != nil {
		return err
	}
	for _, run := range runs {
		children, err := e.ListChildren(ctx, run.ARN, nil, 0, maxEvents)
		if err != nil {
			return err
		}
		for _, child := range slices.Backward(children) {
			if err := o.read(ctx, e, child.ARN); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare lists what is not as expected.
func (t *Test) compare(o *outcome, c *Coverage) []string {
	if len(o.waiting) > 0 {
		return []string{"the execution waits for an answer that never comes, in " + strings.Join(o.waiting, ", ") + ": mock the state"}
	}
	var found []string
	differ := func(what string, want, got any) {
		found = append(found, fmt.Sprintf("%s: expected %v\n%*sgot      %v", what, want, len(what)+2, "", got))
	}
	x, want := o.execution, &t.Expect
	if got := x.Status.String(); got != want.Status {
		how := got
		if x.Error != "" || x.Cause != "" {
			how += " " + trace.Try{Error: x.Error, Cause: x.Cause}.Problem()
		}
		differ("status", want.Status, how)
	} else {
		if want.Error != "" && want.Error != x.Error {
			differ("error", want.Error, x.Error)
		}
		if want.Cause != "" && want.Cause != x.Cause {
			differ("cause", want.Cause, x.Cause)
		}
		if !strings.Contains(x.Cause, want.CauseContains) {
			differ("cause_contains", want.CauseContains, x.Cause)
		}
		if want.Output != nil {
			found = append(found, diff("output", want.Output, x.Output, false)...)
		}
		if want.OutputContains != nil {
			found = append(found, diff("output", want.OutputContains, x.Output, true)...)
		}
	}
	found = append(found, want.comparePath(o.path(c))...)
	attempts, calls := o.work()
	for _, state := range slices.Sorted(maps.Keys(want.Attempts)) {
		if n := want.Attempts[state]; n != attempts[state] {
			differ(fmt.Sprintf("attempts at %q", state), n, attempts[state])
		}
	}
	for _, state := range slices.Sorted(maps.Keys(want.Calls)) {
		list, got := want.Calls[state], calls[state]
		if len(list) != len(got) {
			differ(fmt.Sprintf("calls of %q", state), len(list), len(got))
			continue
		}
		for i := range list {
			found = append(found, diff(fmt.Sprintf("call %d of %q", i+1, state), list[i], []byte(got[i]), true)...)
		}
	}
	if want.Took != "" {
		expected, _ := time.ParseDuration(want.Took)
		if took := time.Duration(o.traces[0].Last-o.traces[0].Started) * time.Millisecond; took != expected {
			differ("took", expected, took)
		}
	}
	return found
}

// path are the states that were entered, in that order.
func (o *outcome) path(c *Coverage) []string {
	var visits []*trace.Visit
	for _, tr := range o.traces {
		tr.All(func(v *trace.Visit) {
			if _, marker := c.markers[v.Name]; !marker {
				visits = append(visits, v)
			}
		})
	}
	names := make([]string, len(visits))
	for i, v := range visits {
		names[i] = v.Name
	}
	return names
}

// work is by state how often its work was tried, and with which parameters.
func (o *outcome) work() (attempts map[string]int, calls map[string][]string) {
	attempts, calls = map[string]int{}, map[string][]string{}
	for _, tr := range o.traces {
		tr.All(func(v *trace.Visit) {
			if v.Kind != string(asl.TypeTask) {
				return
			}
			attempts[v.Name] += len(v.Tries)
			for _, try := range v.Tries {
				calls[v.Name] = append(calls[v.Name], try.Parameters)
			}
		})
	}
	return attempts, calls
}
