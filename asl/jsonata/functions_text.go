package jsonata

import (
	"encoding/base64"
	"math"
	"strings"
	"unicode/utf8"
)

var textFunctions = []entry{
	{"string", "<x-b?:s>", 1, ofFirst(stringOf)},
	{"substring", "<s-nn?:s>", 3, ofFirst(substring)},
	{"substringBefore", "<s-s:s>", 2, ofFirst(substringBefore)},
	{"substringAfter", "<s-s:s>", 2, ofFirst(substringAfter)},
	{"lowercase", "<s-:s>", 1, ofFirst(lowercase)},
	{"uppercase", "<s-:s>", 1, ofFirst(uppercase)},
	{"length", "<s-:n>", 1, ofFirst(length)},
	{"trim", "<s-:s>", 1, ofFirst(trim)},
	{"pad", "<s-ns?:s>", 3, ofFirst(pad)},
	{"join", "<a<s>s?:s>", 2, ofFirst(joinTexts)},
	{"base64encode", "<s-:s>", 1, ofFirst(base64encode)},
	{"base64decode", "<s-:s>", 1, ofFirst(base64decode)},
}

func stringOf(ev *evaluator, x item, rest []item) (item, error) {
	indent := arg(rest, 0)
	if indent.num != 0 && x.kind != text && x.kind != function && x.kind != number {
		s, err := ev.stringify(x, style{rounded: true, indent: true})
		return ofString(s), err
	}
	s, err := ev.toText(x)
	return ofString(s), err
}

// slice is JavaScript's: positions are cut to whole ones, negative ones count
// from the end.
func slice(size int, from, to float64) (int, int) {
	place := func(f float64) int {
		if f = math.Trunc(f); f < 0 {
			f = max(0, f+float64(size))
		}
		return int(min(f, float64(size)))
	}
	a, b := place(from), place(to)
	return a, max(a, b)
}

func substring(_ *evaluator, x item, rest []item) (item, error) {
	size := runes(x.str)
	start, count := arg(rest, 0).num, arg(rest, 1)
	if float64(size)+start < 0 {
		start = 0
	}
	end := math.Inf(1)
	if count.kind != undefined {
		if count.num <= 0 {
			return ofString(""), nil
		}
		end = start + count.num
		if start < 0 {
			end += float64(size)
		}
	}
	a, b := slice(size, start, end)
	return ofString(cutRunes(x.str, a, b)), nil
}

// cutRunes gives the characters from a up to b.
func cutRunes(s string, a, b int) string {
	if len(s) == runes(s) {
		return s[a:b]
	}
	from, i := len(s), 0
	for at := range s {
		if i == a {
			from = at
		}
		if i == b {
			return s[from:at]
		}
		i++
	}
	return s[from:]
}

func substringBefore(_ *evaluator, x item, rest []item) (item, error) {
	before, _, _ := strings.Cut(x.str, arg(rest, 0).str)
	return ofString(before), nil
}

func substringAfter(_ *evaluator, x item, rest []item) (item, error) {
	if _, after, ok := strings.Cut(x.str, arg(rest, 0).str); ok {
		return ofString(after), nil
	}
	return x, nil
}

// upper holds the characters that become several (https://unicode.org,
// SpecialCasing.txt), which Go's mapping does not do.
var upper = strings.NewReplacer("ß", "SS", "ŉ", "ʼN", "ǰ", "J̌", "ΐ", "Ϊ́", "ΰ", "Ϋ́", "և", "ԵՒ",
	"ﬀ", "FF", "ﬁ", "FI", "ﬂ", "FL", "ﬃ", "FFI", "ﬄ", "FFL", "ﬅ", "ST", "ﬆ", "ST")

func uppercase(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(2 * len(x.str)); err != nil {
		return nothing, err
	}
	return ofString(strings.ToUpper(upper.Replace(x.str))), nil
}

func lowercase(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(len(x.str)); err != nil {
		return nothing, err
	}
	return ofString(strings.ToLower(strings.ReplaceAll(x.str, "İ", "i̇"))), nil
}

// runes is the length of a text as JSONata counts it.
func runes(s string) int { return utf8.RuneCountInString(s) }

func length(_ *evaluator, x item, _ []item) (item, error) {
	return ofNumber(float64(runes(x.str))), nil
}

func trim(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(8 * len(x.str)); err != nil { // for the words as well
		return nothing, err
	}
	words := strings.FieldsFunc(x.str, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' })
	return ofString(strings.Join(words, " ")), nil
}

func pad(ev *evaluator, x item, rest []item) (item, error) {
	width, char := arg(rest, 0).num, arg(rest, 1).str
	if char == "" {
		char = " "
	}
	missing := math.Abs(width) - float64(runes(x.str))
	if missing <= 0 {
		return x, nil
	}
	if missing > 1<<30 || ev.text(int(missing)*len(char)) != nil {
		return nothing, tooLarge()
	}
	n := int(missing)
	fill := strings.Repeat(char, n/runes(char)+1)
	fill = cutRunes(fill, 0, n)
	if width > 0 {
		return ofString(x.str + fill), nil
	}
	return ofString(fill + x.str), nil
}

func joinTexts(ev *evaluator, x item, rest []item) (item, error) {
	sep := arg(rest, 0).str
	if err := ev.alloc(16 * x.len()); err != nil {
		return nothing, err
	}
	parts := make([]string, x.len())
	size := 0
	for i, e := range x.elems() {
		parts[i] = e.str
		size += len(e.str) + len(sep)
	}
	if err := ev.text(size); err != nil {
		return nothing, err
	}
	return ofString(strings.Join(parts, sep)), nil
}

// base64encode takes the characters for bytes, of those beyond a byte the low
// one, as JSONata does.
func base64encode(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(3 * len(x.str)); err != nil {
		return nothing, err
	}
	raw := make([]byte, 0, len(x.str))
	for _, r := range x.str {
		raw = append(raw, byte(r))
	}
	return ofString(base64.StdEncoding.EncodeToString(raw)), nil
}

// base64decode takes both alphabets, ends at the padding and steps over what
// does not belong.
func base64decode(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(3 * len(x.str)); err != nil {
		return nothing, err
	}
	clean := make([]byte, 0, len(x.str))
loop:
	for i := range len(x.str) {
		switch c := x.str[i]; {
		case c == '=':
			break loop
		case c == '-':
			clean = append(clean, '+')
		case c == '_':
			clean = append(clean, '/')
		case c == '+' || c == '/' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z':
			clean = append(clean, c)
		}
	}
	if len(clean)%4 == 1 {
		clean = clean[:len(clean)-1]
	}
	raw, _ := base64.RawStdEncoding.DecodeString(string(clean)) // clean holds nothing else
	out := make([]byte, 0, len(raw))
	for _, b := range raw {
		out = utf8.AppendRune(out, rune(b))
	}
	return ofString(string(out)), nil
}
