package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/dispatch"
)

// rawJSON is JSON text on its way to writeJSON.
func rawJSON(text []byte) json.RawMessage { return text }

func (c *cli) deliveriesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deliveries", Short: "List, show and replay what git hosts sent"}
	cmd.AddCommand(c.deliveriesListCommand(), c.deliveriesShowCommand(), c.deliveriesReplayCommand())
	return cmd
}

func (c *cli) deliveriesListCommand() *cobra.Command {
	var f dispatch.DeliveryFilter
	var asJSON bool
	cmd := &cobra.Command{Use: "list", Short: "List deliveries, newest first", Args: cobra.NoArgs}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		page, err := client.Deliveries(cmd.Context(), f)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, page)
		}
		var rows [][]string
		for _, d := range page.Deliveries {
			rows = append(rows, []string{d.ID, stamp(d.ReceivedAt), string(d.Kind), d.Repository, shortRef(d.Ref),
				fmt.Sprint(d.Commits), fmt.Sprint(d.Requested), fmt.Sprint(d.Ignored), string(d.State)})
		}
		return c.page([]string{"delivery", "received", "event", "repository", "branch", "commits", "executions", "ignored", "state"}, rows, page.Next)
	}
	fs := cmd.Flags()
	fs.StringVar(&f.Source, "source", "", "only this `source`")
	fs.StringVar(&f.Repository, "repository", "", "only this `repository`")
	fs.Int64Var(&f.Before, "before", 0, "the page before this `number`")
	fs.IntVar(&f.Limit, "limit", 50, "how `many`, at most 1000")
	fs.BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func (c *cli) deliveriesShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "show DELIVERY", Short: "Show one delivery and what it became", Args: oneArg("a delivery's ID")}
	flags := c.clientFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		d, err := client.Delivery(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, d)
		}
		c.facts([][2]string{
			{"delivery", d.ID}, {"received", stamp(d.ReceivedAt)}, {"event", strings.TrimSpace(string(d.Kind) + " " + d.Event.Action)},
			{"repository", d.Repository}, {"ref", d.Ref}, {"sender", d.Event.Sender}, {"commits", fmt.Sprint(d.Commits)}, {"state", string(d.State)},
			{"waits for", d.WaitsFor}, {"next try", stamp(d.NextTry)},
		})
		var rows [][]string
		for i := range d.Executions {
			e := &d.Executions[i]
			rows = append(rows, []string{short(e.SHA), e.Route, e.ID, string(e.State), e.Reason})
		}
		for _, r := range d.Reasons {
			rows = append(rows, []string{short(r.Commit), r.Route, r.Execution, "ignored", r.Reason})
		}
		fmt.Fprintln(c.stdout)
		return c.out.table([]string{"commit", "route", "execution", "state", "why"}, rows)
	}
	return cmd
}

func (c *cli) deliveriesReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "replay DELIVERY", Short: "Route a delivery again and start what is missing",
		Long: "Routes a delivery again under the present config. What it has started already\nstays as it is; what the routes ask for now and did not then is started.",
		Args: oneArg("a delivery's ID"),
	}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		a, err := client.Replay(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if a.Ignored != "" {
			fmt.Fprintf(c.stderr, "It starts nothing: %s\n", a.Ignored)
			return nil
		}
		_, err = fmt.Fprintln(c.stdout, strings.Join(a.Executions, "\n"))
		return err
	}
	return cmd
}
