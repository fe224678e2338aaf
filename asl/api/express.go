package api

import (
	"context"

	"switchyard/asl/engine"
)

// billed is what Step Functions would have charged for: durations are rounded
// up to 100 ms, memory to 64 MB, which is what small executions take.
type billed struct {
	Duration int64 `json:"billedDurationInMilliseconds"`
	Memory   int64 `json:"billedMemoryUsedInMB"`
}

const (
	billedStep   = 100 // milliseconds
	billedMemory = 64  // MB
)

type startSyncExecutionOut struct {
	ExecutionArn    string   `json:"executionArn"`
	StateMachineArn string   `json:"stateMachineArn"`
	Name            string   `json:"name"`
	Status          string   `json:"status"`
	StartDate       epoch    `json:"startDate"`
	StopDate        epoch    `json:"stopDate"`
	Input           string   `json:"input"`
	InputDetails    included `json:"inputDetails"`
	Output          *string  `json:"output,omitempty"`
	OutputDetails   included `json:"outputDetails"`
	Error           string   `json:"error,omitempty"`
	Cause           string   `json:"cause,omitempty"`
	TraceHeader     string   `json:"traceHeader,omitempty"`
	BillingDetails  billed   `json:"billingDetails"`
}

func startSyncExecution(ctx context.Context, e *engine.Engine, in *startExecutionIn) (*startSyncExecutionOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	input, err := in.input()
	if err != nil {
		return nil, err
	}
	x, err := e.StartSync(ctx, engine.Start{
		MachineARN: in.StateMachineArn, Name: in.Name, Input: input, TraceHeader: in.TraceHeader,
	})
	if err != nil {
		return nil, err
	}
	steps := max(1, (x.Stopped-x.Started+billedStep-1)/billedStep)
	out := &startSyncExecutionOut{
		ExecutionArn: x.ARN, StateMachineArn: x.MachineARN, Name: x.Name, Status: x.Status.String(),
		StartDate: epoch(x.Started), StopDate: epoch(x.Stopped), Input: string(x.Input),
		InputDetails: included{true}, OutputDetails: included{true}, Error: x.Error, Cause: x.Cause, TraceHeader: x.TraceHeader,
		BillingDetails: billed{steps * billedStep, billedMemory},
	}
	if x.Output != nil {
		output := string(x.Output)
		out.Output = &output
	}
	return out, nil
}
