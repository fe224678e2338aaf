package jsonata

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// symbols are what the characters of a number's picture are
// (https://www.w3.org/TR/xpath-functions-31/#formatting-numbers).
type symbols struct {
	decimal, grouping, exponent, minus, percent, perMille, digit, separator string
	zero                                                                    rune
}

func symbolsOf(options item) symbols {
	s := symbols{decimal: ".", grouping: ",", exponent: "e", minus: "-", percent: "%", perMille: "‰", digit: "#", separator: ";", zero: '0'}
	for name, to := range map[string]*string{
		"decimal-separator": &s.decimal, "grouping-separator": &s.grouping, "exponent-separator": &s.exponent,
		"minus-sign": &s.minus, "percent": &s.percent, "per-mille": &s.perMille, "digit": &s.digit, "pattern-separator": &s.separator,
	} {
		if x, ok := options.get(name); ok && x.kind == text {
			*to = x.str
		}
	}
	if x, ok := options.get("zero-digit"); ok && x.str != "" {
		s.zero = []rune(x.str)[0]
	}
	return s
}

func (s *symbols) isDigit(r rune) bool { return r >= s.zero && r <= s.zero+9 }

func (s *symbols) active(r rune) bool {
	c := string(r)
	return s.isDigit(r) || c == s.decimal || c == s.exponent || c == s.grouping || c == s.digit || c == s.separator
}

// subPicture is one of the two forms of a picture, taken apart.
type subPicture struct {
	text, prefix, suffix, active string
	integer, fraction, exponent  string
	mantissa                     string
	scientific                   bool
}

func (s *symbols) split(text string) subPicture {
	p := subPicture{text: text}
	starts := func(r rune) bool { return s.active(r) && string(r) != s.exponent }
	if i := strings.IndexFunc(text, starts); i >= 0 {
		last := strings.LastIndexFunc(text, starts)
		last += len(string([]rune(text[last:])[0]))
		p.prefix, p.active, p.suffix = text[:i], text[i:last], text[last:]
	} else {
		p.prefix = text
	}
	p.mantissa = p.active
	// As JSONata has it: the place of the separator in the picture is taken for
	// its place in the active part, and one right behind that part counts.
	if at := strings.Index(text[len(p.prefix):], s.exponent); at >= 0 && s.exponent != "" {
		if at += len(p.prefix); at <= len(text)-len(p.suffix) {
			p.mantissa, p.exponent, p.scientific = cutUnits(p.active, units(text[:at]))
		}
	}
	integer, fraction, ok := strings.Cut(p.mantissa, s.decimal)
	p.integer, p.fraction = integer, fraction
	if !ok {
		p.fraction = p.suffix
	}
	return p
}

// cutUnits cuts a text at a place that is counted as JavaScript does, and leaves
// one character out there.
func cutUnits(s string, place int) (before, after string, ok bool) {
	at := byteOffset(s, place)
	return s[:at], s[byteOffset(s, place+1):], true
}

// check gives the code of what is wrong with the picture, of several things
// the last; "" for nothing.
func (s *symbols) check(p subPicture) (code string) {
	bad := func(is bool, c string) {
		if is {
			code = c
		}
	}
	twice := func(c string) bool { return strings.Count(p.text, c) > 1 }
	percent, perMille := strings.Contains(p.text, s.percent), strings.Contains(p.text, s.perMille)
	bad(twice(s.decimal), "D3081")
	bad(twice(s.percent), "D3082")
	bad(twice(s.perMille), "D3083")
	bad(percent && perMille, "D3084")
	bad(s.count(p.mantissa, true) == 0, "D3085")
	bad(strings.ContainsFunc(p.active, func(r rune) bool { return !s.active(r) }), "D3086")
	if before, after, ok := strings.Cut(p.text, s.decimal); ok {
		bad(strings.HasSuffix(before, s.grouping) || strings.HasPrefix(after, s.grouping), "D3087")
	} else {
		bad(strings.HasSuffix(p.integer, s.grouping), "D3088")
	}
	bad(strings.Contains(p.text, s.grouping+s.grouping), "D3089")
	before, _, ok := strings.Cut(p.integer, s.digit)
	bad(ok && s.count(before, false) > 0, "D3090")
	if i := strings.LastIndex(p.fraction, s.digit); i >= 0 {
		bad(s.count(p.fraction[i:], false) > 0, "D3091")
	}
	bad(p.scientific && p.exponent != "" && (percent || perMille), "D3092")
	bad(p.scientific && (p.exponent == "" || s.count(p.exponent, false) < runes(p.exponent)), "D3093")
	return code
}

// count counts the digits of a picture, with optional the optional ones too.
func (s *symbols) count(part string, optional bool) int {
	n := 0
	for _, r := range part {
		if s.isDigit(r) || optional && string(r) == s.digit {
			n++
		}
	}
	return n
}

// layout is what a picture asks for.
type layout struct {
	subPicture
	integerGroups, fractionGroups []int
	every                         int // digits between grouping separators, 0 for where they stand
	minInteger, scaling           int
	minFraction, maxFraction      int
	minExponent                   int
}

func (s *symbols) analyse(p subPicture) layout {
	l := layout{subPicture: p}
	l.integerGroups = s.groups(p.integer, p.integer, false)
	l.fractionGroups = s.groups(p.fraction, p.integer, true)
	l.every = regularGroups(l.integerGroups)
	l.minInteger = s.count(p.integer, false)
	l.scaling = l.minInteger
	l.minFraction, l.maxFraction = s.count(p.fraction, false), s.count(p.fraction, true)
	if l.minInteger == 0 && l.maxFraction == 0 {
		if p.scientific {
			l.minFraction, l.maxFraction = 1, 1
		} else {
			l.minInteger = 1
		}
	}
	if p.scientific && l.minInteger == 0 && strings.Contains(p.integer, s.digit) {
		l.minInteger = 1
	}
	if l.minInteger == 0 && l.minFraction == 0 {
		l.minFraction = 1
	}
	l.minExponent = s.count(p.exponent, false)
	return l
}

