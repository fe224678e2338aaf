//go:build !unix

package sqlitefile

import "errors"

var noSpace = errors.New("no space left")
