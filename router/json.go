package router

import "unicode/utf8"

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD.
// Characters that could act on a terminal or hide text where the input is
// shown are escaped, more of them than JSON asks for.
func appendString(dst []byte, s string) []byte {
	const hexdigits = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		// Eight bytes at a time while none of them is special.
		for i+8 <= len(s) && plain8(s[i:i+8]) {
			i += 8
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < 0x7f {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\b':
				dst = append(dst, '\\', 'b')
			case '\f':
				dst = append(dst, '\\', 'f')
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexdigits[c>>4], hexdigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, `\ufffd`...)
			start = i + n
		case unseen(r):
			dst = append(dst, s[start:i]...)
			dst = append(dst, '\\', 'u', hexdigits[r>>12], hexdigits[r>>8&15], hexdigits[r>>4&15], hexdigits[r&15])
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// plain8 reports whether eight bytes are ASCII that JSON shows as it is. A
// byte's high bit is set in one of the terms if it is not ASCII, a quote, a
// backslash or a control character, DEL included; the terms can be set too by a borrow from
// such a byte beside it, never without one.
func plain8(s string) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	_ = s[7]
	v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	quotes, slashes, dels := v^ones*'"', v^ones*'\\', v^ones*0x7f
	return (v|(v-ones*' ')|(quotes-ones)|(slashes-ones)|(dels-ones))&highs == 0
}

// unseen reports whether r, not ASCII, is a control character, a separator of
// lines, or one that turns the direction of the text around it.
func unseen(r rune) bool {
	return r <= 0x9f || r == 0x61c || r == 0x200e || r == 0x200f ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0xfeff
}

// clip cuts s to at most limit bytes, at a rune boundary and with an ellipsis.
func clip(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
