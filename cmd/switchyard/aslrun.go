package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/api"
	"switchyard/asl/engine"
	"switchyard/asl/store"
	"switchyard/asl/task/mock"
	"switchyard/asl/trace"
	"switchyard/config"
	"switchyard/internal/safetext"
)

var errInterrupted = errors.New("interrupted")

// aslRun is one run of a definition, as its flags ask for.
type aslRun struct {
	definition, input, name string
	mocks, testCase         string
	config                  string
	substitutions           []string
	history, json, realTime bool
}

func (c *cli) aslRunCommand() *cobra.Command {
	var r aslRun
	cmd := &cobra.Command{
		Use:   "run --definition FILE",
		Short: "Run a definition here and now, and print its output",
		Long: "Runs one execution in memory and prints its output as JSON; error and cause go\n" +
			"to standard error, with exit code 1. Nothing is kept.\n\n" +
			"Time is virtual: an hour's Wait is over at once. Task states take their answers\n" +
			"from a test case of --mock, or run what engine.embedded of --config has for them.",
		Example: "  switchyard asl run --definition deploy.asl.json --input input.json\n" +
			"  switchyard asl run --definition deploy.asl.json --mock MockConfigFile.json --test-case BuildFlaky --history",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.aslRun(cmd.Context(), &r) },
	}
	f := cmd.Flags()
	f.StringVarP(&r.definition, "definition", "d", "", "`file` with the definition, - for standard input")
	f.StringVarP(&r.input, "input", "i", "", "`file` with the input, - for standard input; {} without it")
	f.StringVar(&r.mocks, "mock", "", "`file` in the format of MockConfigFile.json")
	f.StringVar(&r.testCase, "test-case", "", "`name` of the test case in --mock")
	f.StringVar(&r.name, "name", "", "`name` of the state machine, as the mocks call it")
	f.StringVarP(&r.config, "config", "c", "", "config `file` whose engine.embedded runs what is not mocked")
	substituteFlag(cmd, &r.substitutions)
	f.BoolVar(&r.history, "history", false, "show on standard error which states ran, when and how")
	f.BoolVar(&r.json, "json", false, "print status, output, error, cause and the history's events as one JSON object")
	f.BoolVar(&r.realTime, "real-time", false, "wait as long as the definition says")
	return cmd
}

func (c *cli) aslRun(ctx context.Context, r *aslRun) error {
	substitutions, err := substitutionsOf(r.substitutions)
	if err != nil {
		return err
	}
	var cfg *config.Config
	if r.config != "" {
		if cfg, err = c.localConfig(ctx, r.config); err != nil {
			return err
		}
	}
	mocks, err := r.check(cfg)
	if err != nil {
		return err
	}
	definition, err := c.readDefinition(r.definition, substitutions)
	if err != nil {
		return err
	}
	showFindings(c.stderr, r.definition, definition)
	if definition.Failed() { // warnings and tolerated errors alone let it run
		return silentError{}
	}
	input, err := c.executionInput(r.input)
	if err != nil {
		return err
	}
	log, err := newLogger(c.stderr, config.Log{Level: "error", Format: "auto"})
	if err != nil {
		return err
	}
	run, closeAll, err := r.engine(cfg, mocks, log)
	if err != nil {
		return err
	}
	x, err := run.run(ctx, r, definition.JSON, string(input))
	if ctx.Err() != nil { // whatever it was that this broke off
		err = errInterrupted
	}
	if err := errors.Join(err, closeAll()); err != nil {
		return err
	}
	return c.showRun(ctx, r, run.engine, x)
}

// engine makes the engine of a run. cfg and mocks may be nil. What it runs is
// closed after it.
func (r *aslRun) engine(cfg *config.Config, mocks *mock.Config, log *zap.Logger) (_ *localRun, closeAll func() error, _ error) {
	run := &localRun{rest: make(chan struct{}, 1)}
	options := []engine.Option{engine.WithLogger(log), engine.WithFallback(noHandler{}), engine.WithRest(run.atRest)}
	if mocks != nil {
		options = append(options, engine.WithMocks(mocks))
	}
	if !r.realTime {
		options = append(options, engine.WithVirtualTime(time.Now()))
	}
	closeHandlers := func() error { return nil }
	if cfg != nil {
		var more []engine.Option
		var err error
		if more, closeHandlers, err = localHandlers(cfg, log); err != nil {
			return nil, nil, err
		}
		options = append(options, more...)
	}
	var err error
	if run.engine, err = engine.New(store.NewMemory(), engine.Config{}, options...); err != nil {
		return nil, nil, errors.Join(err, closeHandlers())
	}
	return run, closeHandlers, nil
}

