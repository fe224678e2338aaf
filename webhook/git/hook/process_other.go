//go:build !unix

package hook

import (
	"errors"
	"os/exec"
)

func (h *Hook) tryLock(string) (unlock func(), err error) {
	return nil, errors.New("the hook needs a system with flock(2), such as Linux or macOS")
}

func detach(*exec.Cmd) {}

func (h *Hook) give(string) error { return nil }
