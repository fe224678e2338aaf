package esregexp

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

type kind uint8

const (
	kindSeq kind = iota // subs one after the other; none is the empty pattern
	kindAlt             // one of subs
	kindSet             // a character
	kindStart
	kindEnd
	kindWord
	kindNotWord
	kindGroup   // subs[0], captured as group n
	kindBackref // what group n captured
	kindLook    // subs[0] ahead or behind
	kindRepeat  // subs[0], min to max times
)

// node is a part of a pattern.
type node struct {
	kind     kind
	set      *charSet
	subs     []*node
	n        int // of a group
	behind   bool
	negative bool
	lazy     bool
	min, max int // max is -1 for without end
	// groups from first up to, not including, last are inside a repeat.
	first, last int
}

const (
	maxRepeat  = 1000 // of a counted repeat, which is written out
	maxNesting = 200
)

type parser struct {
	src    string
	i      int
	fold   bool
	groups int // seen so far
	total  int // in the whole pattern
	names  map[string]int
	depth  int
}

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("invalid regular expression /%s/: "+format, append([]any{p.src}, args...)...)
}

func (p *parser) more() bool { return p.i < len(p.src) }

func (p *parser) accept(s string) bool {
	if strings.HasPrefix(p.src[p.i:], s) {
		p.i += len(s)
		return true
	}
	return false
}

func (p *parser) rune() rune {
	r, size := utf8.DecodeRuneInString(p.src[p.i:])
	p.i += size
	return r
}

// countGroups finds how many groups there are, and their names, which a
// backreference may name before they come.
func (p *parser) countGroups() error {
	inClass := false
	for i := 0; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '\\':
			i++
		case inClass:
			inClass = c != ']'
		case c == '[':
			inClass = true
		case c == '(':
			rest := p.src[i+1:]
			if name, ok := strings.CutPrefix(rest, "?<"); ok && !strings.HasPrefix(name, "=") && !strings.HasPrefix(name, "!") {
				name, _, ok := strings.Cut(name, ">")
				if !ok || name == "" {
					return p.fail("invalid name of a group")
				}
				if _, ok := p.names[name]; ok {
					return p.fail("two groups are called %s", name)
				}
				p.total++
				p.names[name] = p.total
			} else if !strings.HasPrefix(rest, "?") {
				p.total++
			}
		}
	}
	return nil
}

func (p *parser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, p.fail("groups are nested deeper than %d", maxNesting)
	}
	defer func() { p.depth-- }()
	alt := &node{kind: kindAlt}
	for {
		seq, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, seq)
		if !p.accept("|") {
			break
		}
	}
	if len(alt.subs) == 1 {
		return alt.subs[0], nil
	}
	return alt, nil
}

func (p *parser) sequence() (*node, error) {
	seq := &node{kind: kindSeq}
	for p.more() && p.src[p.i] != '|' && p.src[p.i] != ')' {
		first := p.groups
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n, err = p.quantified(n, first); err != nil {
			return nil, err
		}
		seq.subs = append(seq.subs, n)
	}
	return seq, nil
}

// quantified reads the quantifier behind n, if there is one.
func (p *parser) quantified(n *node, first int) (*node, error) {
	r := &node{kind: kindRepeat, subs: []*node{n}, first: first + 1, last: p.groups + 1, max: -1}
	switch {
	case p.accept("*"):
	case p.accept("+"):
		r.min = 1
	case p.accept("?"):
		r.max = 1
	case p.counts(r):
		if r.max >= 0 && r.max < r.min {
			return nil, p.fail("numbers out of order in a quantifier")
		}
		if r.min > maxRepeat || r.max > maxRepeat {
			return nil, p.fail("a quantifier counts beyond %d", maxRepeat)
		}
	default:
		return n, nil
	}
	switch n.kind {
	case kindStart, kindEnd, kindWord, kindNotWord:
		return nil, p.fail("nothing to repeat")
	default:
	}
	r.lazy = p.accept("?")
	return r, nil
}

// counts reads {n}, {n,} or {n,m}; what looks otherwise is text.
func (p *parser) counts(r *node) bool {
	if !p.more() || p.src[p.i] != '{' {
		return false
	}
	body, _, ok := strings.Cut(p.src[p.i+1:], "}")
	if !ok {
		return false
	}
	low, high, two := strings.Cut(body, ",")
	if !digits(low) || two && high != "" && !digits(high) {
		return false
	}
	r.min = number(low)
	switch {
	case !two:
		r.max = r.min
	case high != "":
		r.max = number(high)
	}
	p.i += len(body) + 2
	return true
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// number reads digits; what is too large is too large in any case.
func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1 << 30
	}
	return n
}

func (p *parser) atom() (*node, error) {
	switch c := p.src[p.i]; c {
	case '^':
		p.i++
		return &node{kind: kindStart}, nil
	case '$':
		p.i++
		return &node{kind: kindEnd}, nil
	case '.':
		p.i++
		return &node{kind: kindSet, set: anyChar}, nil
	case '(':
		return p.group()
	case '[':
		return p.class()
	case '\\':
		return p.escape()
	case '*', '+', '?':
		return nil, p.fail("nothing to repeat")
	case '{':
		if p.counts(&node{}) {
			return nil, p.fail("nothing to repeat")
		}
	}
	return p.char(p.rune()), nil
}

func (p *parser) char(r rune) *node {
	return &node{kind: kindSet, set: newSet(p.fold, r, r)}
}

