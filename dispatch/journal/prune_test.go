package journal

import (
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Run by the race detector, which is what it fails under.
func TestPruneIsSafeForConcurrentUse(t *testing.T) {
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := j.Prune(t.Context(), time.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
