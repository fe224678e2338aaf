package stepfn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const executionARN = "arn:aws:states:us-east-1:123456789012:execution:deploy:x"

func TestStartSendsMachineNameAndInput(t *testing.T) {
	c, fake := newFake(t, map[string]answer{
		"StartExecution": {body: `{"executionArn":"` + executionARN + `","startDate":1700000000.5}`},
	})
	input := `{"branch":"feature/$(touch x)","message":"\u001b[31mред"}`
	got, err := c.Start(t.Context(), "alias", "x", []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	want := dispatch.Started{ExecutionARN: executionARN, StartedAt: time.UnixMilli(1_700_000_000_500).UTC()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	wantBody := map[string]any{"stateMachineArn": deployARN + ":PROD", "name": "x", "input": input}
	calls := fake.seen()
	if len(calls) != 1 || calls[0].Target != "AWSStepFunctions.StartExecution" {
		t.Fatalf("calls: %v", calls)
	}
	if diff := cmp.Diff(wantBody, calls[0].Body); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestStartPassesTraceHeader(t *testing.T) {
	c, fake := newFake(t, map[string]answer{
		"StartExecution": {body: `{"executionArn":"` + executionARN + `","startDate":1}`},
	})
	traceID, _ := trace.TraceIDFromHex("0123456789abcdef0123456789abcdef")
	spanID, _ := trace.SpanIDFromHex("fedcba9876543210")
	for _, flags := range []trace.TraceFlags{trace.FlagsSampled, 0} {
		ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags}))
		if _, err := c.Start(ctx, "deploy", "x", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	calls := fake.seen()
	if got, want := calls[0].Body["traceHeader"], "Root=1-01234567-89abcdef0123456789abcdef;Parent=fedcba9876543210;Sampled=1"; got != want {
		t.Errorf("trace header of a sampled span = %v, want %v", got, want)
	}
	if got, ok := calls[1].Body["traceHeader"]; ok {
		t.Errorf("trace header of an unsampled span = %v, want none", got)
	}
}

func TestStartAdoptsTakenName(t *testing.T) {
	rows := []struct {
		name, machine string
		existing      string
		wanted        string
		adopted       bool
	}{
		{"same commit, heard of by a pull request", "deploy", input("dev-a", "9fceb02", "github", "acme/api", "push"), input("dev-a", "9fceb02", "github", "acme/api", "pull_request"), true},
		{"another environment", "deploy", input("dev-a", "9fceb02", "github", "acme/api", "push"), input("dev-b", "9fceb02", "github", "acme/api", "push"), false},
		{"another commit", "deploy", input("dev-a", "9fceb03", "github", "acme/api", "push"), input("dev-a", "9fceb02", "github", "acme/api", "push"), false},
		{"another source", "deploy", input("dev-a", "9fceb02", "gitlab", "acme/api", "push"), input("dev-a", "9fceb02", "github", "acme/api", "push"), false},
		{"another repository", "deploy", input("dev-a", "9fceb02", "github", "acme/web", "push"), input("dev-a", "9fceb02", "github", "acme/api", "push"), false},
		{"no identity there", "deploy", `{"run":1}`, input("dev-a", "9fceb02", "github", "acme/api", "push"), false},
		{"an identity there only", "deploy", input("dev-a", "9fceb02", "github", "acme/api", "push"), `{"environment":"dev-a"}`, false},
		{"what ours does not say may be anything", "deploy", input("dev-a", "9fceb02", "github", "acme/api", "push"), `{"commit":{"sha":"9fceb02"}}`, true},
		{"an empty environment says nothing", "deploy", `{"commit":{"sha":"9fceb02"}}`, `{"environment":"","commit":{"sha":"9fceb02"},"more":1}`, true},
		{"an environment there, none here", "deploy", input("dev-a", "9fceb02", "github", "acme/api", "push"), input("", "9fceb02", "github", "acme/api", "push"), false},
		{"a commit without a name", "deploy", `{"commit":{"sha":""},"n":1}`, `{"commit":{"sha":""},"n":2}`, false},
		{"a commit that is no object", "deploy", `{"commit":"9fceb02","n":1}`, `{"commit":"9fceb02","n":2}`, false},
		{"same text", "deploy", `{"a":1}`, `{"a":1}`, true},
		{"same value, written differently", "deploy", `{ "b": [1, 2], "a": "é" }`, `{"a":"\u00e9","b":[1,2]}`, true},
		{"version", "version", `{}`, `{}`, true},
		{"alias", "alias", `{}`, `{}`, true},
		{"mock test case", "mocked", `{}`, `{}`, true},
		{"other value", "deploy", `{"a":1}`, `{"a":2}`, false},
		{"numbers that float64 cannot tell apart", "deploy", `{"a":9007199254740992}`, `{"a":9007199254740993}`, false},
		{"element order", "deploy", `[1,2]`, `[2,1]`, false},
		{"trailing text", "deploy", `{"a":1}`, `{"a":1}x`, false},
		{"input withheld", "deploy", ``, `{}`, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c, fake := newFake(t, map[string]answer{
				"StartExecution":    apiError(400, "ExecutionAlreadyExists", "Execution Already Exists: 'x'"),
				"DescribeExecution": {body: fmt.Sprintf(`{"executionArn":%q,"name":"x","status":"FAILED","startDate":5,"input":%q}`, executionARN, row.existing)},
			})
			got, err := c.Start(t.Context(), row.machine, "x", []byte(row.wanted))
			if asked := fake.seen()[1].Body["executionArn"]; asked != executionARN {
				t.Errorf("described %v, want %v", asked, executionARN)
			}
			if !row.adopted {
				var permanent *dispatch.PermanentError
				if !errors.As(err, &permanent) || !strings.Contains(err.Error(), "different input") && !strings.Contains(err.Error(), " in its input: ") {
					t.Fatalf("error = %v, want a PermanentError about the input", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := dispatch.Started{ExecutionARN: executionARN, StartedAt: time.Unix(5, 0).UTC(), Existed: true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
		})
	}
}

// input is one as a route makes it.
func input(environment, sha, provider, repository, kind string) string {
	return fmt.Sprintf(`{"environment":%q,"commit":{"sha":%q,"message":"m"},"source":{"provider":%q,"repository":%q,"event":%q}}`, environment, sha, provider, repository, kind)
}

func TestStartSaysWhatDiffers(t *testing.T) {
	ours := input("dev-b", "9fceb02", "github", "acme/api", "push")
	for existing, want := range map[string]string{
		input("dev-a", "9fceb02", "github", "acme/api", "push"): `exists with another environment in its input: "dev-a", not "dev-b"`,
		input("dev-b", "1111111", "github", "acme/api", "push"): `exists with another commit.sha in its input: "1111111", not "9fceb02"`,
		`{"environment":"dev-b","commit":{"sha":"9fceb02"}}`:    `exists with another source.provider in its input: none, not "github"`,
		`{`: `exists with a different input`,
	} {
		c, _ := newFake(t, map[string]answer{
			"StartExecution":    apiError(400, "ExecutionAlreadyExists", "taken"),
			"DescribeExecution": {body: fmt.Sprintf(`{"executionArn":%q,"name":"x","status":"RUNNING","startDate":5,"input":%q}`, executionARN, existing)},
		})
		_, err := c.Start(t.Context(), "deploy", "x", []byte(ours))
		var permanent *dispatch.PermanentError
		if !errors.As(err, &permanent) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), executionARN) {
			t.Errorf("error = %v, want a PermanentError with %q and the ARN", err, want)
		}
	}
}

func TestStartReportsFailureToLookAtTakenName(t *testing.T) {
	c, _ := newFake(t, map[string]answer{
		"StartExecution":    apiError(400, "ExecutionAlreadyExists", "taken"),
		"DescribeExecution": apiError(400, "ThrottlingException", "Rate exceeded"),
	})
	_, err := c.Start(t.Context(), "deploy", "x", []byte("{}"))
	var throttled *dispatch.ThrottledError
	if !errors.As(err, &throttled) {
		t.Errorf("error = %v, want a ThrottledError", err)
	}
}

func TestStartRefusesWithoutCalling(t *testing.T) {
	c, fake := newFake(t, nil)
	_, err := c.Start(t.Context(), "deploy", "x", make([]byte, event.MaxInput+1))
	var permanent *dispatch.PermanentError
	if !errors.As(err, &permanent) || !strings.Contains(err.Error(), "262145 bytes") {
		t.Errorf("error = %v, want a PermanentError about the size", err)
	}
	// A reload of the config may bring it back.
	_, err = c.Start(t.Context(), "nope", "x", []byte("{}"))
	var blocked *dispatch.BlockedError
	if !errors.As(err, &blocked) || !strings.Contains(err.Error(), `state_machines has no "nope"`) {
		t.Errorf("error = %v, want a BlockedError that names the state machine", err)
	}
	if n := len(fake.seen()); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

// What answers 200 without being Step Functions, as a proxy may, has started
// nothing and knows nothing.
func TestAnswerWithoutItsContentIsRetryable(t *testing.T) {
	for _, body := range []string{
		"", "{}", "null", `{"executionArn":"","startDate":1}`, `{"executionArn":null}`, `{"status":""}`, `{"status":null,"name":"x"}`, `{"message":"welcome"}`,
		`{"executionArn":"arn:aws:states:us-east-1:123456789012:execution:deploy:another","startDate":1}`, `{"executionArn":"x","startDate":1}`,
	} {
		t.Run(body, func(t *testing.T) {
			c, _ := newFake(t, map[string]answer{"StartExecution": {body: body}, "DescribeExecution": {body: body}})
			started, startErr := c.Start(t.Context(), "deploy", "x", []byte("{}"))
			outcome, describeErr := c.Describe(t.Context(), executionARN)
			for op, err := range map[string]error{"start": startErr, "describe": describeErr} {
				if err == nil {
					t.Errorf("%s: no error, %+v %+v", op, started, outcome)
				}
				if errors.As(err, new(*dispatch.PermanentError)) || errors.As(err, new(*dispatch.BlockedError)) || errors.Is(err, dispatch.ErrNotFound) {
					t.Errorf("%s: %v is not retryable", op, err)
				}
			}
		})
	}
}

func TestStartNeverRepeatsExpress(t *testing.T) {
	c, _ := newFake(t, map[string]answer{
		"StartExecution": {body: `{"executionArn":"arn:aws:states:us-east-1:123456789012:express:deploy:x:0f8b","startDate":1}`},
	})
	_, err := c.Start(t.Context(), "deploy", "x", []byte("{}"))
	var permanent *dispatch.PermanentError
	if !errors.As(err, &permanent) || !strings.Contains(err.Error(), "EXPRESS") {
		t.Errorf("error = %v, want a PermanentError about EXPRESS", err)
	}
}

func TestPrepareStateMachinesReplacesAllOrNothing(t *testing.T) {
	c, fake := newFake(t, map[string]answer{
		"StartExecution": {body: `{"executionArn":"` + executionARN + `","startDate":1}`},
	})
	other := "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:other"
	if _, err := c.PrepareStateMachines(map[string]Machine{"good": {ARN: other}, "bad": {ARN: "nonsense"}}); err == nil || !strings.Contains(err.Error(), "state_machines.bad.arn") {
		t.Errorf("error = %v, want one that names state_machines.bad.arn", err)
	}
	apply, err := c.PrepareStateMachines(map[string]Machine{"good": {ARN: other}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(t.Context(), "good", "x", []byte("{}")); err == nil {
		t.Error("what was only prepared is known already")
	}
	apply()
	// A request that was made for it before is yet to be started.
	for _, name := range []string{"good", "deploy"} {
		if _, err := c.Start(t.Context(), name, "x", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if got := fake.seen()[0].Body["stateMachineArn"]; got != other {
		t.Errorf("started %v, want %v", got, other)
	}
}

func TestNewRefusesWrongARN(t *testing.T) {
	rows := []struct{ name, arn, want string }{
		{"not an ARN", "deploy", "is not an ARN"},
		{"empty", "", "is not an ARN"},
		{"other service", "arn:aws:lambda:us-east-1:123456789012:function:deploy", "an ARN of lambda"},
		{"an execution", executionARN, `names "execution"`},
		{"no name", "arn:aws:states:us-east-1:123456789012:stateMachine:", "names no state machine"},
		{"empty qualifier", deployARN + ":", "no valid version or alias"},
		{"too many parts", deployARN + ":1:2", "no valid version or alias"},
		{"no region", "arn:aws:states::123456789012:stateMachine:deploy", "needs a region"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := New(One(DialEmbedded(nil)), Config{StateMachines: map[string]Machine{"deploy": {ARN: row.arn}}})
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "state_machines.deploy.arn") {
				t.Errorf("error = %v, want one with %q", err, row.want)
			}
		})
	}
}

func TestDescribeReturnsOutcome(t *testing.T) {
	c, fake := newFake(t, map[string]answer{
		"DescribeExecution": {body: `{"executionArn":"` + executionARN + `","name":"x","status":"FAILED","startDate":1700000000.123,"stopDate":1700000001.5,"input":"{}","error":"States.TaskFailed","cause":"exit status 1"}`},
	})
	got, err := c.Describe(t.Context(), executionARN)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Outcome{
		ExecutionARN: executionARN, Name: "x", Status: event.Failed,
		StartedAt: time.UnixMilli(1_700_000_000_123).UTC(), StoppedAt: time.UnixMilli(1_700_000_001_500).UTC(),
		Input: "{}", Error: "States.TaskFailed", Cause: "exit status 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcome (-want +got):\n%s", diff)
	}
	if asked := fake.seen()[0].Body["executionArn"]; asked != executionARN {
		t.Errorf("described %v", asked)
	}
}

func TestDescribeRunningHasNoStop(t *testing.T) {
	c, _ := newFake(t, map[string]answer{
		"DescribeExecution": {body: `{"executionArn":"` + executionARN + `","name":"x","status":"RUNNING","startDate":1}`},
	})
	got, err := c.Describe(t.Context(), executionARN)
	if err != nil || !got.StoppedAt.IsZero() || got.Status != event.Running {
		t.Errorf("Describe = %+v, %v", got, err)
	}
}

func TestDescribeRefusesUnknownStatus(t *testing.T) {
	c, _ := newFake(t, map[string]answer{
		"DescribeExecution": {body: `{"executionArn":"` + executionARN + `","name":"x","status":"DREAMING","startDate":1}`},
	})
	if got, err := c.Describe(t.Context(), executionARN); err == nil {
		t.Errorf("Describe = %+v, want an error: an unknown status must not pass for running or ended", got)
	}
}

func TestStopCutsToLimits(t *testing.T) {
	c, fake := newFake(t, map[string]answer{"StopExecution": {body: `{"stopDate":1}`}})
	if err := c.Stop(t.Context(), executionARN, strings.Repeat("é", 300), strings.Repeat("x", maxStopCause+1)); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(t.Context(), executionARN, "", ""); err != nil {
		t.Fatal(err)
	}
	calls := fake.seen()
	want := map[string]any{"executionArn": executionARN, "error": strings.Repeat("é", 256), "cause": strings.Repeat("x", maxStopCause)}
	if diff := cmp.Diff(want, calls[0].Body); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"executionArn": executionARN}, calls[1].Body); diff != "" {
		t.Errorf("stop without a reason (-want +got):\n%s", diff)
	}
}

// hang is an engine that never answers.
var hang = roundTripFunc(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestCallsReturnWhenContextEnds(t *testing.T) {
	calls := map[string]func(context.Context, *Client) error{
		"start": func(ctx context.Context, c *Client) error {
			_, err := c.Start(ctx, "deploy", "x", []byte("{}"))
			return err
		},
		"describe": func(ctx context.Context, c *Client) error {
			_, err := c.Describe(ctx, executionARN)
			return err
		},
		"stop": func(ctx context.Context, c *Client) error { return c.Stop(ctx, executionARN, "e", "c") },
	}
	for name, do := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := do(ctx, newClient(t, hang)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v, want the context's", err)
				}
				ctx, cancel = context.WithCancel(t.Context())
				cancel()
				if err := do(ctx, newClient(t, hang)); !errors.Is(err, context.Canceled) {
					t.Errorf("error = %v, want the context's", err)
				}
			})
		})
	}
}

