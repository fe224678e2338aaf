package engine_test

import (
	"strings"
	"testing"

	"switchyard/asl/engine"
	"switchyard/asl/store"
)

// A task that cannot be started with its parameters is not scheduled, whatever
// would do its work.
func TestWrongParametersFailTheState(t *testing.T) {
	const definition = `{"StartAt":"B","States":{"B":{"Type":"Task","Resource":"arn:aws:states:::codebuild:startBuild.sync","Parameters":{"projectName":"p"},"End":true}}}`
	const cause = `An error occurred while executing the state 'B' (entered at the event id #2). The Parameters '{"projectName":"p"}' could not be used to start the Task: [The field 'ProjectName' is required but was missing, The field "projectName" is not supported by Step Functions]`
	bubble(t, func(t *testing.T, e *engine.Engine) {
		arn := machine(t, e, "m", definition)
		for _, suffix := range []string{"", "#C"} {
			x := wait(t, e, start(t, e, arn+suffix, "x"+strings.TrimPrefix(suffix, "#"), `{}`))
			if x.Status != store.Failed || x.Error != "States.Runtime" || x.Cause != cause {
				t.Errorf("%q: %s %s\n%s", suffix, x.Status, x.Error, x.Cause)
			}
			if got, want := types(t, e, x.ARN), "ExecutionStarted TaskStateEntered ExecutionFailed"; got != want {
				t.Errorf("%q: history %s, want %s", suffix, got, want)
			}
		}
	}, engine.WithMocks(answers{"C": {"B": counting}}))
}
