// Package uuid makes random UUIDs.
package uuid

import (
	"crypto/rand"
	"fmt"
)

// Length is that of a UUID's text.
const Length = 36

// New returns a random UUID, version 4 (RFC 9562).
func New() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
