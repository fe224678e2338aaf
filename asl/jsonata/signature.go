package jsonata

import "strings"

// signature is the <…> of a function: which arguments it takes.
type signature struct {
	text   string
	params []param
}

type param struct {
	typ     string // one letter, or (…) for a choice
	allowed string // the symbols of the values that it takes
	subtype string // of an array's elements, "" for any
	context bool   // the context value stands in for it
	min     int
	many    bool
}

// missing is the symbol of an argument that is nothing.
const missing = 'm'

func parseSignature(text string) (*signature, *Error) {
	s := &signature{text: text}
	prev := &param{}
	add := func(typ, allowed string) {
		s.params = append(s.params, param{typ: typ, allowed: allowed, min: 1})
		prev = &s.params[len(s.params)-1]
	}
	for i := 1; i < len(text) && text[i] != ':'; i++ {
		c := text[i]
		switch c {
		case 's', 'n', 'b', 'l', 'o':
			add(string(c), string(c)+string(missing))
		case 'a':
			add("a", "asnblfom")
		case 'f':
			add("f", "f")
		case 'j':
			add("j", "asnblom")
		case 'x':
			add("x", "asnblfom")
		case '-':
			prev.context, prev.min = true, 0
		case '?':
			prev.min = 0
		case '+':
			prev.many = true
		case '(':
			end := closing(text, i, '(', ')')
			choice := text[i+1 : min(end, len(text))]
			if strings.Contains(choice, "<") {
				return nil, failAt("S0402", i, nil).of(choice)
			}
			add("("+choice+")", choice+string(missing))
			i = end
		case '<':
			if prev.typ != "a" && prev.typ != "f" {
				return nil, failAt("S0401", i, nil).of(prev.typ)
			}
			end := closing(text, i, '<', '>')
			prev.subtype = text[i+1 : min(end, len(text))]
			i = end
		}
	}
	return s, nil
}

// closing finds the bracket that closes the one at i.
func closing(s string, i int, open, end byte) int {
	depth := 1
	for i++; i < len(s); i++ {
		switch s[i] {
		case end:
			if depth--; depth == 0 {
				return i
			}
		case open:
			depth++
		}
	}
	return i
}

func mustSignature(text string) *signature {
	s, err := parseSignature(text)
	if err != nil {
		panic(err)
	}
	return s
}

func symbol(x item) byte {
	switch x.kind {
	case null:
		return 'l'
	case boolean:
		return 'b'
	case number:
		return 'n'
	case text:
		return 's'
	case array:
		return 'a'
	case object:
		return 'o'
	case function:
		return 'f'
	default:
	}
	return missing
}

// assign spreads args over params, each taking as many as it may: counts gets
// how many each took. With whole, all args must be taken. It returns how many
// were, -1 when they don't fit.
func assign(params []param, args []item, counts []int, whole bool) int {
	if len(params) == 0 {
		if whole && len(args) > 0 {
			return -1
		}
		return 0
	}
	p, most := &params[0], 0
	for most < len(args) && (p.many || most < 1) && strings.IndexByte(p.allowed, symbol(args[most])) >= 0 {
		most++
	}
	for n := most; n >= p.min; n-- {
		if rest := assign(params[1:], args[n:], counts[1:], whole); rest >= 0 {
			counts[0] = n
			return n + rest
		}
	}
	return -1
}

// check gives the arguments as the function gets them: single values as arrays
// where it takes arrays, and the context where an argument is left out.
func (s *signature) check(args []item, context item) ([]item, error) {
	var space [8]int
	counts := space[:min(len(s.params), len(space))]
	if len(s.params) > len(space) {
		counts = make([]int, len(s.params))
	}
	if assign(s.params, args, counts, true) < 0 {
		return nil, s.mismatch(args, counts)
	}
	if s.simple(args, counts) {
		return args, nil
	}
	out := make([]item, 0, len(s.params))
	next := 0
	arg := func() item {
		if next < len(args) {
			return args[next]
		}
		return nothing
	}
	for i := range s.params {
		p := &s.params[i]
		first := arg()
		switch {
		case counts[i] > 0:
		case p.context:
			if strings.IndexByte(p.allowed, symbol(context)) < 0 {
				e := fail("T0411").of(context)
				e.index = next + 1
				return nil, e
			}
			out = append(out, context)
			continue
		default:
			out = append(out, first)
			next++
			continue
		}
		for range counts[i] {
			if p.typ != "a" {
				out = append(out, first)
				next++
				continue
			}
			x, err := p.array(arg(), counts[i], next)
			if err != nil {
				return nil, err
			}
			out = append(out, x)
			next++
		}
	}
	return out, nil
}

// simple reports whether the arguments need nothing done to them.
func (s *signature) simple(args []item, counts []int) bool {
	if len(args) != len(s.params) {
		return false
	}
	for i := range s.params {
		if counts[i] != 1 || s.params[i].typ == "a" && (args[i].kind != array && args[i].kind != undefined || s.params[i].subtype != "") {
			return false
		}
	}
	return true
}

// array gives x as the array that the parameter takes.
func (p *param) array(x item, count, index int) (item, error) {
	if x.kind == undefined {
		return nothing, nil
	}
	if p.subtype != "" && !p.holds(x, count) {
		e := fail("T0412").of(x)
		e.index, e.typ = index+1, subtypeNames[p.subtype]
		return nothing, e
	}
	if x.kind != array {
		return ofArray([]item{x}), nil
	}
	return x, nil
}

// holds reports whether x is of the elements' type, or an array of it.
func (p *param) holds(x item, count int) bool {
	if x.kind != array {
		return count == 1 && p.subtype == string(symbol(x))
	}
	if x.len() > 0 && p.subtype[0] == 'n' && x.node.ranged {
		return true
	}
	for _, e := range x.elems() {
		if symbol(e) != p.subtype[0] {
			return false
		}
	}
	return true
}

var subtypeNames = map[string]string{
	"a": "arrays", "b": "booleans", "f": "functions", "n": "numbers", "o": "objects", "s": "strings",
}

// mismatch is the error that names the first argument that doesn't fit.
func (s *signature) mismatch(args []item, counts []int) error {
	good := 0
	for i := range s.params {
		n := assign(s.params[:i+1], args, counts, false)
		if n < 0 {
			break
		}
		good = n
	}
	e := fail("T0410")
	if good < len(args) {
		e.value = args[good]
	}
	e.index = good + 1
	return e
}
