package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
)

const (
	// maxReason is CodePipeline's limit for a failure's message, in characters.
	maxReason = 5000
	// maxVariable and maxVariables bound an action's output variables, which have
	// 122,880 bytes together, see "Quotas in AWS CodePipeline".
	maxVariable  = 1000
	maxVariables = 100
	// maxInput bounds the input's file; Step Functions takes 262,144 bytes.
	maxInput = 1 << 20
)

// JobAPI is the part of [*codepipeline.Client] that is used.
type JobAPI interface {
	PutJobSuccessResult(context.Context, *codepipeline.PutJobSuccessResultInput, ...func(*codepipeline.Options)) (*codepipeline.PutJobSuccessResultOutput, error)
	PutJobFailureResult(context.Context, *codepipeline.PutJobFailureResultInput, ...func(*codepipeline.Options)) (*codepipeline.PutJobFailureResultOutput, error)
}

// Starter starts and describes the executions of any state machine by its ARN.
type Starter interface {
	StartByARN(ctx context.Context, stateMachineARN, name string, input []byte) (dispatch.Started, error)
	Describe(ctx context.Context, executionARN string) (event.Outcome, error)
}

// Pipeline runs a state machine as an action of CodePipeline: the invoke action of
// a Lambda function, with the UserParameters
//
//	{"s3Bucket": "…", "stateMachineFile": "…", "stateMachineArn": "…"}
//
// The file is a JSON object in the bucket: the execution's input, or, where
// stateMachineArn is left out, {"stateMachineArn": "…", "input": {…}}. The input
// gets, as codepipeline, the job and what the action has for input artifacts:
// bucket, key and commit.
//
// The execution's name is the job's ID, so that a job that Lambda is given twice
// starts once. The action goes on until the execution has ended, and fails with
// its error and cause.
type Pipeline struct {
	Jobs    JobAPI
	Objects BucketAPI
	Starter Starter
	Metrics *Metrics
	Log     *zap.Logger
	// Wait is how long is waited before a call that failed is made again, doubled
	// each time. Default: 200 ms.
	Wait time.Duration
}

// token is what CodePipeline gives back to tell which execution it asks for.
type token struct {
	Execution string `json:"execution"`
}

// parameters are an action's UserParameters.
type parameters struct {
	Bucket  string `json:"s3Bucket"`
	File    string `json:"stateMachineFile"`
	Machine string `json:"stateMachineArn"`
}

// Run does one job. The job is answered whatever happens: an action that is not
// hangs until it times out. The error says that it could not be answered.
func (p *Pipeline) Run(ctx context.Context, payload []byte) error {
	var e events.CodePipelineJobEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("the event is not a job of CodePipeline: %w", err)
	}
	job := &e.CodePipelineJob
	if job.ID == "" {
		return errors.New("the event is not a job of CodePipeline: it has no ID")
	}
	var err error
	if job.Data.ContinuationToken == "" {
		err = p.begin(ctx, job)
	} else {
		err = p.look(ctx, job)
	}
	var unanswered *unansweredError
	if err == nil || errors.As(err, &unanswered) {
		return err
	}
	return p.fail(ctx, job, err.Error(), "")
}

// begin starts the execution that the action asks for.
func (p *Pipeline) begin(ctx context.Context, job *events.CodePipelineJob) error {
	machine, input, err := p.request(ctx, job)
	if err != nil {
		return err
	}
	var started dispatch.Started
	err = p.try(ctx, func() (err error) {
		started, err = p.Starter.StartByARN(ctx, machine, job.ID, input)
		return err
	})
	if err != nil {
		return err
	}
	p.Log.Info("started for CodePipeline", zap.String("job", job.ID), zap.String("execution", started.ExecutionARN), zap.Bool("existed", started.Existed))
	return p.goOn(ctx, job, started.ExecutionARN, "started")
}

