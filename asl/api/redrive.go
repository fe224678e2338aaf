package api

import (
	"context"

	"switchyard/asl/engine"
)

type redriveExecutionIn struct {
	executionIn
	ClientToken string `json:"clientToken"`
}

type redriveExecutionOut struct {
	RedriveDate epoch `json:"redriveDate"`
}

func redriveExecution(ctx context.Context, e *engine.Engine, in *redriveExecutionIn) (*redriveExecutionOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	if len(in.ClientToken) > 64 {
		return nil, invalid("Value at 'clientToken' failed to satisfy constraint: Member must have length less than or equal to 64")
	}
	at, err := e.Redrive(ctx, in.ExecutionArn, in.ClientToken)
	if err != nil {
		return nil, err
	}
	return &redriveExecutionOut{epoch(at)}, nil
}
