package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// broken is a task that fails for the inputs that are broken, and counts its
// calls by input.
type broken struct {
	mu    sync.Mutex
	bad   map[string]string // error by input
	calls map[string]int
	ids   map[string]bool
}

func newBroken(inputs ...string) *broken {
	b := &broken{bad: map[string]string{}, calls: map[string]int{}, ids: map[string]bool{}}
	for _, in := range inputs {
		b.bad[in] = "Broken"
	}
	return b
}

func (b *broken) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := string(t.Input)
	b.calls[in]++
	if b.ids[t.ID] {
		return nil, &task.Error{Name: "Repeated", Cause: t.ID}
	}
	b.ids[t.ID] = true
	if name := b.bad[in]; name != "" {
		return nil, &task.Error{Name: name, Cause: in}
	}
	return t.Input, nil
}

func (b *broken) repair() {
	b.mu.Lock()
	clear(b.bad)
	b.mu.Unlock()
}

func redrive(t testing.TB, e *engine.Engine, arn string) int64 {
	t.Helper()
	at, err := e.Redrive(context.Background(), arn, "")
	if err != nil {
		t.Fatal(err)
	}
	return at
}

const failingTask = `"T":{"Type":"Task","Resource":"` + fn + `","End":true}`

func TestRedriveGoesOnFromWhatFailed(t *testing.T) {
	for _, row := range []struct {
		name, definition, input string
		broken                  []string
		output                  string
		calls                   map[string]int // after the redrive
		events                  string         // since ExecutionRedriven
	}{
		{
			"a task after others",
			`{"StartAt":"P","States":{"P":{"Type":"Pass","Result":1,"Assign":{"kept":"yes"},"Next":"A"},
				"A":{"Type":"Task","Resource":"` + fn + `","Next":"B"},
				"B":{"Type":"Task","Resource":"` + fn + `","Parameters":{"b.$":"$","v.$":"$kept"},"End":true}}}`,
			`{}`,
			[]string{`{"b":1,"v":"yes"}`},
			`{"b":1,"v":"yes"}`,
			map[string]int{`1`: 1, `{"b":1,"v":"yes"}`: 2},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded",
		},
		{
			"the branches that failed or were aborted",
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"A","States":{"A":{"Type":"Pass","Result":"a","End":true}}},
				{"StartAt":"B","States":{"B":{"Type":"Wait","Seconds":300,"Next":"B2"},"B2":{"Type":"Pass","Result":"b","End":true}}},
				{"StartAt":"C","States":{"C":{"Type":"Task","Resource":"` + fn + `","End":true}}}]}}}`,
			`7`,
			[]string{`7`},
			`["a","b",7]`,
			map[string]int{`7`: 2},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited WaitStateExited PassStateEntered PassStateExited ParallelStateSucceeded ParallelStateExited ExecutionSucceeded",
		},
		{
			"the iterations that failed, and those not started yet",
			`{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":1,"End":true,"ItemProcessor":{"StartAt":"T","States":{` + failingTask + `}}}}}`,
			`[1,2,3]`,
			[]string{`2`},
			`[1,2,3]`,
			map[string]int{`1`: 1, `2`: 2, `3`: 1},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited MapIterationSucceeded " +
				"MapIterationStarted TaskStateEntered LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited MapIterationSucceeded MapStateSucceeded MapStateExited ExecutionSucceeded",
		},
		{
			"a branch between two states",
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"A2"},"A2":{"Type":"Pass","Next":"A3"},"A3":{"Type":"Pass","Next":"A4"},"A4":{"Type":"Pass","Result":"a","End":true}}},
				{"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","IsPresent":true,"Next":"W"}]},"W":{"Type":"Wait","Seconds":1,"End":true}}},
				{"StartAt":"F","States":{"F":{"Type":"Pass","Parameters":{"x.$":"$.missing"},"End":true}}}]}}}`,
			`{}`, nil, "", nil,
			// The Pass state fails again; what the others do till then is theirs.
			"",
		},
		{
			"a map in a branch in a map",
			`{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
				{"StartAt":"N","States":{"N":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"T","States":{` + failingTask + `}}}}}]}}}}}}`,
			`[[1,2],[3,4]]`,
			[]string{`4`},
			`[[[1,2]],[[3,4]]]`,
			map[string]int{`4`: 2},
			"",
		},
		{
			"a task that was tried again before",
			`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Retry":[{"ErrorEquals":["Broken"],"MaxAttempts":2}],"End":true}}}`,
			`5`, []string{`5`}, `5`, map[string]int{`5`: 4},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded",
		},
		{
			"a parallel that was tried again before",
			`{"StartAt":"P","States":{"P":{"Type":"Parallel","Retry":[{"ErrorEquals":["Broken"],"MaxAttempts":1}],"End":true,"Branches":[
				{"StartAt":"A","States":{"A":{"Type":"Pass","Result":"a","End":true}}},{"StartAt":"T","States":{` + failingTask + `}}]}}}`,
			`5`, []string{`5`}, `["a",5]`, map[string]int{`5`: 3},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ParallelStateSucceeded ParallelStateExited ExecutionSucceeded",
		},
		{
			"a state that a catcher led to",
			`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Parameters":1,"Catch":[{"ErrorEquals":["Broken"],"Next":"U"}],"End":true},
				"U":{"Type":"Task","Resource":"` + fn + `","Parameters":2,"End":true}}}`,
			`{}`, []string{`1`, `2`}, `2`, map[string]int{`1`: 1, `2`: 2},
			"ExecutionRedriven LambdaFunctionScheduled LambdaFunctionStarted LambdaFunctionSucceeded TaskStateExited ExecutionSucceeded",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBroken(row.broken...)
				e := newEngine(t, store.NewMemory(), engine.WithHandler(fn, b))
				defer run(t, e)()
				definition := strings.NewReplacer(`"Parameters":1`, `"InputPath":"$.a"`, `"Parameters":2`, `"InputPath":"$.b"`).Replace(row.definition)
				input := row.input
				if definition != row.definition {
					input = `{"a":1,"b":2}`
					definition = strings.Replace(definition, `"Next":"U"}`, `"ResultPath":"$.e","Next":"U"}`, 1)
				}
				arn := start(t, e, machine(t, e, "m", definition), "x", input)
				x := wait(t, e, arn)
				if x.Status != store.Failed || x.NotRedrivable != "" {
					t.Fatalf("%s %s %s, not redrivable: %q", x.Status, x.Error, x.Cause, x.NotRedrivable)
				}
				before := len(events(t, e, arn))
				b.repair()
				time.Sleep(time.Minute)
				at := redrive(t, e, arn)
				x = wait(t, e, arn)
				if x.Redrives != 1 || x.Redriven != at || at < x.Started+time.Minute.Milliseconds() {
					t.Errorf("redriven %d times, at %d; want once, at %d", x.Redrives, x.Redriven, at)
				}
				if row.output == "" {
					if x.Status != store.Failed {
						t.Errorf("%s %s, want it to fail again", x.Status, x.Output)
					}
				} else {
					wantOutput(t, x, row.output)
				}
				if d := cmp.Diff(row.calls, b.calls); row.calls != nil && d != "" && row.name != "a map in a branch in a map" {
					t.Errorf("calls of the task: -want +got:\n%s", d)
				}
				after := strings.Fields(types(t, e, arn))[before:]
				if after[0] != "ExecutionRedriven" {
					t.Errorf("the redrive begins with %s", after[0])
				}
				if row.events != "" {
					if d := cmp.Diff(strings.Fields(row.events), after); d != "" {
						t.Errorf("events since the redrive: -want +got:\n%s", d)
					}
				}
				if ev := events(t, e, arn)[before]; ev.Length != 1 {
					t.Errorf("ExecutionRedriven %+v, want redrive 1", ev)
				}
			})
		})
	}
}

func TestRedriveAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroken(`1`, `2`, `3`)
		e := newEngine(t, store.NewMemory(), engine.WithHandler(fn, b))
		defer run(t, e)()
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"M","States":{"M":{"Type":"Map","ItemProcessor":{"StartAt":"T","States":{`+failingTask+`}},"Next":"P"},
			"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"C","States":{"C":{"Type":"Pass","InputPath":"$$.Execution.RedriveCount","End":true}}}]}}}`), "x", `[1,2,3]`)
		for i := 1; i <= 3; i++ {
			if x := wait(t, e, arn); x.Status != store.Failed {
				t.Fatalf("before redrive %d: %s %s", i, x.Status, x.Output)
			}
			b.mu.Lock()
			delete(b.bad, fmt.Sprint(i))
			b.mu.Unlock()
			redrive(t, e, arn)
		}
		wantOutput(t, wait(t, e, arn), `[3]`)
		for in, n := range b.calls {
			if n < 2 || n > 4 {
				t.Errorf("task called %d times for %s", n, in)
			}
		}
	})
}

func TestRedriveAfterStopAndTimeout(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, e *engine.Engine, arn string){
		"stopped": func(t *testing.T, e *engine.Engine, arn string) {
			if _, err := e.StopExecution(t.Context(), arn, "", ""); err != nil {
				t.Fatal(err)
			}
		},
		"timed out": func(*testing.T, *engine.Engine, string) { time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(t, store.NewMemory())
				defer run(t, e)()
				arn := start(t, e, machine(t, e, "m", `{"TimeoutSeconds":30,"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
					{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":45,"End":true}}},
					{"StartAt":"A","States":{"A":{"Type":"Pass","Result":"a","End":true}}}]}}}`), "x", `"w"`)
				time.Sleep(20 * time.Second)
				end(t, e, arn)
				wait(t, e, arn)
				// The machine's time begins anew, the state's does not.
				redrive(t, e, arn)
				if x := describe(t, e, arn); x.Status == store.Running && x.NotRedrivable != "Execution is RUNNING and cannot be redriven" {
					t.Errorf("not redrivable: %q", x.NotRedrivable)
				}
				wantOutput(t, wait(t, e, arn), `["w","a"]`)
			})
		})
	}
}

