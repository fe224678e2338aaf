package jsonata

import (
	"math"
	"strings"
	"unicode/utf8"
)

// style is how items are written as JSON.
type style struct {
	rounded bool // numbers to fifteen digits
	indent  bool // by two spaces a level
	level   int
	most    int // bytes; somewhat behind it, what is left is left out
}

// stringify appends x as JSON.stringify writes it: what is undefined is left
// out of objects and null in arrays, functions are "".
func stringify(dst []byte, x item, st style) []byte {
	switch x.kind {
	case boolean:
		if x.num != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case number:
		f := x.num
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return append(dst, "null"...)
		}
		if st.rounded {
			f = fifteenDigits(f)
		}
		return append(dst, formatNumber(f)...)
	case text:
		return appendText(dst, x.str)
	case function:
		return append(dst, `""`...)
	case array:
		return stringifyArray(dst, x, st)
	case object:
		return stringifyObject(dst, x, st)
	default:
	}
	return append(dst, "null"...)
}

func stringifyArray(dst []byte, x item, st style) []byte {
	if x.len() == 0 {
		return append(dst, "[]"...)
	}
	dst = append(dst, '[')
	st.level++
	for i := range x.len() {
		if len(dst) > st.most {
			return dst
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = stringify(st.line(dst), x.at(i), st)
	}
	st.level--
	return append(st.line(dst), ']')
}

func stringifyObject(dst []byte, x item, st style) []byte {
	keys, elems := x.members()
	dst = append(dst, '{')
	st.level++
	any := false
	for i, k := range keys {
		if len(dst) > st.most {
			return dst
		}
		if elems[i].kind == undefined {
			continue
		}
		if any {
			dst = append(dst, ',')
		}
		any = true
		dst = append(appendText(st.line(dst), k), ':')
		if st.indent {
			dst = append(dst, ' ')
		}
		dst = stringify(dst, elems[i], st)
	}
	st.level--
	if any {
		dst = st.line(dst)
	}
	return append(dst, '}')
}

// line begins a line when the style has them.
func (st style) line(dst []byte) []byte {
	if !st.indent {
		return dst
	}
	return append(append(dst, '\n'), strings.Repeat("  ", st.level)...)
}

const hexDigits = "0123456789abcdef"

// appendText appends a JSON string as JavaScript escapes it. Half a surrogate
// pair, which strings of expressions can hold, is escaped.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20 && c < utf8.RuneSelf:
			dst = append(dst, c)
		case c < 0x20:
			if j := strings.IndexByte("\b\f\n\r\t", c); j >= 0 {
				dst = append(dst, '\\', "bfnrt"[j])
			} else {
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		default:
			r, size := decode(s[i:])
			if r >= 0xD800 && r < 0xE000 {
				dst = append(dst, '\\', 'u', hexDigits[r>>12], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
			} else {
				dst = append(dst, s[i:i+size]...)
			}
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}

// decode reads the first character of s, which may be half a surrogate pair in
// three bytes.
func decode(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 && len(s) >= 3 && s[0] == 0xED && s[1]&0xE0 == 0xA0 && s[2]&0xC0 == 0x80 {
		return 0xD000 | rune(s[1]&0x3F)<<6 | rune(s[2]&0x3F), 3
	}
	return r, size
}

// encode appends a character, half a surrogate pair in three bytes.
func encode(dst []byte, r rune) []byte {
	if r >= 0xD800 && r < 0xE000 {
		return append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
	}
	return utf8.AppendRune(dst, r)
}
