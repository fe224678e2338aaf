package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/hostsetup"
	"switchyard/config"
	"switchyard/githost"
	"switchyard/internal/safetext"
)

func (c *cli) hooksCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "hooks", Short: "Make, list and remove the webhooks of repositories at their git hosts"}
	cmd.AddCommand(c.hooksCreateCommand(), c.hooksListCommand(), c.hooksRemoveCommand())
	return cmd
}

func (c *cli) hooksCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Make the webhook of each repository, or repair it",
		Long: "Has each repository deliver to <server.public_url>/webhooks/<source>, with the\n" +
			"first of the config's secrets, all events that are needed, and no second webhook\n" +
			"that leads to the same URL. What is right already is left alone, so that it can be\n" +
			"run again. Hosts do not show which secret a webhook has: after a rotation, run it\n" +
			"with --new-secret.",
		Example: "  switchyard hooks create\n  switchyard hooks create --repository acme/api --new-secret",
		Args:    cobra.NoArgs,
	}
	run := c.hooksFlags(cmd)
	anew := cmd.Flags().Bool("new-secret", false, "make also those anew that look right, with the newest secret")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return run(cmd.Context(), func(ctx context.Context, h *hookOf) ([]hookReport, error) {
			secret, ok := h.cfg.HookSecret(h.source, h.name)
			if !ok {
				return nil, fmt.Errorf("it has no secret; set sources.%s.secrets", h.source)
			}
			did, why, err := hostsetup.Create(ctx, h.hooks, hostsetup.Hook{Repository: h.name, URL: h.url, Secret: secret.Reveal()}, *anew)
			return []hookReport{{Done: did, Ours: true, URL: h.url, Note: why}}, err
		})
	}
	return cmd
}

func (c *cli) hooksListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the webhooks of repositories, and which are ours",
		Long: "Shows all webhooks of each repository. Ours are those that lead to\n<server.public_url>/webhooks/<source>.",
		Args: cobra.NoArgs,
	}
	run := c.hooksFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return run(cmd.Context(), func(ctx context.Context, h *hookOf) ([]hookReport, error) {
			all, err := h.hooks.Hooks(ctx, h.name)
			if err != nil {
				return nil, fmt.Errorf("list the webhooks: %w", err)
			}
			found := make([]hookReport, 0, len(all))
			for i := range all {
				r := hookReport{Ours: githost.SameURL(all[i].URL, h.url), URL: all[i].URL, Events: all[i].Events, Active: &all[i].Active, Note: all[i].Trouble}
				if missing := hostsetup.MissingEvents(h.hooks, &all[i]); r.Ours && len(missing) > 0 {
					r.Note = strings.TrimPrefix(r.Note+"; it does not tell of "+strings.Join(missing, ", "), "; ")
				}
				found = append(found, r)
			}
			if len(found) == 0 {
				found = append(found, hookReport{Note: "it has no webhook"})
			}
			return found, nil
		})
	}
	return cmd
}

func (c *cli) hooksRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove the webhooks that lead to this service, and no others",
		Long: "Removes webhooks that lead to <server.public_url>/webhooks/<source>. Say of which\n" +
			"repositories: --repository NAME, or --all for those of the config and of deliveries.",
		Args: cobra.NoArgs,
	}
	run := c.hooksFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("repository") && !cmd.Flags().Changed("all") {
			return usagef("say of which repositories: --repository NAME, or --all")
		}
		return run(cmd.Context(), func(ctx context.Context, h *hookOf) ([]hookReport, error) {
			did, err := hostsetup.Remove(ctx, h.hooks, h.name, h.url)
			return []hookReport{{Done: did, Ours: did == hostsetup.Removed, URL: h.url}}, err
		})
	}
	return cmd
}

// hookReport is what a command says of one webhook.
type hookReport struct {
	Source     string `json:"source"`
	Repository string `json:"repository"`
	// Done is what became of it; empty where it is only shown.
	Done   string   `json:"done,omitempty"`
	Ours   bool     `json:"ours"`
	URL    string   `json:"url,omitempty"`
	Events []string `json:"events,omitempty"`
	Active *bool    `json:"active,omitempty"`
	Note   string   `json:"note,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// hookOf is a repository whose webhooks can be managed, and url where ours leads
// to; empty without public_url.
type hookOf struct {
	repository
	cfg   *config.Config
	hooks githost.Hooks
	url   string
}

// hooksFlags adds the flags of all commands about webhooks. The function that it
// returns calls each for the repositories that they name, and shows what comes of
// it.
func (c *cli) hooksFlags(cmd *cobra.Command) func(ctx context.Context, each func(context.Context, *hookOf) ([]hookReport, error)) error {
	flags := c.hostFlags(cmd)
	asJSON := cmd.Flags().Bool("json", false, "write JSON")
	showing := cmd.Name() == "list"
	return func(ctx context.Context, each func(context.Context, *hookOf) ([]hookReport, error)) error {
		cfg, all, err := c.repositories(ctx, flags)
		if err != nil {
			return err
		}
		if cfg.Server.PublicURL == "" && !showing {
			return errors.New("server.public_url is not set: it says where webhooks lead to, such as https://switchyard.example.com")
		}
		var reports []hookReport
		failed := false
		for i := range all {
			r := &all[i]
			hooks, err := r.hooks()
			var some []hookReport
			if err == nil {
				some, err = each(ctx, &hookOf{repository: *r, cfg: cfg, hooks: hooks, url: cfg.HookURL(r.source)})
			}
			if err != nil {
				failed = true
				some = []hookReport{{Error: err.Error()}}
			}
			for _, one := range some {
				one.Source, one.Repository = r.source, r.name
				reports = append(reports, one)
			}
		}
		if err := c.showHooks(reports, *asJSON, showing); err != nil {
			return err
		}
		if failed {
			return silentError{}
		}
		return nil
	}
}

// hooks returns what manages the webhooks of the repository's host.
func (r *repository) hooks() (githost.Hooks, error) {
	if r.host.Unable != nil {
		return nil, r.host.Unable
	}
	hooks, ok := r.host.Host.(githost.Hooks)
	if !ok {
		return nil, errors.New("webhooks of this kind of host are not managed by its API; set them up by hand")
	}
	return hooks, nil
}

func (c *cli) showHooks(reports []hookReport, asJSON, showing bool) error {
	if asJSON {
		return writeJSON(c.stdout, map[string]any{"webhooks": reports})
	}
	var rows [][]string
	for i := range reports {
		r := &reports[i]
		if r.Error != "" {
			continue
		}
		switch {
		case !showing:
			rows = append(rows, []string{r.Source, r.Repository, r.Done, r.URL, r.Note})
		case r.URL == "":
			rows = append(rows, []string{r.Source, r.Repository, "", "", "", "", r.Note})
		default:
			rows = append(rows, []string{r.Source, r.Repository, yes(r.Ours), r.URL, strings.Join(r.Events, ", "), yes(*r.Active), r.Note})
		}
	}
	headings := []string{"source", "repository", "webhook", "url", "note"}
	if showing {
		headings = []string{"source", "repository", "ours", "url", "events", "active", "note"}
	}
	if len(rows) > 0 {
		if err := c.out.table(headings, rows); err != nil {
			return err
		}
	}
	for i := range reports {
		if r := &reports[i]; r.Error != "" {
			fmt.Fprintf(c.stderr, "%s %s %s: %s\n", c.errOut.bad("failed:"), r.Source, safetext.Line(r.Repository), safetext.Line(r.Error))
		}
	}
	return nil
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
