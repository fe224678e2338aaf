package config

import "strings"

// HookURL is where the webhooks of a source lead to; empty without public_url.
func (c *Config) HookURL(source string) string {
	if c.Server.PublicURL == "" {
		return ""
	}
	return c.Server.PublicURL + "/webhooks/" + source
}

// HookSecret is the secret by which a repository's deliveries are proved, of
// several the first, which is the newest; false where it has none.
func (c *Config) HookSecret(source, repository string) (Secret, bool) {
	s := c.Sources[source]
	for name, r := range s.Repositories {
		if strings.EqualFold(name, repository) && len(r.Secrets) > 0 {
			return r.Secrets[0], true
		}
	}
	if len(s.Secrets) == 0 {
		return Secret{}, false
	}
	return s.Secrets[0], true
}
