package app

import (
	"context"
	"fmt"
	"net/http"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgitlab "switchyard/dispatch/status/gitlab"
	githost "switchyard/githost/gitlab"
	"switchyard/webhook"
	"switchyard/webhook/gitlab"
)

// gitLabAPI keeps the clients of sources with provider gitlab.
type gitLabAPI struct {
	clients[githost.Config, *githost.Client]
}

// client returns the one of a source; nil if the config has no access to its API.
func (a *gitLabAPI) client(cfg *config.Config, name string) (*githost.Client, error) {
	c, ok := cfg.GitLabHost(name)
	if !ok {
		return nil, nil
	}
	return a.of(name, c, func(c githost.Config) (*githost.Client, error) { return githost.New(c, githost.WithTransport(asking)) })
}

// gitLab is the kind of host of that name.
var gitLab = provider{
	compare: "-/compare",
	pull:    "-/merge_requests",
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return gitlab.New(gitlab.Config{Secrets: secrets})
	},
	sends: func(h http.Header, _, delivery string) {
		h.Set("X-Gitlab-Event", "System Hook") // whose body says what it is
		h.Set("Idempotency-Key", delivery)
	},
	host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		host, err := a.gitLab.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return host, err
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, with the scope api and the role Developer", name)
	},
	poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
		c, ok := cfg.GitLabStatus(name)
		if !ok {
			return nil, nil
		}
		host, err := a.gitLab.client(cfg, name)
		if err != nil {
			return nil, err
		}
		return statusgitlab.New(host, c)
	},
	credentials: func(a *apis, cfg *config.Config, name string) (credentials, error) {
		host, err := a.gitLab.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return func(_ context.Context, _, repository string) (build.Credentials, error) {
			user, password, err := host.CloneCredentials(repository)
			return build.Credentials{User: user, Password: password}, err
		}, nil
	},
	hints: Hints{
		Token: "the page Settings > Access tokens of the project, the group or the user",
		Hooks: "the project's page Settings > Webhooks",
	},
}
