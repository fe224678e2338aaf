package value

import (
	"unicode/utf8"
)

// JSON returns v as compact JSON text. For arrays and objects the text is made
// once and kept.
func (v Value) JSON() string {
	switch v.kind {
	case Null:
		return "null"
	case Bool:
		if v.truth {
			return "true"
		}
		return "false"
	case Number:
		return v.str
	case String:
		return string(AppendString(nil, v.str))
	default:
		if t, ok := v.node.known(); ok {
			return t
		}
		s := string(v.AppendJSON(nil))
		v.node.text.Store(&s)
		return s
	}
}

// String is JSON, for fmt.
func (v Value) String() string { return v.JSON() }

// AppendJSON appends v as compact JSON text.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Null:
		return append(dst, "null"...)
	case Bool:
		if v.truth {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case Number:
		return append(dst, v.str...)
	case String:
		return AppendString(dst, v.str)
	default:
		return v.appendNode(dst)
	}
}

func (v Value) appendNode(dst []byte) []byte {
	if t, ok := v.node.known(); ok {
		return append(dst, t...)
	}
	if v.kind == Array {
		dst = append(dst, '[')
		for i, e := range v.node.elems {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = e.AppendJSON(dst)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	for i, k := range v.node.keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, k)
		dst = append(dst, ':')
		dst = v.node.elems[i].AppendJSON(dst)
	}
	return append(dst, '}')
}

// known returns the JSON text if it was parsed or made before.
func (n *node) known() (string, bool) {
	if n.src != "" {
		return n.src, true
	}
	if p := n.text.Load(); p != nil {
		return *p, true
	}
	return "", false
}

const hexDigits = "0123456789ABCDEF"

// AppendString appends s as a JSON string, escaping what Jackson escapes:
// quotes, backslashes and control characters, nothing else.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
