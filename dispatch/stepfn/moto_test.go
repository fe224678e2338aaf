package stepfn

import (
	"errors"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"switchyard/dispatch"
	"switchyard/internal/awstest"
	"switchyard/internal/event"
)

func TestClientAgainstMoto(t *testing.T) {
	endpoint := awstest.Moto(t)
	awstest.Isolate(t)
	dial, err := Dial(t.Context(), Access{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	some, err := dial(Place{Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	api := some.(*sfn.Client)
	made, err := api.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:       aws.String("deploy"),
		RoleArn:    aws.String("arn:aws:iam::123456789012:role/deploy"),
		Definition: aws.String(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(dial, Config{StateMachines: map[string]Machine{
		"deploy":  {ARN: aws.ToString(made.StateMachineArn)},
		"missing": {ARN: "arn:aws:states:us-east-1:123456789012:stateMachine:missing"},
	}})
	if err != nil {
		t.Fatal(err)
	}

	input := `{"commit":{"sha":"9fceb02"},"source":{"event":"push"}}`
	otherwise := `{"commit":{"sha":"9fceb02"},"source":{"event":"pull_request"}}`
	started, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	want := "arn:aws:states:us-east-1:123456789012:execution:deploy:acme-api-9fceb02"
	if started.ExecutionARN != want || started.StartedAt.IsZero() {
		t.Errorf("started %+v, want %s", started, want)
	}
	if list, next, err := c.ListRunning(t.Context(), want, ""); err != nil || next != "" || !slices.Equal(list, []string{want}) {
		t.Errorf("running: %v, %q, %v; want the one execution", list, next, err)
	}
	again, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil || again.ExecutionARN != want {
		t.Errorf("starting it again = %+v, %v; want the same execution", again, err)
	}
	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(otherwise))
	if err != nil || again.ExecutionARN != want || !again.Existed {
		t.Errorf("starting it again with another input for the same commit, while it runs = %+v, %v; want the same execution", again, err)
	}
	running, err := c.Describe(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	diff := cmp.Diff(event.Outcome{ExecutionARN: want, Name: "acme-api-9fceb02", Status: event.Running, Input: input}, running,
		cmpopts.IgnoreFields(event.Outcome{}, "StartedAt", "Output"))
	if diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}

	if err := c.Stop(t.Context(), want, "Superseded", "a newer commit"); err != nil {
		t.Fatal(err)
	}
	if stopped, err := c.Describe(t.Context(), want); err != nil || stopped.Status != event.Aborted || stopped.StoppedAt.IsZero() {
		t.Errorf("after stop: %+v, %v; want ABORTED", stopped, err)
	}
	if err := c.Stop(t.Context(), want, "", ""); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
	if events, next, err := c.History(t.Context(), want, dispatch.HistoryQuery{Limit: 1000}); err != nil || next != 0 || len(events) == 0 || events[0].Type != "ExecutionStarted" || events[0].At.IsZero() {
		t.Errorf("history: %+v, %d, %v", events, next, err)
	}
	if list, _, err := c.ListRunning(t.Context(), want, ""); err != nil || len(list) > 0 {
		t.Errorf("running after the stop: %v, %v; want none", list, err)
	}
	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(input))
	if err != nil || again.ExecutionARN != want {
		t.Errorf("starting what has ended = %+v, %v; want the same execution", again, err)
	}

	again, err = c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(otherwise))
	if err != nil || again.ExecutionARN != want || !again.Existed {
		t.Errorf("the same with another input for the same commit = %+v, %v; want the same execution", again, err)
	}

	var permanent *dispatch.PermanentError
	if _, err := c.Start(t.Context(), "deploy", "acme-api-9fceb02", []byte(`{"commit":{"sha":"other"}}`)); !errors.As(err, &permanent) {
		t.Errorf("the same name with another input: %v, want a PermanentError", err)
	}
	if _, err := c.Start(t.Context(), "missing", "x", []byte(`{}`)); !errors.As(err, new(*dispatch.BlockedError)) {
		t.Errorf("a state machine that does not exist: %v, want a BlockedError", err)
	}
	if _, err := c.Start(t.Context(), "deploy", "not a name", []byte(`{}`)); !errors.As(err, &permanent) {
		t.Errorf("a name with spaces: %v, want a PermanentError", err)
	}
	if _, err := c.Start(t.Context(), "deploy", "bad-input", []byte(`{`)); !errors.As(err, &permanent) {
		t.Errorf("an input that is not JSON: %v, want a PermanentError", err)
	}
	if _, err := c.Describe(t.Context(), want+"-not"); !errors.Is(err, dispatch.ErrNotFound) {
		t.Errorf("an execution that does not exist: %v, want ErrNotFound", err)
	}
}

// Moto gives a session to whoever asks for a role, and serves what the session's
// key signs in the role's account.
func TestRoleOfAnotherAccountAgainstMoto(t *testing.T) {
	endpoint := awstest.Moto(t)
	awstest.Isolate(t)
	t.Setenv("AWS_ENDPOINT_URL_STS", endpoint)
	dial, err := Dial(t.Context(), Access{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	const role = "arn:aws:iam::222222222222:role/deploy"
	place := Place{Region: "eu-west-1", Role: role, ExternalID: "e"}
	some, err := dial(place)
	if err != nil {
		t.Fatal(err)
	}
	made, err := some.(*sfn.Client).CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("deploy"), RoleArn: aws.String("arn:aws:iam::222222222222:role/x"),
		Definition: aws.String(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = "arn:aws:states:eu-west-1:222222222222:stateMachine:deploy"
	if got := aws.ToString(made.StateMachineArn); got != want {
		t.Fatalf("made %s, want %s: the role was not used", got, want)
	}
	c, err := New(dial, Config{StateMachines: map[string]Machine{
		"theirs": {ARN: want, Role: role, ExternalID: "e"},
		"ours":   {ARN: want},
	}})
	if err != nil {
		t.Fatal(err)
	}
	started, err := c.Start(t.Context(), "theirs", "x", []byte("{}"))
	if err != nil || started.ExecutionARN != "arn:aws:states:eu-west-1:222222222222:execution:deploy:x" {
		t.Errorf("start with the role = %+v, %v", started, err)
	}
	var blocked *dispatch.BlockedError
	if _, err := c.Start(t.Context(), "ours", "y", []byte("{}")); !errors.As(err, &blocked) {
		t.Errorf("start without the role = %v, want a BlockedError: our account does not have it", err)
	}
}