// groups tells for each grouping separator how many digits stand between it
// and the decimal point. JSONata looks for the first in the part, and for
// others, whatever the part is, in the integer one.
func (s *symbols) groups(part, integer string, fraction bool) (places []int) {
	if s.grouping == "" {
		return nil
	}
	for i := strings.Index(part, s.grouping); i >= 0; {
		cut := min(i, len(part))
		digits := part[cut:]
		if fraction {
			digits = part[:cut]
		}
		places = append(places, s.count(digits, true))
		from := min(i+len(s.grouping), len(integer))
		if i = strings.Index(integer[from:], s.grouping); i >= 0 {
			i += from
		}
	}
	return places
}

// regularGroups gives the distance of separators that stand at every multiple
// of it, 0 for others.
func regularGroups(places []int) int {
	if len(places) == 0 {
		return 0
	}
	factor := places[0]
	for _, p := range places[1:] {
		a, b := factor, p
		for b != 0 {
			a, b = b, a%b
		}
		factor = a
	}
	for i := range places {
		if !slices.Contains(places, (i+1)*factor) {
			return 0
		}
	}
	return factor
}

func formatPicture(ev *evaluator, x item, rest []item) (item, error) {
	s := symbolsOf(arg(rest, 1))
	parts := strings.Split(arg(rest, 0).str, s.separator)
	if len(parts) > 2 {
		return nothing, fail("D3080")
	}
	layouts := make([]layout, 0, 2)
	for _, part := range parts {
		p := s.split(part)
		if code := s.check(p); code != "" {
			return nothing, fail(code)
		}
		layouts = append(layouts, s.analyse(p))
	}
	l := layouts[0]
	if !(x.num >= 0) {
		if len(layouts) == 1 {
			l.prefix = s.minus + l.prefix
		} else {
			l = layouts[1]
		}
	}
	if err := ev.alloc(4 * len(arg(rest, 0).str)); err != nil {
		return nothing, err
	}
	return ofString(l.prefix + s.format(x.num, &l) + l.suffix), nil
}

func (s *symbols) format(f float64, l *layout) string {
	switch {
	case strings.Contains(l.text, s.percent):
		f *= 100
	case strings.Contains(l.text, s.perMille):
		f *= 1000
	}
	f = math.Abs(f)
	exponent := 0
	if l.minExponent > 0 {
		f, exponent = scale(f, l.scaling)
	}
	digits := fixed(round(f, float64(l.maxFraction)), l.maxFraction)
	integer, fraction, _ := strings.Cut(digits, ".")
	integer = strings.TrimLeft(integer, "0")
	fraction = strings.TrimRight(fraction, "0")
	integer = strings.Repeat("0", max(0, l.minInteger-len(integer))) + integer
	fraction += strings.Repeat("0", max(0, l.minFraction-len(fraction)))
	out := s.grouped(integer, fraction, l)
	if fraction == "" || !strings.Contains(l.text, s.decimal) {
		_, last := utf8.DecodeLastRuneInString(out)
		out = out[:len(out)-last]
	}
	if l.minExponent > 0 {
		e := strconv.Itoa(max(exponent, -exponent))
		e = s.digits(strings.Repeat("0", max(0, l.minExponent-len(e))) + e)
		if exponent < 0 {
			e = s.minus + e
		}
		out += s.exponent + e
	}
	return out
}

// fixed is JavaScript's toFixed, which writes large numbers with an exponent.
func fixed(f float64, decimals int) string {
	if f >= 1e21 {
		return formatNumber(f)
	}
	return strconv.FormatFloat(f, 'f', decimals, 64)
}

// scale brings f to as many digits before the point as the picture has.
func scale(f float64, digits int) (float64, int) {
	most, least := math.Pow(10, float64(digits)), math.Pow(10, float64(digits-1))
	exponent := 0
	for range 700 { // more than a double has
		switch {
		case f != 0 && f < least && !math.IsInf(f, 0):
			f *= 10
			exponent--
		case f > most && !math.IsInf(f, 0):
			f /= 10
			exponent++
		default:
			return f, exponent
		}
	}
	return f, exponent
}

// digits writes digits in the picture's own.
func (s *symbols) digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r - '0' + s.zero
		}
		return r
	}, text)
}

// grouped joins the parts of a number, with the grouping separators. A picture
// may have more digits than the number: what is left of its start counts from
// its end, as JavaScript's slice has it.
func (s *symbols) grouped(integer, fraction string, l *layout) string {
	chars := []rune(s.digits(integer))
	point := len(chars)
	chars = append(append(chars, []rune(s.decimal)...), []rune(s.digits(fraction))...)
	if l.every > 0 {
		for place := point - l.every; place > 0; place -= l.every {
			chars = insert(chars, place, s.grouping)
			point++
		}
	} else {
		for _, place := range l.integerGroups {
			chars = insert(chars, point-place, s.grouping)
			point++
		}
	}
	for _, place := range l.fractionGroups {
		chars = insert(chars, point+1+place, s.grouping)
	}
	return string(chars)
}

// insert puts text in at a place; one that is negative counts from the end.
func insert(chars []rune, place int, text string) []rune {
	if place < 0 {
		place = max(0, place+len(chars))
	}
	return slices.Insert(chars, min(place, len(chars)), []rune(text)...)
}
