//go:build unix

package sqlitefile

import "syscall"

const errNoSpace = syscall.ENOSPC
