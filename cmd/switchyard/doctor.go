package main

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/doctor"
	"switchyard/config"
	"switchyard/internal/awssecret"
	"switchyard/internal/safetext"
)

// checkLimit is how long one check of doctor may take.
const checkLimit = 30 * time.Second

// doctorOptions are the flags of doctor.
type doctorOptions struct {
	client             *clientFlags
	repositories       []string
	aws, deliver, json bool
}

func (c *cli) doctorCommand() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check a live installation, and say what to do about what is wrong",
		Long: "Looks at the config, the files and the disk, the service and its public URL, the\n" +
			"token of each git host and what it may do, the webhook of each repository, the\n" +
			"engine and the isolation of builds. Nothing is changed; the service may run or not:\n" +
			"what needs it says so. Exits with 1 when something failed.\n" +
			"--aws looks at more in AWS: identity, state machines, queues, rules and topics.\n" +
			"--deliver has each repository's host send a test delivery and waits for it. It\n" +
			"arrives as any delivery does: where a host tests by a push, its commit may start.",
		Example: "  switchyard doctor\n  switchyard doctor --repository acme/api --deliver",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.doctor(cmd.Context(), &o) },
	}
	o.client = c.clientFlags(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&o.repositories, "repository", nil, "only this `repository`, by its full name, or source:name; may be repeated")
	fs.BoolVar(&o.aws, "aws", false, "look at everything in AWS that the config names")
	fs.BoolVar(&o.deliver, "deliver", false, "have hosts send a test delivery, and wait for it")
	fs.BoolVar(&o.json, "json", false, "write JSON")
	return cmd
}

func (c *cli) doctor(ctx context.Context, o *doctorOptions) error {
	cfg, err := c.loadConfig(o.client.config, fromAWS(ctx, awssecret.New()))
	found := doctor.Config(o.client.config, cfg, err)
	if err == nil {
		setup, err := c.setup(ctx, cfg, o)
		if err != nil {
			return err
		}
		found = append(found, doctor.Run(ctx, setup.Checks(), checkLimit)...)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.json {
		err = writeJSON(c.stdout, map[string]any{"ok": doctor.Healthy(found), "checks": found})
	} else {
		err = c.showFound(found)
	}
	if err == nil && !doctor.Healthy(found) {
		return silentError{}
	}
	return err
}

// setup finds out what there is to look at.
func (c *cli) setup(ctx context.Context, cfg *config.Config, o *doctorOptions) (*doctor.Setup, error) {
	hosts, err := c.openHosts(cfg)
	if err != nil {
		return nil, err
	}
	named, _ := c.env("SWITCHYARD_SERVER")
	s := &doctor.Setup{
		Config: cfg, Hosts: hosts, Deliver: o.deliver, AWS: o.aws, Now: time.Now,
		HTTP:   &http.Client{Timeout: checkLimit},
		Server: strings.TrimRight(cmp.Or(o.client.server, named, localURL(cfg.Server.Listen)), "/"),
	}
	s.API, s.NoToken = c.client(ctx, o.client)
	s.LookForService(ctx)
	if s.Running && s.API != nil {
		// That the API does not answer is a check's to say.
		s.Told, _ = toldOf(ctx, s.API)
	}
	s.Repositories = map[string][]string{}
	for _, given := range o.repositories {
		source, name, err := whichSource(cfg, "", given)
		if err != nil {
			return nil, err
		}
		s.Repositories[source] = append(s.Repositories[source], name)
	}
	if len(o.repositories) == 0 {
		for source := range cfg.Sources {
			s.Repositories[source] = distinct(cfg, source, append(cfg.NamedRepositories(source), s.Told[source]...))
		}
	}
	return s, nil
}

// showFound writes what was found, by area.
func (c *cli) showFound(found []doctor.Result) error {
	var areas []string
	width := 0
	for i := range found {
		if !slices.Contains(areas, found[i].Area) {
			areas = append(areas, found[i].Area)
		}
		width = max(width, len(found[i].Check))
	}
	counts := map[doctor.Status]int{}
	var b strings.Builder
	for _, area := range areas {
		fmt.Fprintln(&b, c.out.bold(safetext.Line(area)))
		for i := range found {
			r := &found[i]
			if r.Area != area {
				continue
			}
			counts[r.Status]++
			fmt.Fprintf(&b, "  %s  %-*s  %s\n", c.status(r.Status), width, r.Check, safetext.Line(r.Found))
			if r.Fix != "" {
				fmt.Fprintf(&b, "  %-*s  %-*s  %s %s\n", len(doctor.Unknown), "", width, "", c.out.dim("→"), safetext.Line(r.Fix))
			}
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d not checked, %s, %d failed\n",
		counts[doctor.OK], counts[doctor.Unknown], plural(counts[doctor.Warning], "warning", "warnings"), counts[doctor.Failed])
	_, err := fmt.Fprint(c.stdout, b.String())
	return err
}

// status paints how a check came out, all as wide as the widest.
func (c *cli) status(s doctor.Status) string {
	text := fmt.Sprintf("%-*s", len(doctor.Unknown), s)
	switch s {
	case doctor.OK:
		return c.out.good(text)
	case doctor.Warning:
		return c.out.warn(text)
	case doctor.Failed:
		return c.out.bad(text)
	case doctor.Unknown:
	}
	return c.out.dim(text)
}
