package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/internal/event"
	"switchyard/internal/safetext"
	"switchyard/router"
	"switchyard/webhook"
)

func (c *cli) explainCommand() *cobra.Command {
	var path, source, kind string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [flags] PAYLOAD.json",
		Short: "Show what a delivery would start, and why",
		Long: "Routes a delivery's payload as serve would, and shows each route with the\n" +
			"executions it asks for, their names and exact inputs, or the reason for none.\n" +
			"It contacts nothing, checks no signature and needs no secrets.",
		Example: "  switchyard explain --source github --event push payload.json\n" +
			"  curl -s https://…/payload.json | switchyard explain --source github --json -",
		Args: oneArg("PAYLOAD.json"),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := c.loadConfig(path, config.Offline())
			if err != nil {
				return err
			}
			body, err := c.readPayload(args[0], int64(cfg.Limits.Body))
			if err != nil {
				return err
			}
			all, err := explain(cfg, source, kind, body)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for i := range all {
				if why := all[i].event.CloneRefused; why != "" {
					fmt.Fprintf(c.stderr, "%s %s\n", c.errOut.warn("warning:"), safetext.Line(why))
				}
			}
			if asJSON {
				return writeJSON(c.stdout, reportOf(all))
			}
			return showAll(all, c.out)
		},
	}
	c.configFlag(cmd, &path)
	cmd.Flags().StringVar(&source, "source", "github", "`name` of the source in the config")
	cmd.Flags().StringVar(&kind, "event", "push", "the host's `name` of the event, such as push or pull_request")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return cmd
}

// readPayload reads a file of at most limit bytes, or standard input for "-".
func (c *cli) readPayload(name string, limit int64) ([]byte, error) {
	in, shown := c.stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read payload: %w", err)
		}
		defer f.Close()
		in, shown = f, name
	}
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("read payload: %s is larger than limits.body, %v; serve would answer 413", shown, config.Size(limit))
	}
	return body, nil
}

// explanation is what routing made of a delivery.
type explanation struct {
	routes []string // names, in the order of the config
	event  event.Event
	plan   event.Plan
	router *router.Router
}

// explain has an explanation of each event that the delivery tells of.
func explain(cfg *config.Config, source, kind string, body []byte) ([]explanation, error) {
	ex := explanation{}
	for i := range cfg.Routes {
		ex.routes = append(ex.routes, cfg.Routes[i].Name)
	}
	r, err := router.New(cfg.RouterConfig())
	if err != nil {
		return nil, err
	}
	evs, err := app.Decode(cfg, source, kind, body)
	if errors.Is(err, app.ErrNoSource) {
		return nil, usagef("sources has no %q; name one with --source", source)
	}
	var ignored *webhook.Ignored
	if errors.As(err, &ignored) {
		ex.plan.Ignored = []event.Ignored{{Reason: ignored.Reason}}
		return []explanation{ex}, nil
	}
	if err != nil {
		return nil, err
	}
	all := make([]explanation, len(evs))
	for i, ev := range evs {
		ev.Source = source
		all[i] = explanation{routes: ex.routes, event: ev, plan: r.Plan(ev), router: r}
	}
	return all, nil
}

// explainReport is the documented shape of `explain --json`.
type explainReport struct {
	Requests []explainRequest `json:"requests"`
	Ignored  []explainIgnored `json:"ignored"`
}

type explainRequest struct {
	Route        string `json:"route"`
	Name         string `json:"name"`
	StateMachine string `json:"state_machine"`
	Environment  string `json:"environment"`
	// EnvironmentNote says where the environment's name got a hash, and why.
	EnvironmentNote string          `json:"environment_note,omitempty"`
	Commit          string          `json:"commit"`
	Input           json.RawMessage `json:"input"`
	Reason          string          `json:"reason"`
}

type explainIgnored struct {
	Route  string `json:"route"`
	Reason string `json:"reason"`
}

func reportOf(all []explanation) explainReport {
	r := explainReport{Requests: []explainRequest{}, Ignored: []explainIgnored{}}
	for i := range all {
		all[i].report(&r)
	}
	return r
}

func (ex *explanation) report(r *explainReport) {
	for i := range ex.plan.Requests {
		q := &ex.plan.Requests[i]
		r.Requests = append(r.Requests, explainRequest{
			Route: q.Route, Name: q.ID, StateMachine: q.StateMachine, Environment: q.Environment,
			EnvironmentNote: ex.router.EnvironmentNote(ex.event, q), Commit: q.Commit.SHA, Input: q.Input, Reason: q.Reason,
		})
	}
	for _, g := range ex.plan.Ignored {
		r.Ignored = append(r.Ignored, explainIgnored{Route: g.Route, Reason: reasonOf(g)})
	}
}

