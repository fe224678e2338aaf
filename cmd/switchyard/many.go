package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/internal/safetext"
)

// filterFlags say which executions a command is about.
type filterFlags struct {
	f      dispatch.ExecutionFilter
	states []string
	since  string
}

var filterNames = []string{"state", "repository", "route", "environment", "branch", "commit", "delivery", "since"}

func (w *filterFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringSliceVar(&w.states, "state", nil, "only these `states`: "+joinStates())
	fs.StringVar(&w.f.Repository, "repository", "", "only this `repository`")
	fs.StringVar(&w.f.Route, "route", "", "only this `route`")
	fs.StringVar(&w.f.Environment, "environment", "", "only this `environment`")
	fs.StringVar(&w.f.Ref, "branch", "", "only this `branch`")
	fs.StringVar(&w.f.SHA, "commit", "", "only commits that begin with this `SHA`")
	fs.StringVar(&w.f.Delivery, "delivery", "", "only those of this `delivery`")
	fs.StringVar(&w.since, "since", "", "only those that ended since, or are unfinished and came since: a `time`, or how long ago, such as 2h or 7d")
}

// given reports whether any of the flags was given.
func (w *filterFlags) given(cmd *cobra.Command) bool {
	for _, name := range filterNames {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (w *filterFlags) filter(now time.Time) (dispatch.ExecutionFilter, error) {
	f := w.f
	for _, s := range w.states {
		f.States = append(f.States, dispatch.State(s))
	}
	if w.since == "" {
		return f, nil
	}
	var err error
	if f.Since, err = api.ParseSince(w.since, now); err != nil {
		return f, usagef("--since: %v", err)
	}
	return f, nil
}

func joinStates() string {
	var all []string
	for _, s := range dispatch.States() {
		all = append(all, string(s))
	}
	return strings.Join(all, ", ")
}

// oneOrMany is a command that acts on one execution, or on all that match.
type oneOrMany struct {
	cobra.Command
	one  func(ctx context.Context, client *api.Client, id string) error
	many func(ctx context.Context, client *api.Client, call api.ManyCall) (api.Many, error)
}

func (c *cli) executionsRerunCommand() *cobra.Command {
	return c.oneOrManyCommand(&oneOrMany{
		Command: cobra.Command{
			Use: "rerun {EXECUTION | --state STATE...}", Short: "Run finished executions again, with the same input",
			Long: "Runs one finished execution again, with the same input, as a further attempt; or\n" +
				"all that match, oldest first. Of those, one that has a later attempt is left alone.",
			Example: "  switchyard executions rerun --state failed --since 2h --repository acme/api",
		},
		one: func(ctx context.Context, client *api.Client, id string) error {
			again, err := client.Rerun(ctx, id, caller())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.stdout, again)
			return err
		},
		many: func(ctx context.Context, client *api.Client, call api.ManyCall) (api.Many, error) {
			return client.RerunMany(ctx, call)
		},
	})
}

func (c *cli) executionsRedriveCommand() *cobra.Command {
	return c.oneOrManyCommand(&oneOrMany{
		Command: cobra.Command{
			Use: "redrive {EXECUTION | --state STATE...}", Short: "Start executions that were refused, let failed ones go on",
			Long: "Brings one execution on under its own name. One that is dead, which the engine\n" +
				"refused to start, is started. One that failed, timed out or was aborted goes on\n" +
				"at the engine from the state in which it ended: what had succeeded is not done\n" +
				"again. It keeps the input and the definition it started with; for another try\n" +
				"from the beginning, see rerun. Step Functions allows it for 14 days.\n\n" +
				"With filters, all that match are redriven, oldest first: the dead ones, unless\n" +
				"--state names others. Of those, one that has a later attempt is left alone.",
			Example: "  switchyard executions redrive --state dead --since 2h\n" +
				"  switchyard executions redrive --state failed,timed_out --since 2h --repository acme/api",
		},
		one: func(ctx context.Context, client *api.Client, id string) error {
			kind, err := client.Redrive(ctx, id)
			if err != nil {
				return err
			}
			what := "will be started"
			if kind == dispatch.RedriveContinue {
				what = "will go on from where it ended"
			}
			_, err = fmt.Fprintf(c.stdout, "%s %s\n", safetext.Line(id), what)
			return err
		},
		many: func(ctx context.Context, client *api.Client, call api.ManyCall) (api.Many, error) {
			return client.RedriveMany(ctx, call)
		},
	})
}

func (c *cli) oneOrManyCommand(o *oneOrMany) *cobra.Command {
	var which filterFlags
	var dryRun, asJSON bool
	cmd := &o.Command
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1:
			return usagef("expected one execution's ID, or filters, got %d arguments", len(args))
		case len(args) == 0 && !which.given(cmd):
			return usagef("name an execution, or say which ones by filters such as --state dead --since 2h")
		case len(args) == 1 && (which.given(cmd) || dryRun || asJSON):
			return usagef("give an execution's ID or filters, not both; --dry-run and --json go with filters")
		}
		return nil
	}
	flags := c.clientFlags(cmd)
	which.register(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		filter, err := which.filter(time.Now())
		if err != nil {
			return err
		}
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return o.one(cmd.Context(), client, args[0])
		}
		return c.actOnMany(cmd.Context(), client, o, api.ManyCall{Filter: filter, By: caller(), DryRun: dryRun}, asJSON)
	}
	return cmd
}

