package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"switchyard/webhook"
)

// Origin is where the repositories of a source are cloned from.
func (c *Config) Origin(source string) webhook.Origin {
	s := c.Sources[source]
	o := webhook.Origin{Base: s.cloneBase(), Bare: s.Provider == providerCodeCommit, Key: join("sources", source)}
	if notes, ok := c.GitNotes(source); ok {
		o.Paths = notes.Repositories
		for name, path := range o.Paths {
			if whole, err := filepath.Abs(path); err == nil {
				o.Paths[name] = whole
			}
		}
	}
	return o
}

// cloneBase is clone_base, or what its provider knows.
func (s *Source) cloneBase() string {
	if own := providers[s.Provider].cloneBase; s.CloneBase == "" && own != nil {
		return own(s)
	}
	return s.CloneBase
}

// gitHubCloneBase is what the API's address says: GitHub Enterprise Server and
// Gitea have their API below /api, GitHub itself and its enterprises in the cloud
// have it on a host api.<host>.
func gitHubCloneBase(s *Source) string {
	u, err := url.Parse(s.BaseURL)
	if err != nil || u.Host == "" {
		return "https://github.com"
	}
	path := strings.TrimRight(u.Path, "/")
	for _, api := range []string{"/api/v3", "/api/v1"} {
		if before, ok := strings.CutSuffix(path, api); ok {
			return u.Scheme + "://" + u.Host + before
		}
	}
	return u.Scheme + "://" + strings.TrimPrefix(u.Host, "api.") + path
}
