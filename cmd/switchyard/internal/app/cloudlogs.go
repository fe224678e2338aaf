package app

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"

	"switchyard/dispatch"
	"switchyard/dispatch/buildlogs"
	"switchyard/dispatch/stepfn"
)

// cloudLogs are the logs of executions that run in AWS, by execution ID.
type cloudLogs struct {
	logs       *buildlogs.Logs
	dispatcher *dispatch.Dispatcher
}

func newCloudLogs(access stepfn.Access, client *stepfn.Client, d *dispatch.Dispatcher) *cloudLogs {
	dial := func(ctx context.Context, at stepfn.Place) (aws.Config, string, error) {
		cfg, err := access.Load(ctx, at)
		return cfg, access.Endpoint, err
	}
	return &cloudLogs{buildlogs.New(client, dial), d}
}

// follow copies what an execution's builds print until they have ended. One that
// has not started yet, or never will, has an empty log.
func (c *cloudLogs) follow(ctx context.Context, execution string, w io.Writer) error {
	x, err := c.dispatcher.Execution(ctx, execution)
	if err != nil || x.ARN == "" {
		return err
	}
	return c.logs.Follow(ctx, x.ARN, w)
}

// tail copies the end of what each of an execution's builds has printed so far,
// or says why that cannot be read: the page has more to show than logs.
func (c *cloudLogs) tail(ctx context.Context, execution string, w io.Writer) error {
	x, err := c.dispatcher.Execution(ctx, execution)
	if err != nil || x.ARN == "" {
		return err
	}
	if err := c.logs.Tail(ctx, x.ARN, w); err != nil {
		_, err = fmt.Fprintf(w, "The logs cannot be read: %v\n", err)
		return err
	}
	return nil
}
