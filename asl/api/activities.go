package api

import (
	"context"

	"switchyard/asl/catalog"
	"switchyard/asl/engine"
)

type createActivityIn struct {
	Name string        `json:"name"`
	Tags []catalog.Tag `json:"tags"`
}

type createActivityOut struct {
	ActivityArn  string `json:"activityArn"`
	CreationDate epoch  `json:"creationDate"`
}

func createActivity(ctx context.Context, e *engine.Engine, in *createActivityIn) (*createActivityOut, error) {
	if err := required("name", in.Name); err != nil {
		return nil, err
	}
	a, err := e.Catalog().CreateActivity(ctx, in.Name, in.Tags...)
	if err != nil {
		return nil, err
	}
	return &createActivityOut{a.ARN, epoch(a.Created)}, nil
}

type activityIn struct {
	ActivityArn string `json:"activityArn"`
}

type activityOut struct {
	ActivityArn  string `json:"activityArn"`
	Name         string `json:"name"`
	CreationDate epoch  `json:"creationDate"`
}

func describeActivity(ctx context.Context, e *engine.Engine, in *activityIn) (*activityOut, error) {
	if err := required("activityArn", in.ActivityArn); err != nil {
		return nil, err
	}
	a, err := e.Catalog().DescribeActivity(ctx, in.ActivityArn)
	if err != nil {
		return nil, err
	}
	return &activityOut{a.ARN, a.Name, epoch(a.Created)}, nil
}

func deleteActivity(ctx context.Context, e *engine.Engine, in *activityIn) (*empty, error) {
	if err := required("activityArn", in.ActivityArn); err != nil {
		return nil, err
	}
	return &empty{}, e.Catalog().DeleteActivity(ctx, in.ActivityArn)
}

type listActivitiesOut struct {
	Activities []activityOut `json:"activities"`
	NextToken  string        `json:"nextToken,omitempty"`
}

func listActivities(ctx context.Context, e *engine.Engine, in *listIn) (*listActivitiesOut, error) {
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	after, err := readToken(in.NextToken, "activities")
	if err != nil {
		return nil, err
	}
	found, err := e.Catalog().ListActivities(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := &listActivitiesOut{Activities: []activityOut{}}
	for i, a := range found {
		if i == limit {
			out.NextToken = newToken("activities", found[i-1].Name)
			break
		}
		out.Activities = append(out.Activities, activityOut{a.ARN, a.Name, epoch(a.Created)})
	}
	return out, nil
}

type getActivityTaskIn struct {
	activityIn
	WorkerName string `json:"workerName"`
}

// getActivityTaskOut has a null token when no task came in time.
type getActivityTaskOut struct {
	TaskToken *string `json:"taskToken"`
	Input     *string `json:"input,omitempty"`
}

func getActivityTask(ctx context.Context, e *engine.Engine, in *getActivityTaskIn) (*getActivityTaskOut, error) {
	if err := required("activityArn", in.ActivityArn); err != nil {
		return nil, err
	}
	t, err := e.GetActivityTask(ctx, in.ActivityArn, in.WorkerName)
	if err != nil || t == nil {
		return &getActivityTaskOut{}, err
	}
	return &getActivityTaskOut{&t.Token, &t.Input}, nil
}
