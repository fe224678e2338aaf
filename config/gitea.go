package config

import (
	"strings"

	"switchyard/dispatch/status"
	statusgitea "switchyard/dispatch/status/gitea"
	githostgitea "switchyard/githost/gitea"
)

// checkGitea checks a source with provider gitea.
func (d *decoder) checkGitea(at string, s *Source) {
	if s.BaseURL == "" && !d.has(at+".base_url") {
		d.failValue(at, "base_url is missing: set it to the address of your Gitea or Forgejo, for example https://git.example.com")
	}
	if strings.ContainsAny(s.BaseURL, "?#") {
		d.failValue(at+".base_url", "holds a ? or #; give the address alone, for example https://git.example.com")
	}
	d.checkWebhook(at, s)
}

// giteaAddress is where a Gitea is seen and cloned from. Its API is below /api/v1
// of it, and may be what base_url names.
func (s *Source) giteaAddress() string {
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(s.BaseURL, "/"), "/api/v1"), "/")
}

// GiteaHost is what is needed to ask the API of a source with provider gitea; ok
// is false when it has no token.
func (c *Config) GiteaHost(source string) (cfg githostgitea.Config, ok bool) {
	s := c.Sources[source]
	cfg = githostgitea.Config{Source: source, BaseURL: s.BaseURL, Token: s.Token.Reveal()}
	return cfg, s.Provider == providerGitea && !s.Token.IsZero()
}

// GiteaStatus is how fast commit statuses are written to a source with provider
// gitea; ok is false when it has no token.
func (c *Config) GiteaStatus(source string) (cfg statusgitea.Config, ok bool) {
	_, ok = c.GiteaHost(source)
	return statusgitea.Config{Limits: status.Limits{
		PerMinute: c.Status.PerMinute, PerHour: c.Status.PerHour, Concurrent: c.Status.Concurrent,
	}}, ok
}
