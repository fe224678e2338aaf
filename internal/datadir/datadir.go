// Package datadir makes a service's data folder and what lies in it survive a
// power cut, holds the folder for one process, and notices when it is taken
// away.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"switchyard/internal/filelock"
)

// pidFile names the process that holds the folder, for the message to the next
// one only.
const pidFile = "pid"

// Dir is a data folder that this process holds.
type Dir struct {
	path string
	file *os.File
}

// Open makes the folder, where there is none, and takes it for this process
// until Close. What is locked is the folder itself: files in it may be deleted
// without letting a second process in.
func Open(path string) (*Dir, error) {
	if err := Make(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	pid := filepath.Join(path, pidFile)
	switch err := filelock.Lock(f); {
	case errors.Is(err, filelock.ErrHeld):
		f.Close()
		holder := "another process"
		if text, err := os.ReadFile(pid); err == nil && len(text) > 0 {
			holder = "process " + strings.TrimSpace(string(text))
		}
		return nil, fmt.Errorf("data folder %s is in use by %s: stop that one, or give this one a data directory of its own", path, holder)
	case err != nil && !errors.Is(err, errors.ErrUnsupported):
		f.Close()
		return nil, fmt.Errorf("lock data folder %s: %w", path, err)
	}
	_ = os.WriteFile(pid, fmt.Appendln(nil, os.Getpid()), 0o600) // see pidFile
	return &Dir{path: path, file: f}, nil
}

// Check says whether the folder at the path is still the one that was opened.
func (d *Dir) Check() error {
	held, err := d.file.Stat()
	if err != nil {
		return fmt.Errorf("data folder %s: %w", d.path, err)
	}
	return Same(d.path, held)
}

// Close gives the folder back.
func (d *Dir) Close() error {
	if d.Check() == nil {
		_ = os.Remove(filepath.Join(d.path, pidFile)) // see pidFile
	}
	return d.file.Close()
}

// Same says in its error why what is at path is not the file or folder that
// was there when held was taken.
func Same(path string, held fs.FileInfo) error {
	now, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s was deleted or moved away while the service runs: put it back, or restart the service", path)
	case err != nil:
		return fmt.Errorf("%s cannot be reached any more: %w", path, err)
	case !os.SameFile(now, held):
		return fmt.Errorf("%s was replaced while the service runs: put the old one back, or restart the service", path)
	}
	return nil
}
