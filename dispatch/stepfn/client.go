// Package stepfn starts, describes and stops executions through the Step
// Functions API, at AWS or at the embedded engine alike.
//
// It makes one attempt for each call: [dispatch] owns timeouts, retries,
// backoff and rates, so the SDK's own retries are off and every error comes back with a
// verdict. SDK types stay inside: errors carry their text, not their chain.
package stepfn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"go.opentelemetry.io/otel/trace"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// Limits of StopExecution's error and cause, in characters.
const (
	maxStopError = 256
	maxStopCause = 32_768
)

// API is the part of [*sfn.Client] that is used. Calls return when ctx ends.
type API interface {
	StartExecution(context.Context, *sfn.StartExecutionInput, ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
	StopExecution(context.Context, *sfn.StopExecutionInput, ...func(*sfn.Options)) (*sfn.StopExecutionOutput, error)
	RedriveExecution(context.Context, *sfn.RedriveExecutionInput, ...func(*sfn.Options)) (*sfn.RedriveExecutionOutput, error)
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
	SendTaskFailure(context.Context, *sfn.SendTaskFailureInput, ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error)
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
	DescribeStateMachineForExecution(context.Context, *sfn.DescribeStateMachineForExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeStateMachineForExecutionOutput, error)
	GetExecutionHistory(context.Context, *sfn.GetExecutionHistoryInput, ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error)
}

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// StateMachines are those under state_machines by name.
	StateMachines map[string]Machine
}

// Machine is a state machine that is started.
type Machine struct {
	// ARN is that of a STANDARD state machine, or of a version or alias of one.
	// It is called in the region that it names.
	ARN string
	// Role is the ARN of the role with which it is called, for one in another
	// account; empty for what the [Dialer] begins with. ExternalID is what the
	// role's trust policy asks for.
	Role, ExternalID string
}

// Client is a [dispatch.Engine] over the Step Functions API, in all places in
// which there are state machines.
type Client struct {
	dial Dialer
	// known is replaced as a whole, never written to.
	known atomic.Pointer[machines]
}

var (
	_ dispatch.Engine   = (*Client)(nil)
	_ dispatch.Lister   = (*Client)(nil)
	_ dispatch.Redriver = (*Client)(nil)
)

// New validates cfg and calls nothing.
func New(dial Dialer, cfg Config) (*Client, error) {
	if dial == nil {
		return nil, errors.New("stepfn: no API client given")
	}
	c := &Client{dial: dial}
	apply, err := c.PrepareStateMachines(cfg.StateMachines)
	if err != nil {
		return nil, err
	}
	apply()
	return c, nil
}

// Start implements [dispatch.Engine]. Step Functions answers a repeated start
// of a running execution with the first one's ARN, which cannot be told from a
// first start; Existed is true when the engine refused the name as taken and
// the execution that holds it was found to have the same identity in its input.
func (c *Client) Start(ctx context.Context, stateMachine, name string, input []byte) (dispatch.Started, error) {
	op := operation{"start execution", name}
	m, ok := c.known.Load().byName[stateMachine]
	if !ok {
		return dispatch.Started{}, &dispatch.BlockedError{Err: fmt.Errorf("%v: state_machines has no %q", op, stateMachine)}
	}
	started, err := start(ctx, m.api, op, m.arn, name, string(input))
	if errors.Is(err, errTaken) {
		return c.adopt(ctx, op, m.execution(name), string(input))
	}
	return started, err
}