func TestErrorsCarryVerdict(t *testing.T) {
	type verdict string
	const (
		permanent verdict = "permanent"
		blocked   verdict = "blocked"
		throttled verdict = "throttled"
		notFound  verdict = "not found"
		retryable verdict = "retryable"
	)
	rows := []struct {
		answer answer
		want   verdict
	}{
		{apiError(400, "StateMachineDoesNotExist", "State Machine Does Not Exist"), blocked},
		{apiError(400, "StateMachineDeleting", "m"), blocked},
		{apiError(400, "StateMachineTypeNotSupported", "m"), permanent},
		{apiError(400, "InvalidArn", "m"), blocked},
		{apiError(400, "InvalidName", "m"), permanent},
		{apiError(400, "InvalidExecutionInput", "m"), permanent},
		{apiError(400, "ValidationException", "m"), permanent},
		{apiError(400, "SerializationException", "m"), permanent},
		{apiError(400, "AccessDeniedException", "m"), blocked},
		{apiError(400, "KmsAccessDeniedException", "m"), blocked},
		{apiError(400, "KmsInvalidStateException", "m"), blocked},
		{apiError(413, "TooBig", "m"), permanent},
		{answer{status: 413, body: "<html>too large</html>"}, permanent},
		{apiError(400, "KmsThrottlingException", "m"), throttled},
		{apiError(400, "ThrottlingException", "Rate exceeded"), throttled},
		{apiError(400, "TooManyRequestsException", "m"), throttled},
		{apiError(400, "ExecutionLimitExceeded", "m"), throttled},
		{apiError(429, "SomethingNew", "m"), throttled},
		{answer{status: 429, body: "<html>slow down</html>"}, throttled},
		{apiError(400, "ExecutionDoesNotExist", "Execution Does Not Exist"), notFound},
		{apiError(400, "ExpiredTokenException", "m"), blocked},
		{apiError(403, "UnrecognizedClientException", "m"), blocked},
		{apiError(403, "InvalidSignatureException", "m"), blocked},
		{apiError(400, "ResourceNotFound", "m"), blocked},
		{apiError(500, "InternalServerError", "m"), retryable},
		{apiError(503, "ServiceUnavailable", "m"), retryable},
		{answer{status: 502, body: "<html>bad gateway</html>"}, retryable},
		{answer{status: 200, body: "not JSON"}, retryable},
	}
	for _, row := range rows {
		t.Run(fmt.Sprintf("%d %.60s", row.answer.status, row.answer.body), func(t *testing.T) {
			c, fake := newFake(t, map[string]answer{"StartExecution": row.answer, "DescribeExecution": row.answer, "StopExecution": row.answer})
			_, startErr := c.Start(t.Context(), "deploy", "x", []byte("{}"))
			_, describeErr := c.Describe(t.Context(), executionARN)
			stopErr := c.Stop(t.Context(), executionARN, "e", "c")
			for op, err := range map[string]error{"start": startErr, "describe": describeErr, "stop": stopErr} {
				var p *dispatch.PermanentError
				var th *dispatch.ThrottledError
				got := retryable
				switch {
				case err == nil:
					if op == "stop" && row.answer.status == http.StatusOK {
						continue // it has nothing to read from the answer
					}
					got = "no error"
				case errors.As(err, &p):
					got = permanent
				case errors.As(err, new(*dispatch.BlockedError)):
					got = blocked
				case errors.As(err, &th):
					got = throttled
				case errors.Is(err, dispatch.ErrNotFound):
					got = notFound
				}
				if got != row.want {
					t.Errorf("%s: %v is %s, want %s", op, err, got, row.want)
				}
				var sdk *smithy.OperationError
				var api smithy.APIError
				if errors.As(err, &sdk) || errors.As(err, &api) {
					t.Errorf("%s: SDK types leak through %T", op, err)
				}
			}
			if n := len(fake.seen()); n != 3 {
				t.Errorf("%d calls for three operations: the SDK must not retry", n)
			}
		})
	}
}

