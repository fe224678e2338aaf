package api_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// TestMapRunsThroughTheSDK lets the SDK's decoding check ours.
func TestMapRunsThroughTheSDK(t *testing.T) {
	ctx := t.Context()
	c := client(serve(t).Transport(), "http://engine.invalid")
	m, err := c.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("m"), RoleArn: aws.String(role), Definition: aws.String(`{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":2,"ItemBatcher":{"MaxItemsPerBatch":2},
			"ToleratedFailurePercentage":12.5,"End":true,"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},
			"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: m.StateMachineArn, Input: aws.String(`[1,2,3,4,5]`)})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var run *sfn.DescribeMapRunOutput
	describe := func(until func() bool) {
		t.Helper()
		for range 10_000 {
			list, err := c.ListMapRuns(ctx, &sfn.ListMapRunsInput{ExecutionArn: x.ExecutionArn, MaxResults: 1})
			if err != nil {
				t.Fatal(err)
			}
			if len(list.MapRuns) == 1 {
				item := list.MapRuns[0]
				if aws.ToString(item.StateMachineArn) != *m.StateMachineArn || aws.ToString(item.ExecutionArn) != *x.ExecutionArn || item.StartDate == nil || list.NextToken != nil {
					t.Fatalf("listed %+v", list)
				}
				if run, err = c.DescribeMapRun(ctx, &sfn.DescribeMapRunInput{MapRunArn: item.MapRunArn}); err != nil {
					t.Fatal(err)
				}
				if until() {
					return
				}
			}
			<-tick.C
		}
		t.Fatalf("the map run stays as it is: %+v", run)
	}
	describe(func() bool { // a child is counted a moment before it is listed
		listed, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: run.MapRunArn, StatusFilter: types.ExecutionStatusRunning})
		if err != nil {
			t.Fatal(err)
		}
		return run.ExecutionCounts.Running == 2 && len(listed.Executions) == 2
	})
	if run.Status != types.MapRunStatusRunning || run.MaxConcurrency != 2 || run.ToleratedFailurePercentage != 12.5 ||
		run.ItemCounts.Running != 4 || run.ItemCounts.Pending != 1 || run.ItemCounts.Total != 5 || run.ExecutionCounts.Total != 3 || run.StopDate != nil {
		t.Errorf("%+v %+v %+v", run, run.ItemCounts, run.ExecutionCounts)
	}

	children, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: run.MapRunArn, StatusFilter: types.ExecutionStatusRunning, MaxResults: 1})
	if err != nil || len(children.Executions) != 1 || children.NextToken == nil {
		t.Fatalf("children: %+v, %v", children, err)
	}
	child := children.Executions[0]
	if aws.ToString(child.MapRunArn) != *run.MapRunArn || aws.ToInt32(child.ItemCount) != 2 || aws.ToString(child.StateMachineArn) != *m.StateMachineArn+"/M" {
		t.Errorf("child %+v", child)
	}
	rest, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: run.MapRunArn, StatusFilter: types.ExecutionStatusRunning, NextToken: children.NextToken})
	if err != nil || len(rest.Executions) != 1 || *rest.Executions[0].ExecutionArn == *child.ExecutionArn {
		t.Errorf("the second page: %+v, %v", rest, err)
	}
	d, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: child.ExecutionArn})
	if err != nil || aws.ToString(d.MapRunArn) != *run.MapRunArn || aws.ToString(d.Input) != `{"Items":[3,4]}` {
		t.Errorf("child: %+v, %v", d, err)
	}
	of, err := c.DescribeStateMachineForExecution(ctx, &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: child.ExecutionArn})
	if err != nil || aws.ToString(of.MapRunArn) != *run.MapRunArn || aws.ToString(of.Label) != "M" {
		t.Errorf("state machine of the child: %+v, %v", of, err)
	}

	if _, err := c.UpdateMapRun(ctx, &sfn.UpdateMapRunInput{MapRunArn: run.MapRunArn, MaxConcurrency: aws.Int32(3), ToleratedFailureCount: aws.Int64(4), ToleratedFailurePercentage: aws.Float32(100)}); err != nil {
		t.Fatal(err)
	}
	describe(func() bool { return run.ExecutionCounts.Running == 3 })
	if run.MaxConcurrency != 3 || run.ToleratedFailureCount != 4 || run.ToleratedFailurePercentage != 100 {
		t.Errorf("%+v", run)
	}
	if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: x.ExecutionArn}); err != nil {
		t.Fatal(err)
	}
	describe(func() bool { return run.ItemCounts.Aborted == 5 })
	if run.Status != types.MapRunStatusAborted || run.StopDate == nil || run.ExecutionCounts.Aborted != 3 {
		t.Errorf("%+v", run)
	}
	if run.RedriveCount == nil || *run.RedriveCount != 0 || run.RedriveDate != nil {
		t.Errorf("before it is redriven: %+v", run)
	}
	if d, err = c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: child.ExecutionArn}); err != nil || d.RedriveStatus != types.ExecutionRedriveStatusRedrivableByMapRun || d.RedriveStatusReason != nil {
		t.Errorf("an aborted child: %+v, %v", d, err)
	}
	if _, err := c.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: x.ExecutionArn}); err != nil {
		t.Fatal(err)
	}
	describe(func() bool { return run.ExecutionCounts.Running == 3 })
	if aws.ToInt32(run.RedriveCount) != 1 || run.RedriveDate == nil || run.Status != types.MapRunStatusRunning || run.StopDate != nil || run.ItemCounts.Aborted != 0 {
		t.Errorf("redriven: %+v", run)
	}
	h, err := c.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: x.ExecutionArn, ReverseOrder: true, MaxResults: 1})
	if err != nil || len(h.Events) != 1 {
		t.Fatalf("history %+v, %v", h, err)
	}
	if d := h.Events[0].MapRunRedrivenEventDetails; d == nil || aws.ToString(d.MapRunArn) != *run.MapRunArn || aws.ToInt32(d.RedriveCount) != 1 {
		t.Errorf("last event %+v", h.Events[0])
	}
	if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: x.ExecutionArn}); err != nil {
		t.Fatal(err)
	}

	_, err = c.DescribeMapRun(ctx, &sfn.DescribeMapRunInput{MapRunArn: aws.String(*run.MapRunArn + "0")})
	if missing := (*types.ResourceNotFound)(nil); !errors.As(err, &missing) {
		t.Errorf("a map run that is not there: %v", err)
	}
	_, err = c.UpdateMapRun(ctx, &sfn.UpdateMapRunInput{MapRunArn: run.MapRunArn, MaxConcurrency: aws.Int32(-1)})
	if wrong := (*types.ValidationException)(nil); !errors.As(err, &wrong) {
		t.Errorf("a negative concurrency: %v", err)
	}
	_, err = c.ListExecutions(ctx, &sfn.ListExecutionsInput{MapRunArn: run.MapRunArn, StateMachineArn: m.StateMachineArn})
	if wrong := (*types.ValidationException)(nil); !errors.As(err, &wrong) {
		t.Errorf("a list of two things: %v", err)
	}
}
