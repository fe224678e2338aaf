package api

import (
	"context"
	"strconv"

	"switchyard/asl/engine"
	"switchyard/asl/history"
)

type getExecutionHistoryIn struct {
	executionIn
	listIn
	ReverseOrder         bool  `json:"reverseOrder"`
	IncludeExecutionData *bool `json:"includeExecutionData"`
}

type getExecutionHistoryOut struct {
	Events    []map[string]any `json:"events"`
	NextToken string           `json:"nextToken,omitempty"`
}

func getExecutionHistory(ctx context.Context, e *engine.Engine, in *getExecutionHistoryIn) (*getExecutionHistoryOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	list := "history " + strconv.FormatBool(in.ReverseOrder) + " " + in.ExecutionArn
	from, err := readIDToken(in.NextToken, list)
	if err != nil {
		return nil, err
	}
	events, next, err := e.History(ctx, in.ExecutionArn, from, in.ReverseOrder, limit)
	if err != nil {
		return nil, err
	}
	out := &getExecutionHistoryOut{Events: make([]map[string]any, len(events))}
	withData := in.IncludeExecutionData == nil || *in.IncludeExecutionData
	for i := range events {
		out.Events[i] = event(&events[i], withData)
	}
	if next != 0 {
		out.NextToken = newToken(list, strconv.FormatInt(next, 10))
	}
	return out, nil
}

// event is a history event as the protocol has it: what is common to all, and
// the details under a key of the event's own.
func event(ev *history.Event, withData bool) map[string]any {
	m := map[string]any{
		"timestamp": epoch(ev.Time), "type": ev.Type.String(), "id": ev.ID, "previousEventId": ev.Prev,
	}
	if key, data := detailsKey(ev.Type); key != "" {
		m[key] = details(ev, data, withData)
	}
	return m
}

// detailsKey names the member that holds an event's details, and within it the
// one that holds its data; both are empty for events without.
func detailsKey(t history.Type) (key, data string) {
	switch t {
	case history.ExecutionStarted:
		return "executionStartedEventDetails", "input"
	case history.ExecutionSucceeded:
		return "executionSucceededEventDetails", "output"
	case history.ExecutionFailed:
		return "executionFailedEventDetails", ""
	case history.ExecutionAborted:
		return "executionAbortedEventDetails", ""
	case history.ExecutionTimedOut:
		return "executionTimedOutEventDetails", ""
	case history.ExecutionRedriven:
		return "executionRedrivenEventDetails", ""
	case history.PassStateEntered, history.ChoiceStateEntered, history.WaitStateEntered, history.SucceedStateEntered,
		history.FailStateEntered, history.TaskStateEntered, history.ParallelStateEntered, history.MapStateEntered:
		return "stateEnteredEventDetails", "input"
	case history.PassStateExited, history.ChoiceStateExited, history.WaitStateExited, history.SucceedStateExited,
		history.TaskStateExited, history.ParallelStateExited, history.MapStateExited:
		return "stateExitedEventDetails", "output"
	case history.MapStateStarted:
		return "mapStateStartedEventDetails", ""
	case history.MapIterationStarted:
		return "mapIterationStartedEventDetails", ""
	case history.MapIterationSucceeded:
		return "mapIterationSucceededEventDetails", ""
	case history.MapIterationFailed:
		return "mapIterationFailedEventDetails", ""
	case history.MapIterationAborted:
		return "mapIterationAbortedEventDetails", ""
	case history.MapRunStarted:
		return "mapRunStartedEventDetails", ""
	case history.MapRunFailed:
		return "mapRunFailedEventDetails", ""
	case history.MapRunRedriven:
		return "mapRunRedrivenEventDetails", ""
	case history.TaskScheduled:
		return "taskScheduledEventDetails", "parameters"
	case history.TaskStarted:
		return "taskStartedEventDetails", ""
	case history.TaskStartFailed:
		return "taskStartFailedEventDetails", ""
	case history.TaskSubmitted:
		return "taskSubmittedEventDetails", "output"
	case history.TaskSubmitFailed:
		return "taskSubmitFailedEventDetails", ""
	case history.TaskSucceeded:
		return "taskSucceededEventDetails", "output"
	case history.TaskFailed:
		return "taskFailedEventDetails", ""
	case history.TaskTimedOut:
		return "taskTimedOutEventDetails", ""
	case history.LambdaFunctionScheduled:
		return "lambdaFunctionScheduledEventDetails", "input"
	case history.LambdaFunctionScheduleFailed:
		return "lambdaFunctionScheduleFailedEventDetails", ""
	case history.LambdaFunctionStartFailed:
		return "lambdaFunctionStartFailedEventDetails", ""
	case history.LambdaFunctionSucceeded:
		return "lambdaFunctionSucceededEventDetails", "output"
	case history.LambdaFunctionFailed:
		return "lambdaFunctionFailedEventDetails", ""
	case history.LambdaFunctionTimedOut:
		return "lambdaFunctionTimedOutEventDetails", ""
	case history.ActivityScheduled:
		return "activityScheduledEventDetails", "input"
	case history.ActivityScheduleFailed:
		return "activityScheduleFailedEventDetails", ""
	case history.ActivityStarted:
		return "activityStartedEventDetails", ""
	case history.ActivitySucceeded:
		return "activitySucceededEventDetails", "output"
	case history.ActivityFailed:
		return "activityFailedEventDetails", ""
	case history.ActivityTimedOut:
		return "activityTimedOutEventDetails", ""
	case history.EvaluationFailed:
		return "evaluationFailedEventDetails", ""
	default:
		return "", ""
	}
}

