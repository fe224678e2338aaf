// Package lambda runs Switchyard as an AWS Lambda function, without a server and
// without a database: deliveries wait in an SQS queue, executions run on Step
// Functions, and what the journal knows elsewhere stands in an execution's name
// and input.
//
// One function serves all of its events, or several functions of the same binary
// share them:
//
//   - HTTP requests of a function URL, API Gateway (both versions) or a load
//     balancer: the webhooks. A delivery is verified, put on the queue, and
//     answered only then.
//   - messages of the queue: a delivery is routed, and an execution of each of its
//     commits started. A message is given back until all of them have.
//   - status changes of Step Functions, from EventBridge or through the queue: the
//     commit is told.
//   - jobs of CodePipeline, see [Pipeline].
//   - a schedule of EventBridge: the repositories are audited.
package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"go.uber.org/zap"
)

// Function is a Lambda function. What is nil it does not serve. It is safe for
// concurrent use.
type Function struct {
	// HTTP answers webhooks.
	HTTP http.Handler
	// Queue works on messages.
	Queue *Consumer
	// Changes takes status changes of executions.
	Changes *Reporter
	// Pipeline takes jobs.
	Pipeline *Pipeline
	// Audit audits the repositories.
	Audit func(context.Context) error
	// Metrics may be nil. The parts above count in it.
	Metrics *Metrics
	Log     *zap.Logger
}

// Invoke implements the handler of aws-lambda-go: it takes one event as JSON and
// returns the answer as JSON. An error has Lambda try an asynchronous event again.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e struct {
		RequestContext json.RawMessage `json:"requestContext"`
		Records        []struct {
			EventSource string `json:"eventSource"`
		} `json:"Records"`
		Source      string          `json:"source"`
		DetailType  string          `json:"detail-type"`
		PipelineJob json.RawMessage `json:"CodePipeline.job"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, fmt.Errorf("the event is not JSON: %w", err)
	}
	defer f.Metrics.flush()
	ctx = traced(ctx)
	switch {
	case len(e.RequestContext) > 0 && f.HTTP != nil:
		return f.serveHTTP(ctx, payload)
	case len(e.Records) > 0 && e.Records[0].EventSource == "aws:sqs" && f.Queue != nil:
		return f.Queue.consume(ctx, payload)
	case e.Source == "aws.events" && e.DetailType == "Scheduled Event" && f.Audit != nil:
		return nil, f.Audit(ctx)
	case e.Source == "aws.states" && f.Changes != nil:
		return nil, f.Changes.Report(ctx, payload)
	case len(e.PipelineJob) > 0 && f.Pipeline != nil:
		return nil, f.Pipeline.Run(ctx, payload)
	}
	return nil, fmt.Errorf("this function takes no event like this one (source %q, detail-type %q, %d records): see docs/aws.md for what it is to be connected with", e.Source, e.DetailType, len(e.Records))
}
