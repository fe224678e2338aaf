package app

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"switchyard/config"
)

// credentials let builds fetch from the hosts that are sources, with the
// tokens that the config gives for them. It is safe for concurrent use.
type credentials struct {
	tokens atomic.Pointer[[]cloneToken]
}

// cloneToken is what the repositories below a URL are fetched with.
type cloneToken struct {
	host, path string
	token      string
}

func newCredentials(cfg *config.Config) *credentials {
	c := &credentials{}
	c.prepare(cfg)()
	return c
}

// prepare returns what replaces the tokens.
func (c *credentials) prepare(cfg *config.Config) (apply func()) {
	var tokens []cloneToken
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		s := cfg.Sources[name]
		base, err := url.Parse(cfg.Origin(name).Base)
		if s.Provider != "github" || s.Token.IsZero() || err != nil || base.Scheme != "https" {
			continue
		}
		tokens = append(tokens, cloneToken{httpsHost(base), strings.TrimRight(base.EscapedPath(), "/"), s.Token.Reveal()})
	}
	return func() { c.tokens.Store(&tokens) }
}

// httpsHost is the host of an https URL without the port that goes without
// saying.
func httpsHost(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Host), ":443")
}

// find is a [build.CredentialsFunc]. A token goes to its host over TLS, and
// there to repositories only: <base>/<owner>/<name>.git.
func (c *credentials) find(cloneURL string) (user, password string, ok bool) {
	u, err := url.Parse(cloneURL)
	if err != nil || u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", "", false
	}
	for _, t := range *c.tokens.Load() {
		rest, below := strings.CutPrefix(u.EscapedPath(), t.path+"/")
		if below && httpsHost(u) == t.host && isRepository(rest) {
			return "x-access-token", t.token, true
		}
	}
	return "", "", false
}

// isRepository reports whether path is that of a repository: an owner, or
// groups, and a name, none of which leads elsewhere.
func isRepository(path string) bool {
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for _, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil || plain == "" || plain == "." || plain == ".." || strings.ContainsAny(plain, `/\`) {
			return false
		}
	}
	return len(parts) >= 2
}
