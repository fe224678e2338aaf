package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// ended waits for the end of an execution through the SDK.
func ended(t *testing.T, c *sfn.Client, arn *string) *sfn.DescribeExecutionOutput {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 10_000 {
		d, err := c.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: arn})
		if err != nil {
			t.Fatal(err)
		}
		if d.Status != types.ExecutionStatusRunning {
			return d
		}
		<-tick.C
	}
	t.Fatalf("%s does not end", *arn)
	return nil
}

func created(t *testing.T, c *sfn.Client, name, definition string) *string {
	t.Helper()
	m, err := c.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{Name: &name, RoleArn: aws.String(role), Definition: &definition})
	if err != nil {
		t.Fatal(err)
	}
	return m.StateMachineArn
}

func started(t *testing.T, c *sfn.Client, machine *string, input string) *string {
	t.Helper()
	x, err := c.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: machine, Input: &input})
	if err != nil {
		t.Fatal(err)
	}
	return x.ExecutionArn
}

// TestSDKWorksOnActivities is an activity's life, with a worker at a socket.
func TestSDKWorksOnActivities(t *testing.T) {
	web := httptest.NewServer(serve(t))
	defer web.Close()
	c := client(web.Client().Transport, web.URL)
	ctx := t.Context()
	a, err := c.CreateActivity(ctx, &sfn.CreateActivityInput{Name: aws.String("approve")})
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CreateActivity(ctx, &sfn.CreateActivityInput{Name: aws.String("approve")})
	if err != nil || *again.ActivityArn != *a.ActivityArn || !again.CreationDate.Equal(*a.CreationDate) {
		t.Errorf("created again: %+v, %v; want %+v", again, err, a)
	}
	d, err := c.DescribeActivity(ctx, &sfn.DescribeActivityInput{ActivityArn: a.ActivityArn})
	if err != nil || *d.Name != "approve" {
		t.Errorf("described as %+v, %v", d, err)
	}
	work := make(chan *sfn.GetActivityTaskOutput, 1)
	go func() {
		out, err := c.GetActivityTask(ctx, &sfn.GetActivityTaskInput{ActivityArn: a.ActivityArn, WorkerName: aws.String("w")})
		if err != nil {
			t.Error(err)
		}
		work <- out
	}()
	arn := started(t, c, created(t, c, "m", `{"StartAt":"A","States":{"A":{"Type":"Task","Resource":"`+*a.ActivityArn+`","HeartbeatSeconds":60,"End":true}}}`), `{"n":1}`)
	got := <-work
	if got == nil || aws.ToString(got.Input) != `{"n":1}` {
		t.Fatalf("the worker got %+v", got)
	}
	if _, err := c.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: got.TaskToken}); err != nil {
		t.Error(err)
	}
	if _, err := c.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: got.TaskToken, Output: aws.String(`"yes"`)}); err != nil {
		t.Fatal(err)
	}
	if x := ended(t, c, arn); aws.ToString(x.Output) != `"yes"` {
		t.Errorf("ended as %+v", x)
	}
	_, err = c.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: got.TaskToken, Output: aws.String(`"yes"`)})
	if gone := (*types.TaskTimedOut)(nil); !errors.As(err, &gone) {
		t.Errorf("used again: %v, want TaskTimedOut", err)
	}
	history, err := c.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: arn})
	if err != nil {
		t.Fatal(err)
	}
	for _, ev := range history.Events {
		switch ev.Type {
		case types.HistoryEventTypeActivityScheduled:
			if s := ev.ActivityScheduledEventDetails; aws.ToString(s.Resource) != *a.ActivityArn || aws.ToInt64(s.HeartbeatInSeconds) != 60 || aws.ToString(s.Input) != `{"n":1}` {
				t.Errorf("scheduled as %+v", s)
			}
		case types.HistoryEventTypeActivityStarted:
			if s := ev.ActivityStartedEventDetails; aws.ToString(s.WorkerName) != "w" {
				t.Errorf("started as %+v", s)
			}
		case types.HistoryEventTypeActivitySucceeded:
			if s := ev.ActivitySucceededEventDetails; aws.ToString(s.Output) != `"yes"` {
				t.Errorf("succeeded as %+v", s)
			}
		}
	}
	listed, err := c.ListActivities(ctx, &sfn.ListActivitiesInput{})
	if err != nil || len(listed.Activities) != 1 || *listed.Activities[0].Name != "approve" {
		t.Errorf("listed %+v, %v", listed, err)
	}
	for range 2 {
		if _, err := c.DeleteActivity(ctx, &sfn.DeleteActivityInput{ActivityArn: a.ActivityArn}); err != nil {
			t.Error(err)
		}
	}
	_, err = c.DescribeActivity(ctx, &sfn.DescribeActivityInput{ActivityArn: a.ActivityArn})
	if none := (*types.ActivityDoesNotExist)(nil); !errors.As(err, &none) {
		t.Errorf("describe a deleted one: %v, want ActivityDoesNotExist", err)
	}
}

// TestSDKEndsANestedExecutionByItsToken reads the token where a worker would:
// in the input of the execution that was started with it.
func TestSDKEndsANestedExecutionByItsToken(t *testing.T) {
	c := client(serve(t).Transport(), "http://engine.invalid")
	ctx := t.Context()
	child := created(t, c, "child", waiting)
	parent := created(t, c, "parent", `{"StartAt":"N","States":{"N":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.waitForTaskToken",
		"Parameters":{"StateMachineArn":"`+*child+`","Input":{"token.$":"$$.Task.Token"}},"End":true}}}`)
	arn := started(t, c, parent, `{}`)
	var in struct{ Token *string }
	for in.Token == nil {
		children, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: child})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range children.Executions {
			d, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(*d.Input), &in); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.SendTaskFailure(ctx, &sfn.SendTaskFailureInput{TaskToken: in.Token, Error: aws.String("No"), Cause: aws.String("because")}); err != nil {
		t.Fatal(err)
	}
	if x := ended(t, c, arn); x.Status != types.ExecutionStatusFailed || aws.ToString(x.Error) != "No" || aws.ToString(x.Cause) != "because" {
		t.Errorf("ended as %+v", x)
	}
	_, err := c.SendTaskHeartbeat(ctx, &sfn.SendTaskHeartbeatInput{TaskToken: aws.String(strings.Repeat("A", 72))})
	if bad := (*types.InvalidToken)(nil); !errors.As(err, &bad) {
		t.Errorf("a made-up token: %v, want InvalidToken", err)
	}
}

func TestActivitiesPage(t *testing.T) {
	s := serve(t)
	for _, name := range []string{"a", "b", "c"} {
		do(t, s, "CreateActivity", m{"name": name})
	}
	for size := 1; size < 5; size++ {
		var names string
		for in := (m{"maxResults": size}); ; {
			page := do(t, s, "ListActivities", in)
			for _, a := range page["activities"].([]any) {
				names += a.(m)["name"].(string)
			}
			if page["nextToken"] == nil {
				break
			}
			in["nextToken"] = page["nextToken"]
		}
		if names != "abc" {
			t.Errorf("pages of %d: %s", size, names)
		}
	}
}

func TestPollOfAClientThatLeftEnds(t *testing.T) {
	s := serve(t)
	do(t, s, "CreateActivity", m{"name": "a"})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := client(s.Transport(), "http://engine.invalid").GetActivityTask(ctx, &sfn.GetActivityTaskInput{ActivityArn: aws.String(activityARN + "a")})
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it took %v (%v)", took, err)
	}
}
