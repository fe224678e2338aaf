package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/hostsetup"
	"switchyard/config"
	"switchyard/githost"
	"switchyard/internal/safetext"
	"switchyard/router"
)

// protectOptions are the flags of protect.
type protectOptions struct {
	branches, routes []string
	apply, json      bool
}

func (c *cli) protectCommand() *cobra.Command {
	var o protectOptions
	cmd := &cobra.Command{
		Use: "protect", Short: "Have branches require the statuses of routes before a merge",
		Long: "Lists for each branch that pull requests are merged into which statuses its routes\n" +
			"give, and which of them the host requires. With --apply the missing ones are\n" +
			"added, and nothing else of the branch's protection is changed. A status that does\n" +
			"not come in every case is left out, since merges would wait for it for ever: name\n" +
			"its route with --route to have it required all the same.\n" +
			"The branches are those that routes name in base_branches, or given by --branch.",
		Example: "  switchyard protect\n  switchyard protect --repository acme/api --branch main --apply",
		Args:    cobra.NoArgs,
	}
	flags := c.hostFlags(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&o.branches, "branch", nil, "only this `branch`; may be repeated")
	fs.StringArrayVar(&o.routes, "route", nil, "only the status of this `route`, also where it may not come; may be repeated")
	fs.BoolVar(&o.apply, "apply", false, "add what is missing")
	fs.BoolVar(&o.json, "json", false, "write JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return c.protect(cmd.Context(), flags, o) }
	return cmd
}

// protection is what is said of one branch.
type protection struct {
	Source     string `json:"source"`
	Repository string `json:"repository"`
	Branch     string `json:"branch,omitempty"`
	hostsetup.Protection
	// Unable says why the host could not be asked what it requires.
	Unable string `json:"unable,omitempty"`
	Error  string `json:"error,omitempty"`
}

func (c *cli) protect(ctx context.Context, flags *hostFlags, o protectOptions) error {
	cfg, all, err := c.repositories(ctx, flags)
	if err != nil {
		return err
	}
	for _, name := range o.routes {
		if !slices.ContainsFunc(cfg.Routes, func(r config.Route) bool { return r.Name == name }) {
			return usagef("--route: the config has no route %q", name)
		}
	}
	routes, err := router.New(cfg.RouterConfig())
	if err != nil {
		return err
	}
	var found []protection
	for i := range all {
		found = append(found, protectRepository(ctx, cfg, routes, &all[i], o)...)
	}
	if o.json {
		err = writeJSON(c.stdout, map[string]any{"branches": found})
	} else {
		err = c.showProtection(found, o.apply)
	}
	if err == nil && slices.ContainsFunc(found, func(p protection) bool { return p.Error != "" }) {
		return silentError{}
	}
	return err
}

// protectRepository looks at all branches of one repository.
func protectRepository(ctx context.Context, cfg *config.Config, routes *router.Router, r *repository, o protectOptions) []protection {
	of := func(branch string, err error) protection {
		p := protection{Source: r.source, Repository: r.name, Branch: branch}
		if err != nil {
			p.Error = err.Error()
		}
		return p
	}
	if !cfg.DispatchConfig().Statuses(r.source) {
		return []protection{of("", fmt.Errorf("no statuses are written to source %s, so that nothing can be required; give it a token", r.source))}
	}
	branches := o.branches
	if len(branches) == 0 {
		var there []string
		if refs, ok := r.host.Host.(githost.Refs); ok {
			heads, err := refs.Refs(ctx, r.name)
			if err != nil {
				return []protection{of("", fmt.Errorf("list the branches: %w", err))}
			}
			for _, ref := range slices.Sorted(maps.Keys(heads)) {
				there = append(there, strings.TrimPrefix(ref, "refs/heads/"))
			}
		}
		if branches = routes.BaseBranches(r.source, r.name, there); len(branches) == 0 {
			return []protection{of("", errors.New("no route of it names base_branches; say with --branch which branch is merged into, such as --branch main"))}
		}
	}
	host, unable := r.protector()
	var found []protection
	for _, branch := range branches {
		gates := slices.DeleteFunc(routes.Gates(r.source, r.name, branch), func(g router.Gate) bool {
			return len(o.routes) > 0 && !slices.Contains(o.routes, g.Route)
		})
		if o.apply && unable != "" {
			found = append(found, of(branch, errors.New(unable)))
			continue
		}
		set, err := hostsetup.Protect(ctx, host, gates, r.name, branch, o.apply, o.routes)
		p := of(branch, err)
		if p.Protection, p.Unable = set, unable; len(o.routes) > 0 {
			p.Stale, p.Others = nil, nil // some are those of other routes
		}
		found = append(found, p)
	}
	return found
}

// protector returns what reads and sets the protection of branches, or says why
// nothing does.
func (r *repository) protector() (host githost.Protector, unable string) {
	if r.host.Unable != nil {
		return nil, r.host.Unable.Error()
	}
	host, ok := r.host.Host.(githost.Protector)
	if !ok {
		return nil, "what this kind of host requires cannot be read or set by its API; set it by hand"
	}
	return host, ""
}

func (c *cli) showProtection(found []protection, apply bool) error {
	var rows [][]string
	missing := false
	for i := range found {
		p := &found[i]
		for j := range p.Contexts {
			x := &p.Contexts[j]
			state := yes(x.Required)
			switch {
			case x.Added:
				state = "added"
			case p.Unable != "":
				state = "unknown"
			case !x.Required && x.Safe():
				missing = true
			}
			rows = append(rows, []string{p.Source, p.Repository, p.Branch, x.Context, state, whenNot(x)})
		}
		for _, stale := range p.Stale {
			rows = append(rows, []string{p.Source, p.Repository, p.Branch, stale, "yes", "WAITS FOR EVER: no route gives it; take it out at the host"})
		}
		for _, other := range p.Others {
			rows = append(rows, []string{p.Source, p.Repository, p.Branch, other, "yes", "not of Switchyard"})
		}
	}
	if len(rows) > 0 {
		if err := c.out.table([]string{"source", "repository", "branch", "status", "required", "note"}, rows); err != nil {
			return err
		}
	}
	for i := range found {
		p := &found[i]
		where := strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Source, safetext.Line(p.Repository), safetext.Line(p.Branch)))
		switch {
		case p.Error != "":
			fmt.Fprintf(c.stderr, "%s %s: %s\n", c.errOut.bad("failed:"), where, safetext.Line(p.Error))
		case p.Unable != "":
			fmt.Fprintf(c.stderr, "%s %s: %s\n", c.errOut.warn("not asked:"), where, safetext.Line(p.Unable))
		case len(p.Contexts) == 0:
			fmt.Fprintf(c.stdout, "%s: no route gives a status to pull requests into it.\n", where)
		}
	}
	if missing && !apply {
		fmt.Fprintln(c.stdout, "Add what is missing with --apply.")
	}
	return nil
}

// whenNot says in which cases a status does not come.
func whenNot(x *hostsetup.Context) string {
	waits := "merges would wait for ever"
	if x.Required {
		waits = "WAITS FOR EVER"
	}
	var parts []string
	switch {
	case x.Never != "":
		parts = append(parts, waits+": "+x.Never)
	case len(x.Unless) > 0:
		parts = append(parts, waits+" where "+strings.Join(x.Unless, ", or "))
	}
	if x.Forks != "" && x.Never == "" {
		parts = append(parts, x.Forks)
	}
	return strings.Join(parts, "; ")
}
