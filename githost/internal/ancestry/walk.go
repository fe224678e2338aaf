package ancestry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"switchyard/dispatch"
)

// maxWalks is how many unfinished lists are kept; each can be some megabytes.
const maxWalks = 16

// Walk is a list of commits that took longer than one call may.
type Walk struct {
	Found []Commit
	// Next is where it goes on, in the host's own terms.
	Next string
}

// Walks keeps lists of commits that took longer than one call may. The zero value is
// ready; it is safe for concurrent use.
type Walks struct {
	mu   sync.Mutex
	kept map[string]Walk
}

// Take returns what is known of a list, and forgets it.
func (w *Walks) Take(key string) Walk {
	w.mu.Lock()
	defer w.mu.Unlock()
	walk := w.kept[key]
	delete(w.kept, key)
	return walk
}

// Keep keeps a list that ended by err, if that was for lack of time and some of it is
// read: its error is then a [*dispatch.UnfinishedError]. Any other it returns as it
// is.
func (w *Walks) Keep(ctx context.Context, key string, walk Walk, err error) error {
	if err == nil || walk.Next == "" || len(walk.Found) == 0 || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept == nil || len(w.kept) >= maxWalks {
		w.kept = map[string]Walk{}
	}
	w.kept[key] = walk
	return &dispatch.UnfinishedError{Err: fmt.Errorf("%d commits are read so far", len(walk.Found))}
}
