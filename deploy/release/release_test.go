package release_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"switchyard/asl/api"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/deploy/release"
	"switchyard/dispatch/stepfn"
)

const machine = "arn:aws:states:us-east-1:123456789012:stateMachine:deploy"

func version(n int) string { return fmt.Sprint(machine, ":", n) }

// Definitions that are told apart by their Comment.
func passes(comment string) string {
	return fmt.Sprintf(`{"Comment": %q, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}`, comment)
}

func fails(comment string) string {
	return fmt.Sprintf(`{"Comment": %q, "StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Broken"}}}`, comment)
}

const waits = `{"Comment": "waits", "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 86400, "End": true}}}`

// newEngine starts the embedded engine with a state machine, and returns its API.
func newEngine(t *testing.T, definition string) *sfn.Client {
	t.Helper()
	e, err := engine.New(store.NewMemory(), engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(e)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := stepfn.DialEmbedded(server.Transport())
	if _, err := client.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{Name: aws.String("deploy"), Definition: &definition, RoleArn: aws.String("arn:aws:iam::123456789012:role/r")}); err != nil {
		t.Fatal(err)
	}
	return client
}

// settings of a release that looks often, and ends with the first look that is as it
// wants.
func settings(definition string) release.Config {
	return release.Config{StateMachine: machine, Alias: "live", Definition: definition, Weight: 50, Look: 5 * time.Millisecond, MaxFailed: 0.5}
}

func mustRun(t *testing.T, client *sfn.Client, cfg release.Config) *release.Result {
	t.Helper()
	result, err := release.Run(t.Context(), client, nil, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// routes are those of the alias: "1" or "1 2" with its weights.
func routes(t *testing.T, client *sfn.Client) string {
	t.Helper()
	out, err := client.DescribeStateMachineAlias(t.Context(), &sfn.DescribeStateMachineAliasInput{StateMachineAliasArn: aws.String(machine + ":live")})
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, r := range out.RoutingConfiguration {
		parts = append(parts, fmt.Sprintf("%s:%d", (*r.StateMachineVersionArn)[len(machine)+1:], r.Weight))
	}
	return strings.Join(parts, " ")
}

// start starts an execution by the alias, and returns the version that it is of.
func start(t *testing.T, client *sfn.Client) (arn, version string) {
	t.Helper()
	out, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: aws.String(machine + ":live")})
	if err != nil {
		t.Fatal(err)
	}
	x, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: out.ExecutionArn})
	if err != nil {
		t.Fatal(err)
	}
	return *out.ExecutionArn, aws.ToString(x.StateMachineVersionArn)
}

func TestReleaseMovesTheAliasAndLeavesWhatRunsWhereItIs(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("draft"))
	if d := cmp.Diff(&release.Result{Outcome: release.Created, Version: version(1)}, mustRun(t, client, settings(waits))); d != "" {
		t.Errorf("first (-want +got):\n%s", d)
	}
	running, of := start(t, client)
	if of != version(1) {
		t.Fatalf("it runs version %s", of)
	}
	if d := cmp.Diff(&release.Result{Outcome: release.Unchanged, Version: version(1)}, mustRun(t, client, settings(waits))); d != "" {
		t.Errorf("again (-want +got):\n%s", d)
	}
	var split string
	cfg := settings(passes("two"))
	cfg.Seen = func(release.Seen) { split = routes(t, client) }
	if d := cmp.Diff(&release.Result{Outcome: release.Promoted, Version: version(2), Before: version(1)}, mustRun(t, client, cfg)); d != "" {
		t.Errorf("second (-want +got):\n%s", d)
	}
	if split != "1:50 2:50" || routes(t, client) != "2:100" {
		t.Errorf("the alias led to %s, then to %s", split, routes(t, client))
	}
	x, err := client.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &running})
	if err != nil || x.Status != types.ExecutionStatusRunning || aws.ToString(x.StateMachineVersionArn) != version(1) {
		t.Errorf("what ran is %s of %s, %v", x.Status, aws.ToString(x.StateMachineVersionArn), err)
	}
}

func TestReleaseIsTakenBackWhereExecutionsFail(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	cfg := settings(fails("two"))
	cfg.Watch, cfg.MinEnded = time.Hour, 4
	cfg.Seen = func(release.Seen) { start(t, client) }
	_, err := release.Run(t.Context(), client, nil, cfg)
	var back *release.RolledBackError
	if !errors.As(err, &back) || back.Version != version(2) || back.Before != version(1) || !strings.HasSuffix(back.Why, "executions failed") {
		t.Fatalf("%v", err)
	}
	if at := routes(t, client); at != "1:100" {
		t.Errorf("the alias leads to %s", at)
	}
}