// start makes the call. The error is errTaken where the name belongs to an
// execution already.
func start(ctx context.Context, api API, op operation, machineARN, name, input string) (dispatch.Started, error) {
	if len(input) > event.MaxInput {
		return dispatch.Started{}, &dispatch.PermanentError{Err: fmt.Errorf("%v: the input has %d bytes, Step Functions takes %d", op, len(input), event.MaxInput)}
	}
	out, err := api.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: &machineARN,
		Name:            &name,
		Input:           &input,
		TraceHeader:     traceHeader(ctx),
	})
	if isTaken(err) {
		return dispatch.Started{}, errTaken
	}
	if err != nil {
		return dispatch.Started{}, classify(ctx, op, err)
	}
	arn := aws.ToString(out.ExecutionArn)
	if isExpress(arn) {
		// It runs now, but nothing can be asked about it, and starting it again
		// would run the commit twice: never retry, tell the operator.
		return dispatch.Started{}, &dispatch.PermanentError{Err: fmt.Errorf("%v: state machine %s is of type EXPRESS, whose executions are neither idempotent nor described; make it STANDARD", op, machineARN)}
	}
	if !strings.HasSuffix(arn, ":"+name) {
		// A proxy or another service in its place answers 200 to anything. If
		// it did start, the next try finds it.
		return dispatch.Started{}, fmt.Errorf("%v: the answer has executionArn %q and no execution of this name; is the endpoint Step Functions?", op, arn)
	}
	return dispatch.Started{ExecutionARN: arn, StartedAt: aws.ToTime(out.StartDate)}, nil
}

// StartByARN starts an execution of a state machine that the config need not
// name. The name must belong to the caller alone: an execution that has it
// already is taken for the one that is to be started. Errors are those of
// [Client.Start].
func (c *Client) StartByARN(ctx context.Context, stateMachineARN, name string, input []byte) (dispatch.Started, error) {
	op := operation{"start execution", name}
	m, err := parseMachine(stateMachineARN)
	if err != nil {
		return dispatch.Started{}, &dispatch.PermanentError{Err: fmt.Errorf("%v: %w", op, err)}
	}
	api, err := c.at(m.execution(name))
	if err != nil {
		return dispatch.Started{}, fmt.Errorf("%v: %w", op, err)
	}
	started, err := start(ctx, api, op, m.arn, name, string(input))
	if errors.Is(err, errTaken) {
		return dispatch.Started{ExecutionARN: m.execution(name), Existed: true}, nil
	}
	return started, err
}

// adopt decides whether the execution that holds the name is the one wanted.
// The API refuses the name for an execution that has ended and for one with
// another input, even while it runs. It is ours where the identity in its input
// is: what a journal that was moved away had started, for example, when the
// commit is heard of again in another way.
func (c *Client) adopt(ctx context.Context, op operation, arn, input string) (dispatch.Started, error) {
	out, err := c.describe(ctx, operation{"start execution, name is taken: describe", arn}, arn)
	if err != nil {
		return dispatch.Started{}, err
	}
	if what := difference(aws.ToString(out.Input), input); what != "" {
		return dispatch.Started{}, &dispatch.PermanentError{Err: fmt.Errorf("%v: an execution of this name exists with %s (%s)", op, what, arn)}
	}
	return dispatch.Started{
		ExecutionARN: arn,
		StartedAt:    aws.ToTime(out.StartDate),
		Existed:      true,
	}, nil
}

// Describe implements [dispatch.Engine]. An execution that the engine does not
// know, or no longer keeps, is an error that wraps [dispatch.ErrNotFound].
func (c *Client) Describe(ctx context.Context, executionARN string) (event.Outcome, error) {
	op := operation{"describe execution", executionARN}
	out, err := c.describe(ctx, op, executionARN)
	if err != nil {
		return event.Outcome{}, err
	}
	status, err := executionStatus(string(out.Status))
	if err != nil {
		return event.Outcome{}, fmt.Errorf("%v: %w", op, err)
	}
	o := event.Outcome{
		ExecutionARN: executionARN,
		Name:         aws.ToString(out.Name),
		Status:       status,
		StartedAt:    aws.ToTime(out.StartDate),
		StoppedAt:    aws.ToTime(out.StopDate),
		Input:        aws.ToString(out.Input),
		Output:       aws.ToString(out.Output),
		Error:        aws.ToString(out.Error),
		Cause:        aws.ToString(out.Cause),
	}
	if out.RedriveStatus != "" && out.RedriveStatus != types.ExecutionRedriveStatusRedrivable {
		o.NotRedrivable = cmp.Or(aws.ToString(out.RedriveStatusReason), string(out.RedriveStatus))
	}
	return o, nil
}

