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
		var source webhook.Source
		var err error
		switch s.Provider {
		case "github":
			source, err = github.New(s.GitHubWebhook())
		case "git":
			source, err = git.New(s.GitWebhook())
		default:
			err = fmt.Errorf("provider %q has no webhook", s.Provider)
		}
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
