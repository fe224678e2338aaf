package jsonata

import (
	"unicode/utf8"

	"switchyard/asl/jsonata/esregexp"
)

// regex is a regular expression of an expression.
type regex struct {
	source string
	re     *esregexp.Regexp
}

func compileRegex(pattern, flags string) (*regex, error) {
	re, err := esregexp.Compile(pattern, flags)
	if err != nil {
		return nil, err
	}
	return &regex{source: pattern, re: re}, nil
}

// match is what a matcher found in a text: a regular expression, or a function
// that answers like one.
type match struct {
	text       string
	start, end int // offsets in bytes
	index      int // start as JavaScript counts it, in UTF-16 code units
	groups     item
	next       func() (*match, error)
}

// find gives the first match at or behind a position, nil for none. The
// position is given in bytes and, as index, in UTF-16 code units. A match behind
// the first one must not be empty.
func (re *regex) find(ev *evaluator, s string, from, index int) (*match, error) {
	budget := 8 * (ev.limits.Steps - ev.steps)
	had := budget
	places, err := re.re.Find(s, from, &budget)
	if err == nil {
		err = ev.step((had-budget)/8 + 1)
	} else {
		err = tooLong()
	}
	if err != nil || places == nil {
		return nil, err
	}
	groups := make([]item, 0, len(places)/2-1)
	for i := 2; i < len(places); i += 2 {
		group := nothing
		if places[i] >= 0 && places[i+1] >= places[i] {
			group = ofString(s[places[i]:places[i+1]])
		}
		groups = append(groups, group)
	}
	m := &match{text: s[places[0]:places[1]], start: places[0], end: places[1], groups: ofArray(groups)}
	m.index = index + units(s[from:m.start])
	m.next = func() (*match, error) {
		if m.end >= len(s) {
			return nil, nil
		}
		next, err := re.find(ev, s, m.end, m.index+units(m.text))
		if next != nil && next.text == "" {
			return nil, fail("D1004").of(re.source)
		}
		return next, err
	}
	return m, ev.grow(len(groups), len(groups))
}

// function is the regular expression as a function: it gives a match as an
// object, whose next finds the one behind it.
func (re *regex) function() *fn {
	return &fn{arity: 2, places: 2, match: re, native: func(ev *evaluator, args []item) (item, error) {
		x := arg(args, 0)
		if x.kind != text {
			return nothing, nil
		}
		from := byteOffset(x.str, int(arg(args, 1).num))
		if err := ev.step(from / 64); err != nil {
			return nothing, err
		}
		m, err := re.find(ev, x.str, from, units(x.str[:from]))
		return m.object(x.str), err
	}}
}

// object gives the match as functions of the language see it.
func (m *match) object(s string) item {
	if m == nil {
		return nothing
	}
	n := newObject(5)
	n.set("match", ofString(m.text))
	n.set("start", ofNumber(float64(m.index)))
	n.set("end", ofNumber(float64(m.index+units(s[m.start:m.end]))))
	n.set("groups", m.groups)
	n.set("next", ofFunction(&fn{native: func(*evaluator, []item) (item, error) {
		next, err := m.next()
		return next.object(s), err
	}}))
	return n.object()
}

// matches asks a matcher for its first match in s.
func (ev *evaluator) matches(matcher item, s string) (*match, error) {
	if matcher.kind != function { // the arguments of a partial application are not checked
		return nil, fail("T1010")
	}
	if re := matcher.node.fn.match; re != nil {
		return re.find(ev, s, 0, 0)
	}
	return ev.ask(matcher, s, ofString(s))
}

// ask calls a function that answers as a regular expression does.
func (ev *evaluator) ask(matcher item, s string, args ...item) (*match, error) {
	x, err := ev.give(matcher, args...)
	if err != nil || x.kind == undefined {
		return nil, err
	}
	start, _ := x.get("start")
	end, _ := x.get("end")
	groups, _ := x.get("groups")
	next, _ := x.get("next")
	found, _ := x.get("match")
	if x.kind != object || start.kind != number && groups.kind != array && next.kind != function {
		return nil, fail("T1010")
	}
	from, to := byteOffset(s, int(start.num)), byteOffset(s, int(end.num))
	if err := ev.step(to / 64); err != nil {
		return nil, err
	}
	return &match{text: found.str, start: from, end: max(from, to), index: units(s[:from]), groups: groups, next: func() (*match, error) {
		if next.kind != function {
			return nil, fail("T1010")
		}
		return ev.ask(next, s)
	}}, nil
}

// units is the length of s as JavaScript counts it, in UTF-16 code units.
func units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// byteOffset is the place in s that is n UTF-16 code units from its start, at
// most its end.
func byteOffset(s string, n int) int {
	for i, r := range s {
		if n <= 0 {
			return i
		}
		if n--; utf8.RuneLen(r) == 4 {
			n--
		}
	}
	return len(s)
}
