package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/internal/awssecret"
)

// hostFlags say of which repositories a command asks their hosts.
type hostFlags struct {
	clientFlags  *clientFlags
	source       string
	repositories []string
	all          bool
}

func (c *cli) hostFlags(cmd *cobra.Command) *hostFlags {
	f := &hostFlags{clientFlags: c.clientFlags(cmd)}
	cmd.Flags().StringVar(&f.source, "source", "", "only this `source`")
	cmd.Flags().StringArrayVar(&f.repositories, "repository", nil, "only this `repository`, by its full name, or source:name; may be repeated")
	cmd.Flags().BoolVar(&f.all, "all", false, "also the repositories that deliveries have told the running service of")
	return f
}

// repository is one at a git host.
type repository struct {
	source, name string
	host         app.OpenHost
}

// errNoRepositories is for commands that have nothing to do.
var errNoRepositories = errors.New("the config names no repository; name one with --repository, or list them in routes[].repositories")

// repositories are those that the flags name: by default, those that the config
// names. The config is read with all its secrets.
func (c *cli) repositories(ctx context.Context, f *hostFlags) (*config.Config, []repository, error) {
	cfg, err := c.loadConfig(f.clientFlags.config, fromAWS(ctx, awssecret.New()))
	if err != nil {
		return nil, nil, err
	}
	hosts, err := c.openHosts(cfg)
	if err != nil {
		return nil, nil, err
	}
	if _, known := hosts[f.source]; f.source != "" && !known {
		return nil, nil, fmt.Errorf("--source: the config has no source %q; it has %s", f.source, strings.Join(slices.Sorted(maps.Keys(hosts)), ", "))
	}
	names := map[string][]string{}
	for _, given := range f.repositories {
		source, name, err := whichSource(cfg, f.source, given)
		if err != nil {
			return nil, nil, err
		}
		names[source] = append(names[source], name)
	}
	if len(f.repositories) == 0 {
		for source := range cfg.Sources {
			names[source] = cfg.NamedRepositories(source)
		}
	}
	if f.all {
		client, err := c.client(ctx, f.clientFlags)
		if err != nil {
			return nil, nil, fmt.Errorf("--all asks the service which repositories it knows: %w", err)
		}
		known, err := toldOf(ctx, client)
		if err != nil {
			return nil, nil, fmt.Errorf("--all asks the service which repositories it knows: %w", err)
		}
		for source, more := range known {
			names[source] = append(names[source], more...)
		}
	}
	var found []repository
	for _, source := range slices.Sorted(maps.Keys(hosts)) {
		if f.source != "" && source != f.source {
			continue
		}
		for _, name := range distinct(cfg, source, names[source]) {
			found = append(found, repository{source, name, hosts[source]})
		}
	}
	if len(found) == 0 {
		return nil, nil, errNoRepositories
	}
	return cfg, found, nil
}

// whichSource finds the source of a repository that is given as name or
// source:name.
func whichSource(cfg *config.Config, only, given string) (source, name string, err error) {
	if before, after, ok := strings.Cut(given, ":"); ok {
		if _, known := cfg.Sources[before]; known {
			if only != "" && only != before {
				return "", "", usagef("--repository %s is not of --source %s", given, only)
			}
			return before, after, nil
		}
	}
	if only != "" {
		return only, given, nil
	}
	all := slices.Sorted(maps.Keys(cfg.Sources))
	if len(all) == 1 {
		return all[0], given, nil
	}
	var naming []string
	for _, s := range all {
		if slices.ContainsFunc(cfg.NamedRepositories(s), func(n string) bool { return strings.EqualFold(n, given) }) {
			naming = append(naming, s)
		}
	}
	if len(naming) == 1 {
		return naming[0], given, nil
	}
	return "", "", usagef("--repository %s could be of any source; write it as SOURCE:%s, with one of %s", given, given, strings.Join(all, ", "))
}

// distinct sorts names and drops those that are the same to the source's host.
func distinct(cfg *config.Config, source string, names []string) []string {
	byKey := map[string]string{}
	for _, name := range slices.Backward(names) {
		key := name
		if !cfg.Origin(source).Bare {
			key = strings.ToLower(name)
		}
		byKey[key] = name
	}
	return slices.Sorted(maps.Values(byKey))
}

// toldOf are the repositories of the newest deliveries, by source.
func toldOf(ctx context.Context, client *api.Client) (map[string][]string, error) {
	const pages, page = 10, 100
	found := map[string][]string{}
	f := dispatch.DeliveryFilter{Limit: page}
	for range pages {
		got, err := client.Deliveries(ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range got.Deliveries {
			if d := &got.Deliveries[i]; d.Repository != "" && !slices.Contains(found[d.Source], d.Repository) {
				found[d.Source] = append(found[d.Source], d.Repository)
			}
		}
		if got.Next == 0 {
			break
		}
		f.Before = got.Next
	}
	return found, nil
}