// Named is [Client.Describe] of the execution of that name that a state machine of the
// config has.
func (c *Client) Named(ctx context.Context, stateMachine, name string) (event.Outcome, error) {
	m, ok := c.known.Load().byName[stateMachine]
	if !ok {
		return event.Outcome{}, &dispatch.BlockedError{Err: fmt.Errorf("look for execution %s: state_machines has no %q", name, stateMachine)}
	}
	return c.Describe(ctx, m.execution(name))
}

// describe returns an answer that describes an execution: what answers 200
// without a status, as a proxy may, knows nothing of it.
func (c *Client) describe(ctx context.Context, op operation, arn string) (*sfn.DescribeExecutionOutput, error) {
	api, err := c.at(arn)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", op, err)
	}
	out, err := api.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		return nil, classify(ctx, op, err)
	}
	if out.Status == "" {
		return nil, fmt.Errorf("%v: the answer has no status; is the endpoint Step Functions?", op)
	}
	return out, nil
}

// listPage is the most that ListExecutions gives at once.
const listPage = 1000

// ListRunning implements [dispatch.Lister].
func (c *Client) ListRunning(ctx context.Context, like, page string) (arns []string, next string, err error) {
	op := operation{"list executions like", like}
	api, err := c.at(like)
	if err != nil {
		return nil, "", fmt.Errorf("%v: %w", op, err)
	}
	machine, err := machineOf(like)
	if err != nil {
		return nil, "", fmt.Errorf("%v: %w", op, err)
	}
	in := &sfn.ListExecutionsInput{StateMachineArn: &machine, StatusFilter: types.ExecutionStatusRunning, MaxResults: listPage, NextToken: optional(page)}
	out, err := api.ListExecutions(ctx, in)
	if err != nil {
		return nil, "", classify(ctx, op, err)
	}
	for i := range out.Executions {
		arns = append(arns, aws.ToString(out.Executions[i].ExecutionArn))
	}
	return arns, aws.ToString(out.NextToken), nil
}

// Stop implements [dispatch.Engine]. Error name and cause are cut to the 256
// and 32,768 characters that Step Functions takes.
func (c *Client) Stop(ctx context.Context, executionARN, errorName, cause string) error {
	op := operation{"stop execution", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	_, err = api.StopExecution(ctx, &sfn.StopExecutionInput{
		ExecutionArn: &executionARN,
		Error:        optional(cut(errorName, maxStopError)),
		Cause:        optional(cut(cause, maxStopCause)),
	})
	if err != nil {
		return classify(ctx, op, err)
	}
	return nil
}

// Redrive implements [dispatch.Redriver]. Step Functions remembers the last ten
// tokens of an execution for 15 minutes.
func (c *Client) Redrive(ctx context.Context, executionARN, token string) error {
	op := operation{"redrive execution", executionARN}
	api, err := c.at(executionARN)
	if err != nil {
		return fmt.Errorf("%v: %w", op, err)
	}
	out, err := api.RedriveExecution(ctx, &sfn.RedriveExecutionInput{ExecutionArn: &executionARN, ClientToken: &token})
	if err != nil {
		return classify(ctx, op, err)
	}
	if out.RedriveDate == nil {
		return fmt.Errorf("%v: the answer has no redriveDate; is the endpoint Step Functions?", op)
	}
	return nil
}

// traceHeader is the X-Ray header of ctx's span, nil without a recorded span.
// The header is no part of what Step Functions compares on a repeated start.
func traceHeader(ctx context.Context) *string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsSampled() || !sc.IsValid() {
		return nil
	}
	id := sc.TraceID().String()
	h := "Root=1-" + id[:8] + "-" + id[8:] + ";Parent=" + sc.SpanID().String() + ";Sampled=1"
	return &h
}

func executionStatus(s string) (event.ExecutionStatus, error) {
	switch status := event.ExecutionStatus(s); status {
	case event.Running, event.Succeeded, event.Failed, event.TimedOut, event.Aborted, event.PendingRedrive:
		return status, nil
	}
	return "", fmt.Errorf("unknown execution status %q", s)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// cut returns the first n characters of s.
func cut(s string, n int) string {
	seen := 0
	for i := range s {
		if seen == n {
			return s[:i]
		}
		seen++
	}
	return s
}
