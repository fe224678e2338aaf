// Package sieve takes from a JSON text the members that a source reads, and
// refuses texts that no git host sends.
//
// Most of a host's payload is links that nobody reads. Copying out the rest
// makes the decoding that follows cheaper, and keeps it from failing over the
// type of a member that does not matter. On the way the whole text is checked
// more strictly than encoding/json does: it must be valid UTF-8 and not be
// nested deeply, and a member that is read must be there once, in exactly that
// spelling. Parsers differ about which of two members of one name counts, so a
// text with two is ambiguous; members that nobody reads may repeat.
package sieve

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxDepth is how deeply objects and arrays may be nested. Git hosts stay
// below 10.
const MaxDepth = 64

// Fields names the members of an object that are kept. A nil value keeps the
// member whole; otherwise it says what is kept of the object, or of each
// object in the array, that the member holds.
type Fields map[string]Fields

// Sieve copies the chosen members. It is safe for concurrent use.
type Sieve struct{ root *object }

// object is a compiled Fields. Each member has a bit, to notice a second one.
type object struct{ members map[string]member }

type member struct {
	bit  uint64
	keep *object
}

// New compiles fields; one object may name at most 64 members.
func New(fields Fields) (*Sieve, error) {
	root, err := compile(fields)
	if err != nil {
		return nil, err
	}
	return &Sieve{root}, nil
}

func compile(fields Fields) (*object, error) {
	if len(fields) > 64 {
		return nil, fmt.Errorf("sieve: %d members of one object, at most 64", len(fields))
	}
	o := &object{members: make(map[string]member, len(fields))}
	for name, sub := range fields {
		m := member{bit: 1 << len(o.members)}
		if sub != nil {
			var err error
			if m.keep, err = compile(sub); err != nil {
				return nil, err
			}
		}
		o.members[name] = m
	}
	return o, nil
}

// Error says what is wrong with a text, and at which byte.
type Error struct {
	Offset int
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("%s at byte %d", e.Reason, e.Offset) }

// Sift appends to dst the kept part of text, which must be one JSON object. An
// error is an [*Error].
func (s *Sieve) Sift(dst, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, &Error{invalidAt(text), "invalid UTF-8"}
	}
	c := cursor{text: text, out: dst}
	if c.space() != '{' {
		return nil, c.unexpected("a JSON object")
	}
	if err := c.value(s.root, true, 0); err != nil {
		return nil, err
	}
	if c.space(); c.at < len(text) {
		return nil, c.unexpected("the end")
	}
	return c.out, nil
}

