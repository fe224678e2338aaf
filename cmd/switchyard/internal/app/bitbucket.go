package app

import (
	"context"
	"fmt"
	"net/http"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusbitbucket "switchyard/dispatch/status/bitbucket"
	statusbitbucketserver "switchyard/dispatch/status/bitbucketserver"
	hostbitbucket "switchyard/githost/bitbucket"
	hostbitbucketserver "switchyard/githost/bitbucketserver"
	"switchyard/webhook"
	"switchyard/webhook/bitbucket"
	"switchyard/webhook/bitbucketserver"
)

// bitbucketCloudAPI keeps the clients of sources with provider bitbucket.
type bitbucketCloudAPI struct {
	clients[hostbitbucket.Config, *hostbitbucket.Client]
}

// client returns the one of a source; nil if the config has no access to its API.
func (a *bitbucketCloudAPI) client(cfg *config.Config, name string) (*hostbitbucket.Client, error) {
	c, ok := cfg.BitbucketHost(name)
	if !ok {
		return nil, nil
	}
	return a.of(name, c, func(c hostbitbucket.Config) (*hostbitbucket.Client, error) {
		return hostbitbucket.New(c, hostbitbucket.WithTransport(asking))
	})
}

// bitbucketDataCenterAPI keeps the clients of sources with provider
// bitbucket-server.
type bitbucketDataCenterAPI struct {
	clients[hostbitbucketserver.Config, *hostbitbucketserver.Client]
}

// client returns the one of a source; nil if the config has no access to its API.
func (a *bitbucketDataCenterAPI) client(cfg *config.Config, name string) (*hostbitbucketserver.Client, error) {
	c, ok := cfg.BitbucketServerHost(name)
	if !ok {
		return nil, nil
	}
	return a.of(name, c, func(c hostbitbucketserver.Config) (*hostbitbucketserver.Client, error) {
		return hostbitbucketserver.New(c, hostbitbucketserver.WithTransport(asking))
	})
}

// bitbucketCloud is the kind of host called bitbucket.
var bitbucketCloud = provider{
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return bitbucket.New(bitbucket.Config{Secrets: secrets})
	},
	sends: func(h http.Header, event, delivery string) {
		h.Set("X-Event-Key", event)
		h.Set("X-Request-UUID", delivery)
	},
	host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		host, err := a.bitbucketCloud.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return host, err
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, with the scopes \"Repositories: Read\" and \"Pull requests: Read\"", name)
	},
	poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
		host, err := a.bitbucketCloud.client(cfg, name)
		if host == nil {
			return nil, err
		}
		limits, _ := cfg.BitbucketStatus(name)
		return statusbitbucket.New(host, limits)
	},
	credentials: func(a *apis, cfg *config.Config, name string) (credentials, error) {
		host, err := a.bitbucketCloud.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return cloneCredentials(host), nil
	},
	hints: Hints{
		Token: "the page Security > Access tokens of the repository's, project's or workspace's settings",
		Hooks: "the repository's page Repository settings > Webhooks",
	},
}

// bitbucketDataCenter is the kind of host called bitbucket-server.
var bitbucketDataCenter = provider{
	signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
		return bitbucketserver.New(bitbucketserver.Config{Secrets: secrets})
	},
	sends: func(h http.Header, event, delivery string) {
		h.Set("X-Event-Key", event)
		h.Set("X-Request-Id", delivery)
	},
	host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
		host, err := a.bitbucketDataCenter.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return host, err
	},
	lacks: func(name string) string {
		return fmt.Sprintf("set sources.%s.token, an HTTP access token with the permission \"Repository read\"", name)
	},
	poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
		host, err := a.bitbucketDataCenter.client(cfg, name)
		if host == nil {
			return nil, err
		}
		limits, _ := cfg.BitbucketServerStatus(name)
		return statusbitbucketserver.New(host, limits)
	},
	credentials: func(a *apis, cfg *config.Config, name string) (credentials, error) {
		host, err := a.bitbucketDataCenter.client(cfg, name)
		if host == nil {
			return nil, err
		}
		return cloneCredentials(host), nil
	},
	hints: Hints{
		Token: "the page HTTP access tokens of the repository's or project's settings, or of your account",
		Hooks: "the repository's page Repository settings > Webhooks",
	},
}

// cloneCredentials are those of a host that has the same for all its repositories.
func cloneCredentials(host interface {
	CloneCredentials() (user, password string)
}) credentials {
	return func(context.Context, string, string) (build.Credentials, error) {
		user, password := host.CloneCredentials()
		return build.Credentials{User: user, Password: password}, nil
	}
}
