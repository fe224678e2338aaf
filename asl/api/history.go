package api

import (
	"context"
	"strconv"

	"switchyard/asl/engine"
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
func event(ev *engine.Event, withData bool) map[string]any {
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
func detailsKey(t engine.EventType) (key, data string) {
	switch t {
	case engine.ExecutionStarted:
		return "executionStartedEventDetails", "input"
	case engine.ExecutionSucceeded:
		return "executionSucceededEventDetails", "output"
	case engine.ExecutionFailed:
		return "executionFailedEventDetails", ""
	case engine.ExecutionAborted:
		return "executionAbortedEventDetails", ""
	case engine.ExecutionTimedOut:
		return "executionTimedOutEventDetails", ""
	case engine.ExecutionRedriven:
		return "executionRedrivenEventDetails", ""
	case engine.PassStateEntered, engine.ChoiceStateEntered, engine.WaitStateEntered, engine.SucceedStateEntered,
		engine.FailStateEntered, engine.TaskStateEntered, engine.ParallelStateEntered, engine.MapStateEntered:
		return "stateEnteredEventDetails", "input"
	case engine.PassStateExited, engine.ChoiceStateExited, engine.WaitStateExited, engine.SucceedStateExited,
		engine.TaskStateExited, engine.ParallelStateExited, engine.MapStateExited:
		return "stateExitedEventDetails", "output"
	case engine.MapStateStarted:
		return "mapStateStartedEventDetails", ""
	case engine.MapIterationStarted:
		return "mapIterationStartedEventDetails", ""
	case engine.MapIterationSucceeded:
		return "mapIterationSucceededEventDetails", ""
	case engine.MapIterationFailed:
		return "mapIterationFailedEventDetails", ""
	case engine.MapIterationAborted:
		return "mapIterationAbortedEventDetails", ""
	case engine.MapRunStarted:
		return "mapRunStartedEventDetails", ""
	case engine.MapRunFailed:
		return "mapRunFailedEventDetails", ""
	case engine.MapRunRedriven:
		return "mapRunRedrivenEventDetails", ""
	case engine.TaskScheduled:
		return "taskScheduledEventDetails", "parameters"
	case engine.TaskStarted:
		return "taskStartedEventDetails", ""
	case engine.TaskStartFailed:
		return "taskStartFailedEventDetails", ""
	case engine.TaskSubmitted:
		return "taskSubmittedEventDetails", "output"
	case engine.TaskSubmitFailed:
		return "taskSubmitFailedEventDetails", ""
	case engine.TaskSucceeded:
		return "taskSucceededEventDetails", "output"
	case engine.TaskFailed:
		return "taskFailedEventDetails", ""
	case engine.TaskTimedOut:
		return "taskTimedOutEventDetails", ""
	case engine.LambdaFunctionScheduled:
		return "lambdaFunctionScheduledEventDetails", "input"
	case engine.LambdaFunctionScheduleFailed:
		return "lambdaFunctionScheduleFailedEventDetails", ""
	case engine.LambdaFunctionStartFailed:
		return "lambdaFunctionStartFailedEventDetails", ""
	case engine.LambdaFunctionSucceeded:
		return "lambdaFunctionSucceededEventDetails", "output"
	case engine.LambdaFunctionFailed:
		return "lambdaFunctionFailedEventDetails", ""
	case engine.LambdaFunctionTimedOut:
		return "lambdaFunctionTimedOutEventDetails", ""
	case engine.ActivityScheduled:
		return "activityScheduledEventDetails", "input"
	case engine.ActivityScheduleFailed:
		return "activityScheduleFailedEventDetails", ""
	case engine.ActivityStarted:
		return "activityStartedEventDetails", ""
	case engine.ActivitySucceeded:
		return "activitySucceededEventDetails", "output"
	case engine.ActivityFailed:
		return "activityFailedEventDetails", ""
	case engine.ActivityTimedOut:
		return "activityTimedOutEventDetails", ""
	default:
		return "", ""
	}
}

// complete is what stands beside every input and output: nothing was cut off.
var complete = map[string]bool{"truncated": false}

func details(ev *engine.Event, data string, withData bool) map[string]any {
	d := map[string]any{}
	has := func(f engine.EventHas) bool { return ev.Has&f != 0 }
	if has(engine.HasName) {
		key := "name"
		if ev.Type == engine.ActivityStarted {
			key = "workerName"
		}
		d[key] = ev.Name
	}
	if has(engine.HasData) && withData {
		d[data] = ev.Data
		if data != "parameters" {
			d[data+"Details"] = complete
		}
	}
	if has(engine.HasError) {
		d["error"] = ev.Error
	}
	if has(engine.HasCause) {
		d["cause"] = ev.Cause
	}
	if has(engine.HasAssigned) && withData {
		vars := make(map[string]string, len(ev.Assigned))
		for _, a := range ev.Assigned {
			vars[a.Name] = a.Value
		}
		d["assignedVariables"] = vars
		d["assignedVariablesDetails"] = complete
	}
	if has(engine.HasIndex) {
		d["index"] = ev.Index
	}
	if has(engine.HasLength) {
		key := "length"
		if ev.Type == engine.ExecutionRedriven {
			key = "redriveCount"
		}
		d[key] = ev.Length
	}
	if has(engine.HasResource) {
		d["resource"] = ev.Resource
		if ev.ResourceType != "" {
			d["resourceType"] = ev.ResourceType
		}
		if ev.Region != "" {
			d["region"] = ev.Region
		}
	}
	if has(engine.HasTimeout) {
		d["timeoutInSeconds"] = ev.Timeout
	}
	if has(engine.HasHeartbeat) {
		d["heartbeatInSeconds"] = ev.Heartbeat
	}
	if has(engine.HasARN) {
		key := "roleArn"
		if ev.Type == engine.MapRunStarted {
			key = "mapRunArn"
		}
		d[key] = ev.ARN
	}
	return d
}
