package app

import (
	"context"

	"switchyard/build"
	"switchyard/config"
	githost "switchyard/githost/github"
)

// gitHubAPI keeps the clients of sources with provider github, with their Apps'
// tokens.
type gitHubAPI struct {
	clients[githost.Config, *githost.Client]
}

// client returns the one of a source; nil if its provider is another or the config
// has no access to its API.
func (a *gitHubAPI) client(cfg *config.Config, name string) (*githost.Client, error) {
	c, ok := cfg.GitHubHost(name)
	if !ok {
		return nil, nil
	}
	return a.of(name, c, func(c githost.Config) (*githost.Client, error) { return githost.New(c, githost.WithTransport(asking)) })
}

func gitHubCredentials(a *apis, cfg *config.Config, name string) (credentials, error) {
	host, err := a.gitHub.client(cfg, name)
	if host == nil {
		return nil, err
	}
	return func(ctx context.Context, _, repository string) (build.Credentials, error) {
		token, err := host.CloneToken(ctx, repository)
		return build.Credentials{User: "x-access-token", Password: token}, err
	}, nil
}