// request reads the action's parameters and its input.
func (p *Pipeline) request(ctx context.Context, job *events.CodePipelineJob) (machine string, input []byte, err error) {
	const expected = `expected {"s3Bucket": "…", "stateMachineFile": "…"} and, unless the file names it, "stateMachineArn"`
	var par parameters
	if err := json.Unmarshal([]byte(job.Data.ActionConfiguration.Configuration.UserParameters), &par); err != nil {
		return "", nil, fmt.Errorf("UserParameters of the action is not JSON: %s (%v)", expected, err)
	}
	if par.Bucket == "" || par.File == "" {
		return "", nil, fmt.Errorf("UserParameters of the action lacks s3Bucket or stateMachineFile: %s", expected)
	}
	at := "s3://" + par.Bucket + "/" + par.File
	out, err := p.Objects.GetObject(ctx, &s3.GetObjectInput{Bucket: &par.Bucket, Key: &par.File})
	if err != nil {
		return "", nil, fmt.Errorf("read %s, which stateMachineFile names: %v", at, err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxInput+1))
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %v", at, err)
	}
	if len(text) > maxInput {
		return "", nil, fmt.Errorf("%s has more than %d bytes", at, maxInput)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return "", nil, fmt.Errorf("%s is not a JSON object", at)
	}
	if machine = par.Machine; machine == "" {
		if json.Unmarshal(members["stateMachineArn"], &machine) != nil || machine == "" {
			return "", nil, fmt.Errorf("neither UserParameters nor %s has a stateMachineArn", at)
		}
		inner := map[string]json.RawMessage{}
		if text := members["input"]; len(text) > 0 {
			if err := json.Unmarshal(text, &inner); err != nil || inner == nil {
				return "", nil, fmt.Errorf("input in %s is not a JSON object", at)
			}
		}
		members = inner
	}
	if members["codepipeline"], err = json.Marshal(about(job)); err != nil {
		return "", nil, err
	}
	input, err = json.Marshal(members)
	return machine, input, err
}

// artifact is an input artifact of the action: where it is, and the commit that it
// was made of.
type artifact struct {
	Name   string `json:"name"`
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Commit string `json:"commit,omitempty"`
}

// jobInput is what the execution's input says of the job. The first artifact
// stands beside the list, since most actions have one.
type jobInput struct {
	Job       string     `json:"job"`
	Bucket    string     `json:"bucket,omitempty"`
	Key       string     `json:"key,omitempty"`
	Commit    string     `json:"commit,omitempty"`
	Artifacts []artifact `json:"artifacts,omitempty"`
}

func about(job *events.CodePipelineJob) jobInput {
	in := jobInput{Job: job.ID}
	for _, a := range job.Data.InputArtifacts {
		one := artifact{Name: a.Name, Bucket: a.Location.S3Location.BucketName, Key: a.Location.S3Location.ObjectKey}
		if a.Revision != nil {
			one.Commit = *a.Revision
		}
		in.Artifacts = append(in.Artifacts, one)
	}
	if len(in.Artifacts) > 0 {
		first := in.Artifacts[0]
		in.Bucket, in.Key, in.Commit = first.Bucket, first.Key, first.Commit
	}
	return in
}

// look answers with where the execution is.
func (p *Pipeline) look(ctx context.Context, job *events.CodePipelineJob) error {
	var t token
	if err := json.Unmarshal([]byte(job.Data.ContinuationToken), &t); err != nil || t.Execution == "" {
		return errors.New("the job's continuation token is not one of ours")
	}
	o, err := p.Starter.Describe(ctx, t.Execution)
	if errors.Is(err, dispatch.ErrNotFound) {
		return fmt.Errorf("execution %s is gone", t.Execution)
	}
	if permanent := (*dispatch.PermanentError)(nil); errors.As(err, &permanent) {
		return err
	}
	if blocked := (*dispatch.BlockedError)(nil); errors.As(err, &blocked) {
		return err
	}
	if err != nil {
		p.Log.Warn("asking for an execution failed; the job goes on", zap.String("job", job.ID), zap.String("execution", t.Execution), zap.Error(err))
		return p.goOn(ctx, job, t.Execution, "running")
	}
	switch {
	case !o.Status.Closed():
		return p.goOn(ctx, job, t.Execution, strings.ToLower(string(o.Status)))
	case o.Status == event.Succeeded:
		return p.succeed(ctx, job, t.Execution, o.Output)
	}
	why := fmt.Sprintf("execution %s: %s", o.Name, o.Status)
	if o.Error != "" {
		why += ": " + o.Error
	}
	if o.Cause != "" {
		why += ": " + o.Cause
	}
	return p.fail(ctx, job, why, t.Execution)
}