func TestReleaseWithTooFewExecutionsIsTakenBack(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	cfg := settings(passes("two"))
	cfg.MinEnded = 1
	_, err := release.Run(t.Context(), client, nil, cfg)
	if err == nil || !strings.Contains(err.Error(), "version 2 was taken back for version 1: 0 of its executions have ended") {
		t.Fatalf("%v", err)
	}
}

func TestReleaseThatIsInterruptedIsTakenBack(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	ctx, cancel := context.WithCancel(t.Context())
	cfg := settings(passes("two"))
	cfg.Watch = time.Hour
	cfg.Seen = func(release.Seen) { cancel() }
	_, err := release.Run(ctx, client, nil, cfg)
	if err == nil || !strings.Contains(err.Error(), "the release was interrupted") {
		t.Fatalf("%v", err)
	}
	if at := routes(t, client); at != "1:100" {
		t.Errorf("the alias leads to %s", at)
	}
}

// answerless moves an alias, and loses the first answer.
type answerless struct {
	*sfn.Client
	lose func() error
}

func (a *answerless) UpdateStateMachineAlias(ctx context.Context, in *sfn.UpdateStateMachineAliasInput, opts ...func(*sfn.Options)) (*sfn.UpdateStateMachineAliasOutput, error) {
	out, err := a.Client.UpdateStateMachineAlias(ctx, in, opts...)
	if lose := a.lose; err == nil && lose != nil {
		a.lose = nil
		return nil, lose()
	}
	return out, err
}

func TestReleaseIsTakenBackWhereTheAnswerToItsFirstMoveIsLost(t *testing.T) {
	t.Parallel()
	for _, interrupted := range []bool{false, true} {
		client := newEngine(t, passes("one"))
		mustRun(t, client, settings(passes("one")))
		ctx, cancel := context.WithCancel(t.Context())
		_, err := release.Run(ctx, &answerless{client, func() error {
			if interrupted {
				cancel()
			}
			return errors.New("connection reset")
		}}, nil, settings(passes("two")))
		cancel()
		var back *release.RolledBackError
		if !errors.As(err, &back) || back.Before != version(1) || !strings.Contains(back.Why, "connection reset") {
			t.Errorf("%v", err)
		}
		if at := routes(t, client); at != "1:100" {
			t.Errorf("the alias leads to %s", at)
		}
	}
}

// What a release that was killed left is no hindrance.
func TestReleaseGoesOnFromASplitAlias(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	mustRun(t, client, settings(passes("two")))
	move(t, client, map[int]int32{2: 90, 1: 10})
	result := mustRun(t, client, settings(passes("three")))
	if result.Version != version(3) || result.Before != version(2) || routes(t, client) != "3:100" {
		t.Errorf("%+v, %s", result, routes(t, client))
	}
}

func move(t *testing.T, client *sfn.Client, weights map[int]int32) {
	t.Helper()
	var to []types.RoutingConfigurationListItem
	for n, weight := range weights {
		to = append(to, types.RoutingConfigurationListItem{StateMachineVersionArn: aws.String(version(n)), Weight: weight})
	}
	if _, err := client.UpdateStateMachineAlias(t.Context(), &sfn.UpdateStateMachineAliasInput{StateMachineAliasArn: aws.String(machine + ":live"), RoutingConfiguration: to}); err != nil {
		t.Error(err)
	}
}

func TestReleaseLeavesWhatAnotherHasMoved(t *testing.T) {
	t.Parallel()
	for _, interrupted := range []bool{false, true} {
		client := newEngine(t, passes("one"))
		mustRun(t, client, settings(passes("one")))
		mustRun(t, client, settings(passes("two")))
		ctx, cancel := context.WithCancel(t.Context())
		cfg := settings(passes("three"))
		cfg.Seen = func(release.Seen) {
			move(t, client, map[int]int32{1: 100})
			if interrupted {
				cancel()
			}
		}
		if interrupted {
			cfg.Watch = time.Hour
		}
		if _, err := release.Run(ctx, client, nil, cfg); !errors.Is(err, release.ErrMoved) {
			t.Errorf("%v", err)
		}
		if at := routes(t, client); at != "1:100" {
			t.Errorf("the alias leads to %s", at)
		}
		cancel()
	}
}

// switched are alarms.
type switched struct {
	mu sync.Mutex
	on map[string]bool
}

func (s *switched) set(name string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on[name] = on
}

func (s *switched) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.on, name)
}

func (s *switched) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput, _ ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &cloudwatch.DescribeAlarmsOutput{}
	for name, on := range s.on {
		state := watched.StateValueOk
		if on {
			state = watched.StateValueAlarm
		}
		if slices.Contains(in.AlarmNames, name) {
			out.MetricAlarms = append(out.MetricAlarms, watched.MetricAlarm{AlarmName: &name, StateValue: state})
		}
	}
	return out, nil
}

