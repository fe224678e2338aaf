package app

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"go.uber.org/zap"

	"switchyard/build"
	"switchyard/config"
)

// reloader replaces the config of a running service, wholly or not at all.
//
// Every part first prepares what it needs, which may fail and changes nothing.
// Then the state machines are stored, all in one write: the only step that
// changes something and may fail. What follows is switching, which cannot.
type reloader struct {
	// refuse says why a config cannot be applied at all, before anything is
	// prepared.
	refuse func(old, changed *config.Config) error
	parts  []part
	// store makes the definitions of the config's state machines durable, all
	// or none.
	store func(ctx context.Context, cfg *config.Config) error

	mu  sync.Mutex
	cfg *config.Config // the one in use
}

// part is a part of the service that follows the config.
type part struct {
	name string
	// prepare does all that can fail, and changes nothing that is in use. The
	// function it returns switches over.
	prepare func(cfg *config.Config) (apply func(), err error)
}

// reload applies cfg. On an error the old config is in use as before.
func (r *reloader) reload(ctx context.Context, cfg *config.Config) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refuse(r.cfg, cfg); err != nil {
		return err
	}
	applies := make([]func(), len(r.parts))
	for i, p := range r.parts {
		apply, err := p.prepare(cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		applies[i] = apply
	}
	if err := r.store(ctx, cfg); err != nil {
		return err
	}
	for _, apply := range applies {
		apply()
	}
	r.cfg = cfg
	return nil
}

// current is the config in use.
func (r *reloader) current() *config.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg
}

// parts are what follows the config in a, in the order in which they switch:
// what a new route needs is known before the route is. A delivery that comes
// meanwhile is answered under the secrets and tokens of before, and may be
// routed as one that waited in the journal for as long.
func (a *App) parts() []part {
	return []part{
		{"state machines", func(cfg *config.Config) (func(), error) {
			return a.engine.PrepareStateMachines(a.machines(cfg))
		}},
		{"routes", func(cfg *config.Config) (func(), error) {
			routes, err := a.planner(cfg)
			if err != nil {
				return nil, err
			}
			apply, err := a.dispatcher.Prepare(routes, a.dispatchConfig(cfg))
			return func() { apply(); a.inForce.Store(routes) }, err
		}},
		{"git hosts", a.hosts.prepare},
		{"statuses", func(cfg *config.Config) (func(), error) {
			posters, err := posters(cfg, &a.apis)
			return func() { a.statuses.SetPosters(posters) }, err
		}},
		{"builds", func(cfg *config.Config) (func(), error) {
			if a.embedded == nil {
				return func() {}, nil
			}
			if err := refuseForks(cfg, a.embedded.builds.Exposed()); err != nil {
				return nil, err
			}
			access, err := a.embedded.access.prepare(cfg)
			if err != nil {
				return nil, err
			}
			forks := a.embedded.forks.prepare(cfg)
			secrets := map[string]map[string]build.Secret{}
			for name := range cfg.Engine.Embedded.Projects {
				secrets[name] = cfg.BuildSecrets(name)
			}
			renewed, err := a.embedded.builds.PrepareSecrets(secrets)
			return func() { access(); forks(); renewed() }, err
		}},
		{"webhooks and API", func(cfg *config.Config) (func(), error) {
			f, err := a.newFaces(cfg)
			return func() { a.faces.Store(f) }, err
		}},
		{"queues", func(cfg *config.Config) (func(), error) { return a.queues.prepare(a, cfg) }},
	}
}

// Reload applies a changed config while the service runs. When any part of it
// is wrong nothing changes. What needs a restart (ports, data folder, engine and
// the like, see needsRestart) is refused.
func (a *App) Reload(ctx context.Context, cfg *config.Config) error {
	old := a.reloader.current()
	if err := a.reloader.reload(ctx, cfg); err != nil {
		a.CountRefusedConfig()
		return err
	}
	_, rotated := cfg.EngineChanged(old)
	for _, key := range rotated {
		if strings.HasPrefix(key, "engine.embedded.functions") || strings.HasPrefix(key, "engine.embedded.keys") {
			a.log.Warn("a secret was rotated in AWS that is read when the service starts; restart it to use the new one", zap.String("key", key))
		}
	}
	a.metrics.reloads.WithLabelValues("applied").Inc()
	return nil
}

// CountRefusedConfig shows in the metrics that a config was not applied, which
// Reload does by itself.
func (a *App) CountRefusedConfig() { a.metrics.reloads.WithLabelValues("refused").Inc() }
