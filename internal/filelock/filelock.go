// Package filelock takes a file for one process at a time.
package filelock

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrHeld is returned when another process holds the lock.
var ErrHeld = errors.New("the lock is held by another process")

// A process that is killed while it starts a program leaves its locks to the
// child for as long as that has not become the program: up to a tenth of a
// second was seen on a busy machine. A service that is started again at once
// must not take that for a second service.
const (
	patience = 2 * time.Second
	pause    = 10 * time.Millisecond
)

// Take makes the file at path, if there is none, and locks it as [Lock] does.
// Closing the file, or the end of the process, however it ends, gives the lock
// back. Where the system has no flock, the file is only made.
func Take(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := Lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// Lock locks a file or folder that is open. A lock that is held is waited for,
// two seconds at most; then the error is [ErrHeld]. It is
// [errors.ErrUnsupported] where the file system cannot lock f.
func Lock(f *os.File) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := tryLock(f)
		if err == nil || !errors.Is(err, ErrHeld) || time.Now().After(deadline) {
			return err
		}
	}
}

// Held reports whether a process holds the lock of the file at path. It makes no
// file; one that is not there is held by nobody.
func Held(path string) bool {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(tryLock(f), ErrHeld)
}
