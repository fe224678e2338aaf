package config

import (
	"cmp"
	"strings"
	"time"

	"switchyard/audit"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgithub "switchyard/dispatch/status/github"
	"switchyard/dispatch/status/gitnotes"
	"switchyard/dispatch/stepfn"
	githostgithub "switchyard/githost/github"
	"switchyard/internal/awsaccess"
	"switchyard/router"
	"switchyard/webhook"
)

// RouterConfig is what the router needs.
func (c *Config) RouterConfig() router.Config {
	cfg := router.Config{Components: make(map[string]router.Component, len(c.Components)), ForkBuilds: c.ForkBuilds()}
	for name, comp := range c.Components {
		cfg.Components[name] = router.Component{Paths: comp.Paths}
	}
	for i := range c.Routes {
		cfg.Routes = append(cfg.Routes, c.Routes[i].router())
	}
	return cfg
}

// ForkBuilds says for a person what builds of commits from forks go without,
// "" where they are not built on this machine.
func (c *Config) ForkBuilds() string {
	if c.Engine.Embedded == nil {
		return ""
	}
	var open []string
	for _, name := range sorted(c.Engine.Embedded.Projects) {
		if c.Engine.Embedded.Projects[name].ForkNetwork == "host" {
			open = append(open, name)
		}
	}
	if len(open) == 0 {
		return "without secrets, without network"
	}
	return "without secrets, without network but for " + strings.Join(open, ", ")
}

func (r *Route) router() router.Route {
	onNewCommit := r.OnNewCommit
	if onNewCommit == "wait" {
		onNewCommit = ""
	}
	return router.Route{
		Name: r.Name, On: r.On, Sources: r.Sources, Repositories: r.Repositories,
		Branches: r.Branches, Tags: r.Tags, BaseBranches: r.BaseBranches, Authors: r.Authors, Paths: r.Paths,
		Labels: r.Labels, NoDrafts: r.Drafts != nil && !*r.Drafts,
		Actions: r.Actions, Commits: r.Commits, Checkout: r.Checkout, Revisit: r.Revisit, StateMachine: r.StateMachine,
		Environment: r.Environment, Project: r.Project, OverrideShape: r.OverrideShape,
		Input: r.Input, SkipMarkers: r.SkipMarkers, Forks: r.Forks, ForkLabel: r.ForkLabel,
		OnNewCommit: onNewCommit,
	}
}

// WebhookConfig is what the webhook handler needs.
func (c *Config) WebhookConfig() webhook.Config {
	return webhook.Config{
		MaxBody:     int64(c.Limits.Body),
		MaxInFlight: c.Limits.Deliveries,
		ReadTimeout: time.Duration(c.Limits.ReadTimeout),
	}
}

// AuditConfig is what audits go by.
func (c *Config) AuditConfig() audit.Config {
	return audit.Config{Every: time.Duration(c.Audit.Every), Heal: c.Audit.Heal, Grace: time.Duration(c.Audit.Grace), Retention: time.Duration(c.Retention.Journal)}
}

