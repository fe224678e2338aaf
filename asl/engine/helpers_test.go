package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

type statusEvent struct {
	Source     string   `json:"source"`
	DetailType string   `json:"detail-type"`
	Resources  []string `json:"resources"`
	Detail     struct {
		ExecutionARN    string  `json:"executionArn"`
		StateMachineARN string  `json:"stateMachineArn"`
		Name            string  `json:"name"`
		Status          string  `json:"status"`
		StartDate       int64   `json:"startDate"`
		StopDate        *int64  `json:"stopDate"`
		Input           *string `json:"input"`
		Output          *string `json:"output"`
	} `json:"detail"`
}

func (c *statusEvent) decode(event []byte) error { return json.Unmarshal(event, c) }

// run starts the engine and stops it when the test ends, or when stop is
// called.
func run(t testing.TB, e *engine.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

func newEngine(t testing.TB, s store.Store, opts ...engine.Option) *engine.Engine {
	t.Helper()
	e, err := engine.New(s, engine.Config{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func machine(t testing.TB, e *engine.Engine, name, definition string) string {
	t.Helper()
	m, err := e.Catalog().CreateMachine(context.Background(), catalog.NewMachine{Name: name, Definition: definition, RoleARN: "arn:aws:iam::123456789012:role/r"})
	if err != nil {
		t.Fatal(err)
	}
	return m.ARN
}

func start(t testing.TB, e *engine.Engine, machineARN, name, input string) string {
	t.Helper()
	s, err := e.StartExecution(context.Background(), engine.Start{MachineARN: machineARN, Name: name, Input: input})
	if err != nil {
		t.Fatal(err)
	}
	return s.ExecutionARN
}

func describe(t testing.TB, e *engine.Engine, arn string) *engine.Execution {
	t.Helper()
	x, err := e.DescribeExecution(context.Background(), arn)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// wait polls until the execution has ended. In a synctest bubble that takes no
// time.
func wait(t testing.TB, e *engine.Engine, arn string) *engine.Execution {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 1_000_000 {
		if x := describe(t, e, arn); x.Status != store.Running {
			return x
		}
		<-tick.C
	}
	t.Fatalf("%s does not end", arn)
	return nil
}

// runs runs one execution to its end.
func runs(t testing.TB, e *engine.Engine, definition, input string) *engine.Execution {
	t.Helper()
	return wait(t, e, start(t, e, machine(t, e, "m", definition), "x", input))
}

// wantOutput checks that x succeeded with output.
func wantOutput(t testing.TB, x *engine.Execution, output string) {
	t.Helper()
	if x.Status != store.Succeeded || string(x.Output) != output {
		t.Errorf("%s: %s %s %q %q\nwant SUCCEEDED %s", x.Name, x.Status, x.Output, x.Error, x.Cause, output)
	}
}

func wantFailure(t testing.TB, x *engine.Execution, status store.Status, name, cause string) {
	t.Helper()
	if x.Status != status || x.Error != name || x.Cause != cause {
		t.Errorf("%s: %s %s\nerror %q, want %q\ncause %q\n want %q", x.Name, x.Status, x.Output, x.Error, name, x.Cause, cause)
	}
}

func events(t testing.TB, e *engine.Engine, arn string) []history.Event {
	t.Helper()
	var all []history.Event
	for from := int64(0); ; {
		page, next, err := e.History(context.Background(), arn, from, false, 100)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if next == 0 {
			return all
		}
		from = next
	}
}

// types are the types of an execution's events, shortened, in one line.
func types(t testing.TB, e *engine.Engine, arn string) string {
	t.Helper()
	var names []string
	for i, ev := range events(t, e, arn) {
		if ev.ID != int64(i+1) {
			t.Errorf("event %d has ID %d", i+1, ev.ID)
		}
		if ev.Prev >= ev.ID {
			t.Errorf("event %d follows event %d", ev.ID, ev.Prev)
		}
		names = append(names, ev.Type.String())
	}
	return strings.Join(names, " ")
}

// handlerFunc is a task handler.
type handlerFunc func(ctx context.Context, t task.Task) (json.RawMessage, error)

func (f handlerFunc) Run(ctx context.Context, t task.Task) (json.RawMessage, error) { return f(ctx, t) }

const fn = "arn:aws:lambda:us-east-1:123456789012:function:f"

// failing fails n times with name, then returns its input.
func failing(n int, name string) handlerFunc {
	var mu sync.Mutex
	return func(_ context.Context, t task.Task) (json.RawMessage, error) {
		mu.Lock()
		defer mu.Unlock()
		if n > 0 {
			n--
			return nil, &task.Error{Name: name, Cause: fmt.Sprintf("attempt %d", t.Attempt)}
		}
		return t.Input, nil
	}
}

// blocking waits until its context ends.
func blocking(ctx context.Context, _ task.Task) (json.RawMessage, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

var errBoom = errors.New("boom")

// opened gives a function that opens an engine on the file at path for f, running or
// not, and closes it.
func opened(t testing.TB, path string, options ...engine.Option) func(f func(e *engine.Engine), running bool) {
	return func(f func(e *engine.Engine), running bool) {
		t.Helper()
		s, err := store.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		e := newEngine(t, s, options...)
		if running {
			defer run(t, e)()
		}
		f(e)
	}
}
