//go:build unix

package build

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// masked stands where a secret was, as in CodeBuild's logs.
const masked = "***"

// MinMasked is how many bytes a secret must have to be masked: of a shorter one
// a log would be full by chance.
const MinMasked = 4

// masker replaces secrets in a stream, also where one is split over writes.
type masker struct {
	// secrets are sorted, the longest first, so that one that contains
	// another is replaced whole.
	secrets []string
	// held is the end of the stream that could be the beginning of a secret.
	held []byte
}

func (m *masker) add(secret string) {
	// A program that prints a secret of several lines may print them apart.
	for s := range strings.SplitSeq(secret, "\n") {
		s = strings.TrimSuffix(s, "\r")
		if s != "" && !slices.Contains(m.secrets, s) {
			m.secrets = append(m.secrets, s)
		}
	}
	slices.SortFunc(m.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// write takes the next bytes and returns those that can be shown by now.
func (m *masker) write(p []byte) []byte {
	if len(m.secrets) == 0 {
		return p
	}
	m.held = append(m.held, p...)
	buf := m.held
	m.held = nil
	var out []byte
	for len(buf) > 0 {
		s, at := m.next(buf)
		if at < 0 {
			break
		}
		out = append(out, buf[:at]...)
		out = append(out, masked...)
		buf = buf[at+len(s):]
	}
	keep := m.prefixAtEnd(buf)
	out = append(out, buf[:len(buf)-keep]...)
	m.held = bytes.Clone(buf[len(buf)-keep:])
	return out
}

// next finds the first secret in b, the longest of those at the same place. A
// shorter one must wait while a longer one may still become complete.
func (m *masker) next(b []byte) (secret string, at int) {
	at = -1
	for _, s := range m.secrets {
		if i := bytes.Index(b, []byte(s)); i >= 0 && (at < 0 || i < at) {
			secret, at = s, i
		}
	}
	if at >= 0 && len(b)-m.prefixAtEnd(b) <= at {
		return "", -1
	}
	return secret, at
}

// prefixAtEnd is the length of the longest end of b that begins a secret and
// does not complete one.
func (m *masker) prefixAtEnd(b []byte) int {
	longest := 0
	for _, s := range m.secrets {
		for n := min(len(s)-1, len(b)); n > longest; n-- {
			if string(b[len(b)-n:]) == s[:n] {
				longest = n
				break
			}
		}
	}
	return longest
}

// flush returns what is held: no more will come that could complete it.
func (m *masker) flush() []byte {
	b := m.held
	m.held = nil
	return []byte(m.all(string(b)))
}

// all masks a whole text.
func (m *masker) all(s string) string {
	for _, secret := range m.secrets {
		s = strings.ReplaceAll(s, secret, masked)
	}
	return s
}
