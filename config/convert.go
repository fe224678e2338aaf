package config

import (
	"time"

	"switchyard/dispatch/stepfn"
	"switchyard/router"
	"switchyard/webhook"
)

// RouterConfig is what the router needs.
func (c *Config) RouterConfig() router.Config {
	cfg := router.Config{Components: make(map[string]router.Component, len(c.Components))}
	for name, comp := range c.Components {
		cfg.Components[name] = router.Component{Paths: comp.Paths}
	}
	for i := range c.Routes {
		cfg.Routes = append(cfg.Routes, c.Routes[i].router())
	}
	return cfg
}

func (r *Route) router() router.Route {
	onNewCommit := r.OnNewCommit
	if onNewCommit == "wait" {
		onNewCommit = ""
	}
	return router.Route{
		Name: r.Name, On: r.On, Sources: r.Sources, Repositories: r.Repositories,
		Branches: r.Branches, BaseBranches: r.BaseBranches, Authors: r.Authors, Paths: r.Paths,
		Actions: r.Actions, Commits: r.Commits, StateMachine: r.StateMachine,
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

// AWSConfig is what is needed to reach Step Functions in AWS, when that is the
// engine.
func (c *Config) AWSConfig() (stepfn.AWSConfig, bool) {
	a := c.Engine.AWS
	if a == nil {
		return stepfn.AWSConfig{}, false
	}
	return stepfn.AWSConfig{Region: a.Region, Profile: a.Profile, Endpoint: a.Endpoint, MaxConnections: 2 * c.Limits.Starts}, true
}
