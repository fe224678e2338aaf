package app

import (
	"context"
	"reflect"
	"sync"

	"switchyard/build"
	"switchyard/config"
	githost "switchyard/githost/github"
)

// gitHubAPI keeps a client for each source with provider github. All that asks the
// API of one shares it, and so its limits and an App's tokens; a reload keeps it
// while nothing about it changes.
type gitHubAPI struct {
	mu      sync.Mutex
	clients map[string]gitHubClient
}

type gitHubClient struct {
	cfg githost.Config
	*githost.Client
}

// client returns the one of a source; nil if its provider is another or the config
// has no access to its API.
func (a *gitHubAPI) client(cfg *config.Config, name string) (*githost.Client, error) {
	c, ok := cfg.GitHubHost(name)
	if !ok {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if kept, ok := a.clients[name]; ok && reflect.DeepEqual(kept.cfg, c) {
		return kept.Client, nil
	}
	made, err := githost.New(c)
	if err != nil {
		return nil, err
	}
	if a.clients == nil {
		a.clients = map[string]gitHubClient{}
	}
	a.clients[name] = gitHubClient{c, made}
	return made, nil
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
