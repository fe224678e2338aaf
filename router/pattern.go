package router

import (
	"errors"
	"math/bits"
	"strings"
)

// Pattern is one filter pattern, as GitHub Actions documents them for branch
// and path filters (docs.github.com, "Filter pattern cheat sheet"):
//
//   - any characters but /
//     **   any characters; as a whole directory (**/) also none at all
//     ?    the preceding character, or not
//   - the preceding character, once or more
//     []   one letter or digit of those listed, as in [CB] or [0-9a-f]
//     \    takes the meaning from the special character that follows
//
// A pattern must match the whole of its subject. Matching takes time linear in
// the subject and allocates nothing, whatever the pattern. A Pattern is safe
// for concurrent use.
type Pattern struct {
	text string
	// prefix and suffix are the literal text that every match starts and ends
	// with. They settle most subjects without running the automaton.
	prefix, suffix string
	shape          shape
	// nodes is the automaton for what follows prefix: state i waits for
	// nodes[i], state len(nodes) accepts. reach[i] is the set of states that
	// can be entered with state i, reading nothing.
	nodes []node
	reach []stateSet
	words int
	narrow
}

// narrow is the automaton once more for patterns whose states fit one word,
// which is nearly all: bit i stands for state i.
type narrow struct {
	reach1 []uint64
	// advance[class[c]] are the states that go on at the ASCII character c;
	// wide is true when some state waits for another character.
	class   [128]uint8
	advance []uint64
	wide    bool
	// The states that stay where they are at any character, at any but /, and
	// at the character they wait for.
	stayAny, stayName, stayPlus uint64
}

// shape says how much of a pattern its prefix and suffix are.
type shape uint8

const (
	general    shape = iota
	literal          // prefix is all of it
	underAny         // prefix, then **
	underNames       // prefix, then *
)

const (
	maxWords = 8
	// maxPattern keeps the automaton's states in a fixed array on the stack.
	maxPattern = maxWords*64 - 8
)

type stateSet [maxWords]uint64

func (s *stateSet) add(i int)      { s[i>>6] |= 1 << (i & 63) }
func (s *stateSet) has(i int) bool { return s[i>>6]&(1<<(i&63)) != 0 }

// node is one state's way on.
type node struct {
	op    op
	plus  bool
	body  bool // the inside of opDirs
	c     rune
	class [2]uint64
}

// CompilePattern compiles a single pattern. A leading ! is an error: it has a
// meaning only in a list.
func CompilePattern(text string) (*Pattern, error) {
	if strings.HasPrefix(text, "!") {
		return nil, errors.New(`"!" takes out of a list and means nothing here; write "\!" for the character`)
	}
	tokens, err := parsePattern(text)
	if err != nil {
		return nil, err
	}
	return assemble(text, tokens), nil
}

// String is the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// Match reports whether the pattern matches all of s.
func (p *Pattern) Match(s string) bool {
	if !strings.HasPrefix(s, p.prefix) {
		return false
	}
	rest := s[len(p.prefix):]
	switch p.shape {
	case literal:
		return rest == ""
	case underAny:
		return true
	case underNames:
		return strings.IndexByte(rest, '/') < 0
	case general:
	}
	return strings.HasSuffix(rest, p.suffix) && p.run(rest)
}

// run simulates the automaton, all its live states at once.
func (p *Pattern) run(s string) bool {
	if p.words > 1 {
		return p.runWide(s)
	}
	cur := p.reach1[0]
	for _, r := range s {
		going := cur & p.waiting(r)
		staying := cur&p.stayAny | going&p.stayPlus
		if r != '/' {
			staying |= cur & p.stayName
		}
		cur = 0
		for ; going != 0; going &= going - 1 {
			cur |= p.reach1[bits.TrailingZeros64(going)+1]
		}
		for ; staying != 0; staying &= staying - 1 {
			cur |= p.reach1[bits.TrailingZeros64(staying)]
		}
		if cur == 0 {
			return false
		}
	}
	return cur>>len(p.nodes) == 1
}

// waiting returns the states that go on at r.
func (p *Pattern) waiting(r rune) uint64 {
	if r < 128 {
		return p.advance[p.class[r]]
	}
	if !p.wide {
		return 0
	}
	var set uint64
	for i := range p.nodes {
		if ok, _ := p.nodes[i].read(r); ok {
			set |= 1 << i
		}
	}
	return set
}

