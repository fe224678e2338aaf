package router

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxSlug is the longest DNS label, which environment names often become.
const maxSlug = 63

// hashInSlug is how many hex digits keep a slug apart that lost something: two
// names that look alike share one by an accident of 1 to 268 million.
const hashInSlug = 7

// uniqueSlug is slug for names that must stay apart: when it cannot show s as it
// is, be it for case, for a character or for length, it ends in "-" and the
// first digits of the SHA-256 of s. Where limit leaves no room for both, it is
// the hash alone. lost says whether it has a hash.
func uniqueSlug(s string, limit int) (name string, lost bool) {
	var room [maxSlug + 1]byte
	if plain := appendSlug(room[:0], s, len(room)); len(plain) > 0 && len(plain) <= limit && string(plain) == s {
		return s, false
	}
	sum := sha256.Sum256([]byte(s))
	digits := hex.EncodeToString(sum[:(maxSlug+1)/2])
	visible := limit - hashInSlug - 1
	if visible < 1 {
		return digits[:limit], true
	}
	out := appendSlug(room[:0], s, visible)
	if len(out) == 0 {
		out = append(out, 'x')
	}
	out = append(out, '-')
	return string(append(out, digits[:hashInSlug]...)), true
}

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
