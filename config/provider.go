package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	githostbitbucket "switchyard/githost/bitbucket"
	"switchyard/internal/event"
	"switchyard/webhook/codecommit"
)

// The kinds of git host.
const (
	providerGitHub     = "github"
	providerGitLab     = "gitlab"
	providerGitea      = "gitea"
	providerGit        = "git"
	providerCodeCommit = "codecommit"

	providerBitbucket       = "bitbucket"
	providerBitbucketServer = "bitbucket-server"
)

// provider is what the config knows of a kind of git host.
type provider struct {
	// keys are those of a source that only some providers have and this one has.
	keys []string
	// without says for a person why it has no others; empty for the usual.
	without string
	// check checks what is its own.
	check func(d *decoder, at string, s *Source)
	// cloneBase is where its repositories are cloned from unless clone_base says
	// so; nil where only that can tell.
	cloneBase func(s *Source) string
	// tells reports whether a source of it is told of executions.
	tells func(c *Config, source string) bool
	// merges says that the host tells what pull requests would be merged to.
	merges bool
}

// providers are all kinds of git host. The values of Source.Provider in the
// schema are their names.
var providers = map[string]provider{
	providerGitHub: {
		keys:      []string{"secrets", "token", "app", "base_url"},
		check:     (*decoder).checkGitHub,
		cloneBase: gitHubCloneBase,
		tells:     func(c *Config, source string) bool { _, ok := c.GitHubStatus(source); return ok },
		merges:    true,
	},
	providerGitLab: {
		keys:      []string{"secrets", "token", "base_url"},
		check:     (*decoder).checkWebhook,
		cloneBase: gitLabBase,
		tells:     func(c *Config, source string) bool { _, ok := c.GitLabStatus(source); return ok },
		merges:    true,
	},
	providerGitea: {
		keys:      []string{"secrets", "token", "base_url"},
		check:     (*decoder).checkGitea,
		cloneBase: (*Source).giteaAddress,
		tells:     func(c *Config, source string) bool { _, ok := c.GiteaStatus(source); return ok },
	},
	providerBitbucket: {
		keys:      []string{"secrets", "token", "user", "base_url"},
		check:     (*decoder).checkBitbucket,
		cloneBase: func(*Source) string { return githostbitbucket.DefaultCloneBase },
		tells:     func(c *Config, source string) bool { _, ok := c.BitbucketStatus(source); return ok },
	},
	providerBitbucketServer: {
		keys:      []string{"secrets", "token", "user", "base_url"},
		check:     (*decoder).checkBitbucketServer,
		cloneBase: bitbucketServerCloneBase,
		tells:     func(c *Config, source string) bool { _, ok := c.BitbucketServerStatus(source); return ok },
	},
	providerGit: {
		keys:    []string{"secrets"},
		without: "a git source has no API; its statuses are git notes",
		check:   (*decoder).checkWebhook,
		tells:   func(c *Config, source string) bool { _, ok := c.GitNotes(source); return ok },
	},
	providerCodeCommit: {
		keys:      []string{"region", "account", "profile", "role", "external_id", "fips", "endpoint", "eventbridge", "sns", "sqs", "comments", "approve"},
		without:   "a codecommit source has none: its events are proved by its doors, such as eventbridge, and its API is called with AWS credentials",
		check:     (*decoder).checkCodeCommit,
		cloneBase: func(s *Source) string { return codecommit.CloneBase(s.Region) },
		tells:     func(c *Config, source string) bool { _, ok := c.CodeCommitStatus(source); return ok },
	},
}

// providerNames are the names of providers for a person.
func providerNames(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// checkKeys refuses the keys of a source that its provider does not have.
func (d *decoder) checkKeys(at string, s *Source) {
	own, known := providers[s.Provider]
	if !known {
		return // refused already
	}
	with := map[string][]string{}
	for _, name := range sorted(providers) {
		for _, key := range providers[name].keys {
			with[key] = append(with[key], name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(with)) {
		switch {
		case slices.Contains(own.keys, key) || !d.has(at+"."+key):
		case own.without != "" && slices.Contains(providers[providerGitHub].keys, key):
			d.failValue(at+"."+key, "%s", own.without)
		default:
			d.failValue(at+"."+key, "only a source with provider: %s has it", providerNames(with[key]))
		}
	}
}

// checkWebhook checks a source that proves its deliveries by secrets.
func (d *decoder) checkWebhook(at string, s *Source) {
	if !s.hasSecrets() && !d.offline && !d.failedUnder(at+".secrets") && !d.failedUnder(at+".repositories") {
		d.failValue(at, "secrets is missing: without one no delivery could be verified")
	}
	d.checkURL(at+".base_url", s.BaseURL)
	d.checkRepositories(at+".repositories", s)
}

func (d *decoder) checkGitHub(at string, s *Source) {
	if !s.Token.IsZero() && s.App != nil {
		d.failValue(at, "token and app exclude each other; keep one")
	}
	d.checkWebhook(at, s)
}

// checkMerges holds the routes with checkout: merge against the sources that they
// take pull requests of.
func (d *decoder) checkMerges(c *Config) {
	var able []string
	for _, name := range sorted(providers) {
		if providers[name].merges {
			able = append(able, name)
		}
	}
	for i := range c.Routes {
		r, at := &c.Routes[i], fmt.Sprintf("routes[%d].checkout", i)
		if r.Checkout != "merge" || !slices.Contains(r.On, string(event.PullRequest)) {
			continue
		}
		taken, unable := 0, []string{}
		for _, name := range sorted(c.Sources) {
			s := c.Sources[name]
			of, known := providers[s.Provider]
			switch {
			case !r.takes(name) || !known:
				continue
			case !of.merges:
				unable = append(unable, fmt.Sprintf("sources.%s is of provider: %s", name, s.Provider))
			case !s.hasToken() && !d.has(join("sources", name)+".token"):
				unable = append(unable, fmt.Sprintf("sources.%s has no token", name))
			}
			taken++
		}
		why := fmt.Sprintf("merge asks the host what a pull request would be merged to, which only a source with provider: %s and a token tells; %s", providerNames(able), strings.Join(unable, ", "))
		switch {
		case len(unable) == 0:
		case len(unable) == taken:
			d.failValue(at, "%s. Use checkout: head, or say in sources which others the route takes", why)
		default:
			c.warnings = append(c.warnings, fmt.Sprintf("%s: %s. Their pull requests start nothing on this route", at, why))
		}
	}
}

// hasToken reports whether the API of a source's host can be asked.
func (s *Source) hasToken() bool { return !s.Token.IsZero() || s.App != nil }
