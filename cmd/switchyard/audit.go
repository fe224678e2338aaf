package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/audit"
	"switchyard/dispatch/api"
	"switchyard/internal/safetext"
)

func (c *cli) auditCommand() *cobra.Command {
	q := url.Values{}
	var route, repository, branch, since string
	var heal, asJSON bool
	cmd := &cobra.Command{
		Use: "audit", Short: "Hold every commit that git hosts have against the journal",
		Long: "Asks the git hosts which commits the routed branches and open pull requests have,\n" +
			"and looks for an execution of each, or the reason why it has none. What is\n" +
			"missing is listed, and started with --heal. Without --since, an audit looks at\n" +
			"what came since the last one; of a repository that was never audited, it takes\n" +
			"what is there as known. Exits with 1 when something is missing, or could not be\n" +
			"looked at.",
		Example: "  switchyard audit\n  switchyard audit --repository acme/api --branch main --since 7d --heal",
		Args:    cobra.NoArgs,
	}
	flags := c.clientFlags(cmd)
	fs := cmd.Flags()
	fs.StringVar(&route, "route", "", "only what this `route` asks for")
	fs.StringVar(&repository, "repository", "", "only this `repository`, by its full name, or source:name")
	fs.StringVar(&branch, "branch", "", "only this `branch`, and no pull requests")
	fs.StringVar(&since, "since", "", "all commits since: a `time`, or how long ago, such as 2h or 7d")
	fs.BoolVar(&heal, "heal", false, "start what is missing")
	fs.BoolVar(&asJSON, "json", false, "write lines of JSON, as the audit goes on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for key, value := range map[string]string{"route": route, "repository": repository, "branch": branch} {
			if value != "" {
				q.Set(key, value)
			}
		}
		if heal && route != "" {
			return usagef("--heal starts what is missing on all routes; leave --route out")
		}
		if since != "" {
			at, err := api.ParseSince(since, time.Now())
			if err != nil {
				return usagef("--since: %v", err)
			}
			q.Set("since", at.UTC().Format(time.RFC3339))
		}
		if heal {
			q.Set("heal", "true")
		}
		client, err := c.client(cmd.Context(), flags)
		if err != nil {
			return err
		}
		return c.audit(cmd.Context(), client, q, asJSON)
	}
	return cmd
}

// audit has the service audit, and shows what comes of it.
func (c *cli) audit(ctx context.Context, client *api.Client, q url.Values, asJSON bool) error {
	answer, err := client.Audit(ctx, q)
	if err != nil {
		return err
	}
	defer answer.Close()
	shown := auditReport{c: c}
	err = readAudit(answer, func(text []byte, l *audit.Line) error {
		if asJSON {
			if _, err := fmt.Fprintln(c.stdout, string(text)); err != nil {
				return err
			}
		}
		return shown.take(l)
	})
	shown.progress("")
	if err != nil {
		return err
	}
	if !asJSON {
		if err := shown.write(); err != nil {
			return err
		}
	}
	if shown.missing > 0 || shown.failed > 0 {
		return silentError{}
	}
	return nil
}

// readAudit reads the lines of an answer to their end.
func readAudit(from io.Reader, take func(text []byte, l *audit.Line) error) error {
	const maxLine = 4 << 20
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var l audit.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("the service's answer: %w", err)
		}
		if l.Error != "" {
			return errors.New(l.Error)
		}
		if err := take(lines.Bytes(), &l); err != nil {
			return err
		}
		if l.Done {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the service's answer: %w", err)
	}
	return errors.New("the service's answer ended early; its log says why")
}

// auditReport is what an audit found, as people read it.
type auditReport struct {
	c               *cli
	findings        []audit.Finding
	summaries       []audit.Summary
	missing, failed int
	width           int // of the line of progress
}

func (r *auditReport) take(l *audit.Line) error {
	switch {
	case l.Finding != nil:
		r.findings = append(r.findings, *l.Finding)
	case l.Summary != nil:
		r.summaries = append(r.summaries, *l.Summary)
		r.missing += l.Summary.Missing - l.Summary.Healed
		if l.Summary.Error != "" {
			r.failed++
		}
		r.progress(fmt.Sprintf("audited %s, %s so far", safetext.Line(l.Summary.Repository), plural(len(r.summaries), "repository", "repositories")))
	}
	return nil
}

// progress shows on a terminal how far the audit is.
func (r *auditReport) progress(line string) {
	if !isTerminal(r.c.stderr) || line == "" && r.width == 0 {
		return
	}
	fmt.Fprintf(r.c.stderr, "\r%-*s\r%s", r.width, "", line)
	r.width = len([]rune(line))
}

func (r *auditReport) write() error {
	if len(r.summaries) == 0 {
		_, err := fmt.Fprintln(r.c.stdout, "There is no repository to audit: none is named by the config, and no delivery has come yet.")
		return err
	}
	slices.SortFunc(r.summaries, func(a, b audit.Summary) int {
		return strings.Compare(a.Source+"\x00"+a.Repository, b.Source+"\x00"+b.Repository)
	})
	var rows [][]string
	for i := range r.summaries {
		s := &r.summaries[i]
		rows = append(rows, []string{s.Source, s.Repository, fmt.Sprint(s.Branches), fmt.Sprint(s.PullRequests), fmt.Sprint(s.Changed),
			fmt.Sprint(s.Commits), fmt.Sprint(s.Missing), fmt.Sprint(s.Healed)})
	}
	if err := r.c.out.table([]string{"source", "repository", "branches", "pull requests", "changed", "commits", "missing", "healed"}, rows); err != nil {
		return err
	}
	for i := range r.summaries {
		s := &r.summaries[i]
		if s.Error != "" {
			fmt.Fprintf(r.c.stdout, "%s %s: not audited as a whole: %s\n", s.Source, safetext.Line(s.Repository), safetext.Line(s.Error))
		}
		for _, note := range s.Notes {
			fmt.Fprintf(r.c.stdout, "%s %s: %s\n", s.Source, safetext.Line(s.Repository), safetext.Line(note))
		}
		if s.First && s.Error == "" {
			fmt.Fprintf(r.c.stdout, "%s %s: audited for the first time; what it had before counts as known (look further back with --since)\n", s.Source, safetext.Line(s.Repository))
		}
		if s.Redelivered > 0 {
			fmt.Fprintf(r.c.stdout, "%s %s: its host was asked to send %s again\n", s.Source, safetext.Line(s.Repository), plural(s.Redelivered, "delivery", "deliveries"))
		}
	}
	if len(r.findings) > 0 {
		rows = nil
		for i := range r.findings {
			f := &r.findings[i]
			where := shortRef(f.Ref)
			if f.PullRequest != 0 {
				where = fmt.Sprintf("#%d", f.PullRequest)
			}
			rows = append(rows, []string{f.Repository, where, short(f.SHA), f.Route, f.Execution, string(f.Verdict), f.Title})
		}
		fmt.Fprintln(r.c.stdout)
		if err := r.c.out.table([]string{"repository", "branch", "commit", "route", "execution", "verdict", "title"}, rows); err != nil {
			return err
		}
	}
	switch {
	case r.missing > 0:
		fmt.Fprintf(r.c.stdout, "%s missing. Start them with --heal.\n", plural(r.missing, "execution is", "executions are"))
	case r.failed == 0 && len(r.findings) == 0:
		fmt.Fprintln(r.c.stdout, r.c.out.good("Nothing is missing."))
	case r.failed == 0:
		fmt.Fprintln(r.c.stdout, r.c.out.good("Nothing is missing any more."))
	}
	return nil
}

// plural counts things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
