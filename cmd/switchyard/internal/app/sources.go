package app

import (
	"fmt"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	statusgithub "switchyard/dispatch/status/github"
	"switchyard/dispatch/status/gitnotes"
	"switchyard/webhook"
	"switchyard/webhook/eventbridge"
	"switchyard/webhook/git"
	"switchyard/webhook/github"
)

// sources builds what verifies and decodes the deliveries of each source. Events
// about executions that come along are told to hint.
func sources(cfg *config.Config, hint func(text []byte)) (map[string]webhook.Source, error) {
	all := map[string]webhook.Source{}
	for name, s := range cfg.Sources {
		source, err := newSource(cfg, name, &s, hint)
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		if source != nil {
			all[name] = source
		}
	}
	if aws := cfg.Engine.AWS; aws != nil && aws.StatusEvents != nil && aws.StatusEvents.EventBridge != nil {
		source, err := eventbridge.New(hinting{hint: hint}, aws.StatusEvents.EventBridge.Door())
		if err != nil {
			return nil, fmt.Errorf("engine.aws.status_events: %w", err)
		}
		all[config.StatusEventsSource] = source
	}
	return all, nil
}

// newSource is nil for a source that is not called, but asks.
func newSource(cfg *config.Config, name string, s *config.Source, hint func(text []byte)) (webhook.Source, error) {
	if s.Provider == "codecommit" {
		return codeCommitSource(cfg, name, s, hint)
	}
	source, err := webhook.PerRepository(func(secrets []string) (webhook.Source, error) {
		switch s.Provider {
		case "github":
			return github.New(github.Config{Secrets: secrets})
		case "git":
			return git.New(git.Config{Secrets: secrets})
		}
		return nil, fmt.Errorf("provider %q has no webhook", s.Provider)
	}, s.Secrets.Reveal(), s.RepositorySecrets())
	if err != nil {
		return nil, err
	}
	return webhook.From(source, cfg.Origin(name))
}

// posters builds what tells each source about its commits. A source that
// nobody is configured to tell has a nil one, which takes its statuses as told.
func posters(cfg *config.Config, codeCommit *codeCommitAPI) (map[string]status.Poster, error) {
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
		if c, ok := cfg.CodeCommitStatus(name); ok {
			p, err := codeCommit.poster(cfg, name, c)
			if err != nil {
				return nil, fmt.Errorf("sources.%s: %w", name, err)
			}
			all[name] = p
		}
	}
	return all, nil
}
