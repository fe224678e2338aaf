package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/internal/safetext"
)

// Exit codes, for scripts.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// cli is what every command works with.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            config.Env
	// process is the environment of this process, nil where the program runs
	// within another.
	process *environment
	// out and errOut are stdout and stderr for people.
	out, errOut *output
	// openHosts makes what asks git hosts; tests replace it.
	openHosts func(*config.Config) (map[string]app.OpenHost, error)
	// running is set once a command's own code has begun: errors before that
	// are about how it was called.
	running bool
}

// usageError is a mistake in how a command was called.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// silentError ends a command with exit code 1 when all has been said.
type silentError struct{}

func (silentError) Error() string { return "failed" }

// newCLI returns the program as it is called with these.
func newCLI(stdin io.Reader, stdout, stderr io.Writer, env config.Env) *cli {
	return &cli{
		stdin: stdin, stdout: stdout, stderr: stderr, env: env, openHosts: app.OpenHosts,
		out: newOutput(stdout, env), errOut: newOutput(stderr, env),
	}
}

// run is the whole program; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env config.Env) int {
	return newCLI(stdin, stdout, stderr, env).run(ctx, args)
}

func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return c.exitCode(cmd, err)
}

// root has every command; one line each.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "switchyard",
		Short:         "Every commit of a git push gets its own execution",
		Long:          "Switchyard verifies git webhooks and starts one Step Functions execution for\nevery commit and route, durably: on AWS, or on its own embedded engine.",
		Version:       buildVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("switchyard {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		c.serveCommand(),
		c.engineCommand(),
		c.demoCommand(),
		c.openCommand(),
		c.startCommand(),
		c.deployCommand(),
		c.executionsCommand(),
		c.approvalsCommand(),
		c.decideCommand(true),
		c.decideCommand(false),
		c.deliveriesCommand(),
		c.auditCommand(),
		c.doctorCommand(),
		c.hooksCommand(),
		c.protectCommand(),
		c.healthCommand(),
		c.explainCommand(),
		c.configCommand(),
		c.aslCommand(),
		c.pipelinesCommand(),
		c.hookCommand(),
		c.lambdaCommand(),
		c.versionCommand(),
	)
	c.prepare(root)
	return root
}

// prepare makes every command tell usage errors from failures, and a group
// called without a command of it an error instead of a success.
func (c *cli) prepare(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		c.prepare(sub)
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err.Error()} })
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.running = true
			return inner(cmd, args)
		}
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("a command is missing after %q: one of %s", cmd.CommandPath(), strings.Join(names(cmd), ", "))
		}
		cmd.SuggestionsMinimumDistance = 2
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return usagef("no command %q; did you mean %s?", args[0], near[0])
		}
		return usagef("no command %q; there are %s", args[0], strings.Join(names(cmd), ", "))
	}
}

func names(cmd *cobra.Command) []string {
	var found []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			found = append(found, sub.Name())
		}
	}
	return found
}

// oneArg is for commands with exactly one argument.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("expected one argument (%s), got %d", what, len(args))
		}
		return nil
	}
}

// exitCode says what went wrong and returns the code for it.
func (c *cli) exitCode(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	var silent silentError
	if errors.As(err, &silent) {
		return exitFailed
	}
	// Several lines only where an error is a list; each is escaped.
	text := safetext.Block(err.Error())
	var wrong config.Errors
	if errors.As(err, &wrong) {
		fmt.Fprintln(c.stderr, text)
		return exitFailed
	}
	fmt.Fprintf(c.stderr, "%s %s\n", c.errOut.bad("switchyard:"), text)
	var usage *usageError
	if !c.running || errors.As(err, &usage) {
		fmt.Fprintf(c.stderr, "Run '%s --help' for how to use it.\n", cmd.CommandPath())
		return exitUsage
	}
	return exitFailed
}

// configFlag adds --config; without it SWITCHYARD_CONFIG names the file, and
// without that it is switchyard.yaml in the current folder.
func (c *cli) configFlag(cmd *cobra.Command, path *string) {
	file := "switchyard.yaml"
	if named, _ := c.env("SWITCHYARD_CONFIG"); named != "" {
		file = named
	}
	cmd.Flags().StringVarP(path, "config", "c", file, "config `file`; also SWITCHYARD_CONFIG")
}
