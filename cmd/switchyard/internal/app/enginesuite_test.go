package app_test

import (
	"testing"

	"go.uber.org/zap/zaptest"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch/stepfn"
	"switchyard/dispatch/stepfn/enginetest"
)

// The embedded engine passes the suite that emulators of Step Functions pass.
func TestEngineSuiteOnTheEmbeddedEngine(t *testing.T) {
	dir := t.TempDir()
	cfg := load(t, dir, `
data_dir: data
sources: {github: {secrets: [x]}}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, state_machine: test}]
`, machine)
	e, err := app.OpenEmbedded(t.Context(), dir, cfg, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	app.RunEmbedded(t, e)
	machines, err := app.Register(t.Context(), e, enginetest.Definitions)
	if err != nil {
		t.Fatal(err)
	}
	machines[enginetest.Missing] = stepfn.Machine{ARN: machines["hold"].ARN + "-not"}
	client, err := stepfn.New(stepfn.One(stepfn.DialEmbedded(e.API.Transport())), stepfn.Config{StateMachines: machines})
	if err != nil {
		t.Fatal(err)
	}
	enginetest.Run(t, enginetest.Engine{Client: client, Redrives: true}, "")
}
