package config

import "strings"

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
