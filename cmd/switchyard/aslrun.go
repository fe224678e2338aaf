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
			"from a test case of --mock, or run what --config has for them.",
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
	f.StringVarP(&r.config, "config", "c", "", "config `file` whose functions and projects run Task states")
	f.BoolVar(&r.history, "history", false, "show on standard error which states ran, when and how")
	f.BoolVar(&r.json, "json", false, "print status, output, error, cause and the history's events as one JSON object")
	f.BoolVar(&r.realTime, "real-time", false, "wait as long as the definition says")
	return cmd
}

func (c *cli) aslRun(ctx context.Context, r *aslRun) error {
	mocks, err := r.check()
	if err != nil {
		return err
	}
	definition, err := c.readDefinition(r.definition)
	if err != nil {
		return err
	}
	if err := c.showFindings(r.definition, definition); err != nil {
		return err
	}
	input, err := c.executionInput(r.input)
	if err != nil {
		return err
	}
	log, err := newLogger(c.stderr, config.Log{Level: "error", Format: "auto"})
	if err != nil {
		return err
	}
	run := &localRun{rest: make(chan struct{}, 1)}
	options := []engine.Option{engine.WithLogger(log), engine.WithFallback(noHandler{}), engine.WithRest(run.atRest)}
	if mocks != nil {
		options = append(options, engine.WithMocks(mocks))
	}
	if !r.realTime {
		options = append(options, engine.WithVirtualTime(time.Now()))
	}
	closeAll := func() error { return nil }
	if r.config != "" {
		more, closeHandlers, err := c.localHandlers(ctx, r.config, log)
		if err != nil {
			return err
		}
		options, closeAll = append(options, more...), closeHandlers
	}
	if run.engine, err = engine.New(store.NewMemory(), engine.Config{}, options...); err != nil {
		return errors.Join(err, closeAll())
	}
	x, err := run.run(ctx, r, string(definition), string(input))
	if ctx.Err() != nil { // whatever it was that this broke off
		err = errInterrupted
	}
	if err := errors.Join(err, closeAll()); err != nil {
		return err
	}
	return c.showRun(ctx, r, run.engine, x)
}

// check finds mistakes in the flags, and reads the mocks.
func (r *aslRun) check() (*mock.Config, error) {
	switch {
	case r.definition == "":
		return nil, usagef("--definition is missing: the file with the state machine")
	case r.definition == "-" && r.input == "-":
		return nil, usagef("--definition and --input cannot both be standard input")
	case r.testCase != "" && r.mocks == "":
		return nil, usagef("--test-case %s needs --mock, the file that has it", r.testCase)
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

// showFindings prints what is wrong with a definition; warnings alone let it
// run.
func (c *cli) showFindings(name string, definition []byte) error {
	failed := false
	for _, d := range asl.Validate(definition) {
		failed = failed || d.Severity == asl.SeverityError
		fmt.Fprintln(c.stderr, safetext.Line(d.Format(name)))
	}
	if failed {
		return silentError{}
	}
	return nil
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
