package app

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/retryhttp"
)

// asking carries the questions to hosts' APIs.
var asking http.RoundTripper = retryhttp.Transport{Next: http.DefaultTransport}

// hosts asks the git host of each source. A reload replaces what it knows.
type hosts struct {
	bySource atomic.Pointer[map[string]dispatch.Host]
	cfg      atomic.Pointer[config.Config]
	apis     *apis
}

var (
	_ dispatch.Host    = (*hosts)(nil)
	_ dispatch.Refuser = (*hosts)(nil)
)

// prepare makes clients of the hosts that the config has access to. The
// function it returns switches to them.
func (h *hosts) prepare(cfg *config.Config) (apply func(), err error) {
	all := map[string]dispatch.Host{}
	for name, s := range cfg.Sources {
		if all[name], err = h.host(cfg, name, &s); err != nil {
			return nil, fmt.Errorf("sources.%s: %w", name, err)
		}
	}
	return func() { h.bySource.Store(&all); h.cfg.Store(cfg) }, nil
}

func (h *hosts) host(cfg *config.Config, name string, s *config.Source) (dispatch.Host, error) {
	p := providers[s.Provider]
	if p.host == nil {
		return noHost{fmt.Errorf("%w: source %s has none; its hook tells of every commit", dispatch.ErrCannotAsk, name)}, nil
	}
	host, err := p.host(h.apis, cfg, name)
	if err != nil || host != nil {
		return host, err
	}
	return noHost{fmt.Errorf("%w: %s", dispatch.ErrCannotAsk, p.lacks(name))}, nil
}

func (h *hosts) of(source string) dispatch.Host {
	if all := h.bySource.Load(); all != nil && (*all)[source] != nil {
		return (*all)[source]
	}
	return noHost{fmt.Errorf("%w: the config has no source %q any more", dispatch.ErrCannotAsk, source)}
}

// Refuses implements [dispatch.Refuser].
func (h *hosts) Refuses(source string) error {
	if none, ok := h.of(source).(noHost); ok {
		return none.err
	}
	return nil
}

// Commits implements [dispatch.Host].
func (h *hosts) Commits(ctx context.Context, push *event.Event) ([]event.Commit, error) {
	return h.of(push.Source).Commits(ctx, push)
}

// Commit implements [dispatch.Host].
func (h *hosts) Commit(ctx context.Context, source, repository, sha string) (event.Commit, error) {
	return h.of(source).Commit(ctx, source, repository, sha)
}

// noHost stands for a host that cannot be asked, and says why.
type noHost struct{ err error }

func (n noHost) Commits(context.Context, *event.Event) ([]event.Commit, error) { return nil, n.err }

func (n noHost) Commit(context.Context, string, string, string) (event.Commit, error) {
	return event.Commit{}, n.err
}
