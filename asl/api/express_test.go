package api_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

const function = "arn:aws:lambda:us-east-1:123456789012:function:f"

type handler func(ctx context.Context, t task.Task) (json.RawMessage, error)

func (h handler) Run(ctx context.Context, t task.Task) (json.RawMessage, error) { return h(ctx, t) }

func TestStartSyncExecutionThroughTheSDK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory()
		e, err := engine.New(st, engine.Config{}, engine.WithHandler(function, handler(func(ctx context.Context, tk task.Task) (json.RawMessage, error) {
			if string(tk.Input) == `"hang"` {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return tk.Input, nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		c, ctx := client(serveEngine(t, e).Transport(), "http://engine.invalid"), t.Context()
		created, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
			Name: aws.String("fast"), RoleArn: aws.String(role), Type: types.StateMachineTypeExpress, Publish: true,
			Definition: aws.String(`{"StartAt":"C","States":{
				"C":{"Type":"Choice","Choices":[{"Variable":"$","StringEquals":"fail","Next":"F"},{"Variable":"$","StringEquals":"sleep","Next":"S"}],"Default":"W"},
				"W":{"Type":"Wait","Seconds":2,"Next":"T"},"T":{"Type":"Task","Resource":"` + function + `","Next":"P"},
				"P":{"Type":"Pass","Parameters":{"id.$":"$$.Execution.Id","name.$":"$$.Execution.Name","x.$":"$"},"End":true},
				"S":{"Type":"Wait","Seconds":301,"End":true},"F":{"Type":"Fail","Error":"E","Cause":"C"}}}`),
		})
		if err != nil {
			t.Fatal(err)
		}
		arn := created.StateMachineArn
		sync := func(machine, input string) *sfn.StartSyncExecutionOutput {
			t.Helper()
			out, err := c.StartSyncExecution(ctx, &sfn.StartSyncExecutionInput{StateMachineArn: &machine, Name: aws.String("same"), Input: &input})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		out := sync(*arn, `1`)
		if !regexp.MustCompile(`^arn:aws:states:us-east-1:123456789012:express:fast:same:[0-9a-f-]{36}$`).MatchString(*out.ExecutionArn) {
			t.Errorf("ARN %s", *out.ExecutionArn)
		}
		if want := `{"id":"` + *out.ExecutionArn + `","name":"same","x":1}`; out.Status != types.SyncExecutionStatusSucceeded || aws.ToString(out.Output) != want ||
			out.StopDate.Sub(*out.StartDate) != 2*time.Second || out.BillingDetails.BilledDurationInMilliseconds != 2000 || out.BillingDetails.BilledMemoryUsedInMB != 64 ||
			*out.StateMachineArn != *arn || aws.ToString(out.Input) != `1` || !out.OutputDetails.Included {
			t.Errorf("%s %s, %v to %v, %+v; want %s", out.Status, aws.ToString(out.Output), out.StartDate, out.StopDate, out.BillingDetails, want)
		}
		if again := sync(*arn+":1", `1`); *again.ExecutionArn == *out.ExecutionArn {
			t.Error("the same name is the same execution")
		}
		if out = sync(*arn, `"fail"`); out.Status != types.SyncExecutionStatusFailed || *out.Error != "E" || *out.Cause != "C" || out.Output != nil {
			t.Errorf("%+v, want FAILED E C", out)
		}
		for _, in := range []string{`"sleep"`, `"hang"`} {
			if out = sync(*arn, in); out.Status != types.SyncExecutionStatusTimedOut || out.StopDate.Sub(*out.StartDate) != 5*time.Minute {
				t.Errorf("%s: %s after %v, want TIMED_OUT after 5 minutes", in, out.Status, out.StopDate.Sub(*out.StartDate))
			}
		}
		if last, err := st.LastID(ctx); err != nil || last != 0 {
			t.Errorf("the store holds execution %d, %v", last, err)
		}
	})
}

func TestExpressStartsEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[string]int{}
		e, err := engine.New(store.NewMemory(), engine.Config{MaxHistory: 10}, engine.WithHandler(function, handler(func(_ context.Context, tk task.Task) (json.RawMessage, error) {
			mu.Lock()
			seen[tk.ExecutionARN]++
			mu.Unlock()
			return tk.Input, nil
		})))
		if err != nil {
			t.Fatal(err)
		}
		events := 0
		stop := e.OnStatusChange(func([]byte) { events++ })
		s := serveEngine(t, e)
		// More states than a STANDARD execution of this engine may have, and
		// a wait long enough for one to leave memory.
		definition := strings.Replace(taskOf(function), `"StartAt":"T","States":{`, `"StartAt":"A","States":{
			"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"C"},"C":{"Type":"Pass","Next":"D"},"D":{"Type":"Pass","Next":"E"},"E":{"Type":"Pass","Next":"W"},
			"W":{"Type":"Wait","Seconds":60,"Next":"T"},`, 1)
		do(t, s, "CreateStateMachine", m{"name": "fast", "definition": definition, "roleArn": role, "type": "EXPRESS"})
		for range 3 {
			do(t, s, "StartExecution", m{"stateMachineArn": machineARN + "fast", "name": "same"})
		}
		time.Sleep(2 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) != 3 {
			t.Errorf("%d executions ran, want 3: %v", len(seen), seen)
		}
		for arn, n := range seen {
			if n != 1 || !strings.Contains(arn, ":express:fast:same:") {
				t.Errorf("%s ran %d times", arn, n)
			}
		}
		stop()
		if events != 0 {
			t.Errorf("%d status events, EXPRESS executions have none", events)
		}
	})
}