// showAll writes the explanations one below the other.
func showAll(all []explanation, o *output) error {
	for i := range all {
		if i > 0 {
			if _, err := io.WriteString(o, "\n"); err != nil {
				return err
			}
		}
		if err := all[i].show(o); err != nil {
			return err
		}
	}
	return nil
}

// reasonOf names the commit where a reason concerns one alone.
func reasonOf(g event.Ignored) string {
	if g.Commit == "" {
		return g.Reason
	}
	return "commit " + g.Commit + ": " + g.Reason
}

// show writes the explanation for a person: each route with its executions.
func (ex *explanation) show(o *output) error {
	var b strings.Builder
	if ex.event.Kind != "" {
		fmt.Fprintln(&b, o.bold(ex.headline()))
	}
	if ex.event.Truncated && (ex.plan.Unlisted || ex.event.Kind == event.Push) {
		of := "push"
		if ex.event.Kind == event.PullRequest {
			of = "pull request"
		}
		fmt.Fprintln(&b, o.dim("the delivery does not list all commits of the "+of+"; serve asks the host for the others"))
	}
	label := "nothing to route:"
	if slices.ContainsFunc(ex.plan.Ignored, func(g event.Ignored) bool { return g.Route != "" }) || len(ex.plan.Requests) > 0 {
		label = "not all of it:"
	}
	for _, g := range ex.plan.Ignored {
		if g.Route == "" {
			fmt.Fprintf(&b, "%s %s\n", o.warn(label), safetext.Line(reasonOf(g)))
		}
	}
	for _, name := range ex.routes {
		if err := ex.showRoute(&b, o, name); err != nil {
			return err
		}
	}
	_, err := io.WriteString(o, b.String())
	return err
}

func (ex *explanation) headline() string {
	ev := &ex.event
	ref := strings.TrimPrefix(ev.Ref, "refs/heads/")
	if tag := ev.Tag(); tag != "" {
		ref = "tag " + tag
	}
	text := fmt.Sprintf("%s of %s, %s", ev.Kind, ev.Repository.FullName, ref)
	if pr := ev.PullRequest; pr != nil {
		text = fmt.Sprintf("pull_request #%d (%s) of %s, %s into %s", pr.Number, ev.Action, ev.Repository.FullName, ref, pr.Base)
	}
	return safetext.Line(text) + ": " + count(len(ev.Commits), "commit")
}

func (ex *explanation) showRoute(b *strings.Builder, o *output, name string) error {
	requests := slices.DeleteFunc(slices.Clone(ex.plan.Requests), func(q event.Request) bool { return q.Route != name })
	ignored := slices.DeleteFunc(slices.Clone(ex.plan.Ignored), func(g event.Ignored) bool { return g.Route != name })
	if len(requests) == 0 && len(ignored) == 0 {
		return nil // the whole event was ignored
	}
	result := o.dim("no execution")
	if len(requests) > 0 {
		result = o.good(count(len(requests), "execution"))
	}
	fmt.Fprintf(b, "\nroute %s: %s\n", o.bold(safetext.Line(name)), result)
	for i := range requests {
		q := &requests[i]
		title, _, _ := strings.Cut(q.Commit.Message, "\n")
		fmt.Fprintf(b, "  %s\n", o.bold(safetext.Line(q.ID)))
		fields := [][2]string{
			{"commit", strings.TrimSpace(q.Commit.SHA + " " + safetext.Cut(safetext.Line(title), 60))},
			{"state machine", q.StateMachine}, {"environment", q.Environment},
			{"its hash", ex.router.EnvironmentNote(ex.event, q)}, {"because", q.Reason},
		}
		for _, f := range fields {
			if f[1] != "" {
				fmt.Fprintf(b, "    %s %s\n", o.dim(fmt.Sprintf("%-14s", f[0]+":")), safetext.Line(f[1]))
			}
		}
		var input bytes.Buffer
		if err := json.Indent(&input, q.Input, "    ", "  "); err != nil {
			return fmt.Errorf("input of %s: %w", q.ID, err)
		}
		fmt.Fprintf(b, "    %s\n    %s\n", o.dim("input:"), safetext.JSON(input.Bytes()))
	}
	for _, g := range ignored {
		fmt.Fprintf(b, "  %s\n", safetext.Line(reasonOf(g)))
	}
	return nil
}
