package app

import (
	"fmt"

	"switchyard/config"
	"switchyard/dispatch"
)

// OpenHost is what asks the API of one source.
type OpenHost struct {
	// Host offers what it can do beside commits as the faces of package githost.
	// It is nil where nobody can be asked.
	dispatch.Host
	// Unable wraps [dispatch.ErrCannotAsk] where Host is nil: its text says what
	// is missing.
	Unable error
	// Hints say where things are found at this kind of host.
	Hints Hints
}

// Hints say for a person what a kind of git host calls things. What is empty, it
// does not have.
type Hints struct {
	// Token is where a token or App is made and changed; empty for a host that is
	// asked without one.
	Token string
	// Hooks is the page of a repository's webhooks.
	Hooks string
}

// OpenHosts makes a client of the API of each source, for a command. Nothing is
// called before a client is asked.
func OpenHosts(cfg *config.Config) (map[string]OpenHost, error) {
	h := hosts{apis: &apis{}}
	all := map[string]OpenHost{}
	for name, s := range cfg.Sources {
		host, err := h.host(cfg, name, &s)
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		open := OpenHost{Host: host, Hints: providers[s.Provider].hints}
		if none, cannot := host.(noHost); cannot {
			open.Host, open.Unable = nil, none.err
		}
		all[name] = open
	}
	return all, nil
}
