package config

import (
	"fmt"
	"slices"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/codecommit"
)

// What a codecommit source's comments are written on.
const (
	onPullRequests = "pull_requests"
	onCommits      = "commits"
)

// checkComments checks what codecommit sources are told of executions.
func (d *decoder) checkComments(c *Config) {
	var routes []string
	for i := range c.Routes {
		routes = append(routes, c.Routes[i].Name)
	}
	for _, name := range sorted(c.Sources) {
		s, at := c.Sources[name], join("sources", name)
		if s.Provider != providerCodeCommit || len(s.Approve) == 0 {
			continue
		}
		if !slices.Contains(s.Comments, onPullRequests) && !d.unresolved[at+".comments"] {
			d.failValue(at+".approve", "needs comments: [%s], in which is kept what has succeeded", onPullRequests)
		}
		for i, route := range s.Approve {
			if !slices.Contains(routes, route) && !d.unresolved[at+".approve"] {
				d.failValue(fmt.Sprintf("%s.approve[%d]", at, i), "%s", unknownName("routes", route, routes))
			}
		}
	}
}

// CodeCommitStatus is what is needed to comment on executions at a source with
// provider codecommit; ok is false when it asks for no comments.
func (c *Config) CodeCommitStatus(source string) (cfg codecommit.Config, ok bool) {
	s := c.Sources[source]
	cfg = codecommit.Config{
		PullRequests: slices.Contains(s.Comments, onPullRequests), Commits: slices.Contains(s.Comments, onCommits),
		Limits: status.Limits{PerMinute: c.Status.PerMinute, PerHour: c.Status.PerHour, Concurrent: c.Status.Concurrent},
	}
	for _, route := range s.Approve {
		cfg.Approve = append(cfg.Approve, dispatch.StatusContext(route, ""))
	}
	return cfg, s.Provider == providerCodeCommit && (cfg.PullRequests || cfg.Commits)
}
