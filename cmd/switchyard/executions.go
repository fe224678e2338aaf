package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

func (c *cli) executionsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "executions", Short: "List, show, follow, stop, rerun and redrive executions"}
	cmd.AddCommand(c.executionsListCommand(), c.executionsShowCommand(), c.executionsHistoryCommand(), c.executionsLogCommand(),
		c.executionsStopCommand(), c.executionsRerunCommand(), c.executionsRedriveCommand())
	return cmd
}

func (c *cli) executionsListCommand() *cobra.Command {
	var which filterFlags
	var before int64
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List executions, newest first",
		Args:  cobra.NoArgs,
	}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		f, err := which.filter(time.Now())
		if err != nil {
			return err
		}
		f.Before, f.Limit = before, limit
		page, err := client.Executions(cmd.Context(), f)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, page)
		}
		var rows [][]string
		for i := range page.Executions {
			e := &page.Executions[i]
			rows = append(rows, []string{e.ID, short(e.SHA), e.Title, shortRef(e.Ref), e.Environment, string(e.State), took(e), dispatch.StatusOf(e).Description})
		}
		return c.page([]string{"execution", "commit", "title", "branch", "environment", "state", "time", "status"}, rows, page.Next)
	}
	which.register(cmd)
	fs := cmd.Flags()
	fs.Int64Var(&before, "before", 0, "the page before this `number`")
	fs.IntVar(&limit, "limit", 50, "how `many`, at most 1000")
	fs.BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

func (c *cli) executionsShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "show EXECUTION", Short: "Show one execution with its input and output", Args: oneArg("an execution's ID")}
	flags := c.clientFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		e, err := client.Execution(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(c.stdout, e)
		}
		return c.showExecution(&e)
	}
	return cmd
}

func (c *cli) showExecution(e *dispatch.Execution) error {
	c.facts([][2]string{
		{"execution", e.ID}, {"state", string(e.State)}, {"status", dispatch.StatusOf(e).Description}, {"next try", nextTry(e)}, {"commit", strings.TrimSpace(e.SHA + " " + e.Title)}, {"author", e.Author},
		{"repository", e.Repository}, {"ref", e.Ref}, {"route", e.Route}, {"state machine", e.StateMachine}, {"environment", e.Environment},
		{"why", e.Reason}, {"delivery", e.Delivery}, {"created", stamp(e.CreatedAt)}, {"started", stamp(e.StartedAt)},
		{"stopped", stamp(e.StoppedAt)}, {"took", took(e)}, {"redriven", times(e.Redrives)}, {"stop asked", e.StopReason}, {"last error", e.LastError},
		{"ARN", e.ARN}, {"error", e.Error}, {"cause", e.Cause},
	})
	for _, part := range []struct {
		name string
		text []byte
	}{{"input", e.Input}, {"output", e.Output}} {
		if len(part.text) == 0 {
			continue
		}
		fmt.Fprintf(c.stdout, "\n%s\n", c.out.bold(part.name))
		if err := writeJSON(c.stdout, rawJSON(part.text)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) executionsLogCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "log EXECUTION", Short: "Follow what an execution's builds print, to the end", Args: oneArg("an execution's ID")}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		if !c.out.terminal {
			return client.Log(cmd.Context(), args[0], c.stdout)
		}
		w := &safeWriter{w: c.stdout}
		return errors.Join(client.Log(cmd.Context(), args[0], w), w.flush())
	}
	return cmd
}

// safeWriter escapes a log for a terminal, line by line, so that no rune is cut
// in two and no build can steer the screen.
type safeWriter struct {
	w    io.Writer
	rest []byte
}

func (s *safeWriter) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	end := strings.LastIndexByte(string(s.rest), '\n') + 1
	if end == 0 && len(s.rest) < 64<<10 {
		return len(p), nil
	}
	if end == 0 {
		end = len(s.rest)
	}
	_, err := io.WriteString(s.w, safetext.Block(string(s.rest[:end])))
	s.rest = append(s.rest[:0], s.rest[end:]...)
	return len(p), err
}

// flush writes a last line that no line break ends.
func (s *safeWriter) flush() error {
	_, err := io.WriteString(s.w, safetext.Block(string(s.rest)))
	s.rest = nil
	return err
}

func (c *cli) executionsStopCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "stop EXECUTION", Short: "End an execution that waits or runs", Args: oneArg("an execution's ID")}
	flags := c.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, err := c.client(cmd.Context(), flags)
		if err == nil {
			err = client.Stop(cmd.Context(), args[0], caller())
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(c.stdout, "%s is being stopped\n", safetext.Line(args[0]))
		return nil
	}
	return cmd
}

// page writes one page of a list, and how to see the next one, if there is one.
func (c *cli) page(headings []string, rows [][]string, next int64) error {
	if err := c.out.table(headings, rows); err != nil {
		return err
	}
	if next != 0 {
		fmt.Fprintf(c.stderr, "There are more: --before %d\n", next)
	}
	return nil
}

// facts writes names and values under one another, leaving out what is empty.
func (c *cli) facts(facts [][2]string) {
	width := 0
	for _, f := range facts {
		if f[1] != "" {
			width = max(width, len(f[0]))
		}
	}
	for _, f := range facts {
		if f[1] != "" {
			fmt.Fprintf(c.stdout, "%s  %s\n", c.out.dim(fmt.Sprintf("%-*s", width, f[0])), safetext.Line(f[1]))
		}
	}
}

func short(sha string) string { return sha[:min(len(sha), 10)] }

func shortRef(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.DateTime)
}

// nextTry is when a start that failed is tried again.
func nextTry(e *dispatch.Execution) string {
	if e.State != dispatch.StateReady || e.LastError == "" {
		return ""
	}
	return stamp(e.DueAt)
}

// times is empty for never.
func times(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// took is how long an execution has run, or ran.
func took(e *dispatch.Execution) string {
	switch {
	case e.StartedAt.IsZero():
		return ""
	case e.StoppedAt.IsZero():
		return time.Since(e.StartedAt).Round(time.Second).String()
	default:
		return e.StoppedAt.Sub(e.StartedAt).Round(time.Millisecond).String()
	}
}
