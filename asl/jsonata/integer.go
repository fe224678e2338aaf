package jsonata

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

type letterCase uint8

const (
	lowerCase letterCase = iota
	upperCase
	titleCase
)

type numbering uint8

const (
	inDigits numbering = iota
	inLetters
	inRoman
	inWords
	inSequence // another first number, which is not supported
)

// integerPicture is how a whole number is written
// (https://www.w3.org/TR/xpath-functions-31/#formatting-integers).
type integerPicture struct {
	numbering  numbering
	letters    letterCase
	ordinal    bool
	zero       rune // the digit 0
	mandatory  int
	optional   int
	separators []groupSeparator // from the right
	every      int              // digits between separators that are regular
	text       string
}

type groupSeparator struct {
	place int // digits right of it
	char  rune
}

// zeroes are the digits 0 of the families that pictures can name.
var zeroes = []rune{0x30, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10}

func parseIntegerPicture(text string) (*integerPicture, error) {
	p := &integerPicture{}
	primary := text
	if i := strings.LastIndexByte(text, ';'); i >= 0 {
		primary = text[:i]
		p.ordinal = strings.HasPrefix(text[i+1:], "o")
	}
	p.text = primary
	switch primary {
	case "A":
		p.numbering, p.letters = inLetters, upperCase
	case "a":
		p.numbering = inLetters
	case "I":
		p.numbering, p.letters = inRoman, upperCase
	case "i":
		p.numbering = inRoman
	case "W":
		p.numbering, p.letters = inWords, upperCase
	case "Ww":
		p.numbering, p.letters = inWords, titleCase
	case "w":
		p.numbering = inWords
	default:
		return p, p.digits(primary)
	}
	return p, nil
}

// digits reads a picture of digits.
func (p *integerPicture) digits(primary string) error {
	place := 0
	chars := []rune(primary)
	for _, r := range slices.Backward(chars) {
		i := slices.IndexFunc(zeroes, func(zero rune) bool { return r >= zero && r <= zero+9 })
		switch {
		case i >= 0 && p.mandatory > 0 && p.zero != zeroes[i]:
			return fail("D3131")
		case i >= 0:
			p.zero = zeroes[i]
			p.mandatory++
			place++
		case r == '#':
			p.optional++
			place++
		default:
			p.separators = append(p.separators, groupSeparator{place, r})
		}
	}
	if p.mandatory == 0 {
		p.numbering = inSequence
		return nil
	}
	places := make([]int, len(p.separators))
	for i, s := range p.separators {
		if places[i] = s.place; s.char != p.separators[0].char {
			return nil
		}
	}
	p.every = regularGroups(places)
	return nil
}

func formatInteger(ev *evaluator, x item, rest []item) (item, error) {
	p, err := parseIntegerPicture(arg(rest, 0).str)
	if err != nil {
		return nothing, err
	}
	if err := ev.alloc(2 * len(arg(rest, 0).str)); err != nil {
		return nothing, err
	}
	s, err := p.format(math.Floor(x.num))
	return ofString(s), err
}

func (p *integerPicture) format(f float64) (string, error) {
	var out string
	abs := math.Abs(f)
	switch p.numbering {
	case inLetters:
		out = toLetters(abs, map[bool]rune{true: 'A', false: 'a'}[p.letters == upperCase])
	case inRoman:
		if abs > maxRoman {
			return "", tooLarge()
		}
		if !math.IsNaN(abs) {
			out = toRoman(int(abs))
		}
		if p.letters == upperCase {
			out = strings.ToUpper(out)
		}
	case inWords:
		out = toWords(abs, p.ordinal)
		switch p.letters {
		case upperCase:
			out = strings.ToUpper(out)
		case lowerCase:
			out = strings.ToLower(out)
		default:
		}
	case inDigits:
		out = p.formatDigits(abs)
	case inSequence:
		return "", fail("D3130").of(p.text)
	}
	if f < 0 {
		out = "-" + out
	}
	return out, nil
}

func (p *integerPicture) formatDigits(abs float64) string {
	plain := formatNumber(abs)
	plain = strings.Repeat("0", max(0, p.mandatory-len(plain))) + plain
	chars := []rune(plain)
	for i, r := range chars {
		if r >= '0' && r <= '9' {
			chars[i] = r + p.zero - '0'
		}
	}
	if p.every > 0 {
		for place := len(chars) - p.every; place > 0; place -= p.every {
			chars = insert(chars, place, string(p.separators[0].char))
		}
	} else {
		for _, s := range slices.Backward(p.separators) {
			place := len(chars) - s.place
			if place < 0 { // as JavaScript's substr has it
				chars, place = chars[max(0, len(chars)+place):], 0
			}
			chars = insert(chars, place, string(s.char))
		}
	}
	if p.ordinal {
		return string(chars) + ordinalSuffix(chars)
	}
	return string(chars)
}

func ordinalSuffix(digits []rune) string {
	n := len(digits)
	if n > 1 && digits[n-2] == '1' {
		return "th"
	}
	switch digits[n-1] {
	case '1':
		return "st"
	case '2':
		return "nd"
	case '3':
		return "rd"
	}
	return "th"
}

func parseInteger(ev *evaluator, x item, rest []item) (item, error) {
	p, err := parseIntegerPicture(arg(rest, 0).str)
	if err != nil {
		return nothing, err
	}
	f, err := p.parse(x.str)
	return ofNumber(f), err
}

// parse reads a number that is written as the picture says; NaN for what is no
// number.
func (p *integerPicture) parse(s string) (float64, error) {
	switch p.numbering {
	case inLetters:
		return fromLetters(s, map[bool]rune{true: 'A', false: 'a'}[p.letters == upperCase]), nil
	case inRoman:
		if p.letters == lowerCase {
			s = strings.ToUpper(s)
		}
		return fromRoman(s), nil
	case inWords:
		return fromWords(strings.ToLower(s)), nil
	case inSequence:
		return 0, fail("D3130").of(p.text)
	default:
	}
	if p.ordinal && len(s) >= 2 {
		s = s[:len(s)-2]
	}
	if p.every > 0 {
		s = strings.ReplaceAll(s, ",", "")
	} else {
		for _, sep := range p.separators {
			s = strings.ReplaceAll(s, string(sep.char), "")
		}
	}
	s = strings.Map(func(r rune) rune { return r - p.zero + '0' }, s)
	return leadingInteger(s), nil
}

// leadingInteger is JavaScript's parseInt.
func leadingInteger(s string) float64 {
	s = strings.TrimSpace(s)
	sign := ""
	if s != "" && (s[0] == '-' || s[0] == '+') {
		sign, s = s[:1], s[1:]
	}
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	f, err := strconv.ParseFloat(sign+s[:end], 64)
	if err != nil && end == 0 {
		return math.NaN()
	}
	return f
}

// whole is a whole number at any size.
func whole(f float64) *big.Int {
	i, _ := new(big.Float).SetFloat64(f).Int(nil)
	return i
}

func toLetters(f float64, a rune) string {
	var out []rune
	for f > 0 && len(out) < 300 {
		out = append(out, rune(math.Mod(f-1, 26))+a)
		f = math.Floor((f - 1) / 26)
	}
	slices.Reverse(out)
	return string(out)
}

func fromLetters(s string, a rune) float64 {
	var f float64
	for _, r := range s {
		f = f*26 + float64(r-a+1)
	}
	return f
}