func invalidAt(text []byte) int {
	for i := 0; ; {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// cursor walks over text once.
type cursor struct {
	text []byte
	at   int
	out  []byte
}

// space skips white space and returns the byte after it, 0 at the end.
func (c *cursor) space() byte {
	for ; c.at < len(c.text); c.at++ {
		switch b := c.text[c.at]; b {
		case ' ', '\n', '\t', '\r':
		default:
			return b
		}
	}
	return 0
}

func (c *cursor) unexpected(want string) error {
	if c.at >= len(c.text) {
		return &Error{c.at, "JSON ends where " + want + " should be"}
	}
	return &Error{c.at, fmt.Sprintf("not JSON: %q where %s should be", c.text[c.at], want)}
}

// value reads one value. With copied set it is appended to out: only what keep
// names of it, or the whole of it where keep is nil or the value is a scalar.
func (c *cursor) value(keep *object, copied bool, depth int) error {
	if depth > MaxDepth {
		return &Error{c.at, fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
	}
	first := c.space()
	if copied && keep != nil && (first == '{' || first == '[') {
		if first == '{' {
			return c.object(keep, true, depth)
		}
		return c.array(keep, true, depth)
	}
	start := c.at
	var err error
	switch first {
	case '{':
		err = c.object(nil, false, depth)
	case '[':
		err = c.array(nil, false, depth)
	case '"':
		_, _, err = c.str()
	case 't':
		err = c.literal("true")
	case 'f':
		err = c.literal("false")
	case 'n':
		err = c.literal("null")
	default:
		err = c.number()
	}
	if err == nil && copied {
		c.out = append(c.out, c.text[start:c.at]...)
	}
	return err
}

// object reads an object; keep is not nil exactly when it is copied.
func (c *cursor) object(keep *object, copied bool, depth int) error {
	c.at++
	if copied {
		c.out = append(c.out, '{')
	}
	var seen uint64
	for more := c.space() != '}'; more; {
		if c.space() != '"' {
			return c.unexpected("a member's name")
		}
		start := c.at
		name, escaped, err := c.str()
		if err != nil {
			return err
		}
		if escaped && copied {
			// A name must not hide from the check behind its escapes.
			if name, err = unescape(c.text[start:c.at]); err != nil {
				return &Error{start, "not JSON: " + err.Error()}
			}
		}
		if c.space() != ':' {
			return c.unexpected("a colon")
		}
		c.at++
		var m member
		var known bool
		if copied {
			m, known = keep.members[string(name)]
		}
		if known {
			if seen&m.bit != 0 {
				return &Error{start, fmt.Sprintf("member %q is there twice", name)}
			}
			if seen != 0 {
				c.out = append(c.out, ',')
			}
			seen |= m.bit
			c.out = append(c.out, '"')
			c.out = append(c.out, name...)
			c.out = append(c.out, '"', ':')
		}
		if err := c.value(m.keep, known, depth+1); err != nil {
			return err
		}
		switch c.space() {
		case ',':
			c.at++
			c.space()
		case '}':
			more = false
		default:
			return c.unexpected("a comma or }")
		}
	}
	c.at++
	if copied {
		c.out = append(c.out, '}')
	}
	return nil
}

func (c *cursor) array(keep *object, copied bool, depth int) error {
	c.at++
	if copied {
		c.out = append(c.out, '[')
	}
	for more := c.space() != ']'; more; {
		if err := c.value(keep, copied, depth+1); err != nil {
			return err
		}
		switch c.space() {
		case ',':
			c.at++
			if copied {
				c.out = append(c.out, ',')
			}
		case ']':
			more = false
		default:
			return c.unexpected("a comma or ]")
		}
	}
	c.at++
	if copied {
		c.out = append(c.out, ']')
	}
	return nil
}

// plain marks the bytes that a string may hold as they are.
var plain = func() (t [256]bool) {
	for b := 0x20; b < 256; b++ {
		t[b] = b != '"' && b != '\\'
	}
	return t
}()

// str reads a string and returns what is between its quotes, and whether there
// are escapes in it.
func (c *cursor) str() (inside []byte, escaped bool, err error) {
	start := c.at
	text := c.text
	for i := start + 1; i < len(text); i++ {
		b := text[i]
		if plain[b] {
			continue
		}
		switch b {
		case '"':
			c.at = i + 1
			return text[start+1 : i], escaped, nil
		case '\\':
			escaped = true
			n := escapeLength(text[i:])
			if n == 0 {
				return nil, false, &Error{i, "not JSON: a bad escape in a string"}
			}
			i += n - 1
		default:
			return nil, false, &Error{i, "not JSON: a control character in a string"}
		}
	}
	return nil, false, &Error{len(text), "JSON ends inside a string"}
}

func unescape(quoted []byte) ([]byte, error) {
	var s string
	err := json.Unmarshal(quoted, &s)
	return []byte(s), err
}

// escapeLength is the length of the escape that text starts with, 0 if it is
// none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) < 6 {
			return 0
		}
		for _, b := range text[2:6] {
			if (b < '0' || b > '9') && (b < 'a' || b > 'f') && (b < 'A' || b > 'F') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (c *cursor) literal(want string) error {
	if len(c.text)-c.at < len(want) || string(c.text[c.at:c.at+len(want)]) != want {
		return c.unexpected("a value")
	}
	c.at += len(want)
	return nil
}

func (c *cursor) number() error {
	start := c.at
	if c.peek() == '-' {
		c.at++
	}
	switch b := c.peek(); {
	case b == '0':
		c.at++
	case b >= '1' && b <= '9':
		c.digits()
	default:
		if c.at == start {
			return c.unexpected("a value")
		}
		return c.unexpected("a digit")
	}
	if c.peek() == '.' {
		c.at++
		if c.digits() == 0 {
			return c.unexpected("a digit")
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		c.at++
		if b := c.peek(); b == '+' || b == '-' {
			c.at++
		}
		if c.digits() == 0 {
			return c.unexpected("a digit")
		}
	}
	return nil
}

func (c *cursor) peek() byte {
	if c.at < len(c.text) {
		return c.text[c.at]
	}
	return 0
}

func (c *cursor) digits() (n int) {
	for ; c.peek() >= '0' && c.peek() <= '9'; n++ {
		c.at++
	}
	return n
}
