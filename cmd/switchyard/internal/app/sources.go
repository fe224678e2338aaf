package app

import (
	"fmt"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/webhook"
	"switchyard/webhook/eventbridge"
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
	p := providers[s.Provider]
	if p.door != nil {
		return p.door(cfg, name, hint)
	}
	if p.signed == nil {
		return nil, fmt.Errorf("provider %q has no webhook", s.Provider)
	}
	source, err := webhook.PerRepository(func(secrets []string) (webhook.Source, error) {
		return p.signed(cfg, name, secrets)
	}, s.Secrets.Reveal(), s.RepositorySecrets())
	if err != nil {
		return nil, err
	}
	return webhook.From(source, cfg.Origin(name))
}

// posters builds what tells each source about its commits. A source that
// nobody is configured to tell has a nil one, which takes its statuses as told.
func posters(cfg *config.Config, a *apis) (map[string]status.Poster, error) {
	all := map[string]status.Poster{dispatch.ManualSource: nil}
	for name, s := range cfg.Sources {
		all[name] = nil
		p := providers[s.Provider]
		if p.poster == nil {
			continue
		}
		poster, err := p.poster(a, cfg, name)
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		all[name] = poster
	}
	return all, nil
}
