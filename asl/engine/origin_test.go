package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// originTask works in the tasks of a test and notes where they come from.
type originTask struct {
	mu   sync.Mutex
	seen []string
	// does is what the task does then.
	does func(ctx context.Context) error
}

func (o *originTask) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	o.mu.Lock()
	o.seen = append(o.seen, string(t.Origin))
	o.mu.Unlock()
	if err := o.does(ctx); err != nil {
		return nil, err
	}
	return json.RawMessage(`{}`), nil
}

// readOrigin is for [engine.WithOrigin]: the input's member from.
func readOrigin(input []byte) json.RawMessage {
	var in struct{ From json.RawMessage }
	_ = json.Unmarshal(input, &in) // an input that is no object has none
	return in.From
}

// Definitions that make the task run, and pass on another origin than theirs.
const (
	originLeaf     = `"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","End":true}}`
	originItems    = `"StartAt":"I","States":{"I":{"Type":"Pass","Result":[{"from":"elsewhere"}],"Next":"M"},"M":{"Type":"Map","End":true,`
	originChildren = `"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},`
)

func startsMachine(name string) string {
	return `"StartAt":"N","States":{"N":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync","Parameters":{
		"StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:` + name + `","Input":{"from":"elsewhere"}},"End":true}}`
}

// Whatever a definition passes on, a task knows where the execution comes from
// that was started from outside: at once, after a restart, and redriven.
func TestTasksKnowTheOriginOfTheOutermostExecution(t *testing.T) {
	for name, definition := range map[string]string{
		"task":              originLeaf,
		"parallel":          `"StartAt":"P","States":{"P":{"Type":"Parallel","Parameters":{"from":"elsewhere"},"Branches":[{` + originLeaf + `}],"End":true}}`,
		"map":               originItems + `"ItemProcessor":{` + originLeaf + `}}}`,
		"distributed map":   originItems + originChildren + originLeaf + `}}}`,
		"batches":           originItems + `"ItemBatcher":{"MaxItemsPerBatch":1},` + originChildren + originLeaf + `}}}`,
		"nested":            startsMachine("leaf"),
		"nested twice":      startsMachine("middle"),
		"nested in a child": originItems + originChildren + startsMachine("middle") + `}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "engine.db")
			o := &originTask{}
			session := func(do func(e *engine.Engine)) {
				t.Helper()
				s, err := store.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				e := newEngine(t, s, engine.WithHandler(fn, o), engine.WithOrigin(readOrigin))
				defer run(t, e)()
				do(e)
			}
			var arn string
			began := make(chan struct{}, 1)
			o.does = func(ctx context.Context) error {
				began <- struct{}{}
				<-ctx.Done()
				return context.Cause(ctx)
			}
			session(func(e *engine.Engine) {
				machine(t, e, "leaf", `{`+originLeaf+`}`)
				machine(t, e, "middle", `{`+startsMachine("leaf")+`}`)
				arn = start(t, e, machine(t, e, "m", `{`+definition+`}`), "x", `{"from":"a fork"}`)
				<-began
			})
			o.does = func(context.Context) error { return errors.New("broken") }
			session(func(e *engine.Engine) {
				if x := wait(t, e, arn); x.Status != store.Failed {
					t.Fatalf("%s %s", x.Status, x.Output)
				}
			})
			o.does = func(context.Context) error { return nil }
			session(func(e *engine.Engine) {
				redrive(t, e, arn)
				if x := wait(t, e, arn); x.Status != store.Succeeded {
					t.Fatalf("%s %s", x.Error, x.Cause)
				}
			})
			if want := slices.Repeat([]string{`"a fork"`}, 3); !slices.Equal(o.seen, want) {
				t.Errorf("the task saw %v, want %v", o.seen, want)
			}
		})
	}
}

// An EXPRESS execution is not stored: its origin is all the same that of what
// started it.
func TestExpressExecutionsHaveTheOriginOfTheirParent(t *testing.T) {
	origins := make(chan string, 1)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		_, err := e.Catalog().CreateMachine(t.Context(), catalog.NewMachine{
			Name: "leaf", Type: catalog.TypeExpress, Definition: `{` + originLeaf + `}`, RoleARN: "arn:aws:iam::123456789012:role/r",
		})
		if err != nil {
			t.Fatal(err)
		}
		forgets := strings.Replace(startsMachine("leaf"), "startExecution.sync", "startExecution", 1)
		start(t, e, machine(t, e, "m", `{`+forgets+`}`), "x", `{"from":"a fork"}`)
		if got := <-origins; got != `"a fork"` {
			t.Errorf("the task saw %s", got)
		}
	}, engine.WithOrigin(readOrigin), engine.WithHandler(fn, handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
		origins <- string(t.Origin)
		return json.RawMessage(`{}`), nil
	})))
}

// Where the execution at the beginning does not say where it comes from, the
// input of the one that it starts is asked.
func TestOriginOfAnExecutionThatSaysNothing(t *testing.T) {
	origins := make(chan string, 1)
	bubble(t, func(t *testing.T, e *engine.Engine) {
		machine(t, e, "leaf", `{`+originLeaf+`}`)
		m := machine(t, e, "m", `{`+startsMachine("leaf")+`}`)
		for input, want := range map[string]string{`{}`: `"elsewhere"`, `7`: `"elsewhere"`, `{"from":"me"}`: `"me"`} {
			wait(t, e, start(t, e, m, "", input))
			if got := <-origins; got != want {
				t.Errorf("started with %s the task saw %s, want %s", input, got, want)
			}
		}
	}, engine.WithOrigin(readOrigin), engine.WithHandler(fn, handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
		origins <- string(t.Origin)
		return json.RawMessage(`{}`), nil
	})))
}
