package router

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// op is what a token of a pattern stands for.
type op uint8

const (
	opRune  op = iota // one character
	opClass           // one of [...]
	opStar            // *
	opAny             // **
	opDirs            // **/ where a directory can begin
)

// token is one element of a pattern's text, text[at:end].
type token struct {
	op      op
	c       rune
	class   [2]uint64 // bit n is ASCII character n
	quant   byte      // 0, '?' or '+'
	at, end int
}

// parsePattern reads a pattern's text. Its errors say what to write instead.
func parsePattern(text string) ([]token, error) {
	switch {
	case text == "":
		return nil, errors.New("an empty pattern matches nothing; leave it out")
	case len(text) > maxPattern:
		return nil, fmt.Errorf("%d bytes long; a pattern has at most %d", len(text), maxPattern)
	case !utf8.ValidString(text):
		return nil, errors.New("not valid UTF-8")
	}
	var tokens []token
	for i := 0; i < len(text); {
		t := token{at: i}
		switch c := text[i]; c {
		case '*':
			for i < len(text) && text[i] == '*' {
				i++
			}
			t.op = opStar
			if i-t.at > 1 {
				t.op = opAny
				// "**/" is whole directories, none included, where one can
				// begin: docs/**/*.md is documented to match docs/README.md.
				if startsName(tokens) && i < len(text) && text[i] == '/' && !quantified(text, i+1) {
					t.op = opDirs
					i++
				}
			}
		case '?', '+':
			if len(tokens) == 0 || tokens[len(tokens)-1].op > opClass || tokens[len(tokens)-1].quant != 0 {
				return nil, fmt.Errorf(`%q at position %d has no character before it to repeat; write "*" for any characters, "\%c" for the character itself`, c, i+1, c)
			}
			last := &tokens[len(tokens)-1]
			last.quant, last.end = c, i+1
			i++
			continue
		case '[':
			class, n, err := parseClass(text[i:])
			if err != nil {
				return nil, err
			}
			t.op, t.class = opClass, class
			i += n
		case '\\':
			i++
			if i == len(text) {
				return nil, errors.New(`"\" at the end escapes nothing; write "\\" for the character`)
			}
			if alphanumeric(text[i]) {
				return nil, fmt.Errorf(`"\%c" has no meaning; "\" only takes it from special characters, and directories are separated by "/"`, text[i])
			}
			fallthrough
		default:
			r, n := utf8.DecodeRuneInString(text[i:])
			t.op, t.c = opRune, r
			i += n
		}
		t.end = i
		tokens = append(tokens, t)
	}
	return tokens, nil
}

// startsName reports whether a name of a path begins after tokens.
func startsName(tokens []token) bool {
	if len(tokens) == 0 {
		return true
	}
	last := tokens[len(tokens)-1]
	return last.op == opDirs || last.op == opRune && last.c == '/' && last.quant == 0
}

func quantified(text string, i int) bool {
	return i < len(text) && (text[i] == '?' || text[i] == '+')
}

// parseClass reads a class at the start of text and returns its length too.
func parseClass(text string) (class [2]uint64, n int, err error) {
	end := strings.IndexByte(text, ']')
	if end < 0 {
		return class, 0, errors.New(`"[" without its "]"; write "\[" for the character`)
	}
	body := text[1:end]
	if body == "" {
		return class, 0, errors.New(`"[]" lists no character; write "\[\]" for the two characters`)
	}
	if body[0] == '!' || body[0] == '^' {
		return class, 0, fmt.Errorf(`"[%s]": classes cannot be negated; list what may match, or take out with a later "!" pattern`, body)
	}
	for i := 0; i < len(body); i++ {
		lo := body[i]
		if !alphanumeric(lo) {
			return class, 0, fmt.Errorf(`"[%s]": only letters, digits and the ranges a-z, A-Z and 0-9 (or parts of them) go between brackets`, body)
		}
		hi := lo
		if i+2 < len(body) && body[i+1] == '-' {
			hi = body[i+2]
			i += 2
			if !alphanumeric(hi) || kindOf(lo) != kindOf(hi) || hi < lo {
				return class, 0, fmt.Errorf(`"[%s]": %c-%c is no range; ranges lie within a-z, A-Z or 0-9 and ascend`, body, lo, hi)
			}
		}
		for c := lo; c <= hi; c++ {
			class[c>>6] |= 1 << (c & 63)
		}
	}
	return class, end + 1, nil
}

func alphanumeric(c byte) bool { return kindOf(c) != 0 }

// kindOf names the range a character belongs to, 0 for none.
func kindOf(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return '0'
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	}
	return 0
}
