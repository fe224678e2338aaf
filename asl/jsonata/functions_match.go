package jsonata

import (
	"math"
	"strconv"
	"strings"
)

var matchFunctions = []entry{
	{"match", "<s-f<s:o>n?:a<o>>", 3, ofFirst(matchAll)},
	{"contains", "<s-(sf):b>", 2, ofFirst(containsText)},
	{"replace", "<s-(sf)(sf)n?:s>", 4, ofFirst(replace)},
	{"split", "<s-(sf)n?:a<s>>", 3, ofFirst(split)},
}

// limit reads the argument that bounds how often something is done; without
// one it is as often as can be.
func limit(x item, code string, index int) (int, error) {
	if x.kind != number {
		return math.MaxInt, nil
	}
	if x.num < 0 {
		e := fail(code).of(x)
		e.index = index
		return 0, e
	}
	return int(math.Ceil(min(x.num, 1<<40))), nil
}

func matchAll(ev *evaluator, x item, rest []item) (item, error) {
	most, err := limit(arg(rest, 1), "D3040", 3)
	if err != nil {
		return nothing, err
	}
	var out []item
	err = ev.eachMatch(arg(rest, 0), x.str, most, func(m *match) error {
		n := newObject(3)
		n.set("match", ofString(m.text))
		n.set("index", ofNumber(float64(m.index)))
		n.set("groups", m.groups)
		out = append(out, n.object())
		return ev.grow(4, len(out))
	})
	return ofSequence(out), err
}

// eachMatch goes over the matches in s, at most so many.
func (ev *evaluator) eachMatch(matcher item, s string, most int, do func(*match) error) error {
	if most == 0 {
		return nil
	}
	m, err := ev.matches(matcher, s)
	for n := 0; err == nil && m != nil && n < most; n++ {
		if err = do(m); err == nil {
			m, err = m.next()
		}
	}
	return err
}

func containsText(ev *evaluator, x item, rest []item) (item, error) {
	token := arg(rest, 0)
	if token.kind != function {
		return ofBool(strings.Contains(x.str, token.str)), ev.step(len(x.str) / 64)
	}
	m, err := ev.matches(token, x.str)
	return ofBool(m != nil), err
}

func replace(ev *evaluator, x item, rest []item) (item, error) {
	pattern, by := arg(rest, 0), arg(rest, 1)
	if pattern.kind == text && pattern.str == "" {
		e := fail("D3010").of(pattern)
		e.index = 2
		return nothing, e
	}
	most, err := limit(arg(rest, 2), "D3011", 4)
	if err != nil {
		return nothing, err
	}
	if pattern.kind != function {
		return ev.replaceText(x, pattern.str, by.str, most)
	}
	var out strings.Builder
	at := 0
	err = ev.eachMatch(pattern, x.str, most, func(m *match) error {
		with, err := ev.replacement(m, by, x.str)
		if err != nil {
			return err
		}
		out.WriteString(x.str[min(at, m.start):m.start])
		out.WriteString(with)
		at = min(m.start+len(m.text), len(x.str))
		return nil
	})
	if err != nil {
		return nothing, err
	}
	out.WriteString(x.str[at:])
	return ofString(out.String()), ev.text(out.Len())
}

func (ev *evaluator) replaceText(x item, from, to string, most int) (item, error) {
	n := min(strings.Count(x.str, from), most)
	if err := ev.alloc(len(x.str)); err != nil {
		return nothing, err
	}
	if len(to) > 0 && n > (1<<40)/len(to) {
		return nothing, tooLarge()
	}
	if err := ev.text(len(x.str) + n*len(to)); err != nil {
		return nothing, err
	}
	return ofString(strings.Replace(x.str, from, to, n)), nil
}

// replacement is what stands in for a match.
func (ev *evaluator) replacement(m *match, by item, s string) (string, error) {
	if by.kind == text {
		return m.expand(ev, by.str)
	}
	r, err := ev.give(by, m.object(s))
	if err == nil && r.kind != text {
		err = fail("D3012").of(r)
	}
	if err != nil {
		return "", err
	}
	return r.str, ev.alloc(len(r.str))
}

// expand puts the match and its groups into a replacement: $$ is a dollar, $0
// the match, $1 the first group. Of several digits as many count as there are
// groups for.
func (m *match) expand(ev *evaluator, by string) (string, error) {
	groups := m.groups.elems()
	digits := len(strconv.Itoa(len(groups)))
	var out strings.Builder
	put := func(s string) error {
		err := ev.alloc(len(s))
		if err == nil {
			out.WriteString(s)
		}
		return err
	}
	for {
		before, rest, ok := strings.Cut(by, "$")
		if err := put(before); err != nil || !ok {
			return out.String(), err
		}
		with, size := "$", 0
		n, ok := leading(rest, digits)
		if ok && digits > 1 && n > len(groups) {
			n, ok = leading(rest, digits-1)
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			size = 1
		case strings.HasPrefix(rest, "0"):
			with, size = m.text, 1
		case ok:
			with, size = "", len(strconv.Itoa(n))
			if n >= 1 && n <= len(groups) {
				with = groups[n-1].str
			}
		}
		if err := put(with); err != nil {
			return "", err
		}
		by = rest[size:]
	}
}

// leading reads up to so many digits at the start of s.
func leading(s string, most int) (int, bool) {
	end := 0
	for end < min(most, len(s)) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	return n, err == nil
}

func split(ev *evaluator, x item, rest []item) (item, error) {
	sep := arg(rest, 0)
	most, err := limit(arg(rest, 1), "D3020", 3)
	if err != nil {
		return nothing, err
	}
	if sep.kind != function {
		if most != math.MaxInt {
			most = int(arg(rest, 1).num) // of a fraction JavaScript's split takes the whole part
		}
		return ev.splitText(x.str, sep.str, most)
	}
	var out []item
	at, n := 0, 0
	err = ev.eachMatch(sep, x.str, most, func(m *match) error {
		out = append(out, ofString(x.str[min(at, m.start):m.start]))
		at = m.end
		n++
		return ev.grow(1, len(out))
	})
	if n < most {
		out = append(out, ofString(x.str[at:]))
	}
	return ofArray(out), err
}

func (ev *evaluator) splitText(s, sep string, most int) (item, error) {
	n := strings.Count(s, sep) + 1
	if err := ev.grow(n, n); err != nil {
		return nothing, err
	}
	parts := strings.Split(s, sep)
	parts = parts[:min(len(parts), most)]
	out := make([]item, len(parts))
	for i, p := range parts {
		out[i] = ofString(p)
	}
	return ofArray(out), nil
}
