package buildlogs_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"switchyard/dispatch/buildlogs"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awstest"
)

const (
	machine = "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"
	parent  = "arn:aws:states:eu-west-1:123456789012:execution:deploy:x"
	nested  = "arn:aws:states:eu-west-1:123456789012:execution:inner:y"
)

// histories are the histories of executions, one event a page, since what
// runs them has no builds. Each read of parent's adds what comes next.
type histories struct {
	stepfn.API
	mu     sync.Mutex
	events map[string][]types.HistoryEvent
	reads  int
	// grow is called before each look at the execution.
	grow   func(h *histories)
	status types.ExecutionStatus
}

func (h *histories) add(execution, resourceType, output string) {
	id := int64(len(h.events[execution]) + 1)
	h.events[execution] = append(h.events[execution], types.HistoryEvent{
		Id: id, Type: types.HistoryEventTypeTaskSubmitted,
		TaskSubmittedEventDetails: &types.TaskSubmittedEventDetails{ResourceType: &resourceType, Output: &output},
	})
}

func (h *histories) DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.grow != nil {
		h.grow(h)
	}
	return &sfn.DescribeExecutionOutput{Status: h.status}, nil
}

func (h *histories) GetExecutionHistory(_ context.Context, in *sfn.GetExecutionHistoryInput, _ ...func(*sfn.Options)) (*sfn.GetExecutionHistoryOutput, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	all := h.events[aws.ToString(in.ExecutionArn)]
	skip := 0
	fmt.Sscan(aws.ToString(in.NextToken), &skip)
	out := &sfn.GetExecutionHistoryOutput{}
	if at := len(all) - 1 - skip; at >= 0 {
		out.Events = all[at : at+1]
		if at > 0 {
			out.NextToken = aws.String(fmt.Sprint(skip + 1))
		}
	}
	return out, nil
}

// cloud is CodeBuild and CloudWatch Logs.
type cloud struct {
	t      *testing.T
	builds *codebuild.Client
	logs   *cloudwatchlogs.Client
	reader *buildlogs.Logs
}

func newCloud(t *testing.T, h *histories) *cloud {
	t.Helper()
	endpoint := awstest.Ministack(t)
	awstest.Isolate(t)
	client, err := stepfn.New(stepfn.One(h), stepfn.Config{StateMachines: map[string]stepfn.Machine{"deploy": {ARN: machine}}})
	if err != nil {
		t.Fatal(err)
	}
	access := stepfn.Access{Endpoint: endpoint}
	cfg, err := access.Load(t.Context(), stepfn.Place{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{
		t:      t,
		builds: codebuild.NewFromConfig(cfg, func(o *codebuild.Options) { o.BaseEndpoint = &endpoint }),
		logs:   cloudwatchlogs.NewFromConfig(cfg, func(o *cloudwatchlogs.Options) { o.BaseEndpoint = &endpoint }),
		reader: buildlogs.New(client, func(ctx context.Context, at stepfn.Place) (aws.Config, string, error) {
			cfg, err := access.Load(ctx, at)
			return cfg, endpoint, err
		}),
	}
	c.reader.LookEvery(time.Millisecond)
	_, err = c.builds.CreateProject(t.Context(), &codebuild.CreateProjectInput{
		Name: aws.String("api"), ServiceRole: aws.String("arn:aws:iam::123456789012:role/service-role/build"),
		Source:      &cbtypes.ProjectSource{Type: cbtypes.SourceTypeS3, Location: aws.String("bucket/source.zip")},
		Artifacts:   &cbtypes.ProjectArtifacts{Type: cbtypes.ArtifactsTypeNoArtifacts},
		Environment: &cbtypes.ProjectEnvironment{Type: cbtypes.EnvironmentTypeLinuxContainer, Image: aws.String("x"), ComputeType: cbtypes.ComputeTypeBuildGeneral1Small},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// build starts a build that prints lines and returns what a task says of it.
func (c *cloud) build(lines ...string) (arn, output string) {
	c.t.Helper()
	started, err := c.builds.StartBuild(c.t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String("api")})
	if err != nil {
		c.t.Fatal(err)
	}
	arn = aws.ToString(started.Build.Arn)
	got, err := c.builds.BatchGetBuilds(c.t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{aws.ToString(started.Build.Id)}})
	if err != nil || len(got.Builds) != 1 {
		c.t.Fatal(got, err)
	}
	at := got.Builds[0].Logs
	if len(lines) > 0 {
		c.print(at, lines...)
	}
	return arn, fmt.Sprintf(`{"Build":{"Arn":%q,"BuildStatus":"IN_PROGRESS"}}`, arn)
}

func (c *cloud) print(at *cbtypes.LogsLocation, lines ...string) {
	c.t.Helper()
	_, _ = c.logs.CreateLogGroup(c.t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: at.GroupName})
	_, _ = c.logs.CreateLogStream(c.t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: at.GroupName, LogStreamName: at.StreamName})
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: at.GroupName, LogStreamName: at.StreamName}
	for _, l := range lines {
		in.LogEvents = append(in.LogEvents, logtypes.InputLogEvent{Message: aws.String(l), Timestamp: aws.Int64(time.Now().UnixMilli())})
	}
	if _, err := c.logs.PutLogEvents(c.t.Context(), in); err != nil {
		c.t.Fatal(err)
	}
}

