package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// prune deletes the oldest versions that nothing refers to: no alias, no execution
// that runs, not the config, and not before, to which one may want to go back.
func (r *release) prune(ctx context.Context, before string) (deleted []string, err error) {
	referred, err := r.referred(ctx)
	if err != nil {
		return nil, err
	}
	referred[before] = true
	var versions []string // the newest first
	in := &sfn.ListStateMachineVersionsInput{StateMachineArn: &r.StateMachine, MaxResults: 1000}
	for {
		out, err := r.engine.ListStateMachineVersions(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the versions of %s: %w", r.StateMachine, err)
		}
		for _, v := range out.StateMachineVersions {
			versions = append(versions, *v.StateMachineVersionArn)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	kept := 0
	for _, version := range versions {
		if referred[version] {
			continue
		}
		if kept++; kept <= r.Keep {
			continue
		}
		_, err := r.engine.DeleteStateMachineVersion(ctx, &sfn.DeleteStateMachineVersionInput{StateMachineVersionArn: &version})
		var taken *types.ConflictException
		if errors.As(err, &taken) {
			continue // an alias was led to it meanwhile
		}
		if err != nil {
			return deleted, fmt.Errorf("delete version %s: %w", number(version), err)
		}
		deleted = append(deleted, version)
	}
	return deleted, nil
}

// referred are the ARNs of versions that something refers to.
func (r *release) referred(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	for _, version := range r.Referred {
		found[version] = true
	}
	in := &sfn.ListStateMachineAliasesInput{StateMachineArn: &r.StateMachine, MaxResults: 100}
	for {
		out, err := r.engine.ListStateMachineAliases(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list the aliases of %s: %w", r.StateMachine, err)
		}
		for _, a := range out.StateMachineAliases {
			alias, err := r.engine.DescribeStateMachineAlias(ctx, &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: a.StateMachineAliasArn})
			if err != nil {
				return nil, fmt.Errorf("describe %s: %w", aws.ToString(a.StateMachineAliasArn), err)
			}
			for _, route := range alias.RoutingConfiguration {
				found[*route.StateMachineVersionArn] = true
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	// Only children of a Map run wait for a redrive, and their versions are not listed.
	pages := sfn.NewListExecutionsPaginator(r.engine, &sfn.ListExecutionsInput{StateMachineArn: &r.StateMachine, StatusFilter: types.ExecutionStatusRunning, MaxResults: 1000})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the executions of %s: %w", r.StateMachine, err)
		}
		for _, x := range page.Executions {
			found[aws.ToString(x.StateMachineVersionArn)] = true
		}
	}
	return found, nil
}
