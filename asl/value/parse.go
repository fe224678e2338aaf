package value

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how deep arrays and objects may nest in a text from outside:
// Jackson's own limit.
const MaxDepth = 1000

// maxStoredDepth bounds the recursion of ParseStored. States can nest values
// deeper than MaxDepth, but no 256 KiB text gets near this.
const maxStoredDepth = 1 << 20

// SyntaxError says where a text stops being JSON.
type SyntaxError struct {
	Offset int // in bytes from the start of the text
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Msg)
}

// Parse reads one JSON value that fills data but for whitespace. It refuses
// invalid UTF-8 and nesting beyond [MaxDepth]; limits of size are the
// caller's. The error is a [*SyntaxError].
func Parse(data []byte) (Value, error) { return ParseString(string(data)) }

// ParseString is [Parse] without a copy: the value keeps s alive.
func ParseString(s string) (Value, error) {
	p := parser{s: s, maxDepth: MaxDepth}
	return p.document()
}

// ParseStored reads back a text that this package wrote, which [MaxDepth] does
// not bind: what an execution computed must survive a restart.
func ParseStored(s string) (Value, error) {
	p := parser{s: s, maxDepth: maxStoredDepth}
	return p.document()
}

// ParsePrefix reads one JSON value at the start of s and returns what follows
// it, as a Java reader does that does not look for trailing tokens.
func ParsePrefix(s string) (v Value, rest string, err error) {
	p := parser{s: s, maxDepth: MaxDepth}
	p.space()
	if v, err = p.value(0); err != nil {
		return Value{}, s, err
	}
	return v, s[p.i:], nil
}

type parser struct {
	s        string
	i        int
	maxDepth int
	// odd counts what makes the source differ from the canonical text; a node
	// over which it did not move can keep its source as its JSON.
	odd int
	src *Source // records offsets when not nil
	// elems and keys are stacks: what belongs to the containers that are still
	// open.
	elems []Value
	keys  []string
}

func (p *parser) document() (Value, error) {
	p.space()
	if n := min(len(p.s)/16, 32); n > 1 { // a container likely comes
		p.elems, p.keys = make([]Value, 0, n), make([]string, 0, n)
	}
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.i < len(p.s) {
		return Value{}, p.fail("unexpected text after the value")
	}
	return v, nil
}

func (p *parser) fail(msg string) error { return &SyntaxError{Offset: p.i, Msg: msg} }

func (p *parser) failHere(format string, args ...any) error {
	return p.fail(fmt.Sprintf(format, args...))
}

func (p *parser) space() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\n', '\r':
			p.odd++
			p.i++
		default:
			return
		}
	}
}

// unexpected describes the byte at the cursor.
func (p *parser) unexpected(want string) error {
	if p.i >= len(p.s) {
		return p.failHere("unexpected end, expected %s", want)
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.i:])
	return p.failHere("unexpected %q, expected %s", r, want)
}

func (p *parser) value(depth int) (Value, error) {
	if p.i >= len(p.s) {
		return Value{}, p.unexpected("a value")
	}
	switch c := p.s[p.i]; c {
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.array(depth + 1)
	case '"':
		s, err := p.str()
		if err != nil {
			return Value{}, err
		}
		return Value{kind: String, str: s}, nil
	case 't':
		return p.literal("true", Value{kind: Bool, truth: true})
	case 'f':
		return p.literal("false", Value{kind: Bool})
	case 'n':
		return p.literal("null", Value{})
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return p.number()
		}
		return Value{}, p.unexpected("a value")
	}
}

func (p *parser) literal(word string, v Value) (Value, error) {
	if !strings.HasPrefix(p.s[p.i:], word) {
		return Value{}, p.unexpected(word)
	}
	p.i += len(word)
	return v, nil
}

func (p *parser) number() (Value, error) {
	start := p.i
	if p.s[p.i] == '-' {
		p.i++
	}
	switch n := p.digits(); {
	case n == 0:
		return Value{}, p.unexpected("a digit")
	case n > 1 && p.s[p.i-n] == '0':
		p.i -= n
		return Value{}, p.fail("a number must not start with 0")
	}
	decimal := false
	if p.i < len(p.s) && p.s[p.i] == '.' {
		decimal = true
		p.i++
		if p.digits() == 0 {
			return Value{}, p.unexpected("a digit after the point")
		}
	}
	if p.i < len(p.s) && p.s[p.i]|0x20 == 'e' {
		decimal = true
		p.i++
		if p.i < len(p.s) && (p.s[p.i] == '+' || p.s[p.i] == '-') {
			p.i++
		}
		if p.digits() == 0 {
			return Value{}, p.unexpected("a digit of the exponent")
		}
	}
	lit := p.s[start:p.i]
	canon := canonicalNumber(lit, decimal)
	if canon != lit {
		p.odd++
	}
	return Value{kind: Number, str: canon, decimal: decimal}, nil
}

func (p *parser) digits() int {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] >= '0' && p.s[p.i] <= '9' {
		p.i++
	}
	return p.i - start
}

