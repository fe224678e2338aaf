package stepfn

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/dispatch"
	"switchyard/internal/awstest"
)

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
