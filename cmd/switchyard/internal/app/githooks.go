package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/webhook/git/hook"
)

// hookCatchUp has the git repositories on this machine report what their hooks
// could not: pushes during which the service was down for long, or whose hook
// was killed. It does what "switchyard hook flush" does, to the address and with
// the secret that the repository's own settings name. Repositories without the
// hook are left alone.
type hookCatchUp struct {
	log *zap.Logger
	// current returns the config in force.
	current func() *config.Config
	// send has one repository report, and writes down what it said.
	send func(ctx context.Context, path string, said io.Writer) error
	// trouble is what was logged last of each repository, by its path.
	trouble map[string]string
}

const (
	hookCatchUpEvery = 5 * time.Minute
	// hookCatchUpTimeout bounds what one repository may take of a round.
	hookCatchUpTimeout = time.Minute
)

func newHookCatchUp(current func() *config.Config, log *zap.Logger) *hookCatchUp {
	return &hookCatchUp{log: log.Named("githooks"), current: current, send: flushHook, trouble: map[string]string{}}
}

// Run goes through the repositories at once and then every few minutes, until
// ctx ends.
func (c *hookCatchUp) Run(ctx context.Context) {
	tick := time.NewTicker(hookCatchUpEvery)
	defer tick.Stop()
	for {
		for _, path := range localRepositories(c.current()) {
			c.flush(ctx, path)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// localRepositories lists the paths of all sources' repositories on this
// machine, each once.
func localRepositories(cfg *config.Config) []string {
	var paths []string
	for name := range cfg.Sources {
		if notes, ok := cfg.GitNotes(name); ok {
			paths = slices.AppendSeq(paths, maps.Values(notes.Repositories))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// flushHook is "switchyard hook flush" for a repository.
func flushHook(ctx context.Context, path string, said io.Writer) error {
	h, err := hook.At(ctx, path)
	if err != nil {
		return err
	}
	return h.Flush(ctx, said, false, 0)
}

// flush gives a repository its turn. One on which that panics costs no more.
func (c *hookCatchUp) flush(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(ctx, hookCatchUpTimeout)
	defer cancel()
	var said bytes.Buffer
	err := dispatch.Guard(func() error { return c.send(ctx, path, &said) })
	for lines := bufio.NewScanner(&said); lines.Scan(); {
		c.log.Info("caught up with a repository", zap.String("path", path), zap.String("said", lines.Text()))
	}
	var fault *dispatch.PanicError
	if errors.As(err, &fault) && c.trouble[path] != err.Error() {
		c.log.Error("a panic was caught; this is a bug in Switchyard", zap.String("step", "catch up with a repository"),
			zap.String("path", path), zap.String("panic", fault.Text), zap.ByteString("stack", fault.Stack))
	}
	switch {
	case errors.Is(err, hook.ErrNotInstalled), errors.Is(ctx.Err(), context.Canceled):
	case err == nil:
		if c.trouble[path] != "" {
			c.log.Info("can catch up with the repository again", zap.String("path", path))
		}
		delete(c.trouble, path)
	case c.trouble[path] != err.Error():
		c.trouble[path] = err.Error()
		c.log.Warn("cannot catch up with a repository; trying on, and logging other errors only", zap.String("path", path), zap.Error(err))
	}
}
