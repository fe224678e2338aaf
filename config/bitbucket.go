package config

import (
	"strings"

	"switchyard/dispatch/status"
	statusbitbucket "switchyard/dispatch/status/bitbucket"
	statusbitbucketserver "switchyard/dispatch/status/bitbucketserver"
	githostbitbucket "switchyard/githost/bitbucket"
	githostbitbucketserver "switchyard/githost/bitbucketserver"
)

// checkBitbucket checks a source with provider bitbucket.
func (d *decoder) checkBitbucket(at string, s *Source) {
	if s.User != "" && s.Token.IsZero() && !d.offline && !d.failedUnder(at+".token") {
		d.failValue(at+".user", "is whose API token or app password token holds; set token too, or leave it out")
	}
	if strings.Contains(s.User, ":") && !d.unresolved[at+".user"] {
		d.failValue(at+".user", "holds a colon; give the e-mail address or the user name alone, and the password as token")
	}
	d.checkWebhook(at, s)
}

// checkBitbucketServer checks a source with provider bitbucket-server.
func (d *decoder) checkBitbucketServer(at string, s *Source) {
	if s.BaseURL == "" && !d.failedUnder(at+".base_url") && !d.unresolved[at+".base_url"] {
		d.failValue(at, "base_url is missing: set it to the address of your Bitbucket Data Center, for example https://bitbucket.example.com")
	}
	if strings.ContainsAny(s.BaseURL, "?#") && !d.unresolved[at+".base_url"] {
		d.failValue(at+".base_url", "holds a ? or #; give the address alone, for example https://bitbucket.example.com")
	}
	d.checkBitbucket(at, s)
}

// bitbucketServerAddress is where a Bitbucket Data Center is seen. Its APIs are below
// /rest there, for who gave the address of one.
func (s *Source) bitbucketServerAddress() string {
	address, _, _ := strings.Cut(strings.TrimRight(s.BaseURL, "/")+"/", "/rest/")
	return strings.TrimRight(address, "/")
}

// bitbucketServerCloneBase is where it serves Git.
func bitbucketServerCloneBase(s *Source) string {
	if s.BaseURL == "" {
		return ""
	}
	return s.bitbucketServerAddress() + "/scm"
}

// BitbucketHost is what is needed to ask the API of a source with provider
// bitbucket; ok is false when it has no token.
func (c *Config) BitbucketHost(source string) (cfg githostbitbucket.Config, ok bool) {
	s := c.Sources[source]
	cfg = githostbitbucket.Config{Source: source, BaseURL: s.BaseURL, CloneBase: s.CloneBase, User: s.User, Token: s.Token.Reveal()}
	return cfg, s.Provider == providerBitbucket && !s.Token.IsZero()
}

// BitbucketStatus is what is needed to write build statuses to a source with
// provider bitbucket; ok is false when it has no token.
func (c *Config) BitbucketStatus(source string) (cfg statusbitbucket.Config, ok bool) {
	_, ok = c.BitbucketHost(source)
	return statusbitbucket.Config{Limits: c.statusLimits()}, ok
}

// BitbucketServerHost is what is needed to ask the API of a source with provider
// bitbucket-server; ok is false when it has no token.
func (c *Config) BitbucketServerHost(source string) (cfg githostbitbucketserver.Config, ok bool) {
	s := c.Sources[source]
	cfg = githostbitbucketserver.Config{Source: source, BaseURL: s.bitbucketServerAddress(), CloneBase: s.CloneBase, User: s.User, Token: s.Token.Reveal()}
	return cfg, s.Provider == providerBitbucketServer && !s.Token.IsZero()
}

// BitbucketServerStatus is what is needed to write build statuses to a source with
// provider bitbucket-server; ok is false when it has no token.
func (c *Config) BitbucketServerStatus(source string) (cfg statusbitbucketserver.Config, ok bool) {
	_, ok = c.BitbucketServerHost(source)
	return statusbitbucketserver.Config{Limits: c.statusLimits()}, ok
}

// statusLimits pace the statuses of one source.
func (c *Config) statusLimits() status.Limits {
	return status.Limits{PerMinute: c.Status.PerMinute, PerHour: c.Status.PerHour, Concurrent: c.Status.Concurrent}
}
