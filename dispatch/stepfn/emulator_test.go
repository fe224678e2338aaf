package stepfn_test

import (
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"switchyard/dispatch/stepfn"
	"switchyard/dispatch/stepfn/enginetest"
	"switchyard/internal/awstest"
)

// The suite passes on two emulators: one that keeps executions as they are, and one
// that runs them.
func TestEngineSuiteOnEmulators(t *testing.T) {
	for name, c := range map[string]struct {
		start  func(testing.TB) string
		engine enginetest.Engine
	}{
		"moto":      {awstest.Moto, enginetest.Engine{Idle: true}},
		"ministack": {awstest.Ministack, enginetest.Engine{Lax: true}},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := c.start(t)
			awstest.Isolate(t)
			dial, err := stepfn.Dial(t.Context(), stepfn.Access{Endpoint: endpoint})
			if err != nil {
				t.Fatal(err)
			}
			some, err := dial(stepfn.Place{Region: "us-east-1"})
			if err != nil {
				t.Fatal(err)
			}
			machines := map[string]stepfn.Machine{}
			for name, definition := range enginetest.Definitions {
				made, err := some.(*sfn.Client).CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
					Name: sdk.String(name), RoleArn: sdk.String("arn:aws:iam::123456789012:role/deploy"), Definition: sdk.String(definition),
				})
				if err != nil {
					t.Fatal(err)
				}
				machines[name] = stepfn.Machine{ARN: sdk.ToString(made.StateMachineArn)}
			}
			machines[enginetest.Missing] = stepfn.Machine{ARN: machines["hold"].ARN + "-not"}
			if c.engine.Client, err = stepfn.New(dial, stepfn.Config{StateMachines: machines}); err != nil {
				t.Fatal(err)
			}
			enginetest.Run(t, c.engine, "")
		})
	}
}