// actOnMany calls until all are done, and writes each as it goes.
func (c *cli) actOnMany(ctx context.Context, client *api.Client, o *oneOrMany, call api.ManyCall, asJSON bool) error {
	all := api.Many{Executions: []api.OneOfMany{}, DryRun: call.DryRun}
	for first := true; first || call.After != 0; first = false {
		done, err := o.many(ctx, client, call)
		if err != nil {
			if len(all.Executions) > 0 {
				err = fmt.Errorf("after %d of %d executions: %w", len(all.Executions), all.Matched, err)
			}
			return errors.Join(c.writeMany(&all, asJSON), err)
		}
		if first {
			all.Matched = done.Matched
		}
		all.Executions = append(all.Executions, done.Executions...)
		if !asJSON {
			c.writeSome(done.Executions)
		}
		if done.Next != 0 {
			fmt.Fprintf(c.stderr, "%d of %d\n", len(all.Executions), all.Matched)
		}
		call.After = done.Next
	}
	return c.writeMany(&all, asJSON)
}

func (c *cli) writeSome(executions []api.OneOfMany) {
	for _, e := range executions {
		what := e.Started
		switch {
		case e.Error != "":
			what = "failed: " + e.Error
		case e.Skipped != "":
			what = "left alone: " + e.Skipped
		}
		fmt.Fprintf(c.stdout, "%s  %s\n", safetext.Line(e.Execution), safetext.Line(what))
	}
}

// writeMany writes the sum, and fails when one of the executions did.
func (c *cli) writeMany(all *api.Many, asJSON bool) error {
	if asJSON {
		if err := writeJSON(c.stdout, all); err != nil {
			return err
		}
	}
	failed, skipped := 0, 0
	for _, e := range all.Executions {
		switch {
		case e.Error != "":
			failed++
		case e.Skipped != "":
			skipped++
		}
	}
	if all.Matched == 0 {
		fmt.Fprintln(c.stderr, "No execution matches.")
		return nil
	}
	started := "started"
	if all.DryRun {
		started = "would be started (--dry-run)"
	}
	fmt.Fprintf(c.stderr, "%d %s, %d left alone, %d failed\n", len(all.Executions)-failed-skipped, started, skipped, failed)
	if failed > 0 {
		return fmt.Errorf("%d of %d executions failed", failed, len(all.Executions))
	}
	return nil
}
