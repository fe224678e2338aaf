package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

// Executions of every kind that can be interrupted. A child process runs them
// and is killed again and again; each must end once, as it would have.
var interrupted = map[string]struct{ definition, output string }{
	"wait": {
		`{"StartAt":"A","States":{"A":{"Type":"Wait","Seconds":1,"Next":"B"},"B":{"Type":"Wait","Seconds":1,"End":true}}}`,
		`{"items":[1,2,3,4,5,6,7,8]}`,
	},
	"task": {
		`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + fn + `","Next":"B","ResultPath":"$.r","Parameters":{"ms":150}},"B":{"Type":"Task","Resource":"` + fn + `","Parameters":{"ms":250},"End":true}}}`,
		`{"ms":250}`,
	},
	"map": {
		`{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":3,"ItemSelector":{"v.$":"$$.Map.Item.Value"},"End":true,"ItemProcessor":{
			"StartAt":"P","States":{"P":{"Type":"Pass","Assign":{"v.$":"$.v"},"Next":"T"},"T":{"Type":"Task","Resource":"` + fn + `","Parameters":{"ms":60,"v.$":"$v"},"ResultPath":"$.r","OutputPath":"$.r.v","Next":"W"},"W":{"Type":"Wait","Seconds":0,"End":true}}}}}}`,
		`[1,2,3,4,5,6,7,8]`,
	},
	// The items are shuffled: all the same each time they are evaluated.
	"jsonata": {
		`{"QueryLanguage":"JSONata","StartAt":"M","States":{"M":{"Type":"Map","Items":"{% $shuffle($states.input.items) %}","MaxConcurrency":"{% 3 %}","Output":"{% $sort($states.result) %}","End":true,
			"ItemSelector":{"v":"{% $states.context.Map.Item.Value %}"},"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","Assign":{"v":"{% $states.input.v %}"},"Next":"T"},
			"T":{"Type":"Task","Resource":"` + fn + `","Arguments":{"ms":60,"v":"{% $v %}"},"Output":"{% $v %}","Next":"W"},"W":{"Type":"Wait","Seconds":"{% 1 - 1 %}","End":true}}}}}}`,
		`[1,2,3,4,5,6,7,8]`,
	},
	"distributed": {
		`{"StartAt":"M","States":{"M":{"Type":"Map","ItemsPath":"$.items","ToleratedFailureCount":1,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
			"StartAt":"C","States":{"C":{"Type":"Choice","Choices":[{"Variable":"$","NumericEquals":3,"Next":"F"}],"Default":"W"},"F":{"Type":"Fail","Error":"E","Cause":"C"},"W":{"Type":"Wait","Seconds":1,"End":true}}},"ResultSelector":{"n.$":"States.ArrayLength($)","third.$":"$[2].Error","last.$":"$[7]"},"End":true}}}`,
		`{"n":8,"third":"E","last":8}`,
	},
	// What a distributed Map works on is evaluated again: the same items, once each.
	"distributed-jsonata": {
		`{"QueryLanguage":"JSONata","StartAt":"M","States":{"M":{"Type":"Map","Items":"{% $shuffle($states.input.items) %}","MaxConcurrency":"{% 2 + 1 %}","Output":"{% $sort($states.result) %}","End":true,
			"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":"{% 1 - 1 %}","Output":"{% $states.input * 10 %}","End":true}}}}}}`,
		`[10,20,30,40,50,60,70,80]`,
	},
	"parallel": {
		`{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
			{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Parameters":{"ms":300},"End":true}}},
			{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":1,"Next":"X"},"X":{"Type":"Pass","Result":"x","End":true}}}]}}}`,
		`[{"ms":300},"x"]`,
	},
	"token": {
		`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f","Payload":{"token.$":"$$.Task.Token"}},"Retry":[{"ErrorEquals":["States.ALL"]}],"End":true}}}`,
		`"answered"`,
	},
	"activity": {
		`{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"` + activityARN + `","HeartbeatSeconds":1,"Retry":[{"ErrorEquals":["States.HeartbeatTimeout"],"IntervalSeconds":1,"BackoffRate":1,"MaxAttempts":99}],"End":true}}}`,
		restartInput,
	},
	"nested": {
		`{"StartAt":"N","States":{"N":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2","OutputPath":"$.Output","Parameters":{
			"StateMachineArn":"arn:aws:states:us-east-1:123456789012:stateMachine:wait","Input.$":"$"},"End":true}}}`,
		restartInput,
	},
	"retry": {
		`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"` + fn + `","Parameters":{"failures":2},"Retry":[{"ErrorEquals":["Flaky"],"IntervalSeconds":1,"BackoffRate":1,"MaxAttempts":2}],"End":true}}}`,
		`{"failures":2}`,
	},
}

const restartInput = `{"items":[1,2,3,4,5,6,7,8]}`

// slowTask sleeps and fails as its input asks for.
func slowTask(ctx context.Context, t task.Task) (json.RawMessage, error) {
	var in struct{ MS, Failures int }
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, err
	}
	if t.Attempt < in.Failures {
		return nil, &task.Error{Name: "Flaky", Cause: "not yet"}
	}
	timer := time.NewTimer(time.Duration(in.MS) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return t.Input, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// workers are what the executions of the restart test need: functions, and
// those outside the engine who answer tokens and work on activities.
type workers struct {
	// file keeps the tokens: their holders outlive the engine. Nil keeps none.
	file   *os.File
	tokens chan string
	wg     sync.WaitGroup
}

func (w *workers) handlers() []engine.Option {
	w.tokens = make(chan string, 10_000)
	return []engine.Option{
		engine.WithHandler(fn, handlerFunc(slowTask)),
		engine.WithHandler("arn:aws:states:::lambda:invoke.waitForTaskToken", handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
			var in struct{ Payload struct{ Token string } }
			if err := json.Unmarshal(t.Input, &in); err != nil {
				return nil, err
			}
			if w.file != nil {
				if _, err := fmt.Fprintln(w.file, in.Payload.Token); err != nil {
					return nil, err
				}
			}
			w.tokens <- in.Payload.Token
			return json.RawMessage(`{}`), nil
		})),
	}
}

