package stepfn

import (
	"encoding/json"
	"fmt"
	"time"

	"switchyard/internal/event"
)

const statusChange = "Step Functions Execution Status Change"

// DecodeStatusChange reads an EventBridge event of detail type "Step Functions
// Execution Status Change", as AWS and the embedded engine send it. Dates are
// milliseconds since 1970. Input and output stay empty where the engine left
// them out, as it does when they are large.
func DecodeStatusChange(data []byte) (event.Outcome, error) {
	var e struct {
		DetailType string `json:"detail-type"`
		Source     string `json:"source"`
		Detail     struct {
			ExecutionARN string `json:"executionArn"`
			Name         string `json:"name"`
			Status       string `json:"status"`
			StartDate    *int64 `json:"startDate"`
			StopDate     *int64 `json:"stopDate"`
			Input        string `json:"input"`
			Output       string `json:"output"`
			Error        string `json:"error"`
			Cause        string `json:"cause"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return event.Outcome{}, fmt.Errorf("decode status change: %w", err)
	}
	if e.DetailType != statusChange || e.Source != "aws.states" {
		return event.Outcome{}, fmt.Errorf("decode status change: detail-type %q from source %q, expected %q from %q", e.DetailType, e.Source, statusChange, "aws.states")
	}
	d := e.Detail
	if d.ExecutionARN == "" {
		return event.Outcome{}, fmt.Errorf("decode status change: detail.executionArn is missing")
	}
	status, err := executionStatus(d.Status)
	if err != nil {
		return event.Outcome{}, fmt.Errorf("decode status change of %s: %w", d.ExecutionARN, err)
	}
	return event.Outcome{
		ExecutionARN: d.ExecutionARN,
		Name:         d.Name,
		Status:       status,
		StartedAt:    millis(d.StartDate),
		StoppedAt:    millis(d.StopDate),
		Input:        d.Input,
		Output:       d.Output,
		Error:        d.Error,
		Cause:        d.Cause,
	}, nil
}

func millis(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}
