package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"switchyard/dispatch"
)

func (c *cli) executionsHistoryCommand() *cobra.Command {
	var q dispatch.HistoryQuery
	var asJSON bool
	cmd := &cobra.Command{
		Use: "history EXECUTION", Short: "Show what happened in an execution, event by event", Args: oneArg("an execution's ID"),
		Long: "Shows the events of an execution as its engine recorded them: when, since its\n" +
			"start, in which state, and what went wrong or what was called.",
		Example: "  switchyard executions history EXECUTION --reverse --limit 20",
	}
	flags := c.clientFlags(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&q.NewestFirst, "reverse", false, "the newest first")
	fs.Int64Var(&q.After, "after", 0, "the page behind the event of this `number`")
	fs.IntVar(&q.Limit, "limit", 100, "how `many`, at most 1000")
	fs.BoolVar(&asJSON, "json", false, "write JSON, with the details of each event")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		q.Data = asJSON
		page, err := client.History(cmd.Context(), args[0], q)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, page)
		}
		var rows [][]string
		for i := range page.Events {
			e := &page.Events[i]
			rows = append(rows, []string{fmt.Sprint(e.ID), since(page.StartedAt, e.At), e.Type, e.State, e.Line()})
		}
		if err := c.out.table([]string{"event", "after", "type", "state", "what"}, rows); err != nil {
			return err
		}
		if page.Next != 0 {
			fmt.Fprintf(c.stderr, "There are more: --after %d\n", page.Next)
		}
		return nil
	}
	return cmd
}

// since is how long after the start something happened. The clocks of engine and
// service may differ.
func since(start, at time.Time) string {
	if start.IsZero() || at.IsZero() {
		return ""
	}
	return max(at.Sub(start), 0).Round(time.Millisecond).String()
}
