//go:build unix

package hook

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// tryLock takes the lock of that name, or returns a nil function when another
// process has it. The kernel gives it back when its holder ends, however it
// ends; the file stays.
func (h *Hook) tryLock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(h.dir, name), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, h.perm&0o666)
	if err != nil {
		return nil, err
	}
	// Fails where the file is another account's, which made it so itself.
	_ = f.Chmod(h.perm & 0o666)
	_ = h.give(f.Name())
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return func() { f.Close() }, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
}

// detach gives the program a session of its own, which outlives the push and
// whoever made it.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// give makes a file or folder that root has made the account's that the
// repository belongs to, which could not read it otherwise.
func (h *Hook) give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Join(h.cfg.GitDir, "objects"))
	if err != nil {
		return nil //nolint:nilerr // nobody's repository: whoever uses it will say so
	}
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return os.Lchown(path, int(of.Uid), int(of.Gid))
	}
	return nil
}
