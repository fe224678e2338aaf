package jsonpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on paths that someone else wrote.
const (
	maxLength   = 64 << 10 // bytes
	maxNesting  = 64       // of parentheses and paths inside filters
	maxVarChars = 80       // AWS's limit on the name of a variable
)

// blanks are what may stand around a path and between the parts of a filter.
const blanks = " \t\r\n"

// SyntaxError says why a text is not a path.
type SyntaxError struct {
	Path   string
	Offset int // in bytes
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid path %q: %s", e.Path, e.Msg)
}

// Parse compiles a path. It must start with $; blanks around it don't count.
// The error is a [*SyntaxError].
func Parse(s string) (*Path, error) {
	s = strings.Trim(s, blanks)
	p, rest, err := ParsePrefix(s)
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, &SyntaxError{Path: s, Offset: len(s) - len(rest), Msg: fmt.Sprintf("unexpected %q", rest)}
	}
	return p, nil
}

// ParsePrefix compiles the path at the start of s, which ends at the first
// blank, comma or closing parenthesis that is not part of it, and returns the
// rest: how a path stands among the arguments of a function.
func ParsePrefix(s string) (p *Path, rest string, err error) {
	if len(s) > maxLength {
		return nil, s, &SyntaxError{Path: s[:64] + "…", Msg: fmt.Sprintf("longer than %d bytes", maxLength)}
	}
	ps := parser{s: s}
	if p, err = ps.path(); err != nil {
		return nil, s, err
	}
	return p, s[ps.i:], nil
}

type parser struct {
	s     string
	i     int
	depth int
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{Path: p.s, Offset: p.i, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *parser) space() {
	for p.i < len(p.s) && strings.IndexByte(blanks, p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) accept(lit string) bool {
	if strings.HasPrefix(p.s[p.i:], lit) {
		p.i += len(lit)
		return true
	}
	return false
}

// path reads a path from its $.
func (p *parser) path() (*Path, error) {
	start := p.i
	if !p.accept("$") {
		return nil, p.fail("a path must start with $")
	}
	out := &Path{}
	if p.accept("$") {
		out.root = Context
	} else if name := p.identifier(); name != "" {
		if utf8.RuneCountInString(name) > maxVarChars {
			return nil, p.fail("the name of a variable has at most %d characters", maxVarChars)
		}
		out.root, out.variable = Variable, name
	}
	if err := p.tail(out); err != nil {
		return nil, err
	}
	out.src = p.s[start:p.i]
	return out, nil
}

// identifier reads the name of a variable, "" when there is none.
func (p *parser) identifier() string {
	start := p.i
	for p.i < len(p.s) {
		r, size := utf8.DecodeRuneInString(p.s[p.i:])
		if r == '_' || unicode.IsLetter(r) || p.i > start && (unicode.IsDigit(r) || unicode.In(r, unicode.Mn, unicode.Mc, unicode.Nl, unicode.Pc)) {
			p.i += size
			continue
		}
		break
	}
	return p.s[start:p.i]
}

// tail reads the steps after the root.
func (p *parser) tail(out *Path) error {
	out.definite = true
	for p.i < len(p.s) && out.function == nil {
		deep := false
		switch c := p.peek(); {
		case p.accept(".."):
			deep = true
			if p.peek() == '.' {
				return p.fail("unexpected '.' after '..'")
			}
		case c == '.':
			p.i++
		case c == '[':
		default:
			return p.finish(out)
		}
		if p.i >= len(p.s) {
			return p.fail("a path must not end with '.'")
		}
		var st step
		var err error
		switch p.peek() {
		case '[':
			st, err = p.bracket()
		case '*':
			p.i++
			st = step{kind: stepWildcard}
		default:
			var fn *function
			st, fn, err = p.dotName()
			if fn != nil && err == nil {
				if deep {
					return p.fail("a function cannot follow '..'")
				}
				out.function = fn
				continue
			}
		}
		if err != nil {
			return err
		}
		st.deep = deep
		out.steps = append(out.steps, st)
	}
	return p.finish(out)
}

// finish decides whether the path is definite.
func (p *parser) finish(out *Path) error {
	for i := range out.steps {
		st := &out.steps[i]
		switch {
		case st.deep:
			out.scans, out.definite = true, false
		case st.kind == stepField, st.kind == stepIndex:
		case st.kind == stepFields && i == len(out.steps)-1:
		default:
			out.definite = false
		}
	}
	return nil
}

// dotName reads a name after a dot, or a function call.
func (p *parser) dotName() (step, *function, error) {
	start := p.i
	var name strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c == '.' || c == '[' || c == ',' || c == ')' || c == ' ' || c == '\t' || c == '\n' || c == '\r':
			return p.endName(start, name.String())
		case p.depth > 0 && strings.IndexByte("=<>!&|]", c) >= 0: // belongs to the filter around it
			return p.endName(start, name.String())
		case c == '(':
			fn, err := p.call(name.String())
			return step{}, fn, err
		case c == '\'' || c == '"' || c == ']' || c == '*':
			return step{}, nil, p.fail("unexpected %q in a name, use ['…']", c)
		case c < 0x20:
			return step{}, nil, p.fail("control character in a name")
		case c == '\\': // escapes the next character
			p.i++
			if p.i >= len(p.s) {
				return step{}, nil, p.fail("a path must not end with '\\'")
			}
		}
		_, size := utf8.DecodeRuneInString(p.s[p.i:])
		name.WriteString(p.s[p.i : p.i+size])
		p.i += size
	}
	return p.endName(start, name.String())
}

