package app

import (
	"fmt"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgithub "switchyard/dispatch/status/github"
	"switchyard/dispatch/status/gitnotes"
	"switchyard/webhook"
	"switchyard/webhook/git"
	"switchyard/webhook/github"
)

// sources builds what verifies and decodes the deliveries of each source.
func sources(cfg *config.Config) (map[string]webhook.Source, error) {
	all := map[string]webhook.Source{}
	for name, s := range cfg.Sources {
		source, err := webhook.PerRepository(func(secrets []string) (webhook.Source, error) {
			switch s.Provider {
			case "github":
				return github.New(github.Config{Secrets: secrets})
			case "git":
				return git.New(git.Config{Secrets: secrets})
			}
			return nil, fmt.Errorf("provider %q has no webhook", s.Provider)
		}, s.Secrets.Reveal(), s.RepositorySecrets())
		if err == nil {
			source, err = webhook.From(source, cfg.Origin(name))
		}
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		all[name] = source
	}
	return all, nil
}

// posters builds what tells each source about its commits. A source that
// nobody is configured to tell has a nil one, which takes its statuses as told.
func posters(cfg *config.Config) (map[string]status.Poster, error) {
	all := map[string]status.Poster{dispatch.ManualSource: nil}
	for name := range cfg.Sources {
		all[name] = nil
		if c, ok := cfg.GitHubStatus(name); ok {
			p, err := statusgithub.New(c)
			if err != nil {
				return nil, fmt.Errorf("sources.%s: %w", name, err)
			}
			all[name] = p
		}
		if c, ok := cfg.GitNotes(name); ok {
			p, err := gitnotes.New(c)
			if err != nil {
				return nil, fmt.Errorf("sources.%s: %w", name, err)
			}
			all[name] = p
		}
	}
	return all, nil
}