func TestUnreachableEngineIsRetryable(t *testing.T) {
	c := newClient(t, roundTripFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("connection refused")
	}))
	_, err := c.Start(t.Context(), "deploy", "x", []byte("{}"))
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) || !strings.Contains(err.Error(), "start execution x") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error = %v, want a retryable one that names the execution and the cause", err)
	}
}

func TestThrottlingObeysRetryAfter(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-3": 0, "soon": 0} {
		slow := apiError(400, "ThrottlingException", "Rate exceeded")
		slow.header = map[string]string{"Retry-After": header}
		c, _ := newFake(t, map[string]answer{"StartExecution": slow})
		_, err := c.Start(t.Context(), "deploy", "x", []byte("{}"))
		var throttled *dispatch.ThrottledError
		if !errors.As(err, &throttled) || throttled.After != want {
			t.Errorf("Retry-After %q: %#v, want %v", header, err, want)
		}
	}
}

// A name that is taken by we do not know what is no verdict.
func TestTakenNameWithoutADescriptionIsRetryable(t *testing.T) {
	c, _ := newFake(t, map[string]answer{
		"StartExecution":    apiError(400, "ExecutionAlreadyExists", "taken"),
		"DescribeExecution": {body: "{}"},
	})
	_, err := c.Start(t.Context(), "deploy", "x", []byte(`{"commit":{"sha":"a"}}`))
	if err == nil || errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error = %v, want a retryable one", err)
	}
}

