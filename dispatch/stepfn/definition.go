package stepfn

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/dispatch"
)

var _ dispatch.Definer = (*Client)(nil)

// Definition implements [dispatch.Definer].
func (c *Client) Definition(ctx context.Context, executionARN string) (string, error) {
	op := operation{"read the definition of execution", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return "", fmt.Errorf("%v: %w", op, err)
	}
	out, err := api.DescribeStateMachineForExecution(ctx, &sfn.DescribeStateMachineForExecutionInput{ExecutionArn: &executionARN})
	if err != nil {
		return "", classify(ctx, op, err)
	}
	return aws.ToString(out.Definition), nil
}
