package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A file or folder that was made survives a power cut once the folder that
// lists it has been synced, and what was written to a file once the file has.

// Make makes the folder at path and those above it, for the user alone, and
// makes its name durable also when it was there already: whoever made it may
// not have.
func Make(path string) error { return makeOn(system{}, path) }

// Create opens the file at path for reading and writing, makes it durably when
// there is none, and reports whether it did.
func Create(path string) (f *os.File, made bool, err error) { return createOn(system{}, path) }

// WriteFile replaces the file at path, readable by the user alone, as a whole:
// after a power cut it has its old content or the new one.
func WriteFile(path string, text []byte) error { return writeOn(system{}, path, text) }

// disk is what a power cut reaches.
type disk interface {
	mkdir(path string) error
	create(path string) (*os.File, error) // fails where there is one
	sync(f *os.File) error
	rename(from, to string) error
	syncDir(path string) error
}

func makeOn(d disk, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("make folder %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("make folder %s: there is a file of that name", path)
		}
		return d.syncDir(filepath.Dir(path))
	}
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); err != nil {
		if err := makeOn(d, parent); err != nil {
			return err
		}
	}
	if err := d.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make folder %s: %w", path, errors.Unwrap(err))
	}
	return d.syncDir(parent)
}

func createOn(d disk, path string) (f *os.File, made bool, err error) {
	if f, err = os.OpenFile(path, os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
		return f, false, err
	}
	if f, err = d.create(path); errors.Is(err, fs.ErrExist) {
		f, err = os.OpenFile(path, os.O_RDWR, 0)
		return f, false, err
	}
	if err == nil {
		if err = d.syncDir(filepath.Dir(path)); err != nil {
			f.Close()
		}
	}
	return f, true, err
}

func writeOn(d disk, path string, text []byte) (err error) {
	f, err := d.create(path + ".new")
	if errors.Is(err, fs.ErrExist) { // left by a power cut
		if err := os.Remove(path + ".new"); err != nil {
			return err
		}
		f, err = d.create(path + ".new")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(text)
	if err := errors.Join(err, d.sync(f), f.Close()); err != nil {
		return err
	}
	if err := d.rename(f.Name(), path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// system is the real disk.
type system struct{}

func (system) mkdir(path string) error { return os.Mkdir(path, 0o700) }
func (system) create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}
func (system) sync(f *os.File) error        { return f.Sync() }
func (system) rename(from, to string) error { return os.Rename(from, to) }
func (system) syncDir(path string) error    { return syncDir(path) }
