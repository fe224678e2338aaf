package config

import (
	"cmp"
	"strings"

	"switchyard/dispatch/status"
	statusgitlab "switchyard/dispatch/status/gitlab"
	githostgitlab "switchyard/githost/gitlab"
)

// GitLabStatus is how commit statuses are written to a source with provider
// gitlab; ok is false when it has no token.
func (c *Config) GitLabStatus(source string) (cfg statusgitlab.Config, ok bool) {
	_, ok = c.GitLabHost(source)
	return statusgitlab.Config{Limits: status.Limits{
		PerMinute: c.Status.PerMinute, PerHour: c.Status.PerHour, Concurrent: c.Status.Concurrent,
	}}, ok
}

// GitLabHost is what is needed to ask the API of a source with provider gitlab;
// ok is false when it has no token.
func (c *Config) GitLabHost(source string) (cfg githostgitlab.Config, ok bool) {
	s := c.Sources[source]
	cfg = githostgitlab.Config{Source: source, BaseURL: s.BaseURL, CloneBase: s.CloneBase, Token: s.Token.Reveal()}
	return cfg, s.Provider == providerGitLab && !s.Token.IsZero()
}

// gitLabBase is where a GitLab is: its pages, its repositories and, below
// /api/v4, its API.
func gitLabBase(s *Source) string {
	base := strings.TrimSuffix(strings.TrimRight(s.BaseURL, "/"), "/api/v4")
	return cmp.Or(base, "https://gitlab.com")
}
