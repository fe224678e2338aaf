// Package esregexp is the regular expressions of JavaScript without the u
// flag (https://tc39.es/ecma262/#sec-regexp-regular-expression-objects, Annex
// B included), matched within a budget of steps.
//
// Matching backtracks, as the standard defines it: lookaround, backreferences
// and what groups hold after a repeat come out as in JavaScript. What Go's
// regexp promises by its method, an end in linear time, is a budget here. A
// character is a code point, not half a surrogate pair.
package esregexp

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Regexp is a compiled pattern. Safe for concurrent use.
type Regexp struct {
	prog      []inst
	groups    int
	slots     int
	multiline bool
	fold      bool
	first     string // what every match begins with
}

// ErrBudget says that a match took more steps or memory than it may.
var ErrBudget = errors.New("the regular expression takes too many steps")

// Compile reads a pattern. Of the flags, i and m count.
func Compile(pattern, flags string) (*Regexp, error) {
	p := &parser{src: pattern, fold: strings.Contains(flags, "i"), names: map[string]int{}}
	if !utf8.ValidString(pattern) {
		return nil, p.fail("it is not valid UTF-8")
	}
	if err := p.countGroups(); err != nil {
		return nil, err
	}
	n, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if p.more() {
		return nil, p.fail("unmatched )")
	}
	c := &compiler{slots: 2 * (p.total + 1)}
	c.compile(n, false)
	c.emit(inst{op: opMatch})
	if c.large {
		return nil, p.fail("it is too large")
	}
	re := &Regexp{prog: c.prog, groups: p.total, slots: c.slots, multiline: strings.Contains(flags, "m"), fold: p.fold}
	for _, i := range c.prog {
		r, ok := rune(0), false
		if i.op == opSet {
			r, ok = i.set.only()
		}
		if !ok {
			break
		}
		re.first += string(r)
	}
	return re, nil
}

// Find gives the first match at or behind start, nil for none: the offsets of
// its begin and end and those of each group, -1 for a group without a part in
// it. It takes its steps off budget; the error is ErrBudget when none are left.
func (re *Regexp) Find(s string, start int, budget *int) ([]int, error) {
	m := &matcher{re: re, s: s, slots: make([]int, re.slots), budget: budget}
	for at := start; at <= len(s); {
		if re.first != "" {
			i := strings.Index(s[at:], re.first)
			if i < 0 {
				return nil, nil
			}
			at += i
		}
		for i := range m.slots {
			m.slots[i] = -1
		}
		end, ok, err := m.run(0, at)
		if err != nil {
			return nil, err
		}
		if ok {
			m.slots[0], m.slots[1] = at, end
			return m.slots[:2*(re.groups+1)], nil
		}
		m.stack = m.stack[:0]
		if at == len(s) {
			break
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return nil, nil
}

func (re *Regexp) canonical(r rune) rune {
	if re.fold {
		return unicode.ToUpper(r)
	}
	return r
}
