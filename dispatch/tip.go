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

// locate fills in the last commit of a ref that was deleted, where the host does
// not name it: that is where the last push left the ref.
func (f *facts) locate(ctx context.Context, ev *event.Event) error {
	if ev.Kind != event.Delete || ev.Before != "" || len(ev.Commits) > 0 {
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
