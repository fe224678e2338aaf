package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/internal/cloneurl"
	"switchyard/internal/fault"
)

// access is what builds may reach of the repositories of sources, and with which
// tokens. It is safe for concurrent use; a reload replaces what it knows.
type access struct {
	origins atomic.Pointer[[]cloneOrigin]
	apis    *apis
}

// cloneOrigin is where the repositories of a source are.
type cloneOrigin struct {
	source string
	base   string
	paths  []string
	// bare is true for a host whose repositories have no owners, and whose names
	// differ by capitals.
	bare bool
	// credentials are what a repository is fetched with; nil for a source that has none, or none that may travel: they go over
	// TLS only.
	credentials credentials
}

// below returns the full name of the repository that a URL names there.
func (o *cloneOrigin) below(cloneURL string) (name string, ok bool) {
	name, ok = cloneurl.Below(cloneURL, o.base)
	return name, ok && strings.Contains(name, "/") != o.bare
}

func (o *cloneOrigin) same(name, other string) bool {
	return name == other || !o.bare && strings.EqualFold(name, other)
}

var _ build.Access = (*access)(nil)

func newAccess(cfg *config.Config, shared *apis) (*access, error) {
	a := &access{apis: shared}
	apply, err := a.prepare(cfg)
	if err != nil {
		return nil, err
	}
	apply()
	return a, nil
}

// prepare returns what replaces what is known.
func (a *access) prepare(cfg *config.Config) (apply func(), err error) {
	var all []cloneOrigin
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		origin := cfg.Origin(name)
		o := cloneOrigin{source: name, base: origin.Base, bare: origin.Bare, paths: slices.Collect(maps.Values(origin.Paths))}
		p := providers[cfg.Sources[name].Provider]
		if p.credentials != nil && strings.HasPrefix(strings.ToLower(o.base), "https://") {
			if o.credentials, err = p.credentials(a.apis, cfg, name); err != nil {
				return nil, fmt.Errorf("sources.%s: %w", name, err)
			}
		}
		all = append(all, o)
	}
	return func() { a.origins.Store(&all) }, nil
}

// Configured implements [build.Access].
func (a *access) Configured(cloneURL string) bool {
	return slices.ContainsFunc(*a.origins.Load(), func(o cloneOrigin) bool {
		_, below := o.below(cloneURL)
		return below || slices.Contains(o.paths, cloneURL)
	})
}

// Credentials implements [build.Access]. A source's token goes to the repository
// that the execution is about, and to those that the config of builds names.
func (a *access) Credentials(ctx context.Context, f build.Fetch) (build.Credentials, error) {
	var from *cloneOrigin
	var name string
	for _, o := range *a.origins.Load() {
		if n, below := o.below(f.URL); below && o.credentials != nil && (from == nil || o.source == f.Source) {
			from, name = &o, n
		}
	}
	switch {
	case from == nil:
		return build.Credentials{}, nil
	case !f.Named && (from.source != f.Source || !from.same(name, f.Repository)):
		return build.Credentials{Note: fmt.Sprintf("%s is fetched without the credentials of sources.%s, since the execution is about %s; they go to other repositories only if one of engine.embedded.projects names them",
			name, from.source, about(f))}, nil
	}
	c, err := from.credentials(ctx, f.URL, name)
	if err != nil {
		lasting := errors.Is(err, dispatch.ErrCannotAsk) || errors.As(err, new(*dispatch.PermanentError))
		return build.Credentials{}, &fault.Error{Err: err, Brief: lasting}
	}
	return c, nil
}

// about says which repository an execution is about.
func about(f build.Fetch) string {
	if f.Repository == "" {
		return "none, by its input"
	}
	return fmt.Sprintf("%s of %s", f.Repository, f.Source)
}
