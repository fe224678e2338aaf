// Package buildlogs reads what the CodeBuild builds of an execution have
// printed, from CloudWatch Logs.
//
// It needs the permissions states:GetExecutionHistory, codebuild:BatchGetBuilds
// and logs:GetLogEvents.
package buildlogs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"switchyard/dispatch/stepfn"
)

// lookEvery is how often a build and its log are looked at while it runs, and
// the history for more builds. CloudWatch Logs allows 25 reads a second to an
// account, in some regions 10.
const lookEvery = 3 * time.Second

// Dialer returns the settings with which CodeBuild and CloudWatch Logs are
// called about what is in a place. endpoint is "" for the services' own.
type Dialer func(ctx context.Context, at stepfn.Place) (cfg aws.Config, endpoint string, err error)

// Logs reads the logs of builds. It is safe for concurrent use.
type Logs struct {
	client *stepfn.Client
	dial   Dialer
	every  time.Duration
}

// New calls nothing. The builds of an execution are those that its history, as
// the client reads it, tells of.
func New(client *stepfn.Client, dial Dialer) *Logs {
	return &Logs{client: client, dial: dial, every: lookEvery}
}

// Follow copies what the builds of an execution print to w, one build after the
// other in the order in which they began, until all have ended and the execution
// has, too. An execution without builds has an empty log.
func (l *Logs) Follow(ctx context.Context, executionARN string, w io.Writer) error {
	r, err := l.reader(ctx, executionARN)
	if err != nil {
		return err
	}
	finder := l.client.BuildsOf(executionARN)
	for copied := 0; ; {
		// Asked before the history, so that no build begins in between.
		execution, err := l.client.Describe(ctx, executionARN)
		if err != nil {
			return err
		}
		builds, err := finder.Find(ctx)
		if err != nil {
			return err
		}
		for ; copied < len(builds); copied++ {
			if err := r.follow(ctx, builds[copied], w); err != nil {
				return err
			}
		}
		if execution.Status.Closed() {
			return nil
		}
		if err := sleep(ctx, l.every); err != nil {
			return err
		}
	}
}

// Tail copies the end of what each build has printed so far, up to a megabyte
// of each.
func (l *Logs) Tail(ctx context.Context, executionARN string, w io.Writer) error {
	r, err := l.reader(ctx, executionARN)
	if err != nil {
		return err
	}
	builds, err := l.client.BuildsOf(executionARN).Find(ctx)
	if err != nil {
		return err
	}
	for _, b := range builds {
		at, err := r.where(ctx, b)
		if err != nil {
			return err
		}
		if err := r.note(at, w); err != nil {
			return err
		}
		if at.stream == "" {
			continue
		}
		if _, err := r.copy(ctx, at, "", false, w); err != nil {
			return err
		}
	}
	return nil
}

func (l *Logs) reader(ctx context.Context, executionARN string) (*reader, error) {
	at, err := l.client.PlaceOf(executionARN)
	if err != nil {
		return nil, err
	}
	cfg, endpoint, err := l.dial(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("logs of %s: %w", executionARN, err)
	}
	return &reader{cfg: cfg, endpoint: endpoint, every: l.every}, nil
}

// reader reads the logs of one execution's builds.
type reader struct {
	cfg      aws.Config
	endpoint string
	every    time.Duration
}

func (r *reader) builds(region string) *codebuild.Client {
	return codebuild.NewFromConfig(r.cfg, func(o *codebuild.Options) {
		o.Region = region
		if r.endpoint != "" {
			o.BaseEndpoint = &r.endpoint
		}
	})
}

func (r *reader) logs(region string) *cloudwatchlogs.Client {
	return cloudwatchlogs.NewFromConfig(r.cfg, func(o *cloudwatchlogs.Options) {
		o.Region = region
		if r.endpoint != "" {
			o.BaseEndpoint = &r.endpoint
		}
	})
}

// place is where a build's log is.
type place struct {
	build, region string
	// group and stream are empty until the build has begun, and for ever when
	// it keeps no log in CloudWatch; elsewhere then says where.
	group, stream, elsewhere string
	ended                    bool
}

// where asks CodeBuild for a build.
func (r *reader) where(ctx context.Context, b stepfn.Build) (place, error) {
	a, err := arn.Parse(b.ARN)
	if err != nil {
		return place{}, fmt.Errorf("%q is not the ARN of a build", b.ARN)
	}
	id := strings.TrimPrefix(a.Resource, "build/")
	out, err := r.builds(a.Region).BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil {
		return place{}, fmt.Errorf("ask for build %s: %v", b.ARN, err)
	}
	if len(out.Builds) == 0 {
		return place{build: b.ARN, ended: true, elsewhere: "gone: CodeBuild no longer has the build"}, nil
	}
	at := place{build: b.ARN, region: a.Region, ended: out.Builds[0].BuildComplete || out.Builds[0].EndTime != nil}
	logs := out.Builds[0].Logs
	if logs == nil {
		return at, nil
	}
	at.group, at.stream = aws.ToString(logs.GroupName), aws.ToString(logs.StreamName)
	if at.stream == "" && logs.CloudWatchLogs != nil && logs.CloudWatchLogs.Status == types.LogsConfigStatusTypeDisabled {
		at.elsewhere = "not kept: the project's CloudWatch logs are disabled"
		if logs.S3LogsArn != nil {
			at.elsewhere = "in S3: " + *logs.S3LogsArn
		}
	}
	return at, nil
}

// note writes where a log is that cannot be read here.
func (r *reader) note(at place, w io.Writer) error {
	if at.elsewhere == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "The log of build %s is %s.\n", at.build, at.elsewhere)
	return err
}

// follow copies a build's log until the build has ended.
func (r *reader) follow(ctx context.Context, b stepfn.Build, w io.Writer) error {
	token := ""
	for {
		at, err := r.where(ctx, b)
		if err != nil {
			return err
		}
		if at.elsewhere != "" {
			return r.note(at, w)
		}
		if at.stream != "" {
			if token, err = r.copy(ctx, at, token, true, w); err != nil {
				return err
			}
		}
		if at.ended {
			return nil
		}
		if err := sleep(ctx, r.every); err != nil {
			return err
		}
	}
}

// copy copies what a log has after token: all of it when forward is true, else
// the last page. It returns the token of what comes next.
func (r *reader) copy(ctx context.Context, at place, token string, forward bool, w io.Writer) (string, error) {
	client := r.logs(at.region)
	for {
		in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: &at.group, LogStreamName: &at.stream, StartFromHead: &forward}
		if token != "" {
			in.NextToken = &token
		}
		out, err := client.GetLogEvents(ctx, in)
		if missing := (*logtypes.ResourceNotFoundException)(nil); errors.As(err, &missing) {
			return token, nil // not yet, or never written to
		}
		if err != nil {
			return token, fmt.Errorf("read the log of build %s: %v", at.build, err)
		}
		for i := range out.Events {
			line := strings.TrimSuffix(aws.ToString(out.Events[i].Message), "\n") + "\n"
			if _, err := io.WriteString(w, line); err != nil {
				return token, err
			}
		}
		next := aws.ToString(out.NextForwardToken)
		// The end of a log is where the token stays the same.
		if !forward || next == token || next == "" {
			return next, nil
		}
		token = next
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