// runWide is run for any number of states.
func (p *Pattern) runWide(s string) bool {
	var cur, next stateSet
	cur = p.reach[0]
	for _, r := range s {
		if !p.step(&cur, &next, r) {
			return false
		}
		cur = next
	}
	return cur.has(len(p.nodes))
}

// step makes next the states reached from cur by reading r, and reports
// whether there are any.
func (p *Pattern) step(cur, next *stateSet, r rune) bool {
	clear(next[:p.words])
	alive := false
	for w := range p.words {
		for set := cur[w]; set != 0; set &= set - 1 {
			i := w<<6 + bits.TrailingZeros64(set)
			if i == len(p.nodes) {
				continue
			}
			n := &p.nodes[i]
			advance, stay := n.read(r)
			if stay {
				p.enter(next, i)
			}
			if advance {
				p.enter(next, i+1)
			}
			alive = alive || stay || advance
		}
	}
	return alive
}

func (p *Pattern) enter(set *stateSet, i int) {
	for w := range p.words {
		set[w] |= p.reach[i][w]
	}
}

// read says what r does to a state waiting at n.
func (n *node) read(r rune) (advance, stay bool) {
	switch n.op {
	case opStar:
		return false, r != '/'
	case opAny:
		return false, true
	case opDirs:
		return n.body && r == '/', n.body
	case opClass:
		ok := r < 128 && n.class[r>>6]&(1<<(r&63)) != 0
		return ok, ok && n.plus
	case opRune:
	}
	ok := r == n.c
	return ok, ok && n.plus
}

// assemble builds the automaton of tokens that parsePattern returned.
func assemble(text string, tokens []token) *Pattern {
	p := &Pattern{text: text, shape: general}
	isPlain := func(t token) bool { return t.op == opRune && t.quant == 0 }
	var prefix, suffix []rune
	rest := tokens
	for len(rest) > 0 && isPlain(rest[0]) {
		prefix = append(prefix, rest[0].c)
		rest = rest[1:]
	}
	for i := len(rest); i > 0 && isPlain(rest[i-1]); i-- {
		suffix = append([]rune{rest[i-1].c}, suffix...)
	}
	p.prefix, p.suffix = string(prefix), string(suffix)
	switch {
	case len(rest) == 0:
		p.shape = literal
	case len(rest) == 1 && rest[0].op == opAny:
		p.shape = underAny
	case len(rest) == 1 && rest[0].op == opStar:
		p.shape = underNames
	}

	p.build(rest)
	return p
}

// build makes the automaton of tokens.
func (p *Pattern) build(tokens []token) {
	var skips []int // how far each state may go on, reading nothing
	for _, t := range tokens {
		n := node{op: t.op, c: t.c, class: t.class, plus: t.quant == '+'}
		skip := 0
		switch {
		case t.op == opDirs: // an entry that can be left at once, then a body
			p.nodes, skips = append(p.nodes, n), append(skips, 2)
			n.body = true
		case t.op == opStar, t.op == opAny, t.quant == '?':
			skip = 1
		}
		p.nodes, skips = append(p.nodes, n), append(skips, skip)
	}
	p.words = len(p.nodes)>>6 + 1
	p.reach = make([]stateSet, len(p.nodes)+1)
	for i := len(p.nodes); i >= 0; i-- {
		p.reach[i].add(i)
		if i == len(p.nodes) || skips[i] == 0 {
			continue
		}
		for step := 1; step <= skips[i]; step++ {
			for w := range p.reach[i] {
				p.reach[i][w] |= p.reach[i+step][w]
			}
		}
	}
	if p.words == 1 {
		p.buildNarrow()
	}
}

func (p *Pattern) buildNarrow() {
	for _, set := range p.reach {
		p.reach1 = append(p.reach1, set[0])
	}
	index := map[uint64]uint8{}
	for c := range rune(128) {
		var set uint64
		for i := range p.nodes {
			if ok, _ := p.nodes[i].read(c); ok {
				set |= 1 << i
			}
		}
		if _, ok := index[set]; !ok {
			index[set] = uint8(len(p.advance))
			p.advance = append(p.advance, set)
		}
		p.class[c] = index[set]
	}
	for i := range p.nodes {
		switch n := &p.nodes[i]; {
		case n.op == opAny, n.op == opDirs && n.body:
			p.stayAny |= 1 << i
		case n.op == opStar:
			p.stayName |= 1 << i
		case n.plus:
			p.stayPlus |= 1 << i
		}
		p.wide = p.wide || p.nodes[i].op == opRune && p.nodes[i].c >= 128
	}
}
