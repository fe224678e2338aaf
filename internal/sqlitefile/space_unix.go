//go:build unix

package sqlitefile

import "syscall"

const noSpace = syscall.ENOSPC
