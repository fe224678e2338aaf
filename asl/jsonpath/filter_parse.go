package jsonpath

import (
	"regexp"
	"slices"
	"strings"

	"switchyard/asl/value"
)

// operators in the order in which they must be tried.
var operators = []string{"===", "!==", "==", "!=", "<=", ">=", "=~", "<", ">"}

var wordOperators = []string{"in", "nin", "subsetof", "anyof", "noneof", "size", "empty", "contains", "all"}

// filter reads ?(…)] or ?…].
func (p *parser) filter() (step, error) {
	p.i++
	p.space()
	if p.peek() == ']' {
		return step{}, p.fail("a filter needs an expression: [?(@.field == 1)]")
	}
	if p.peek() != '(' {
		return step{}, p.fail("expected '(' after '[?'")
	}
	e, err := p.or()
	if err != nil {
		return step{}, err
	}
	return step{kind: stepFilter, filter: e}, p.closing()
}

// nest guards the recursion of filters.
func (p *parser) nest() error {
	if p.depth++; p.depth > maxNesting {
		return p.fail("filters are nested deeper than %d", maxNesting)
	}
	return nil
}

func (p *parser) or() (expr, error) {
	if err := p.nest(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var list orExpr
	for {
		e, err := p.and()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		p.space()
		if !p.accept("||") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) and() (expr, error) {
	var list andExpr
	for {
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		p.space()
		if !p.accept("&&") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) unary() (expr, error) {
	p.space()
	if p.peek() == '!' {
		p.i++
		if err := p.nest(); err != nil {
			return nil, err
		}
		defer func() { p.depth-- }()
		e, err := p.unary()
		return notExpr{of: e}, err
	}
	if p.accept("(") {
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		p.space()
		if !p.accept(")") {
			return nil, p.fail("expected ')'")
		}
		return e, nil
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	p.space()
	op := p.operator()
	if op == "" {
		if left.pattern != nil {
			return nil, p.fail("a pattern needs =~")
		}
		return existsExpr{of: left}, nil
	}
	right, err := p.right(op)
	if err != nil {
		return nil, err
	}
	if (op == "=~") != (left.pattern != nil || right.pattern != nil) {
		return nil, p.fail("=~ and a /pattern/ go together")
	}
	return &compare{op: op, left: left, right: right}, nil
}

func (p *parser) operator() string {
	for _, op := range operators {
		if p.accept(op) {
			return op
		}
	}
	rest := p.s[p.i:]
	for _, op := range wordOperators {
		if len(rest) > len(op) && strings.EqualFold(rest[:len(op)], op) && strings.IndexByte(" \t'\"[({@$", rest[len(op)]) >= 0 {
			p.i += len(op)
			return op
		}
	}
	return ""
}

// right reads the operand after an operator. After a comparison it need not be
// quoted: what is neither JSON nor a path is a text.
func (p *parser) right(op string) (operand, error) {
	p.space()
	if op == "=~" || slices.Contains(wordOperators, op) || strings.IndexByte("@$'\"[{", p.peek()) >= 0 {
		return p.operand()
	}
	word := p.bareWord()
	if word == "" {
		return operand{}, p.fail("expected a path, a text, a number, true, false, null or a list")
	}
	if v, err := value.ParseString(word); err == nil {
		return operand{literal: v}, nil
	}
	return operand{literal: value.OfString(word)}, nil
}

// bareWord reads a text without quotes up to the end of its comparison. Blanks
// inside it belong to it, those around it don't.
func (p *parser) bareWord() string {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte("()[]'\"=<>!", p.s[p.i]) < 0 {
		if rest := p.s[p.i:]; strings.HasPrefix(rest, "&&") || strings.HasPrefix(rest, "||") {
			break
		}
		p.i++
	}
	return strings.Trim(p.s[start:p.i], blanks)
}

func (p *parser) operand() (operand, error) {
	p.space()
	switch p.peek() {
	case '@':
		p.i++
		path := &Path{}
		if err := p.tail(path); err != nil {
			return operand{}, err
		}
		return operand{path: path, current: true}, nil
	case '$':
		path, err := p.path()
		if err != nil {
			return operand{}, err
		}
		if path.root != Input {
			return operand{}, p.fail("a filter can only refer to $ and @")
		}
		return operand{path: path}, nil
	case '\'':
		s, err := p.quoted()
		return operand{literal: value.OfString(s)}, err
	case '/':
		return p.pattern()
	case '[':
		list, err := p.list()
		return operand{literal: list}, err
	default:
		v, rest, err := value.ParsePrefix(p.s[p.i:])
		if err != nil {
			return operand{}, p.fail("expected a path, a text in quotes, a number, true, false, null or a list")
		}
		p.i = len(p.s) - len(rest)
		return operand{literal: v}, nil
	}
}

// list reads a list of literals; unlike JSON's, its texts may be in single
// quotes.
func (p *parser) list() (value.Value, error) {
	if err := p.nest(); err != nil {
		return value.Value{}, err
	}
	defer func() { p.depth-- }()
	p.i++
	p.space()
	var elems []value.Value
	for p.peek() != ']' {
		if len(elems) > 0 {
			if !p.accept(",") {
				return value.Value{}, p.fail("expected ',' or ']' in a list")
			}
		}
		o, err := p.operand()
		if err != nil {
			return value.Value{}, err
		}
		if o.path != nil || o.pattern != nil {
			return value.Value{}, p.fail("a list can only hold literals")
		}
		elems = append(elems, o.literal)
		p.space()
	}
	p.i++
	return value.OfArray(elems), nil
}

// pattern reads /…/flags; it must match the whole text, as in Java.
func (p *parser) pattern() (operand, error) {
	start := p.i + 1
	end := start
	for end < len(p.s) && p.s[end] != '/' {
		if p.s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.s) {
		return operand{}, p.fail("a pattern is not closed")
	}
	source := strings.ReplaceAll(p.s[start:end], `\/`, `/`)
	p.i = end + 1
	flags := ""
	for c := p.peek(); c >= 'a' && c <= 'z' || c == 'U'; c = p.peek() {
		switch c {
		case 'i', 'm', 's':
			flags += string(c)
		case 'u', 'U', 'd':
		default:
			return operand{}, p.fail("unknown flag %q of a pattern", c)
		}
		p.i++
	}
	if flags != "" {
		flags = "(?" + flags + ")"
	}
	re, err := regexp.Compile(flags + `\A(?:` + source + `)\z`)
	if err != nil {
		return operand{}, p.fail("cannot compile the pattern: %v", err)
	}
	return operand{pattern: re}, nil
}
