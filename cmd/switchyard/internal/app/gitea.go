package app

import (
	"fmt"
	"net/http"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgitea "switchyard/dispatch/status/gitea"
	githost "switchyard/githost/gitea"
	"switchyard/webhook"
	"switchyard/webhook/gitea"
)

// giteaAPI keeps the clients of sources with provider gitea.
type giteaAPI struct {
	clients[githost.Config, *githost.Client]
}

// client returns the one of a source; nil if the config has no access to its API.
func (a *giteaAPI) client(cfg *config.Config, name string) (*githost.Client, error) {
	c, ok := cfg.GiteaHost(name)
	if !ok {
		return nil, nil
	}
	return a.of(name, c, func(c githost.Config) (*githost.Client, error) { return githost.New(c, githost.WithTransport(asking)) })
}

// giteaHost is the kind of host of that name, which Forgejo is too.
var giteaHost = provider{
	compare: "compare",
	pull:    "pulls",
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return gitea.New(gitea.Config{Secrets: secrets})
	},
	sends: func(h http.Header, event, delivery string) {
		h.Set("X-Gitea-Event", event)
		h.Set("X-Gitea-Delivery", delivery)
	},
	host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		host, err := a.gitea.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return host, err
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, with the scope %s", name, githost.ScopeRead)
	},
	poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
		c, ok := cfg.GiteaStatus(name)
		if !ok {
			return nil, nil
		}
		host, err := a.gitea.client(cfg, name)
		if err != nil {
			return nil, err
		}
		return statusgitea.New(host, c)
	},
	credentials: func(a *apis, cfg *config.Config, name string) (credentials, error) {
		host, err := a.gitea.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return cloneCredentials(host), nil
	},
	hints: Hints{
		Token: "the user's page Settings > Applications",
		Hooks: "the repository's page Settings > Webhooks",
	},
}
