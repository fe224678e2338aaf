package config

import (
	"net/url"
	"path/filepath"
	"strings"

	"switchyard/webhook"
	"switchyard/webhook/codecommit"
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

// cloneBase is clone_base, of a codecommit source the address of the region, or
// of a github source what its API's address says:
// GitHub Enterprise Server and Gitea have their API below /api, GitHub itself
// and its enterprises in the cloud have it on a host api.<host>.
func (s *Source) cloneBase() string {
	if s.CloneBase == "" && s.Provider == providerCodeCommit {
		return codecommit.CloneBase(s.Region)
	}
	if s.CloneBase != "" || s.Provider != providerGitHub {
		return s.CloneBase
	}
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