// check finds mistakes in the flags, and reads the mocks: those of --mock or, for
// a test case without it, of the config, which may be nil.
func (r *aslRun) check(cfg *config.Config) (*mock.Config, error) {
	inConfig := r.mocks == "" && r.testCase != "" && cfg != nil && cfg.Engine.Embedded.Mocks != ""
	switch {
	case r.definition == "":
		return nil, usagef("--definition is missing: the file with the state machine")
	case r.definition == "-" && r.input == "-":
		return nil, usagef("--definition and --input cannot both be standard input")
	case r.testCase != "" && r.mocks == "" && !inConfig:
		return nil, usagef("--test-case %s needs --mock, the file that has it", r.testCase)
	}
	if inConfig {
		r.mocks = cfg.Resolve(cfg.Engine.Embedded.Mocks)
	}
	if r.mocks == "" {
		if r.name == "" {
			r.name = machineName(r.definition)
		}
		return nil, nil
	}
	mocks, err := mock.Load(r.mocks)
	if err != nil {
		return nil, err
	}
	if machines := mocks.Machines(); r.name == "" && len(machines) == 1 {
		r.name = machines[0]
	} else if r.name == "" {
		r.name = machineName(r.definition)
	}
	cases := mocks.TestCases(r.name)
	if len(cases) == 0 {
		return nil, usagef("%s has no test cases for the state machine %q; --name takes one of %s", r.mocks, r.name, strings.Join(mocks.Machines(), ", "))
	}
	if _, ok := mocks.TestCase(r.name, r.testCase); !ok {
		if r.testCase == "" {
			return nil, usagef("--test-case is missing: one of %s", strings.Join(cases, ", "))
		}
		return nil, usagef("%s has no test case %q for the state machine %q, but %s", r.mocks, r.testCase, r.name, strings.Join(cases, ", "))
	}
	return mocks, nil
}

// machineName makes the name of a state machine of a file's: that of
// pipelines/deploy.asl.json is deploy.
func machineName(file string) string {
	if file == "-" {
		return "stdin"
	}
	base, _, _ := strings.Cut(filepath.Base(file), ".")
	name := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, base)
	if name == "" {
		return "definition"
	}
	return name[:min(len(name), 80)]
}

func (c *cli) executionInput(name string) ([]byte, error) {
	if name == "" {
		return []byte("{}"), nil
	}
	in := c.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, asl.MaxData+1))
	if err != nil {
		return nil, fmt.Errorf("read input %s: %w", name, err)
	}
	if len(text) > asl.MaxData {
		return nil, fmt.Errorf("read input %s: it is larger than %d bytes, Step Functions' limit", name, asl.MaxData)
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("read input %s: it is not JSON", name)
	}
	return bytes.TrimSpace(text), nil
}

// showRun prints how a run ended.
func (c *cli) showRun(ctx context.Context, r *aslRun, e *engine.Engine, x *engine.Execution) error {
	events, _, err := e.History(ctx, x.ARN, 0, false, 25_000)
	if err != nil {
		return err
	}
	if r.history {
		if err := showTrace(trace.Of(events), c.errOut); err != nil {
			return err
		}
	}
	if r.json {
		history, err := api.MarshalHistory(events)
		if err != nil {
			return err
		}
		if err := writeJSON(c.stdout, runJSON{x.Status.String(), x.Output, x.Error, x.Cause, history}); err != nil {
			return err
		}
	} else if x.Status == store.Succeeded {
		fmt.Fprintf(c.stdout, "%s\n", safetext.JSON(x.Output))
	}
	if x.Status == store.Succeeded {
		return nil
	}
	fmt.Fprintln(c.stderr, c.errOut.bad(x.Status.String()))
	if x.Error != "" {
		fmt.Fprintln(c.stderr, "error:", safetext.Line(x.Error))
	}
	if x.Cause != "" {
		fmt.Fprintln(c.stderr, "cause:", safetext.Block(x.Cause))
	}
	return silentError{}
}

// runJSON is what --json prints.
type runJSON struct {
	Status  string          `json:"status"`
	Output  json.RawMessage `json:"output,omitempty"`
	Error   string          `json:"error,omitempty"`
	Cause   string          `json:"cause,omitempty"`
	History json.RawMessage `json:"history"`
}
