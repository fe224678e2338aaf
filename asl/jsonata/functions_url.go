package jsonata

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// What is not escaped in a part of a URL, and what is not in a whole one
// (https://tc39.es/ecma262/#sec-uri-handling-functions).
const (
	urlMarks    = "-_.!~*'()"
	urlReserved = ";/?:@&=+$,#"
)

var urlFunctions = []entry{
	{"encodeUrlComponent", "<s-:s>", 1, ofFirst(encoder("encodeUrlComponent", urlMarks))},
	{"encodeUrl", "<s-:s>", 1, ofFirst(encoder("encodeUrl", urlMarks+urlReserved))},
	{"decodeUrlComponent", "<s-:s>", 1, ofFirst(decoder("decodeUrlComponent", ""))},
	{"decodeUrl", "<s-:s>", 1, ofFirst(decoder("decodeUrl", urlReserved))},
}

func malformed(name string, x item) *Error {
	e := fail("D3140").of(x)
	e.function = name
	return e
}

func encoder(name, keep string) func(*evaluator, item, []item) (item, error) {
	return func(ev *evaluator, x item, _ []item) (item, error) {
		if !utf8.ValidString(x.str) { // half a surrogate pair
			return nothing, malformed(name, x)
		}
		if err := ev.alloc(3 * len(x.str)); err != nil {
			return nothing, err
		}
		var out strings.Builder
		for i := range len(x.str) {
			c := x.str[i]
			if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte(keep, c) >= 0 {
				out.WriteByte(c)
			} else {
				out.WriteByte('%')
				out.WriteByte("0123456789ABCDEF"[c>>4])
				out.WriteByte("0123456789ABCDEF"[c&15])
			}
		}
		return ofString(out.String()), nil
	}
}

func decoder(name, keep string) func(*evaluator, item, []item) (item, error) {
	return func(ev *evaluator, x item, _ []item) (item, error) {
		if err := ev.alloc(2 * len(x.str)); err != nil {
			return nothing, err
		}
		out := make([]byte, 0, len(x.str))
		for i := 0; i < len(x.str); i++ {
			c := x.str[i]
			if c != '%' {
				out = append(out, c)
				continue
			}
			if i+2 >= len(x.str) {
				return nothing, malformed(name, x)
			}
			b, err := strconv.ParseUint(x.str[i+1:i+3], 16, 8)
			if err != nil {
				return nothing, malformed(name, x)
			}
			if strings.IndexByte(keep, byte(b)) >= 0 {
				out = append(out, x.str[i:i+3]...)
			} else {
				out = append(out, byte(b))
			}
			i += 2
		}
		if !utf8.Valid(out) {
			return nothing, malformed(name, x)
		}
		return ofString(string(out)), nil
	}
}