func TestListRunningPages(t *testing.T) {
	c, fake := newFake(t, map[string]answer{
		"ListExecutions": {body: `{"executions":[{"executionArn":"` + executionARN + `","name":"x","stateMachineArn":"` + deployARN + `","status":"RUNNING","startDate":1}],"nextToken":"more"}`},
	})
	arns, next, err := c.ListRunning(t.Context(), executionARN, "")
	if err != nil || next != "more" || len(arns) != 1 || arns[0] != executionARN {
		t.Errorf("got %v, %q, %v", arns, next, err)
	}
	if _, _, err = c.ListRunning(t.Context(), executionARN, next); err != nil {
		t.Error(err)
	}
	calls := fake.seen()
	want := map[string]any{"stateMachineArn": deployARN, "statusFilter": "RUNNING", "maxResults": 1000.0}
	if diff := cmp.Diff(want, calls[0].Body); diff != "" {
		t.Errorf("first page (-want +got):\n%s", diff)
	}
	want["nextToken"] = "more"
	if diff := cmp.Diff(want, calls[1].Body); diff != "" {
		t.Errorf("next page (-want +got):\n%s", diff)
	}
	if _, _, err := c.ListRunning(t.Context(), "arn:aws:states:us-east-1:123456789012:express:deploy:x:y", ""); err == nil {
		t.Error("an express execution has no list")
	}
}