// complete is what stands beside every input and output: nothing was cut off.
var complete = map[string]bool{"truncated": false}

func details(ev *history.Event, data string, withData bool) map[string]any {
	d := map[string]any{}
	has := func(f history.Has) bool { return ev.Has&f != 0 }
	if has(history.HasName) {
		key := "name"
		switch ev.Type {
		case history.ActivityStarted:
			key = "workerName"
		case history.EvaluationFailed:
			key = "state"
		default:
		}
		d[key] = ev.Name
	}
	if has(history.HasData) && withData {
		d[data] = ev.Data
		if data != "parameters" {
			d[data+"Details"] = complete
		}
	}
	if has(history.HasError) {
		d["error"] = ev.Error
	}
	if has(history.HasCause) {
		d["cause"] = ev.Cause
	}
	if has(history.HasAssigned) && withData {
		vars := make(map[string]string, len(ev.Assigned))
		for _, a := range ev.Assigned {
			vars[a.Name] = a.Value
		}
		d["assignedVariables"] = vars
		d["assignedVariablesDetails"] = complete
	}
	if has(history.HasIndex) {
		d["index"] = ev.Index
	}
	if has(history.HasLength) {
		key := "length"
		if ev.Type == history.ExecutionRedriven || ev.Type == history.MapRunRedriven {
			key = "redriveCount"
		}
		d[key] = ev.Length
	}
	if has(history.HasResource) {
		key := "resource"
		if ev.Type == history.EvaluationFailed {
			key = "location"
		}
		d[key] = ev.Resource
		if ev.ResourceType != "" {
			d["resourceType"] = ev.ResourceType
		}
		if ev.Region != "" {
			d["region"] = ev.Region
		}
	}
	if has(history.HasTimeout) {
		d["timeoutInSeconds"] = ev.Timeout
	}
	if has(history.HasHeartbeat) {
		d["heartbeatInSeconds"] = ev.Heartbeat
	}
	if has(history.HasARN) {
		key := "roleArn"
		if ev.Type == history.MapRunStarted || ev.Type == history.MapRunRedriven {
			key = "mapRunArn"
		}
		d[key] = ev.ARN
	}
	return d
}
