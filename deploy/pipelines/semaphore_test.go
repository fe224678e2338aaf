//go:build unix

package pipelines_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/asl/engine"
	"switchyard/asl/task"
	"switchyard/deploy/pipelines"
	"switchyard/internal/awstest"
)

// held is the work of those who have a slot. It notes who is inside.
type held struct {
	mu     sync.Mutex
	inside int
	most   int
	byLot  map[int]string // who entered, by the number of their slot
	gate   func(ctx context.Context, name string) error
}

// Run implements [task.Handler].
func (h *held) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	var call struct {
		Payload struct {
			Name      string
			Semaphore struct{ Fence int }
		}
	}
	if err := json.Unmarshal(t.Input, &call); err != nil {
		return nil, err
	}
	in := call.Payload
	h.mu.Lock()
	h.inside++
	h.most = max(h.most, h.inside)
	h.byLot[in.Semaphore.Fence] = in.Name
	h.mu.Unlock()
	err := h.gate(ctx, in.Name)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.inside--
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"deployed": in.Name})
}

// rig is an engine with the semaphore's state machines, and DynamoDB.
type rig struct {
	t    *testing.T
	held *held
	sfn  *sfn.Client
	db   *dynamodb.Client
}

// newRig starts an engine beside the DynamoDB at url, with a semaphore that lets this
// many in. The times of the
// definition are a hundredth of what they are: who waits looks every 6 s.
func newRig(t *testing.T, limit int, url string) *rig {
	t.Helper()
	r := &rig{t: t, held: &held{byLot: map[int]string{}, gate: func(context.Context, string) error { return nil }}}
	r.db = dynamodb.NewFromConfig(somebody, func(o *dynamodb.Options) { o.BaseEndpoint = &url })
	if _, err := r.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("semaphores"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("semaphore"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("semaphore"), KeyType: types.KeyTypeHash}},
	}); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer(
		"${SemaphoreTable}", "semaphores", "${SweepStateMachine}", prefix+"sweep", "${HeldStateMachine}", prefix+"held",
		`"leaseSeconds": 900`, `"leaseSeconds": 9`, `"renewSeconds": 300`, `"renewSeconds": 3`, `"lookSeconds": 600`, `"lookSeconds": 6`,
		"EnteredTime, 0, 16)", "EnteredTime, 0, 19)", `"firstLimit": "1"`, fmt.Sprintf(`"firstLimit": "%d"`, limit),
	)
	r.sfn = startEngine(t, url, map[string]string{
		"semaphore": fill.Replace(string(pipelines.Semaphore)), "sweep": fill.Replace(string(pipelines.Sweep)),
		"held": `{"StartAt": "Deploy", "States": {"Deploy": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "deploy", "Payload.$": "$"}, "End": true}}}`,
	}, engine.WithHandler("arn:aws:states:::lambda:invoke", r.held))
	return r
}