func TestReleaseIsTakenBackByAnAlarmThatGoesOff(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	alarms := &switched{on: map[string]bool{"old": true, "errors": false}}
	cfg := settings(passes("two"))
	cfg.Alarms = []string{"old", "errors"}
	result, err := release.Run(t.Context(), client, alarms, cfg)
	if err != nil || !slices.Equal(result.Ignored, []string{"old"}) {
		t.Fatalf("an alarm that was on before: %+v, %v", result, err)
	}
	cfg.Definition, cfg.Watch = passes("three"), time.Hour
	cfg.Seen = func(release.Seen) { alarms.set("errors", true) }
	if _, err := release.Run(t.Context(), client, alarms, cfg); err == nil || !strings.Contains(err.Error(), "version 3 was taken back for version 2: alarm errors") {
		t.Errorf("%v", err)
	}
	cfg.Definition, cfg.Alarms = passes("four"), []string{"mistyped"}
	if _, err := release.Run(t.Context(), client, alarms, cfg); err == nil || !strings.Contains(err.Error(), `no alarm named "mistyped"`) {
		t.Errorf("%v", err)
	}
	if at := routes(t, client); at != "2:100" {
		t.Errorf("the alias leads to %s", at)
	}
}

func TestReleaseIsTakenBackWhereAnAlarmIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	mustRun(t, client, settings(passes("one")))
	alarms := &switched{on: map[string]bool{"errors": false}}
	cfg := settings(passes("two"))
	cfg.Alarms, cfg.Watch = []string{"errors"}, time.Hour
	cfg.Seen = func(release.Seen) { alarms.remove("errors") }
	if _, err := release.Run(t.Context(), client, alarms, cfg); err == nil || !strings.Contains(err.Error(), `version 2 was taken back for version 1: how it does could not be seen: there is no alarm named "errors"`) {
		t.Errorf("%v", err)
	}
}

func TestVersionsThatAreReferredToAreKept(t *testing.T) {
	t.Parallel()
	client := newEngine(t, waits)
	mustRun(t, client, settings(waits)) // 1: an execution of it runs
	start(t, client)
	for _, name := range []string{"two", "three", "four", "five", "six"} {
		mustRun(t, client, settings(passes(name)))
	}
	if _, err := client.CreateStateMachineAlias(t.Context(), &sfn.CreateStateMachineAliasInput{Name: aws.String("other"), RoutingConfiguration: []types.RoutingConfigurationListItem{{StateMachineVersionArn: aws.String(version(2)), Weight: 100}}}); err != nil {
		t.Fatal(err)
	}
	cfg := settings(passes("seven"))
	cfg.Keep, cfg.Referred = 1, []string{version(3)}
	// 7 is live, 6 was, 1 runs, 2 has an alias, 3 is in a config, and one more is kept.
	if result := mustRun(t, client, cfg); !slices.Equal(result.Deleted, []string{version(4)}) {
		t.Errorf("deleted %v", result.Deleted)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	client := newEngine(t, passes("one"))
	for name, change := range map[string]func(*release.Config){
		"version":    func(c *release.Config) { c.StateMachine = version(1) },
		"weight 0":   func(c *release.Config) { c.Weight = 0 },
		"weight 100": func(c *release.Config) { c.Weight = 100 },
		"part":       func(c *release.Config) { c.MaxFailed = 1.5 },
		"alias":      func(c *release.Config) { c.Alias = "" },
		"look":       func(c *release.Config) { c.Look = 0 },
		"keep":       func(c *release.Config) { c.Keep = -1 },
	} {
		cfg := settings(passes("two"))
		change(&cfg)
		if _, err := release.Run(t.Context(), client, nil, cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := release.Run(t.Context(), client, nil, settings("no JSON")); err == nil {
		t.Error("a definition that is none: no error")
	}
}

func TestFunctionsWithoutAVersionAreFound(t *testing.T) {
	t.Parallel()
	got, err := release.Unpinned(`{"StartAt": "A", "States": {
		"A": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:loose"},
		"B": {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:123456789012:function:fixed:7"},
		"C": {"Type": "Parallel", "Branches": [{"States": {"D": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "named"}}}}]},
		"E": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Arguments": {"FunctionName": "arn:aws:lambda:eu-west-1:123456789012:function:newest:$LATEST"}},
		"F": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "named:live"}},
		"G": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "apart", "Qualifier": "3"}},
		"K": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "unfixed", "Qualifier": "$LATEST"}},
		"H": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "{% $f %}"}},
		"I": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$.f"}},
		"J": {"Type": "Pass", "Parameters": {"FunctionName": "data"}}
	}}`)
	want := []string{"arn:aws:lambda:eu-west-1:123456789012:function:loose", "arn:aws:lambda:eu-west-1:123456789012:function:newest:$LATEST", "named", "unfixed"}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}
