//go:build !unix

package sqlitefile

import "errors"

var errNoSpace = errors.New("no space left")
