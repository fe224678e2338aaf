package api

import (
	"context"
	"strconv"

	"switchyard/asl/engine"
)

type publishStateMachineVersionIn struct {
	stateMachineIn
	Description string `json:"description"`
	RevisionID  string `json:"revisionId"`
}

type versionOut struct {
	StateMachineVersionArn string `json:"stateMachineVersionArn"`
	CreationDate           epoch  `json:"creationDate"`
}

func publishStateMachineVersion(ctx context.Context, e *engine.Engine, in *publishStateMachineVersionIn) (*versionOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	v, err := e.Catalog().PublishVersion(ctx, in.StateMachineArn, in.RevisionID, in.Description)
	if err != nil {
		return nil, err
	}
	return &versionOut{v.ARN, epoch(v.Created)}, nil
}

type versionIn struct {
	StateMachineVersionArn string `json:"stateMachineVersionArn"`
}

func deleteStateMachineVersion(ctx context.Context, e *engine.Engine, in *versionIn) (*empty, error) {
	if err := required("stateMachineVersionArn", in.StateMachineVersionArn); err != nil {
		return nil, err
	}
	return &empty{}, e.Catalog().DeleteVersion(ctx, in.StateMachineVersionArn)
}

type listOfMachineIn struct {
	stateMachineIn
	listIn
}

type listStateMachineVersionsOut struct {
	StateMachineVersions []versionOut `json:"stateMachineVersions"`
	NextToken            string       `json:"nextToken,omitempty"`
}

func listStateMachineVersions(ctx context.Context, e *engine.Engine, in *listOfMachineIn) (*listStateMachineVersionsOut, error) {
	if err := required("stateMachineArn", in.StateMachineArn); err != nil {
		return nil, err
	}
	limit, err := page(in.MaxResults, 1000)
	if err != nil {
		return nil, err
	}
	list := "versions " + in.StateMachineArn
	before, err := readIDToken(in.NextToken, list)
	if err != nil {
		return nil, err
	}
	found, next, err := e.Catalog().ListVersions(ctx, in.StateMachineArn, int(before), limit)
	if err != nil {
		return nil, err
	}
	out := &listStateMachineVersionsOut{StateMachineVersions: make([]versionOut, len(found))}
	for i, v := range found {
		out.StateMachineVersions[i] = versionOut{v.ARN, epoch(v.Created)}
	}
	if next != 0 {
		out.NextToken = newToken(list, strconv.Itoa(next))
	}
	return out, nil
}
