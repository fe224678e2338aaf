package proc

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ownKeyring gives what is started from this goroutine a session keyring of its
// own: none of the namespaces has one, so that it would read, and leave, keys in
// the keyring of this process's session. The goroutine's thread ends with it.
func ownKeyring() error {
	runtime.LockOSThread()
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		// There are no keys here, or they are out of reach for this process and
		// for what it starts.
		return nil
	}
	return fmt.Errorf("session keyring: %w", err)
}