func TestRedriveOfTooMuchDataBeginsTheStateAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var big = true
		var mu sync.Mutex
		calls := 0
		e := newEngine(t, store.NewMemory(), engine.WithHandler(fn, handlerFunc(func(context.Context, task.Task) (json.RawMessage, error) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if big {
				return json.Marshal(strings.Repeat("x", 200_000))
			}
			return json.RawMessage(`1`), nil
		})))
		defer run(t, e)()
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"T","States":{`+failingTask+`}}}}}`), "x", `[1,2]`)
		if x := wait(t, e, arn); x.Error != "States.DataLimitExceeded" {
			t.Fatalf("%s %s", x.Status, x.Error)
		}
		mu.Lock()
		big = false
		mu.Unlock()
		redrive(t, e, arn)
		wantOutput(t, wait(t, e, arn), `[1,1]`)
		if calls != 4 {
			t.Errorf("%d calls, want all iterations twice", calls)
		}
	})
}

func wantRefusal(t testing.TB, err error, code apierror.Code, message string) {
	t.Helper()
	var known *apierror.Error
	if !errors.As(err, &known) || known.Code != code || message != "" && known.Message != message {
		t.Errorf("%v, want %s: %s", err, code, message)
	}
}

func TestRedriveIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, err := engine.New(store.NewMemory(), engine.Config{MaxHistory: 12})
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, e)()
		loop := machine(t, e, "loop", `{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Choice","Choices":[{"Variable":"$","IsNull":true,"Next":"F"}],"Default":"A"},"F":{"Type":"Fail"}}}`)
		fails := machine(t, e, "fails", `{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}`)
		waits := machine(t, e, "waits", `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`)
		full := start(t, e, loop, "x", `1`)
		failed := start(t, e, fails, "x", ``)
		waiting := start(t, e, waits, "x", ``)
		wait(t, e, full)
		wait(t, e, failed)
		refused := func(arn, reason string) {
			t.Helper()
			_, err := e.Redrive(t.Context(), arn, "")
			wantRefusal(t, err, apierror.CodeExecutionNotRedrivable, reason)
			if x := describe(t, e, arn); x.NotRedrivable != reason {
				t.Errorf("described as not redrivable: %q, want %q", x.NotRedrivable, reason)
			}
		}
		refused(waiting, "Execution is RUNNING and cannot be redriven")
		refused(full, "Execution history event limit exceeded")
		wait(t, e, waiting)
		refused(waiting, "Execution is SUCCEEDED and cannot be redriven")
		if _, err := e.Redrive(t.Context(), failed+"y", ""); err == nil {
			t.Error("an execution that does not exist was redriven")
		}
		first, err := e.Redrive(t.Context(), failed, "token")
		if err != nil {
			t.Fatal(err)
		}
		x := wait(t, e, failed)
		wantFailure(t, x, store.Failed, "E", "")
		time.Sleep(10 * time.Minute)
		if again, err := e.Redrive(t.Context(), failed, "token"); err != nil || again != first {
			t.Errorf("the same token: %d, %v; want %d", again, err, first)
		}
		if x := describe(t, e, failed); x.Redrives != 1 {
			t.Errorf("%d redrives with one token", x.Redrives)
		}
		time.Sleep(10 * time.Minute)
		if again, err := e.Redrive(t.Context(), failed, "token"); err != nil || again == first {
			t.Errorf("a token of 20 minutes ago: %d, %v; want another redrive", again, err)
		}
		wait(t, e, failed)
		time.Sleep(15 * 24 * time.Hour)
		refused(failed, "Execution redrivable period exceeded")
		again := start(t, e, fails, "y", ``)
		wait(t, e, again)
		if err := e.Catalog().DeleteMachine(t.Context(), fails); err != nil {
			t.Fatal(err)
		}
		refused(again, "State machine is in DELETING status")
	})
}

