package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

func (c *cli) approvalsCommand() *cobra.Command {
	var all, asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "List the executions that wait for a person",
		Long: "Lists what executions ask people, newest first: which commit would go out, where\n" +
			"to, and until when somebody has to approve or reject it.",
		Args: cobra.NoArgs,
	}
	flags := c.clientFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also what was decided or has expired")
	cmd.Flags().IntVar(&limit, "limit", 50, "how `many`, at most 1000")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		found, err := client.Approvals(cmd.Context(), dispatch.ApprovalFilter{Waiting: !all, Limit: limit})
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, found)
		}
		var rows [][]string
		for i := range found {
			a := &found[i]
			rows = append(rows, []string{a.Execution, a.Title, a.SHA, a.Message, a.Author, a.Environment, standing(a), stamp(a.ExpiresAt), a.Diff})
		}
		return c.out.table([]string{"execution", "asks", "commit", "message", "author", "environment", "state", "expires", "diff"}, rows)
	}
	cmd.AddCommand(c.approvalLinkCommand())
	return cmd
}

// standing is the state of an approval, and who brought it there.
func standing(a *dispatch.Approval) string {
	if a.DecidedBy == "" {
		return string(a.State)
	}
	return strings.TrimSpace(fmt.Sprintf("%s by %s (%s) %s", a.State, a.DecidedBy, a.Way, a.Reason))
}

func (c *cli) approvalLinkCommand() *cobra.Command {
	var person, approval string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "link EXECUTION",
		Short: "Make a link with which one person may decide",
		Long: "Prints the address of a page on which whoever has it may approve or reject what\n" +
			"the execution asks, once, in the name of the person whom the link is for. Send it\n" +
			"to nobody else.",
		Args: oneArg("an execution's ID"),
	}
	flags := c.clientFlags(cmd)
	cmd.Flags().StringVar(&person, "for", "", "`name` of the person who decides (required)")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "how `long` it can be used; default: 24h, or until the approval expires")
	approvalFlag(cmd, &approval)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if person == "" {
			return usagef("--for says nothing: name the person who is to decide")
		}
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		link, err := client.ApprovalLink(cmd.Context(), args[0], approval, person, ttl)
		if err == nil {
			_, err = fmt.Fprintln(c.stdout, link.Link)
		}
		return err
	}
	return cmd
}

func approvalFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "approval", "", "`ID` of the approval, where the execution waits for several")
}

// decideCommand is approve or reject.
func (c *cli) decideCommand(approve bool) *cobra.Command {
	verb, short, effect := "reject", "Make an execution fail where it waits for a person", "fails there with the reason"
	if approve {
		verb, short, effect = "approve", "Let an execution go on that waits for a person", "goes on"
	}
	var d dispatch.Decision
	cmd := &cobra.Command{
		Use:   verb + " EXECUTION",
		Short: short,
		Long: "Decides what the execution asks; see switchyard approvals. It " + effect + ".\n" +
			"Name the commit that you have looked at with --commit: if another one would go\n" +
			"out, nothing is decided.",
		Args: oneArg("an execution's ID"),
	}
	flags := c.clientFlags(cmd)
	cmd.Flags().StringVar(&d.SHA, "commit", "", "`SHA` that you have looked at, 7 digits of it at least")
	cmd.Flags().StringVar(&d.Reason, "reason", "", "`why`, which is recorded and shown")
	cmd.Flags().StringVar(&d.By, "as", "", "`name` under which it is recorded; default: the user's")
	approvalFlag(cmd, &d.Approval)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		if d.Execution, d.Approve = args[0], approve; d.By == "" {
			d.By = caller()
		}
		made, err := client.Decide(cmd.Context(), d)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.stdout, "%s: commit %s is %s by %s\n", safetext.Line(made.Execution), safetext.Line(made.SHA), made.State, safetext.Line(made.DecidedBy))
		return err
	}
	return cmd
}