// unansweredError says that CodePipeline has no answer to a job: Lambda tries the
// event again.
type unansweredError struct{ err error }

func (e *unansweredError) Error() string { return e.err.Error() }
func (e *unansweredError) Unwrap() error { return e.err }

func (p *Pipeline) answered(job *events.CodePipelineJob, err error) error {
	var complete *types.InvalidJobStateException
	switch {
	case err == nil:
		p.Metrics.count(metricJobs)
		return nil
	case errors.As(err, &complete):
		p.Log.Info("the job has its result already", zap.String("job", job.ID))
		return nil
	}
	return &unansweredError{fmt.Errorf("answer job %s: %v", job.ID, err)}
}

// goOn has CodePipeline ask again.
func (p *Pipeline) goOn(ctx context.Context, job *events.CodePipelineJob, execution, state string) error {
	text, err := json.Marshal(token{execution})
	if err != nil {
		return p.answered(job, err)
	}
	return p.success(ctx, job, &codepipeline.PutJobSuccessResultInput{
		ContinuationToken: aws.String(string(text)), ExecutionDetails: details(execution, "The execution is "+state),
	})
}

func (p *Pipeline) success(ctx context.Context, job *events.CodePipelineJob, in *codepipeline.PutJobSuccessResultInput) error {
	in.JobId = &job.ID
	return p.answered(job, p.try(ctx, func() error {
		_, err := p.Jobs.PutJobSuccessResult(ctx, in)
		return err
	}))
}

func details(execution, summary string) *types.ExecutionDetails {
	return &types.ExecutionDetails{ExternalExecutionId: &execution, Summary: &summary}
}

// tries is how often a call is made that failed and may not fail the next time,
// within the invocation.
const tries = 5

// try repeats a call until it succeeds, fails for good, or has been made often
// enough.
func (p *Pipeline) try(ctx context.Context, call func() error) error {
	wait := cmp.Or(p.Wait, 200*time.Millisecond)
	for n := 1; ; n++ {
		err := call()
		if err == nil || n == tries || errors.As(err, new(*dispatch.PermanentError)) || errors.As(err, new(*dispatch.BlockedError)) {
			return err
		}
		var client smithy.APIError
		if errors.As(err, &client) && client.ErrorFault() == smithy.FaultClient && retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err) != aws.TrueTernary {
			return err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return err
		}
	}
}

func (p *Pipeline) succeed(ctx context.Context, job *events.CodePipelineJob, execution, output string) error {
	return p.success(ctx, job, &codepipeline.PutJobSuccessResultInput{
		OutputVariables: variables(execution, output), ExecutionDetails: details(execution, "The execution succeeded"),
	})
}

// variables are those of the action: the execution's ARN, and the members of its
// output that are text, numbers or truth values and whose names CodePipeline
// takes.
func variables(execution, output string) map[string]string {
	v := map[string]string{"executionArn": execution}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(output), &members) != nil {
		return v
	}
	for name, text := range members {
		var value any
		if !isVariable(name) || len(v) == maxVariables || json.Unmarshal(text, &value) != nil {
			continue
		}
		switch x := value.(type) {
		case string:
			if x != "" && len(x) <= maxVariable {
				v[name] = x
			}
		case float64, bool:
			v[name] = string(text)
		}
	}
	return v
}

// isVariable reports whether CodePipeline takes a name for an output variable:
// [A-Za-z0-9@\-_]+.
func isVariable(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '@' && r != '-' && r != '_'
	}) < 0
}

// fail fails the action.
func (p *Pipeline) fail(ctx context.Context, job *events.CodePipelineJob, why, execution string) error {
	p.Metrics.count(metricJobsFailed)
	p.Log.Warn("a job of CodePipeline failed", zap.String("job", job.ID), zap.String("execution", execution), zap.String("reason", why))
	details := &types.FailureDetails{Type: types.FailureTypeJobFailed, Message: aws.String(safetext.Cut(why, maxReason))}
	if execution != "" {
		details.ExternalExecutionId = &execution
	}
	return p.answered(job, p.try(ctx, func() error {
		_, err := p.Jobs.PutJobFailureResult(ctx, &codepipeline.PutJobFailureResultInput{JobId: &job.ID, FailureDetails: details})
		return err
	}))
}