func TestFollowReadsAllBuildsInOrder(t *testing.T) {
	h := &histories{events: map[string][]types.HistoryEvent{}, status: types.ExecutionStatusRunning}
	c := newCloud(t, h)
	_, first := c.build("make\n", "ok")
	_, second := c.build("nested build\n")
	_, third := c.build("last\n")
	h.add(parent, "codebuild", first)
	h.add(parent, "lambda", `{"StatusCode":200}`)
	h.add(parent, "states", `{"ExecutionArn":"`+nested+`"}`)
	h.add(nested, "codebuild", second)
	h.add(parent, "codebuild", `cut off {"Build":`)
	looks := 0
	h.grow = func(h *histories) {
		if looks++; looks == 2 { // it went on meanwhile, and ended
			h.add(parent, "codebuild", third)
			h.status = types.ExecutionStatusSucceeded
		}
	}
	var text strings.Builder
	if err := c.reader.Follow(t.Context(), parent, &text); err != nil {
		t.Fatal(err)
	}
	if want := "make\nok\nnested build\nlast\n"; text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
	if h.reads > 8 {
		t.Errorf("%d pages of history read: what was read before is read again", h.reads)
	}

	text.Reset()
	if err := c.reader.Tail(t.Context(), parent, &text); err != nil {
		t.Fatal(err)
	}
	if want := "make\nok\nlast\nnested build\n"; text.String() != want {
		t.Errorf("tail: got %q, want %q", text.String(), want)
	}
}

func TestLogsSaysWhatItCannotRead(t *testing.T) {
	h := &histories{events: map[string][]types.HistoryEvent{}, status: types.ExecutionStatusFailed}
	c := newCloud(t, h)
	h.add(parent, "codebuild", `{"Build":{"Arn":"arn:aws:codebuild:eu-west-1:123456789012:build/api:gone"}}`)
	_, silent := c.build()
	h.add(parent, "codebuild", silent)
	var text strings.Builder
	if err := c.reader.Follow(t.Context(), parent, &text); err != nil {
		t.Fatal(err)
	}
	const want = "The log of build arn:aws:codebuild:eu-west-1:123456789012:build/api:gone is gone: CodeBuild no longer has the build.\n"
	if text.String() != want {
		t.Errorf("got %q, want %q", text.String(), want)
	}
	// An execution without builds has an empty log.
	text.Reset()
	if err := c.reader.Follow(t.Context(), nested, &text); err != nil || text.Len() > 0 {
		t.Errorf("without builds: %q, %v", text.String(), err)
	}
}