// answer ends a task; a token that was used before is no error.
func answer(ctx context.Context, e *engine.Engine, token, output string) {
	var known *apierror.Error
	if err := e.SendTaskSuccess(ctx, token, output); err != nil && ctx.Err() == nil && (!errors.As(err, &known) || known.Code != apierror.CodeTaskTimedOut) {
		fmt.Fprintln(os.Stderr, "answer:", err)
	}
}

// start lets the workers work until ctx ends.
func (w *workers) start(ctx context.Context, e *engine.Engine) error {
	if _, err := e.Catalog().CreateActivity(ctx, "approve"); err != nil {
		return err
	}
	w.wg.Go(func() {
		for {
			select {
			case token := <-w.tokens:
				answer(ctx, e, token, `"answered"`)
			case <-ctx.Done():
				return
			}
		}
	})
	for range 3 {
		w.wg.Go(func() {
			for ctx.Err() == nil {
				if work, err := e.GetActivityTask(ctx, activityARN, "w"); err == nil && work != nil {
					answer(ctx, e, work.Token, work.Input)
				}
			}
		})
	}
	return nil
}

// TestMain makes the test binary the process that is killed, when asked to.
func TestMain(m *testing.M) {
	if path := os.Getenv("ENGINE_TEST_STORE"); path != "" {
		if err := victim(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv("ENGINE_TEST_MAP"); dir != "" {
		if err := mapVictim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// victim runs the engine on the store at path, starts the executions whose
// names it reads, and says so once they are durable. It ends when it is killed
// or its input ends.
func victim(path string) error {
	s, err := store.Open(context.Background(), path)
	if err != nil {
		return err
	}
	var w workers
	if w.file, err = os.OpenFile(path+".tokens", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defer w.file.Close()
	e, err := engine.New(s, engine.Config{}, w.handlers()...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	})
	arns := map[string]string{}
	for kind, c := range interrupted {
		m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: kind, Definition: c.definition, RoleARN: "r"})
		if err != nil {
			return err
		}
		arns[kind] = m.ARN
	}
	if err := w.start(ctx, e); err != nil {
		return err
	}
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		kind, _, _ := strings.Cut(in.Text(), "-")
		if _, err := e.StartExecution(ctx, engine.Start{MachineARN: arns[kind], Name: in.Text(), Input: restartInput}); err != nil {
			return err
		}
		fmt.Println(in.Text())
	}
	cancel()
	wg.Wait()
	w.wg.Wait()
	return s.Close()
}

// TestKilledEngineResumesEveryExecutionOnce kills the process at random
// moments. What was acknowledged must end as if nothing had happened, with a
// history without a gap and each state left as often as it was entered.
func TestKilledEngineResumesEveryExecutionOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	path := filepath.Join(t.TempDir(), "engine.db")
	var acknowledged []string
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ENGINE_TEST_STORE="+path)
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(stdout)
		if !said.Scan() || said.Text() != "ready" {
			t.Fatalf("round %d: the process said %q, want ready", round, said.Text())
		}
		go func() {
			for i := range 20 {
				for kind := range interrupted {
					if _, err := fmt.Fprintf(stdin, "%s-%d-%d\n", kind, round, i); err != nil {
						return // it was killed
					}
				}
			}
		}()
		for left := 10 + rand.IntN(60); said.Scan(); left-- {
			acknowledged = append(acknowledged, said.Text())
			if left == 0 {
				time.AfterFunc(time.Duration(rand.IntN(300))*time.Millisecond, func() { _ = cmd.Process.Kill() })
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Errorf("round %d: the process ended by itself", round)
		}
	}

	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var w workers
	e := newEngine(t, s, w.handlers()...)
	ctx, cancel := context.WithCancel(t.Context())
	defer func() { cancel(); w.wg.Wait() }()
	if err := w.start(ctx, e); err != nil {
		t.Fatal(err)
	}
	defer run(t, e)()
	given, err := os.ReadFile(path + ".tokens")
	if err != nil {
		t.Fatal(err)
	}
	for token := range strings.Lines(string(given)) {
		answer(ctx, e, strings.TrimSpace(token), `"answered"`)
	}
	t.Logf("%d executions were acknowledged", len(acknowledged))
	if len(acknowledged) < 50 {
		t.Errorf("only %d executions were started before the kills", len(acknowledged))
	}
	for _, name := range acknowledged {
		kind, _, _ := strings.Cut(name, "-")
		arn := "arn:aws:states:us-east-1:123456789012:execution:" + kind + ":" + name
		x := wait(t, e, arn)
		wantOutput(t, x, interrupted[kind].output)
		entered := map[string]int{}
		for i, ev := range events(t, e, arn) {
			if ev.ID != int64(i+1) {
				t.Fatalf("%s: event %d has ID %d", name, i+1, ev.ID)
			}
			switch what := ev.Type.String(); {
			case strings.HasSuffix(what, "StateEntered"):
				entered[ev.Name]++
			case strings.HasSuffix(what, "StateExited"):
				entered[ev.Name]--
			}
		}
		for state, n := range entered {
			if n != 0 {
				t.Errorf("%s: state %s was entered %d times more than it was left", name, state, n)
			}
		}
	}
}