// NamedRepositories are those of a source that the config names: the source
// itself, and routes that can mean no other source.
func (c *Config) NamedRepositories(source string) []string {
	names := sorted(c.Sources[source].Repositories)
	for i := range c.Routes {
		if r := &c.Routes[i]; len(c.Sources) > 1 && len(r.Sources) == 0 || !r.takes(source) {
			continue
		}
		for _, name := range c.Routes[i].Repositories {
			if !strings.ContainsAny(name, `*?![]{}\`) {
				names = append(names, name)
			}
		}
	}
	return names
}

// takes reports whether a route takes events of a source.
func (r *Route) takes(source string) bool {
	takes := len(r.Sources) == 0
	for _, text := range r.Sources {
		text, out := strings.CutPrefix(text, "!")
		if p, err := router.CompilePattern(text); err == nil && p.Match(source) {
			takes = !out
		}
	}
	return takes
}

// GitHubStatus is what is needed to write commit statuses to a source with
// provider github; ok is false when it has neither token nor app.
func (c *Config) GitHubStatus(source string) (cfg statusgithub.Config, ok bool) {
	_, ok = c.GitHubHost(source)
	return statusgithub.Config{Limits: status.Limits{
		PerMinute: c.Status.PerMinute, PerHour: c.Status.PerHour, Concurrent: c.Status.Concurrent,
	}}, ok
}

// GitHubHost is what is needed to ask the API of a source with provider github;
// ok is false when it has neither token nor app.
func (c *Config) GitHubHost(source string) (cfg githostgithub.Config, ok bool) {
	s, app := c.Sources[source], (*githostgithub.App)(nil)
	if s.App != nil {
		app = &githostgithub.App{ID: s.App.ID, PrivateKey: []byte(s.App.PrivateKey.Reveal())}
	}
	cfg = githostgithub.Config{Source: source, BaseURL: s.BaseURL, CloneBase: s.CloneBase, Token: s.Token.Reveal(), App: app}
	return cfg, s.Provider == providerGitHub && (s.App != nil || !s.Token.IsZero())
}

// GitNotes is what is needed to write notes to a source with provider git; ok
// is false when it has no repositories on this machine.
func (c *Config) GitNotes(source string) (cfg gitnotes.Config, ok bool) {
	s := c.Sources[source]
	cfg.Repositories = make(map[string]string, len(s.Repositories))
	for name, r := range s.Repositories {
		if r.Path != "" {
			cfg.Repositories[name] = c.Resolve(r.Path)
		}
	}
	return cfg, s.Provider == providerGit && len(cfg.Repositories) > 0
}

// DispatchConfig is what the dispatcher needs. Commits of a source get statuses
// when it has a token, an app, repositories on this machine or comments.
func (c *Config) DispatchConfig() dispatch.Config {
	cfg := dispatch.Config{
		MaxStarts:        c.Limits.Starts,
		Retention:        time.Duration(c.Retention.Journal),
		MaxPending:       c.Limits.Deliveries,
		EnvironmentLimit: c.environmentLimits(),
		NotOwn:           c.Approvals.Authors == "deny",
		Statuses: func(source string) bool {
			tells := providers[c.Sources[source].Provider].tells
			return tells != nil && tells(c, source)
		},
		Retell: func(source string) bool {
			comments, _ := c.CodeCommitStatus(source)
			return comments.PullRequests
		},
	}
	if c.Engine.AWS != nil {
		cfg.Quota = c.quotas()
	}
	return cfg
}

// large are the regions in which AWS allows the more StartExecution calls, see
// "Quotas" in the Step Functions developer guide.
var large = map[string]bool{"us-east-1": true, "us-west-2": true, "eu-west-1": true}

// quotas says how fast the executions of a state machine may be started: each
// region, and each account in it, has a bucket of its own.
func (c *Config) quotas() func(stateMachine string) dispatch.Quota {
	byMachine := map[string]dispatch.Quota{}
	for name, m := range c.StateMachines {
		parts := strings.Split(m.ARN, ":")
		if len(parts) < 6 {
			continue // refused when the config was read
		}
		region := parts[3]
		q := dispatch.Quota{Name: region + ":" + parts[4], Rate: 150, Burst: 800}
		if large[region] {
			q.Rate, q.Burst = 300, 1300
		}
		for _, set := range []Quota{{c.Engine.AWS.StartBurst, c.Engine.AWS.StartRate}, c.Engine.AWS.Regions[region]} {
			q.Burst, q.Rate = cmp.Or(set.StartBurst, q.Burst), cmp.Or(set.StartRate, q.Rate)
		}
		byMachine[name] = q
	}
	return func(name string) dispatch.Quota {
		if q, ok := byMachine[name]; ok {
			return q
		}
		// One that an earlier config named.
		return dispatch.Quota{Name: "unknown", Rate: 150, Burst: 800}
	}
}

// environmentLimits answers with max_parallel of the exact name, else of the
// longest glob that matches, of two as long the first by name.
func (c *Config) environmentLimits() func(string) int {
	type glob struct {
		pattern *router.Pattern
		text    string
		limit   int
	}
	var globs []glob
	for _, text := range sorted(c.Environments) {
		p, err := router.CompilePattern(text)
		if err != nil {
			continue // refused when the config was read
		}
		globs = append(globs, glob{p, text, c.Environments[text].MaxParallel})
	}
	exact := c.Environments
	return func(name string) int {
		if e, ok := exact[name]; ok {
			return e.MaxParallel
		}
		length, limit := 0, 0
		for _, g := range globs {
			if len(g.text) > length && g.pattern.Match(name) {
				length, limit = len(g.text), g.limit
			}
		}
		return limit
	}
}

// AWSAccess is what is needed to reach Step Functions in AWS, when that is the
// engine.
func (c *Config) AWSAccess() (access stepfn.Access, ok bool) {
	a := c.Engine.AWS
	if a == nil {
		return stepfn.Access{}, false
	}
	return stepfn.Access{
		Settings: awsaccess.Settings{
			Region: a.Region, Profile: a.Profile, Role: a.Role, ExternalID: a.ExternalID, FIPS: a.FIPS,
			MaxConnections: 2 * c.Limits.Starts,
		},
		Endpoint: a.Endpoint,
	}, true
}