func (p *parser) endName(start int, name string) (step, *function, error) {
	if p.i == start {
		return step{}, nil, p.fail("a name is missing after '.'")
	}
	return step{kind: stepField, name: name}, nil, nil
}

// bracket reads […].
func (p *parser) bracket() (step, error) {
	p.i++
	p.space()
	switch c := p.peek(); {
	case c == '*':
		p.i++
		return step{kind: stepWildcard}, p.closing()
	case c == '\'' || c == '"':
		return p.names()
	case c == '?':
		return p.filter()
	case c == '-' || c == ':' || c >= '0' && c <= '9':
		return p.indexes()
	default:
		return step{}, p.fail("expected a name in quotes, an index, a slice, * or a filter in [ ]")
	}
}

func (p *parser) closing() error {
	p.space()
	if !p.accept("]") {
		return p.fail("expected ']'")
	}
	return nil
}

func (p *parser) names() (step, error) {
	var names []string
	for {
		n, err := p.quoted()
		if err != nil {
			return step{}, err
		}
		names = append(names, n)
		p.space()
		if !p.accept(",") {
			break
		}
		p.space()
		if c := p.peek(); c != '\'' && c != '"' {
			return step{}, p.fail("expected a name in quotes after ','")
		}
	}
	if err := p.closing(); err != nil {
		return step{}, err
	}
	if len(names) == 1 {
		return step{kind: stepField, name: names[0]}, nil
	}
	return step{kind: stepFields, names: names}, nil
}

// quoted reads a name in quotes. A backslash protects only a quote of the same
// kind; before anything else, and that is AWS's way, it stands for itself.
func (p *parser) quoted() (string, error) {
	quote := p.s[p.i]
	start := p.i + 1
	var b strings.Builder
	for j := start; j < len(p.s); j++ {
		switch {
		case p.s[j] == quote:
			p.i = j + 1
			return b.String(), nil
		case p.s[j] == '\\' && j+1 < len(p.s) && p.s[j+1] == quote:
			j++
		}
		b.WriteByte(p.s[j])
	}
	return "", p.fail("a quote is not closed")
}

func (p *parser) integer() (int, error) {
	start := p.i
	if p.peek() == '-' {
		p.i++
	}
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.i++
	}
	n, err := strconv.ParseInt(p.s[start:p.i], 10, 32)
	if err != nil {
		return 0, p.fail("%q is not an index", p.s[start:p.i])
	}
	return int(n), nil
}

func (p *parser) indexes() (step, error) {
	var list []int
	for p.peek() != ':' {
		n, err := p.integer()
		if err != nil {
			return step{}, err
		}
		list = append(list, n)
		p.space()
		if !p.accept(",") {
			break
		}
		p.space()
		if p.peek() == ':' {
			return step{}, p.fail("a slice cannot stand in a list of indexes")
		}
	}
	if p.peek() == ':' {
		if len(list) > 1 {
			return step{}, p.fail("a slice cannot stand in a list of indexes")
		}
		return p.sliceAfter(list)
	}
	if err := p.closing(); err != nil {
		return step{}, err
	}
	if len(list) == 1 {
		return step{kind: stepIndex, index: list[0]}, nil
	}
	return step{kind: stepIndexes, indexes: list}, nil
}

// sliceAfter reads a slice from its first colon; from holds what stood before.
func (p *parser) sliceAfter(from []int) (step, error) {
	out := slice{by: 1}
	if len(from) == 1 {
		out.from = &from[0]
	}
	p.i++
	p.space()
	if c := p.peek(); c == '-' || c >= '0' && c <= '9' {
		n, err := p.integer()
		if err != nil {
			return step{}, err
		}
		out.to = &n
	}
	p.space()
	if p.accept(":") {
		p.space()
		if c := p.peek(); c >= '0' && c <= '9' {
			n, err := p.integer()
			if err != nil {
				return step{}, err
			}
			if n == 0 {
				return step{}, p.fail("the step of a slice must not be 0")
			}
			out.by = n
		}
	}
	return step{kind: stepSlice, slice: out}, p.closing()
}

// call reads the arguments of a function whose name was read.
func (p *parser) call(name string) (*function, error) {
	kind, ok := functions[name]
	if !ok {
		return nil, p.fail("unknown function %q", name)
	}
	p.i++
	p.space()
	fn := &function{kind: kind}
	if kind == fnIndex {
		n, err := p.integer()
		if err != nil {
			return nil, err
		}
		fn.arg = n
	}
	p.space()
	if !p.accept(")") {
		return nil, p.fail("expected ')' after %s(", name)
	}
	return fn, nil
}
