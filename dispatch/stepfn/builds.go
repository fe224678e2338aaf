package stepfn

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// historyPage is the most that GetExecutionHistory gives at once, and
// maxNesting how deep executions that an execution started are looked into.
const (
	historyPage = 1000
	maxNesting  = 5
)

// Build is a CodeBuild build that a state of an execution has started.
type Build struct {
	// ARN names it, for example
	// arn:aws:codebuild:eu-west-1:123456789012:build/api:6f2a….
	ARN string
}

// Builds finds the builds that an execution has started, itself or through
// executions that it started, the first one first. It remembers how far it has
// read, so that asking again reads only what is new. It is not safe for
// concurrent use.
type Builds struct {
	client *Client
	// read is the last event that was read, by execution.
	read map[string]int64
	// executions are those whose histories are read, the nested ones behind the
	// one that started them.
	executions []string
	found      []Build
}

// BuildsOf begins with an execution.
func (c *Client) BuildsOf(executionARN string) *Builds {
	return &Builds{client: c, read: map[string]int64{}, executions: []string{executionARN}}
}

// Find returns all builds that are known by now. Errors are those of
// [Client.Describe].
func (b *Builds) Find(ctx context.Context) ([]Build, error) {
	for i := 0; i < len(b.executions); i++ {
		if err := b.readHistory(ctx, b.executions[i]); err != nil {
			return b.found, err
		}
	}
	return b.found, nil
}

// readHistory reads the events that came since the last time, the newest first.
func (b *Builds) readHistory(ctx context.Context, execution string) error {
	op := operation{"read the history of execution", execution}
	api, err := b.client.at(execution)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	last := b.read[execution]
	var fresh []types.HistoryEvent
	for token := ""; ; {
		out, err := api.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{
			ExecutionArn: &execution, ReverseOrder: true, IncludeExecutionData: aws.Bool(true), MaxResults: historyPage, NextToken: optional(token),
		})
		if err != nil {
			return classify(ctx, op, err)
		}
		for i := range out.Events {
			if out.Events[i].Id <= last {
				out.Events, out.NextToken = out.Events[:i], nil
				break
			}
		}
		fresh = append(fresh, out.Events...)
		if token = aws.ToString(out.NextToken); token == "" {
			break
		}
	}
	for i := len(fresh) - 1; i >= 0; i-- {
		b.note(&fresh[i])
	}
	if len(fresh) > 0 {
		b.read[execution] = fresh[0].Id
	}
	return nil
}

// note takes what an event says a task has started.
func (b *Builds) note(e *types.HistoryEvent) {
	d := e.TaskSubmittedEventDetails
	if d == nil {
		return
	}
	var out struct {
		Build        struct{ Arn string }
		ExecutionArn string
	}
	// What is cut off, or not JSON, names nothing.
	if json.Unmarshal([]byte(aws.ToString(d.Output)), &out) != nil {
		return
	}
	switch aws.ToString(d.ResourceType) {
	case "codebuild":
		if out.Build.Arn != "" {
			b.found = append(b.found, Build{ARN: out.Build.Arn})
		}
	case "states":
		if strings.Contains(out.ExecutionArn, ":execution:") && len(b.executions) <= maxNesting {
			b.executions = append(b.executions, out.ExecutionArn)
		}
	}
}