// TestRedriveSurvivesRestart redrives on an engine that does not run, which is
// what a process leaves behind that dies at once.
func TestRedriveSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	b := newBroken(`2`)
	session := opened(t, path, engine.WithHandler(fn, b))
	var arn string
	session(func(e *engine.Engine) {
		arn = start(t, e, machine(t, e, "m", `{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"T","States":{`+failingTask+`}}}}}`), "x", `[1,2]`)
		if x := wait(t, e, arn); x.Status != store.Failed {
			t.Fatalf("%s %s", x.Status, x.Output)
		}
	}, true)
	b.repair()
	session(func(e *engine.Engine) { redrive(t, e, arn) }, false)
	session(func(e *engine.Engine) {
		x := wait(t, e, arn)
		wantOutput(t, x, `[1,2]`)
		if x.Redrives != 1 {
			t.Errorf("%d redrives, want 1", x.Redrives)
		}
	}, true)
	if b.calls[`2`] != 2 {
		t.Errorf("calls %v", b.calls)
	}
}

// TestRedriveAtTheVeryEnd redrives executions as soon as their failure is on
// disk, while the engine still has them in its hands.
func TestRedriveAtTheVeryEnd(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := newEngine(t, s)
	defer run(t, e)()
	arn := machine(t, e, "m", `{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}`)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			x := start(t, e, arn, fmt.Sprint("x", i), `{}`)
			for range 5 {
				for {
					_, err := e.Redrive(context.Background(), x, "")
					if err == nil {
						break
					}
					var known *apierror.Error
					if !errors.As(err, &known) || known.Code != apierror.CodeExecutionNotRedrivable {
						t.Error(err)
						return
					}
				}
			}
			wait(t, e, x)
			if n := describe(t, e, x).Redrives; n != 5 {
				t.Errorf("%d redrives, want 5", n)
			}
		})
	}
	wg.Wait()
}

func TestStatusEventsTellOfVersionsAndRedrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t, store.NewMemory())
		defer run(t, e)()
		m, err := e.Catalog().CreateMachine(t.Context(), catalog.NewMachine{Name: "m", RoleARN: "r", Publish: true, Definition: `{"StartAt":"F","States":{"F":{"Type":"Fail"}}}`})
		if err != nil {
			t.Fatal(err)
		}
		a, err := e.Catalog().CreateAlias(t.Context(), "live", "", []catalog.Route{{VersionARN: m.VersionARN, Weight: 100}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		stop := e.OnStatusChange(func(event []byte) {
			var ev struct {
				Detail struct {
					Status       string
					VersionARN   string `json:"stateMachineVersionArn"`
					AliasARN     string `json:"stateMachineAliasArn"`
					RedriveCount int
					RedriveDate  int64
				}
			}
			if err := json.Unmarshal(event, &ev); err != nil {
				t.Error(err)
			}
			d := ev.Detail
			if d.VersionARN != m.VersionARN || d.AliasARN != a.ARN || (d.RedriveDate == 0) != (d.RedriveCount == 0) {
				t.Errorf("event %s", event)
			}
			got = append(got, fmt.Sprint(d.Status, d.RedriveCount))
		})
		arn := start(t, e, a.ARN, "x", `{}`)
		wait(t, e, arn)
		redrive(t, e, arn)
		wait(t, e, arn)
		synctest.Wait()
		stop()
		if d := cmp.Diff([]string{"RUNNING0", "FAILED0", "RUNNING1", "FAILED1"}, got); d != "" {
			t.Error(d)
		}
	})
}

// A branch fails before the one after it has entered a state: of that one the
// history knows nothing.
func TestRedriveBeginsBranchesThatNeverBegan(t *testing.T) {
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := start(t, e, machine(t, e, "m", `{"StartAt":"P","States":{"P":{"Type":"Parallel","Parameters":{"in.$":"$.n"},"End":true,"Branches":[
			{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+activityARN+`","End":true}}},
			{"StartAt":"B","States":{"B":{"Type":"Pass","End":true}}}]}}}`), "x", `{"n":1}`)
		wait(t, e, arn)
		if got, want := types(t, e, arn), "ExecutionStarted ParallelStateEntered ParallelStateStarted TaskStateEntered ParallelStateFailed ExecutionFailed"; got != want {
			t.Fatalf("%s\nwant %s", got, want)
		}
		activity(t, e) // what was missing
		redrive(t, e, arn)
		work := poll(t, e, "w")
		if err := e.SendTaskSuccess(t.Context(), work.Token, `"yes"`); err != nil {
			t.Fatal(err)
		}
		wantOutput(t, wait(t, e, arn), `["yes",{"in":1}]`)
	})
}
