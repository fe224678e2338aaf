//go:build unix

package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// syncDir makes durable which files a folder lists. A folder that may not be
// read, as one of another user's above the data folder may be, is left to its
// owner, and a file system that cannot sync folders has no need to.
func syncDir(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
