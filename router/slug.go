package router

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxSlug is the longest DNS label, which environment names often become.
const maxSlug = 63

// slug makes a name of lower-case ASCII letters, digits and single dashes
// within, at most limit bytes long. A name that has none of these, such as one
// in another script, becomes "x-" and a hash, so that it stays apart.
func slug(s string, limit int) string {
	out := appendSlug(make([]byte, 0, min(len(s), limit)), s, limit)
	if len(out) > 0 || limit < 1 {
		return string(out)
	}
	sum := sha256.Sum256([]byte(s))
	fallback := "x-" + hex.EncodeToString(sum[:4])
	return strings.TrimRight(fallback[:min(len(fallback), max(limit, 1))], "-")
}

// appendSlug appends the slug of s, possibly nothing.
func appendSlug(dst []byte, s string, limit int) []byte {
	start, dash := len(dst), false
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case !alphanumeric(c):
			dash = true
			continue
		}
		if dash && len(dst) > start {
			if len(dst)-start+2 > limit {
				break
			}
			dst = append(dst, '-')
		}
		dash = false
		if len(dst)-start == limit {
			break
		}
		dst = append(dst, c)
	}
	return dst
}
