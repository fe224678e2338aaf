package app

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/eventbridge"
)

// sources builds what verifies and decodes the deliveries of each source. Events
// of and about executions that come along are told.
func sources(cfg *config.Config, told func(text []byte) error) (map[string]webhook.Source, error) {
	all := map[string]webhook.Source{}
	for name, s := range cfg.Sources {
		source, err := newSource(cfg, name, &s, told)
		if err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
		if source != nil {
			all[name] = source
		}
	}
	if aws := cfg.Engine.AWS; aws != nil && aws.StatusEvents != nil && aws.StatusEvents.EventBridge != nil {
		source, err := eventbridge.New(engineEvents{told: told}, aws.StatusEvents.EventBridge.Door())
		if err != nil {
			return nil, fmt.Errorf("engine.aws.status_events: %w", err)
		}
		all[config.StatusEventsSource] = source
	}
	return all, nil
}

// newSource is nil for a source that is not called, but asks.
func newSource(cfg *config.Config, name string, s *config.Source, told func(text []byte) error) (webhook.Source, error) {
	p := providers[s.Provider]
	if p.door != nil {
		return p.door(cfg, name, told)
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

// noSecret signs nothing: decoding does not verify, but a source is not made
// without a secret.
var noSecret = []string{"nothing is verified"}

// ErrNoSource says that a config has no source of a name, and that it is not the
// name of a provider either.
var ErrNoSource = errors.New("no such source")

// Decode reads a payload as the source would read a delivery of it, without its
// proof. kind is what the host calls what happened. A config without the source
// still has routes: the name is then taken for that of a provider.
func Decode(cfg *config.Config, name, kind string, body []byte) ([]event.Event, error) {
	s, known := cfg.Sources[name]
	p, found := providers[cmp.Or(s.Provider, name)]
	if !found {
		return nil, ErrNoSource
	}
	if p.messages != nil {
		messages, err := p.messages(cfg, name)
		if err != nil {
			return nil, err
		}
		return messages.DecodeMessage(body)
	}
	source, err := p.signed(cfg, name, noSecret)
	if err == nil && known {
		source, err = webhook.From(source, cfg.Origin(name))
	}
	if err != nil {
		return nil, err
	}
	h := http.Header{"Content-Type": {"application/json"}}
	p.sends(h, kind, "explain")
	return webhook.DecodeAll(source, h, body)
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