func (p *parser) array(depth int) (Value, error) {
	if depth > p.maxDepth {
		return Value{}, p.failHere("nested deeper than %d", p.maxDepth)
	}
	start, odd, base := p.i, p.odd, len(p.elems)
	var spans []span
	p.i++
	p.space()
	for first := true; ; first = false {
		if first && p.next(']') {
			break
		}
		at := p.i
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		p.elems = append(p.elems, v)
		if p.src != nil {
			spans = append(spans, span{key: at, value: at})
		}
		p.space()
		if p.next(']') {
			break
		}
		if !p.next(',') {
			return Value{}, p.unexpected("',' or ']'")
		}
		p.space()
	}
	n := &node{elems: p.pop(base)}
	p.finish(n, start, odd, spans)
	return Value{kind: Array, node: n}, nil
}

func (p *parser) object(depth int) (Value, error) {
	if depth > p.maxDepth {
		return Value{}, p.failHere("nested deeper than %d", p.maxDepth)
	}
	start, odd, base, keys := p.i, p.odd, len(p.elems), len(p.keys)
	var spans []span
	var index map[string]int // once there are maxLinear keys
	p.i++
	p.space()
	for first := true; ; first = false {
		if first && p.next('}') {
			break
		}
		at := p.i
		if p.i >= len(p.s) || p.s[p.i] != '"' {
			return Value{}, p.unexpected("a key in double quotes")
		}
		key, err := p.str()
		if err != nil {
			return Value{}, err
		}
		p.space()
		if !p.next(':') {
			return Value{}, p.unexpected("':'")
		}
		p.space()
		sp := span{key: at, value: p.i}
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		if i := find(p.keys[keys:], index, key); i >= 0 {
			p.odd++
			p.elems[base+i] = v
			if p.src != nil {
				p.src.Duplicates = append(p.src.Duplicates, at)
				spans[i] = sp
			}
		} else {
			if index != nil {
				index[key] = len(p.keys) - keys
			}
			p.keys = append(p.keys, key)
			p.elems = append(p.elems, v)
			if index == nil {
				index = indexOf(p.keys[keys:])
			}
			if p.src != nil {
				spans = append(spans, sp)
			}
		}
		p.space()
		if p.next('}') {
			break
		}
		if !p.next(',') {
			return Value{}, p.unexpected("',' or '}'")
		}
		p.space()
	}
	n := &node{keys: slices.Clone(p.keys[keys:]), elems: p.pop(base), index: index}
	p.keys = p.keys[:keys]
	p.finish(n, start, odd, spans)
	return Value{kind: Object, node: n}, nil
}

// next steps over c if it is the byte at the cursor.
func (p *parser) next(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// pop takes the elements from base on off the stack.
func (p *parser) pop(base int) []Value {
	elems := slices.Clone(p.elems[base:])
	clear(p.elems[base:])
	p.elems = p.elems[:base]
	return elems
}

func (p *parser) finish(n *node, start, odd int, spans []span) {
	if p.odd == odd {
		n.src = p.s[start:p.i]
	}
	if p.src != nil {
		p.src.nodes[n] = spans
	}
}

// str reads the string at the cursor.
func (p *parser) str() (string, error) {
	p.i++
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			s := p.s[start:p.i]
			p.i++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return "", p.failHere("control character %#02x in a string must be escaped", c)
		case c < utf8.RuneSelf:
			p.i++
		default:
			r, size := utf8.DecodeRuneInString(p.s[p.i:])
			if r == utf8.RuneError && size == 1 {
				return "", p.fail("invalid UTF-8")
			}
			p.i += size
		}
	}
	return "", p.fail("unexpected end of a string")
}

// escaped reads on in a string whose first backslash is at the cursor.
func (p *parser) escaped(start int) (string, error) {
	p.odd++
	buf := append(make([]byte, 0, 2*(p.i-start)+32), p.s[start:p.i]...)
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			return string(buf), nil
		case c < 0x20:
			return "", p.failHere("control character %#02x in a string must be escaped", c)
		case c < utf8.RuneSelf && c != '\\':
			buf = append(buf, c)
			p.i++
			continue
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(p.s[p.i:])
			if r == utf8.RuneError && size == 1 {
				return "", p.fail("invalid UTF-8")
			}
			buf = append(buf, p.s[p.i:p.i+size]...)
			p.i += size
			continue
		}
		if p.i+1 >= len(p.s) {
			return "", p.fail("unexpected end of a string")
		}
		switch e := p.s[p.i+1]; e {
		case '"', '\\', '/':
			buf = append(buf, e)
		case 'b':
			buf = append(buf, '\b')
		case 'f':
			buf = append(buf, '\f')
		case 'n':
			buf = append(buf, '\n')
		case 'r':
			buf = append(buf, '\r')
		case 't':
			buf = append(buf, '\t')
		case 'u':
			r, ok := hex4(p.s[p.i+2:])
			if !ok {
				return "", p.fail(`\u must be followed by four hexadecimal digits`)
			}
			p.i += 4
			if utf16.IsSurrogate(r) {
				r = p.surrogate(r)
			}
			buf = utf8.AppendRune(buf, r)
		default:
			return "", p.failHere(`unknown escape \%c`, e)
		}
		p.i += 2
	}
	return "", p.fail("unexpected end of a string")
}

// surrogate joins r with the low half that may follow the escape at the
// cursor's; a half alone becomes U+FFFD.
func (p *parser) surrogate(r rune) rune {
	rest := p.s[p.i+2:]
	if strings.HasPrefix(rest, `\u`) {
		if low, ok := hex4(rest[2:]); ok {
			if joined := utf16.DecodeRune(r, low); joined != utf8.RuneError {
				p.i += 6
				return joined
			}
		}
	}
	return utf8.RuneError
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
