package app

import (
	"context"
	"fmt"
	"sync/atomic"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/webhook"
)

// holders finds the repositories that a commit belongs to, or was offered to.
type holders func(ctx context.Context, sha string) ([]dispatch.Holder, error)

// forkCommits tells builds whose a commit is, by what deliveries said of it. It
// is safe for concurrent use.
type forkCommits struct {
	origins atomic.Pointer[map[string]webhook.Origin] // by source
	// ask is nil where there is no journal, as for an engine by itself.
	ask atomic.Pointer[holders]
}

func newForkCommits(cfg *config.Config) *forkCommits {
	f := &forkCommits{}
	f.prepare(cfg)()
	return f
}

// prepare returns what replaces the sources.
func (f *forkCommits) prepare(cfg *config.Config) (apply func()) {
	origins := make(map[string]webhook.Origin, len(cfg.Sources))
	for name := range cfg.Sources {
		origins[name] = cfg.Origin(name)
	}
	return func() { f.origins.Store(&origins) }
}

func (f *forkCommits) use(ask holders) { f.ask.Store(&ask) }

// known is a [build.ForkCommitFunc]. The repository at the clone URL decides.
// Where no source says which that is, all that know the commit do: one to which
// only forks have offered it makes it a fork's.
func (f *forkCommits) known(ctx context.Context, cloneURL, commit string) (bool, error) {
	ask := f.ask.Load()
	if ask == nil {
		return false, nil
	}
	found, err := (*ask)(ctx, commit)
	if err != nil {
		return false, fmt.Errorf("read whose commit %s is: %w", commit, err)
	}
	fork := false
	for _, h := range found {
		if (*f.origins.Load())[h.Source].Is(cloneURL, h.Repository) {
			return !h.Own, nil
		}
		fork = fork || !h.Own
	}
	return fork, nil
}
