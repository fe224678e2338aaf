//go:build unix

package pipelines_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/asl/engine"
	"switchyard/asl/task"
	"switchyard/deploy/pipelines"
)

// works are builds that note their variable ACTION, and wait where one is held.
type works struct {
	mu   sync.Mutex
	done []string
	held map[string]bool
	fail map[string]bool
}

// Run implements [task.Handler].
func (w *works) Run(ctx context.Context, t task.Task) (json.RawMessage, error) {
	var in struct {
		EnvironmentVariablesOverride []struct{ Name, Value string }
	}
	if err := json.Unmarshal(t.Input, &in); err != nil {
		return nil, err
	}
	var said []string
	for _, v := range in.EnvironmentVariablesOverride {
		if v.Name == "ACTION" || v.Name == "REGION" {
			said = append(said, v.Value)
		}
	}
	action := strings.Join(said, " ")
	w.mu.Lock()
	w.done = append(w.done, action)
	w.mu.Unlock()
	if w.held[action] {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if w.fail[action] {
		return nil, &task.Error{Name: "States.TaskFailed", Cause: "no way"}
	}
	return json.RawMessage(`{"Build": {"Id": "build:1"}}`), nil
}

func (w *works) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.done)
}

// An environment is torn down also where the rehearsal that made it is stopped.
func TestRehearsalThatIsStoppedIsTornDown(t *testing.T) {
	t.Parallel()
	w := &works{held: map[string]bool{"fail_over": true}}
	client := startEngine(t, "http://127.0.0.1:1", map[string]string{
		"rehearsal": strings.ReplaceAll(string(pipelines.Rehearsal), "${GuardStateMachine}", prefix+"guard"),
		"guard":     strings.ReplaceAll(string(pipelines.RehearsalGuard), `"lookSeconds": 60`, `"lookSeconds": 1`),
	}, engine.WithHandler("arn:aws:states:::codebuild:startBuild.sync", w))
	started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(prefix + "rehearsal"), Name: aws.String("x"),
		Input: aws.String(`{"environment": "rehearsal", "commit": {"sha": "6dcb09b5"}, "source": {"repository": "acme/api"}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it fails over", func() bool { return slices.Contains(w.all(), "fail_over") })
	if _, err := client.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: started.ExecutionArn}); err != nil {
		t.Fatal(err)
	}
	guards, err := client.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: aws.String(prefix + "guard")})
	if err != nil || len(guards.Executions) != 1 {
		t.Fatalf("%+v, %v", guards, err)
	}
	if out := ended(t, client, *guards.Executions[0].ExecutionArn); !strings.Contains(aws.ToString(out.Output), `"torn_down":true`) {
		t.Errorf("%s %s %s", out.Status, aws.ToString(out.Output), aws.ToString(out.Cause))
	}
	if got := w.all(); !slices.Equal(got, []string{"make", "fail_over", "tear_down"}) {
		t.Errorf("it did %v", got)
	}
}

// A region that fails keeps the next wave from beginning, and what the input says is
// rolled back.
func TestMultiRegionHaltsAndRollsBack(t *testing.T) {
	t.Parallel()
	w := &works{fail: map[string]bool{"us-east-1 deploy": true}}
	client := startEngine(t, "http://127.0.0.1:1", map[string]string{"regions": string(pipelines.MultiRegion)}, engine.WithHandler("arn:aws:states:::codebuild:startBuild.sync", w))
	started, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(prefix + "regions"), Name: aws.String("x"),
		Input: aws.String(`{"environment": "production", "commit": {"sha": "6dcb09b5"}, "multi_region": {"waves": [["eu-west-1"], ["us-east-1"], ["sa-east-1"]], "roll_back": "everything", "pause_minutes": 0}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	out := ended(t, client, *started.ExecutionArn)
	if aws.ToString(out.Error) != "Switchyard.RegionFailed" || aws.ToString(out.Cause) != "us-east-1 failed: no way; rolled back: eu-west-1, us-east-1; deployed: none; waves not begun: 1" {
		t.Errorf("%s %s %s", out.Status, aws.ToString(out.Error), aws.ToString(out.Cause))
	}
	got := w.all()
	slices.Sort(got)
	if !slices.Equal(got, []string{"eu-west-1 deploy", "eu-west-1 rollback", "us-east-1 deploy", "us-east-1 rollback"}) {
		t.Errorf("it did %v", got)
	}
}
