package app

import (
	"context"
	"fmt"
	"net/http"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgithub "switchyard/dispatch/status/github"
	"switchyard/dispatch/status/gitnotes"
	hostgit "switchyard/githost/git"
	"switchyard/webhook"
	"switchyard/webhook/git"
	"switchyard/webhook/gitea"
	"switchyard/webhook/github"
)

// provider joins what one kind of git host needs. In each function name is the
// source's in the config; what is nil, the kind does not have.
type provider struct {
	// signed makes what verifies and decodes deliveries that are proved by
	// secrets; door, for a kind that proves them otherwise, is asked instead. A
	// source without a door is nil.
	signed func(cfg *config.Config, name string, secrets []string) (webhook.Source, error)
	door   func(cfg *config.Config, name string, told func(text []byte) error) (webhook.Source, error)
	// sends sets what the host puts in the header of a delivery beside its proof:
	// what it calls the event, and the delivery's ID. messages, for a kind that has
	// a door, reads what comes through one.
	sends    func(h http.Header, event, delivery string)
	messages func(cfg *config.Config, name string) (webhook.Decoder, error)
	// host asks the API of the source. It is nil where the config has no access
	// to it, and lacks says then what to set.
	host  func(a *apis, cfg *config.Config, name string) (dispatch.Host, error)
	lacks func(name string) string
	// poster tells the host of executions; nil where nobody is told.
	poster func(a *apis, cfg *config.Config, name string) (status.Poster, error)
	// credentials make what asks for those that repositories are cloned with over
	// HTTPS; nil where there are none.
	credentials func(a *apis, cfg *config.Config, name string) (credentials, error)
	// compare is the part of an address, behind the repository's, below which the
	// host shows what lies between two commits; "" where it is not known.
	compare string
	// pull is that part for the pages of pull requests.
	pull string
	// hints are for who sets a source up.
	hints Hints
}

// credentials returns what a repository is fetched with, by its URL and full
// name.
type credentials func(ctx context.Context, cloneURL, repository string) (build.Credentials, error)

// apis is what the clients of hosts' APIs share.
type apis struct {
	codeCommit codeCommitAPI
	gitHub     gitHubAPI
	gitLab     gitLabAPI
	gitea      giteaAPI
	// describe finds the details of executions for hosts that show them; nil where
	// nothing does.
	describe status.Describer

	bitbucketCloud      bitbucketCloudAPI
	bitbucketDataCenter bitbucketDataCenterAPI
}

// providers are the kinds of git host, by the names that they have in the
// config.
var providers = map[string]provider{
	"github": {
		signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
			hub, err := github.New(github.Config{Secrets: secrets})
			if err != nil {
				return nil, err
			}
			// Before Gitea had a provider of its own, it was configured as github.
			return gitea.Beside(hub, gitea.Config{Secrets: secrets})
		},
		sends: func(h http.Header, event, delivery string) {
			h.Set("X-GitHub-Event", event)
			h.Set("X-GitHub-Delivery", delivery)
		},
		host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
			host, err := a.gitHub.client(cfg, name)
			if host == nil {
				return nil, err
			}
			return host, err
		},
		lacks: func(name string) string {
			return fmt.Sprintf("set sources.%s.token or .app, with the permission \"Contents: read\"", name)
		},
		poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
			c, ok := cfg.GitHubStatus(name)
			if !ok {
				return nil, nil
			}
			host, err := a.gitHub.client(cfg, name)
			if err != nil {
				return nil, err
			}
			return statusgithub.New(host, c, statusgithub.WithDetails(a.describe))
		},
		credentials: gitHubCredentials,
		compare:     "compare",
		pull:        "pull",
		hints: Hints{
			Token: "the token's page below Settings > Developer settings, or the App's page Permissions & events",
			Hooks: "the repository's page Settings > Webhooks",
		},
	},
	"gitlab": gitLab,
	"gitea":  giteaHost,

	"bitbucket":        bitbucketCloud,
	"bitbucket-server": bitbucketDataCenter,

	"git": {
		signed: func(_ *config.Config, _ string, secrets []string) (webhook.Source, error) {
			return git.New(git.Config{Secrets: secrets})
		},
		sends: func(h http.Header, _, delivery string) { h.Set(git.HeaderDelivery, delivery) },
		host: func(_ *apis, cfg *config.Config, name string) (dispatch.Host, error) {
			notes, ok := cfg.GitNotes(name)
			if !ok {
				return nil, nil
			}
			return hostgit.New(hostgit.Config{Source: name, Repositories: notes.Repositories}), nil
		},
		lacks: func(name string) string {
			return fmt.Sprintf("set sources.%s.repositories to their paths, if they are on this machine", name)
		},
		poster: func(_ *apis, cfg *config.Config, name string) (status.Poster, error) {
			c, ok := cfg.GitNotes(name)
			if !ok {
				return nil, nil
			}
			return gitnotes.New(c)
		},
	},
	"codecommit": {
		door: codeCommitSource,
		messages: func(cfg *config.Config, name string) (webhook.Decoder, error) {
			return CodeCommitMessages(cfg, name, nil)
		},
		host: func(a *apis, cfg *config.Config, name string) (dispatch.Host, error) {
			return a.codeCommit.client(cfg, name)
		},
		poster: func(a *apis, cfg *config.Config, name string) (status.Poster, error) {
			c, ok := cfg.CodeCommitStatus(name)
			if !ok {
				return nil, nil
			}
			return a.codeCommit.poster(cfg, name, c)
		},
		credentials: codeCommitCredentials,
	},
}

func codeCommitCredentials(a *apis, cfg *config.Config, name string) (credentials, error) {
	host, err := a.codeCommit.client(cfg, name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, cloneURL, _ string) (build.Credentials, error) {
		user, password, err := host.CloneCredentials(ctx, cloneURL)
		return build.Credentials{User: user, Password: password}, err
	}, nil
}
