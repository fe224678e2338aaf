package dispatch

import (
	"context"
	"fmt"

	"switchyard/internal/event"
)

// refKey names a ref of a repository.
type refKey struct{ source, repository, ref string }

// moved notes where a ref is once the events read so far in this step are
// expanded.
func (f *facts) moved(m *Move) {
	if m == nil {
		return
	}
	if f.tips == nil {
		f.tips = map[refKey]string{}
	}
	f.tips[refKey{m.Source, m.Repository, m.Ref}] = m.After
}

// locate fills in where a ref was, where the host does not tell: the last commit
// of one that was deleted, and what a push led on from. That is where the last
// push left the ref.
func (f *facts) locate(ctx context.Context, ev *event.Event) error {
	switch {
	case ev.Before != "":
		return nil
	case ev.Kind == event.Delete && len(ev.Commits) == 0, ev.Kind == event.Push && ev.BeforeUnknown:
	default:
		return nil
	}
	key := refKey{ev.Source, ev.Repository.FullName, ev.Ref}
	tip, ok := f.tips[key]
	if !ok {
		var err error
		if tip, err = f.journal.Tip(ctx, key.source, key.repository, key.ref); err != nil {
			return fmt.Errorf("read where %s of %s was: %w", key.ref, key.repository, err)
		}
	}
	ev.Before = tip
	return nil
}
