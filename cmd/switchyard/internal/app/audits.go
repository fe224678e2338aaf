package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"switchyard/audit"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
	"switchyard/internal/event"
	"switchyard/router"
)

// newAuditor joins audits with the journal, the hosts and the routes in force.
func (a *App) newAuditor() *audit.Auditor {
	return audit.New(ledger{a.journal, a.dispatcher}, a.audited, func() (audit.Planner, audit.Config) {
		return a.inForce.Load(), a.reloader.current().AuditConfig()
	}, audit.WithLogger(a.log), audit.WithThrottled(throttled), audit.WithRefusals(refuses), audit.WithObserver(a.metrics.audited))
}

// throttled reports whether a host asks for fewer calls, or has not come to the
// end of an answer that goes on with the next call.
func throttled(err error) (time.Duration, bool) {
	var limited *dispatch.ThrottledError
	if errors.As(err, &limited) {
		return limited.After, true
	}
	return time.Second, errors.As(err, new(*dispatch.UnfinishedError))
}

// refuses reports whether an error is a host's last word.
func refuses(err error) bool { return errors.As(err, new(*dispatch.PermanentError)) }

// audited are the repositories that are audited: those that the config names, and
// those that deliveries told of.
func (a *App) audited(ctx context.Context) ([]audit.Repository, error) {
	cfg := a.reloader.current()
	var all []audit.Repository
	for _, source := range slices.Sorted(maps.Keys(cfg.Sources)) {
		known, err := a.journal.Repositories(ctx, source)
		if err != nil {
			return nil, fmt.Errorf("read the repositories of %s: %w", source, err)
		}
		all = append(all, auditedOf(cfg, source, a.hosts.of(source), known)...)
	}
	return all, nil
}

// auditedOf are the repositories of one source.
func auditedOf(cfg *config.Config, source string, host dispatch.Host, known []string) []audit.Repository {
	of := audit.Repository{Source: source}
	able, ok := host.(audit.Host)
	switch none, cannot := host.(noHost); {
	case ok && !cannot:
		of.Host = able
	case cannot:
		of.Unable = none.err
	default:
		of.Unable = fmt.Errorf("%w: what source %s has is not listed", dispatch.ErrCannotAsk, source)
	}
	of.Hook = cfg.HookURL(source)
	// Hosts take capitals in names for small letters; the journal has it as the
	// host says it.
	names := map[string]string{}
	for _, name := range append(cfg.NamedRepositories(source), known...) {
		if cfg.Origin(source).Bare {
			names[name] = name
		} else {
			names[strings.ToLower(name)] = name
		}
	}
	var all []audit.Repository
	for _, key := range slices.Sorted(maps.Keys(names)) {
		of.Name = names[key]
		of.CloneURL = cfg.Origin(source).Place(of.Name)
		all = append(all, of)
	}
	return all
}

// ledger is the journal as audits see it.
type ledger struct {
	dispatch.Journal
	dispatcher *dispatch.Dispatcher
}

var _ audit.Ledger = ledger{}

// Known implements [audit.Ledger].
func (l ledger) Known(ctx context.Context, source, repository string, shas []string) (map[string]event.Commit, error) {
	all := map[string]event.Commit{}
	for some := range slices.Chunk(shas, atOnce) {
		known, err := l.KnownCommits(ctx, source, repository, some)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, known)
	}
	return all, nil
}

// atOnce is how many rows one query asks for.
const atOnce = 500

// Exist implements [audit.Ledger].
func (l ledger) Exist(ctx context.Context, requests []event.Request) ([]bool, error) {
	exist := make([]bool, 0, len(requests))
	for some := range slices.Chunk(requests, atOnce) {
		asked := make([]*event.Request, len(some))
		for i := range some {
			asked[i] = &some[i]
		}
		found, err := l.Foresee(ctx, asked, nil, nil)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			exist = append(exist, !f.New)
		}
	}
	return exist, nil
}

// Accept implements [audit.Ledger].
func (l ledger) Accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	return l.dispatcher.Accept(ctx, ev)
}

// audits are served to those who may call the API.
func (a *App) audits() api.Option { return api.WithAudits(a.auditor.Handler(api.ParseSince)) }

var _ audit.Planner = (*router.Router)(nil)
