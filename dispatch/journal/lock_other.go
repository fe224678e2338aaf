//go:build !unix

package journal

import (
	"fmt"
	"os"
)

// lock only makes the file: where there is no flock, SQLite's own locks keep
// two processes from writing at once, but not from working at once.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock file of the journal: %w", err)
	}
	return f, nil
}