// start starts an execution that wants a slot.
func (r *rig) start(name string) (arn string) {
	r.t.Helper()
	out, err := r.sfn.StartExecution(r.t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(prefix + "semaphore"), Name: &name, Input: aws.String(fmt.Sprintf(`{"environment": "production", "name": %q}`, name)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return *out.ExecutionArn
}

// ends waits for the end of an execution.
func (r *rig) ends(arn string) *sfn.DescribeExecutionOutput {
	r.t.Helper()
	return ended(r.t, r.sfn, arn)
}

func (r *rig) until(what string, so func() bool) {
	r.t.Helper()
	until(r.t, what, so)
}

// item reads the semaphore.
func (r *rig) item() (queued []string, holders int) {
	r.t.Helper()
	out, err := r.db.GetItem(r.t.Context(), &dynamodb.GetItemInput{TableName: aws.String("semaphores"), ConsistentRead: aws.Bool(true),
		Key: map[string]types.AttributeValue{"semaphore": &types.AttributeValueMemberS{Value: "production"}}})
	if err != nil {
		r.t.Fatal(err)
	}
	if queue, ok := out.Item["queue"].(*types.AttributeValueMemberL); ok {
		for _, v := range queue.Value {
			name := v.(*types.AttributeValueMemberS).Value
			queued = append(queued, name[strings.LastIndexByte(name, ':')+1:])
		}
	}
	if inside, ok := out.Item["holders"].(*types.AttributeValueMemberM); ok {
		holders = len(inside.Value)
	}
	return queued, holders
}

func (r *rig) waitsFor(queued ...string) {
	r.t.Helper()
	r.until(fmt.Sprint("the queue is ", queued), func() bool {
		got, _ := r.item()
		return slices.Equal(got, queued)
	})
}

func TestSemaphoreLetsNoMoreInThanItsLimitInTheirOrder(t *testing.T) {
	t.Parallel()
	const limit, all = 3, 30
	r := newRig(t, limit, awstest.Moto(t))
	open := make(chan struct{})
	r.held.gate = func(context.Context, string) error { <-open; return nil }
	var arns, order []string
	for i := range all {
		name := fmt.Sprintf("c%02d", i)
		arns, order = append(arns, r.start(name)), append(order, name)
		r.until(name+" has come", func() bool {
			queued, holders := r.item()
			return len(queued)+holders == i+1
		})
	}
	close(open)
	for i, arn := range arns {
		if out := r.ends(arn); out.Status != "SUCCEEDED" || *out.Output != fmt.Sprintf(`{"deployed":%q}`, order[i]) {
			t.Errorf("%s: %s %s %s", order[i], out.Status, aws.ToString(out.Output), aws.ToString(out.Cause))
		}
	}
	if r.held.most > limit {
		t.Errorf("%d were inside, of a limit of %d", r.held.most, limit)
	}
	for i, name := range order {
		if lot := i + 1; r.held.byLot[lot] != name {
			t.Errorf("%s came as number %d, and %s got that slot", name, lot, r.held.byLot[lot])
		}
	}
	r.empty()
}

// empty fails the test where somebody is left in the semaphore.
func (r *rig) empty() {
	r.t.Helper()
	if queued, holders := r.item(); len(queued)+holders > 0 {
		r.t.Errorf("left are %v and %d holders", queued, holders)
	}
}

func (r *rig) stop(arn string) {
	r.t.Helper()
	if _, err := r.sfn.StopExecution(r.t.Context(), &sfn.StopExecutionInput{ExecutionArn: &arn}); err != nil {
		r.t.Fatal(err)
	}
	r.ends(arn)
}

// Who was stopped with a slot, or at the head of the queue, is found by those who
// wait: nobody else is there to tell them.
func TestSemaphoreFreesWhatTheDeadHold(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, awstest.Moto(t))
	r.held.gate = func(ctx context.Context, name string) error {
		if name == "dead" {
			<-ctx.Done()
		}
		return ctx.Err()
	}
	dead := r.start("dead")
	r.until("the first is inside", func() bool { _, holders := r.item(); return holders == 1 })
	first := r.start("first")
	r.waitsFor("first")
	second := r.start("second")
	r.waitsFor("first", "second")
	r.stop(dead)
	r.stop(first)
	if out := r.ends(second); out.Status != "SUCCEEDED" {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Cause))
	}
	r.empty()
}

// A failure is the execution's own, and the slot is free for the next. Renewals
// that go on meanwhile, and waiting, cost few events.
func TestSemaphoreIsLeftWithTheErrorOfTheWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, awstest.Moto(t))
	open := make(chan struct{})
	r.held.gate = func(_ context.Context, name string) error {
		if name == "fails" {
			<-open
			return &task.Error{Name: "Deploy.Failed", Cause: "no such host"}
		}
		return nil
	}
	fails := r.start("fails")
	r.until("the first is inside", func() bool { _, holders := r.item(); return holders == 1 })
	next := r.start("next")
	r.waitsFor("next")
	looked := func() (rounds, events int) {
		p := sfn.NewGetExecutionHistoryPaginator(r.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: &next, MaxResults: 1000})
		for p.HasMorePages() {
			page, err := p.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Events {
				if e.Type == "TaskTimedOut" {
					rounds++
				}
			}
			events += len(page.Events)
		}
		return rounds, events
	}
	r.until("it has looked twice", func() bool { rounds, _ := looked(); return rounds >= 2 })
	rounds, events := looked()
	// Six rounds are an hour.
	if hour := events * 6 / rounds; hour >= 200 {
		t.Errorf("%d events in %d rounds: %d in an hour", events, rounds, hour)
	}
	close(open)
	if out := r.ends(fails); out.Status != "FAILED" || !strings.Contains(aws.ToString(out.Cause), "no such host") {
		t.Errorf("%s %s %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	if out := r.ends(next); out.Status != "SUCCEEDED" {
		t.Errorf("%s %s", out.Status, aws.ToString(out.Cause))
	}
	r.empty()
}