func (p *parser) group() (*node, error) {
	p.i++
	out := &node{kind: kindSeq}
	switch {
	case p.accept("?:"):
	case p.accept("?="):
		out.kind = kindLook
	case p.accept("?!"):
		out.kind, out.negative = kindLook, true
	case p.accept("?<="):
		out.kind, out.behind = kindLook, true
	case p.accept("?<!"):
		out.kind, out.behind, out.negative = kindLook, true, true
	case strings.HasPrefix(p.src[p.i:], "?<"):
		p.i += strings.IndexByte(p.src[p.i:], '>') + 1
		p.groups++
		out.kind, out.n = kindGroup, p.groups
	case p.accept("?"):
		return nil, p.fail("invalid group")
	default:
		p.groups++
		out.kind, out.n = kindGroup, p.groups
	}
	sub, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.accept(")") {
		return nil, p.fail("a group is not closed")
	}
	out.subs = []*node{sub}
	return out, nil
}

// escape reads an escape outside of a class.
func (p *parser) escape() (*node, error) {
	p.i++
	if !p.more() {
		return nil, p.fail("\\ at the end")
	}
	c := p.src[p.i]
	switch {
	case c == 'b':
		p.i++
		return &node{kind: kindWord}, nil
	case c == 'B':
		p.i++
		return &node{kind: kindNotWord}, nil
	case c == 'k' && len(p.names) > 0:
		name, _, ok := strings.Cut(strings.TrimPrefix(p.src[p.i+1:], "<"), ">")
		n := p.names[name]
		if !ok || n == 0 || p.src[p.i+1] != '<' {
			return nil, p.fail("invalid reference to a group")
		}
		p.i += len(name) + 3
		return &node{kind: kindBackref, n: n}, nil
	case c >= '1' && c <= '9':
		end := p.i
		for end < len(p.src) && p.src[end] >= '0' && p.src[end] <= '9' {
			end++
		}
		if n := number(p.src[p.i:end]); n <= p.total {
			p.i = end
			return &node{kind: kindBackref, n: n}, nil
		}
	}
	if set := classEscape(c); set != nil {
		p.i++
		return &node{kind: kindSet, set: set}, nil
	}
	return p.char(p.charEscape()), nil
}

// charEscape reads what follows a backslash and stands for one character.
func (p *parser) charEscape() rune {
	r := p.rune()
	switch r {
	case 't':
		return '\t'
	case 'n':
		return '\n'
	case 'v':
		return '\v'
	case 'f':
		return '\f'
	case 'r':
		return '\r'
	case 'c':
		if p.more() && (p.src[p.i]|0x20 >= 'a' && p.src[p.i]|0x20 <= 'z') {
			return p.rune() & 31
		}
		p.i--
		return '\\'
	case 'x':
		if n, ok := p.hex(2); ok {
			return n
		}
	case 'u':
		n, ok := p.hex(4)
		if !ok {
			return r
		}
		if n >= 0xD800 && n < 0xDC00 && strings.HasPrefix(p.src[p.i:], `\u`) {
			mark := p.i
			p.i += 2
			if low, ok := p.hex(4); ok && low >= 0xDC00 && low < 0xE000 {
				return 0x10000 + (n-0xD800)<<10 + (low - 0xDC00)
			}
			p.i = mark
		}
		return n
	case '0', '1', '2', '3', '4', '5', '6', '7':
		n := r - '0'
		for p.more() && p.src[p.i] >= '0' && p.src[p.i] <= '7' && n*8+rune(p.src[p.i]-'0') <= 0xFF {
			n = n*8 + p.rune() - '0'
		}
		return n
	}
	return r
}

func (p *parser) hex(n int) (rune, bool) {
	if len(p.src)-p.i < n {
		return 0, false
	}
	s := p.src[p.i : p.i+n]
	if strings.Trim(s, "0123456789abcdefABCDEF") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 16, 32)
	if err != nil {
		return 0, false
	}
	p.i += n
	return rune(v), true
}

func (p *parser) class() (*node, error) {
	p.i++
	set := &charSet{fold: p.fold, negate: p.accept("^")}
	for {
		if !p.more() {
			return nil, p.fail("a class is not closed")
		}
		if p.accept("]") {
			set.index()
			return &node{kind: kindSet, set: set}, nil
		}
		low, sub := p.classAtom()
		if sub == nil && strings.HasPrefix(p.src[p.i:], "-") && !strings.HasPrefix(p.src[p.i:], "-]") && len(p.src) > p.i+1 {
			p.i++
			high, sub := p.classAtom()
			if sub != nil {
				set.add(low, low)
				set.add('-', '-')
				set.merge(sub)
				continue
			}
			if high < low {
				return nil, p.fail("a range of a class is out of order")
			}
			set.add(low, high)
			continue
		}
		if sub != nil {
			set.merge(sub)
		} else {
			set.add(low, low)
		}
	}
}

// classAtom reads one character of a class, or an escape for several.
func (p *parser) classAtom() (rune, *charSet) {
	if !p.accept(`\`) {
		return p.rune(), nil
	}
	if !p.more() {
		return '\\', nil
	}
	switch c := p.src[p.i]; c {
	case 'b':
		p.i++
		return '\b', nil
	default:
		if set := classEscape(c); set != nil {
			p.i++
			return 0, set
		}
	}
	return p.charEscape(), nil
}
