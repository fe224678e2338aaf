package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/catalog"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/trace"
	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/internal/awssecret"
)

// localConfig is a config whose engine.embedded holds for a run.
func (c *cli) localConfig(ctx context.Context, path string) (*config.Config, error) {
	cfg, err := c.loadConfig(path, fromAWS(ctx, awssecret.New()))
	if err == nil && cfg.Engine.Embedded == nil {
		err = fmt.Errorf("%s: engine is aws; functions and projects of this machine stand under engine.embedded", path)
	}
	return cfg, err
}

// localHandlers runs what the config has for Task states. Builds work in a
// folder of their own, so that a running service is not disturbed.
func localHandlers(cfg *config.Config, log *zap.Logger) ([]engine.Option, func() error, error) {
	dir, err := os.MkdirTemp("", "switchyard-run-")
	if err != nil {
		return nil, nil, fmt.Errorf("folder for builds: %w", err)
	}
	options, closeHandlers, err := app.TaskHandlers(cfg, dir, log)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return options, func() error { return errors.Join(closeHandlers(), os.RemoveAll(dir)) }, nil
}

// noHandler fails the tasks that nothing here can run.
type noHandler struct{}

// Run implements [task.Handler].
func (noHandler) Run(_ context.Context, t task.Task) (json.RawMessage, error) {
	return nil, &task.Error{Name: asl.ErrRuntime, Cause: fmt.Sprintf(
		"Nothing here runs the resource '%s' of the state '%s'. Mock the state: name it in a test case of a file in the format of MockConfigFile.json and pass --mock FILE --test-case NAME. Or run it: give the function or project a place under engine.embedded in a config and pass --config FILE.",
		t.Resource, t.StateName)}
}

// runRole stands in the context object; nothing checks it.
const runRole = "arn:aws:iam::123456789012:role/switchyard"

// localRun is an engine for one execution.
type localRun struct {
	engine *engine.Engine
	rest   chan struct{} // capacity 1: with virtual time, nothing moves any more
}

func (l *localRun) atRest() {
	select {
	case l.rest <- struct{}{}:
	default:
	}
}

// run runs one execution to its end.
func (l *localRun) run(ctx context.Context, r *aslRun, definition, input string) (*engine.Execution, error) {
	m, err := l.engine.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: r.name, Definition: definition, RoleARN: runRole})
	if err != nil {
		return nil, err
	}
	arn := m.ARN
	if r.testCase != "" {
		arn += "#" + r.testCase
	}
	ended := make(chan struct{}, 1)
	defer l.engine.OnStatusChange(func(event []byte) {
		var change struct{ Detail struct{ Status string } }
		if err := json.Unmarshal(event, &change); err == nil && change.Detail.Status != store.Running.String() {
			select {
			case ended <- struct{}{}:
			default:
			}
		}
	})()
	// Started before the engine runs, so that it cannot come to rest before.
	started, err := l.engine.StartExecution(ctx, engine.Start{MachineARN: arn, Name: "run", Input: input})
	if err != nil {
		return nil, err
	}
	engineCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- l.engine.Run(engineCtx) }()
	var x *engine.Execution
	for x == nil || x.Status == store.Running {
		resting := false
		select {
		case <-ctx.Done():
			err = errInterrupted
		case <-ended:
		case <-l.rest:
			resting = true
		}
		if err != nil {
			break
		}
		if x, err = l.engine.DescribeExecution(ctx, started.ExecutionARN); err != nil {
			break
		}
		if resting && x.Status == store.Running {
			err = l.stuck(ctx, x.ARN)
			break
		}
	}
	stop()
	return x, errors.Join(err, <-done)
}

// stuck says what an execution waits for that nobody will bring.
func (l *localRun) stuck(ctx context.Context, arn string) error {
	events, _, err := l.engine.History(ctx, arn, 0, false, 25_000)
	if err != nil {
		return err
	}
	var waiting []string
	for _, v := range trace.Of(events).Open() {
		waiting = append(waiting, fmt.Sprintf("%q", v.Name))
	}
	return fmt.Errorf("the execution waits for an answer from outside that never comes here, in the state %s: mock the state, or give it a TimeoutSeconds or HeartbeatSeconds", strings.Join(waiting, ", "))
}
