package esregexp

import (
	"slices"
	"unicode"
)

// charSet is a set of characters.
type charSet struct {
	ranges []rune // pairs of the first and the last
	negate bool
	fold   bool // whatever the case
	ascii  [2]uint64
	ready  bool // ascii tells of those below 128
}

func newSet(fold bool, ranges ...rune) *charSet {
	s := &charSet{ranges: ranges, fold: fold}
	s.index()
	return s
}

func (s *charSet) add(low, high rune) { s.ranges = append(s.ranges, low, high) }

// merge adds the members of another set, which does not fold.
func (s *charSet) merge(o *charSet) {
	if !o.negate {
		s.ranges = append(s.ranges, o.ranges...)
		return
	}
	next := rune(0)
	for i := 0; i < len(o.ranges); i += 2 { // in order
		if o.ranges[i] > next {
			s.add(next, o.ranges[i]-1)
		}
		next = o.ranges[i+1] + 1
	}
	s.add(next, unicode.MaxRune)
}

// index works out the answers for ASCII.
func (s *charSet) index() {
	for r := rune(0); r < 128; r++ {
		if s.search(r) {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	s.ready = true
}

func (s *charSet) has(r rune) bool {
	if r < 128 && s.ready {
		return s.ascii[r>>6]>>(r&63)&1 != 0
	}
	return s.search(r)
}

func (s *charSet) search(r rune) bool {
	in := s.holds(r)
	if !in && s.fold {
		in = s.holds(unicode.ToUpper(r)) || s.holds(unicode.ToLower(r))
	}
	return in != s.negate
}

func (s *charSet) holds(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if r >= s.ranges[i] && r <= s.ranges[i+1] {
			return true
		}
	}
	return false
}

// only gives the one character that a set holds.
func (s *charSet) only() (rune, bool) {
	if s.negate || s.fold || len(s.ranges) != 2 || s.ranges[0] != s.ranges[1] {
		return 0, false
	}
	return s.ranges[0], true
}

var (
	lineEnds = []rune{'\n', '\n', '\r', '\r', 0x2028, 0x2029}
	digitSet = []rune{'0', '9'}
	wordSet  = []rune{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
	spaceSet = []rune{'\t', '\r', ' ', ' ', 0xA0, 0xA0, 0x1680, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x202F, 0x205F, 0x205F, 0x3000, 0x3000, 0xFEFF, 0xFEFF}

	anyChar = without(lineEnds)
	words   = newSet(false, wordSet...)
	escapes = map[byte]*charSet{
		'd': newSet(false, digitSet...), 'D': without(digitSet),
		'w': words, 'W': without(wordSet),
		's': newSet(false, spaceSet...), 'S': without(spaceSet),
	}
)

func without(ranges []rune) *charSet {
	s := &charSet{ranges: slices.Clone(ranges), negate: true}
	s.index()
	return s
}

// classEscape is the set that \c stands for, nil for none.
func classEscape(c byte) *charSet { return escapes[c] }
