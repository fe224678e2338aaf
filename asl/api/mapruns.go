package api

import (
	"context"

	"switchyard/asl/distributed"
	"switchyard/asl/engine"
)

type mapRunIn struct {
	MapRunArn string `json:"mapRunArn"`
}

type describeMapRunOut struct {
	MapRunArn                  string             `json:"mapRunArn"`
	ExecutionArn               string             `json:"executionArn"`
	Status                     string             `json:"status"`
	StartDate                  epoch              `json:"startDate"`
	StopDate                   epoch              `json:"stopDate,omitempty"`
	MaxConcurrency             int64              `json:"maxConcurrency"`
	ToleratedFailurePercentage float64            `json:"toleratedFailurePercentage"`
	ToleratedFailureCount      int64              `json:"toleratedFailureCount"`
	ItemCounts                 distributed.Counts `json:"itemCounts"`
	ExecutionCounts            distributed.Counts `json:"executionCounts"`
	RedriveCount               int                `json:"redriveCount"`
	RedriveDate                epoch              `json:"redriveDate,omitempty"`
}

func describeMapRun(ctx context.Context, e *engine.Engine, in *mapRunIn) (*describeMapRunOut, error) {
	if err := required("mapRunArn", in.MapRunArn); err != nil {
		return nil, err
	}
	m, err := e.MapRuns().Describe(ctx, in.MapRunArn)
	if err != nil {
		return nil, err
	}
	return &describeMapRunOut{
		MapRunArn: m.ARN, ExecutionArn: m.ExecutionARN, Status: m.Status, StartDate: epoch(m.Started), StopDate: epoch(m.Stopped),
		MaxConcurrency: m.MaxConcurrency, ToleratedFailurePercentage: m.ToleratedPercentage, ToleratedFailureCount: m.ToleratedCount,
		ItemCounts: m.Items, ExecutionCounts: m.Children, RedriveCount: m.Redrives, RedriveDate: epoch(m.Redriven),
	}, nil
}

type listMapRunsIn struct {
	executionIn
	listIn
}

type mapRunItem struct {
	ExecutionArn    string `json:"executionArn"`
	MapRunArn       string `json:"mapRunArn"`
	StateMachineArn string `json:"stateMachineArn"`
	StartDate       epoch  `json:"startDate"`
	StopDate        epoch  `json:"stopDate,omitempty"`
}

type listMapRunsOut struct {
	MapRuns   []mapRunItem `json:"mapRuns"`
	NextToken string       `json:"nextToken,omitempty"`
}

func listMapRuns(ctx context.Context, e *engine.Engine, in *listMapRunsIn) (*listMapRunsOut, error) {
	if err := required("executionArn", in.ExecutionArn); err != nil {
		return nil, err
	}
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	list := "mapruns " + in.ExecutionArn
	after, err := readToken(in.NextToken, list)
	if err != nil {
		return nil, err
	}
	found, err := e.ListMapRuns(ctx, in.ExecutionArn, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listMapRunsOut{MapRuns: []mapRunItem{}}
	for i, m := range found {
		if i == limit {
			out.NextToken = newToken(list, found[i-1].ID())
			break
		}
		out.MapRuns = append(out.MapRuns, mapRunItem{
			ExecutionArn: m.ExecutionARN, MapRunArn: m.ARN, StateMachineArn: m.MachineARN,
			StartDate: epoch(m.Started), StopDate: epoch(m.Stopped),
		})
	}
	return out, nil
}

type updateMapRunIn struct {
	mapRunIn
	MaxConcurrency             *int64   `json:"maxConcurrency"`
	ToleratedFailureCount      *int64   `json:"toleratedFailureCount"`
	ToleratedFailurePercentage *float64 `json:"toleratedFailurePercentage"`
}

func updateMapRun(ctx context.Context, e *engine.Engine, in *updateMapRunIn) (*empty, error) {
	if err := required("mapRunArn", in.MapRunArn); err != nil {
		return nil, err
	}
	return &empty{}, e.MapRuns().Update(ctx, in.MapRunArn, distributed.Limits{
		MaxConcurrency: in.MaxConcurrency, ToleratedCount: in.ToleratedFailureCount, ToleratedPercentage: in.ToleratedFailurePercentage,
	})
}
