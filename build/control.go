//go:build unix

package build

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// The control directory is where the build's shells write for us: how far they
// came, and their variables. The build can write there too. So nothing is read
// or written through a link that leads out of it, and no named pipe is waited
// for.

func (s *session) control(name string) string { return filepath.Join(s.dir, "control", name) }

// openControl opens a regular file of the control directory.
func (s *session) openControl(name string, flag int) (*os.File, error) {
	root, err := os.OpenRoot(filepath.Join(s.dir, "control"))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", f.Name()), err, f.Close())
	}
	return f, nil
}

// readControl reads a file that the build's shell has written for us, which may
// be anything that a build can put there.
func (s *session) readControl(name string, limit int64) ([]byte, error) {
	f, err := s.openControl(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", f.Name(), limit)
	}
	return b, err
}
