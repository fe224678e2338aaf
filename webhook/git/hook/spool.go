package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// entry is one delivery in the spool. Its file is named SEQ-ID.json, where SEQ
// is the time in nanoseconds, or one more than the entry before, in 20 digits:
// the names sort in the order of the pushes.
type entry struct{ file string }

func (e entry) id() string {
	_, id, _ := strings.Cut(strings.TrimSuffix(e.file, ".json"), "-")
	return id
}

// together is the same for deliveries that were spooled at once.
func (e entry) together() string {
	id := e.id()
	return id[:max(0, len(id)-indexDigits)]
}

func (h *Hook) spoolDir() string  { return filepath.Join(h.dir, "spool") }
func (h *Hook) failedDir() string { return filepath.Join(h.dir, "failed") }
func (h *Hook) stagedDir() string { return filepath.Join(h.dir, "staged") }

func (h *Hook) makeDirs() error {
	for _, dir := range []string{h.dir, h.spoolDir(), h.failedDir(), h.stagedDir()} {
		if err := h.makeDir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the spool: %w", err)
		}
	}
	return nil
}

func (h *Hook) makeDir(dir string) error {
	err := os.Mkdir(dir, h.perm.Perm())
	if err == nil {
		// Mkdir's mode is subject to the umask; a shared repository's is not.
		err = os.Chmod(dir, h.perm)
	}
	if err == nil {
		err = h.give(dir)
	}
	return err
}

// waiting lists the spool in the order of the pushes.
func (h *Hook) waiting() ([]entry, error) {
	return listEntries(h.spoolDir())
}

func listEntries(dir string) ([]entry, error) {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the spool: %w", err)
	}
	var list []entry
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") && !strings.HasPrefix(f.Name(), ".") {
			list = append(list, entry{f.Name()})
		}
	}
	return list, nil
}

// temporary starts the names of files that are being written.
const temporary = ".new-"

// writeFile replaces the file in one step; when it returns nil, the content
// survives a crash.
func (h *Hook) writeFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	err = h.fill(f, content)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// fill writes the file's content, syncs and closes it.
func (h *Hook) fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Chmod(h.perm & 0o666)
	}
	if err == nil {
		err = h.give(f.Name())
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// park puts a delivery aside that Switchyard refused.
func (h *Hook) park(e entry, reason string) error {
	if err := h.writeFile(filepath.Join(h.failedDir(), e.file+".reason"), []byte(reason+"\n")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(h.spoolDir(), e.file), filepath.Join(h.failedDir(), e.file))
}

// unpark puts the refused deliveries back, under their IDs and in their places.
func (h *Hook) unpark() error {
	parked, err := listEntries(h.failedDir())
	for _, e := range parked {
		if err = os.Rename(filepath.Join(h.failedDir(), e.file), filepath.Join(h.spoolDir(), e.file)); err != nil {
			return fmt.Errorf("put back %s: %w", e.file, err)
		}
		_ = os.Remove(filepath.Join(h.failedDir(), e.file+".reason")) // it explains nothing any more
	}
	return err
}

// lock waits for the lock until ctx ends.
func (h *Hook) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err := h.tryLock(name)
		if unlock != nil || err != nil {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another push is still busy: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
