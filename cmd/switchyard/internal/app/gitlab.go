package app

import (
	"context"
	"fmt"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgitlab "switchyard/dispatch/status/gitlab"
	hostgitlab "switchyard/githost/gitlab"
	"switchyard/webhook"
	"switchyard/webhook/gitlab"
)

// gitLab is the kind of host of that name.
var gitLab = provider{
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return gitlab.New(gitlab.Config{Secrets: secrets})
	},
	host: func(_ *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		c, ok := cfg.GitLabHost(name)
		if !ok {
			return nil, nil
		}
		return hostgitlab.New(c)
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, with the scope api and the role Developer", name)
	},
	poster: func(_ *apis, cfg *config.Config, name string) (status.Poster, error) {
		c, ok := cfg.GitLabStatus(name)
		if !ok {
			return nil, nil
		}
		return statusgitlab.New(c)
	},
	credentials: func(_ *apis, cfg *config.Config, name string) (credentials, error) {
		c, ok := cfg.GitLabHost(name)
		if !ok {
			return nil, nil
		}
		host, err := hostgitlab.New(c)
		if err != nil {
			return nil, err
		}
		return func(_ context.Context, _, repository string) (build.Credentials, error) {
			user, password, err := host.CloneCredentials(repository)
			return build.Credentials{User: user, Password: password}, err
		}, nil
	},
	hints: Hints{
		Token:       "the page Settings > Access tokens of the project, the group or the user",
		Hooks:       "the project's page Settings > Webhooks",
		HooksNeed:   `the role Maintainer and the scope "api"`,
		ProtectNeed: `the role Maintainer and the scope "api"`,
	},
}
