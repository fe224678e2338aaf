package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"switchyard/internal/filelock"
)

// lock takes the journal for this process. The kernel frees it when the
// process ends, however it ends.
func lock(path string) (*os.File, error) {
	f, err := filelock.Take(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		holder := "another process"
		if pid, err := os.ReadFile(path + ".lock"); err == nil && len(pid) > 0 {
			holder = "process " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("journal %s is in use by %s: stop that one, or give this one a data directory of its own", path, holder)
	}
	if err != nil {
		return nil, fmt.Errorf("lock file of the journal: %w", err)
	}
	// Only for the message above; the lock is what counts.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}
