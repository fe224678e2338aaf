package api

import (
	"context"

	"switchyard/asl"
	"switchyard/asl/engine"
)

type sendTaskIn struct {
	TaskToken string  `json:"taskToken"`
	Output    *string `json:"output"`
	Error     string  `json:"error"`
	Cause     string  `json:"cause"`
}

func sendTaskSuccess(ctx context.Context, e *engine.Engine, in *sendTaskIn) (*empty, error) {
	if err := required("taskToken", in.TaskToken); err != nil {
		return nil, err
	}
	if in.Output == nil {
		return nil, required("output", "")
	}
	if err := limited("output", *in.Output, asl.MaxData); err != nil {
		return nil, err
	}
	return &empty{}, e.SendTaskSuccess(ctx, in.TaskToken, *in.Output)
}

func sendTaskFailure(ctx context.Context, e *engine.Engine, in *sendTaskIn) (*empty, error) {
	if err := required("taskToken", in.TaskToken); err != nil {
		return nil, err
	}
	return &empty{}, e.SendTaskFailure(ctx, in.TaskToken, in.Error, in.Cause)
}

func sendTaskHeartbeat(ctx context.Context, e *engine.Engine, in *sendTaskIn) (*empty, error) {
	if err := required("taskToken", in.TaskToken); err != nil {
		return nil, err
	}
	return &empty{}, e.SendTaskHeartbeat(ctx, in.TaskToken)
}
