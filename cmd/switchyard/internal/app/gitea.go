package app

import (
	"context"
	"fmt"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgitea "switchyard/dispatch/status/gitea"
	hostgitea "switchyard/githost/gitea"
	"switchyard/webhook"
	"switchyard/webhook/gitea"
)

// giteaHost is the kind of host of that name, which Forgejo is too.
var giteaHost = provider{
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return gitea.New(gitea.Config{Secrets: secrets})
	},
	host: func(_ *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		c, ok := cfg.GiteaHost(name)
		if !ok {
			return nil, nil
		}
		return hostgitea.New(c)
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, with the scope %s", name, hostgitea.ScopeRead)
	},
	poster: func(_ *apis, cfg *config.Config, name string) (status.Poster, error) {
		c, ok := cfg.GiteaStatus(name)
		if !ok {
			return nil, nil
		}
		return statusgitea.New(c)
	},
	credentials: func(_ *apis, cfg *config.Config, name string) (credentials, error) {
		c, ok := cfg.GiteaHost(name)
		if !ok {
			return nil, nil
		}
		host, err := hostgitea.New(c)
		if err != nil {
			return nil, err
		}
		return func(context.Context, string, string) (build.Credentials, error) {
			user, password := host.CloneCredentials()
			return build.Credentials{User: user, Password: password}, nil
		}, nil
	}, hints: Hints{
		Token:       "the user's page Settings > Applications",
		Hooks:       "the repository's page Settings > Webhooks",
		HooksNeed:   `an administrator of the repository, and the scope "write:repository"`,
		ProtectNeed: `an administrator of the repository, and the scope "write:repository"`,
	},
}
