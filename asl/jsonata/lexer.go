package jsonata

import (
	"math"
	"strconv"
	"strings"
)

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOperator
	tokenName
	tokenVariable
	tokenString
	tokenNumber
	tokenValue
	tokenRegex
)

type token struct {
	kind  tokenKind
	text  string // an operator, a name, the text of a string
	value item   // of strings, numbers and values
	regex *regex
	pos   int // behind the token
}

// shown is how errors name the token.
func (t token) shown() any {
	switch t.kind {
	case tokenEnd:
		return "(end)"
	case tokenString, tokenNumber, tokenValue:
		return t.value
	default:
	}
	return t.text
}

// lexer reads tokens off a source.
type lexer struct {
	src string
	i   int
}

// operators are the characters that end a name; ! and ~ are not operators by
// themselves.
const operators = ".[]{}(),@#;:?+-*/%|=<>^&!~"

var longOperators = []string{"..", ":=", "!=", ">=", "<=", "**", "~>"}

// next reads a token. Where an operand has just been read, a slash divides;
// elsewhere it begins a regular expression.
func (l *lexer) next(afterOperand bool) (token, error) {
	if err := l.space(); err != nil {
		return token{}, err
	}
	if l.i >= len(l.src) {
		return token{pos: len(l.src)}, nil
	}
	c := l.src[l.i]
	if c == '/' && !afterOperand {
		l.i++
		return l.regex()
	}
	for _, op := range longOperators {
		if strings.HasPrefix(l.src[l.i:], op) {
			l.i += 2
			return token{kind: tokenOperator, text: op, pos: l.i}, nil
		}
	}
	switch {
	case strings.IndexByte(operators, c) >= 0:
		l.i++
		return token{kind: tokenOperator, text: string(c), pos: l.i}, nil
	case c == '"' || c == '\'':
		return l.str(c)
	case c >= '0' && c <= '9':
		return l.number()
	case c == '`':
		return l.quoted()
	}
	return l.word(), nil
}

// space steps over white space and comments.
func (l *lexer) space() error {
	for l.i < len(l.src) {
		switch {
		case strings.IndexByte(" \t\n\r\v", l.src[l.i]) >= 0:
			l.i++
		case strings.HasPrefix(l.src[l.i:], "/*"):
			end := strings.Index(l.src[l.i+2:], "*/")
			if end < 0 {
				return failAt("S0106", l.i, nil)
			}
			l.i += 2 + end + 2
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) regex() (token, error) {
	start, depth := l.i, 0
	for ; l.i < len(l.src); l.i++ {
		c := l.src[l.i]
		if c == '\\' {
			l.i++
			continue
		}
		switch c {
		case '/':
			if depth != 0 {
				continue
			}
			if l.i == start {
				return token{}, failAt("S0301", l.i, nil)
			}
			pattern := l.src[start:l.i]
			l.i++
			flags := l.i
			for l.i < len(l.src) && (l.src[l.i] == 'i' || l.src[l.i] == 'm') {
				l.i++
			}
			re, err := compileRegex(pattern, l.src[flags:l.i])
			if err != nil {
				e := failAt("S0303", l.i, nil)
				e.text = err.Error()
				return token{}, e
			}
			return token{kind: tokenRegex, text: pattern, regex: re, pos: l.i}, nil
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
	}
	return token{}, failAt("S0302", len(l.src), nil)
}

func (l *lexer) str(quote byte) (token, error) {
	l.i++
	var buf []byte
	for start := l.i; l.i < len(l.src); {
		switch c := l.src[l.i]; c {
		case quote:
			s := l.src[start:l.i]
			if buf != nil {
				s = string(append(buf, s...))
			}
			l.i++
			return token{kind: tokenString, text: s, value: ofString(s), pos: l.i}, nil
		case '\\':
			buf = append(buf, l.src[start:l.i]...)
			var err error
			if buf, err = l.escape(buf); err != nil {
				return token{}, err
			}
			start = l.i
		default:
			l.i++
		}
	}
	return token{}, failAt("S0101", l.i, nil)
}

// escape appends what the escape sequence at the cursor stands for.
func (l *lexer) escape(buf []byte) ([]byte, error) {
	l.i++
	if l.i >= len(l.src) {
		return nil, failAt("S0103", l.i, "")
	}
	c := l.src[l.i]
	if j := strings.IndexByte(`"\/bfnrt`, c); j >= 0 {
		l.i++
		return append(buf, "\"\\/\b\f\n\r\t"[j]), nil
	}
	if c != 'u' {
		_, size := decode(l.src[l.i:])
		return nil, failAt("S0103", l.i, l.src[l.i:l.i+size])
	}
	r, ok := hex4(l.src[l.i+1:])
	if !ok {
		return nil, failAt("S0104", l.i, nil)
	}
	l.i += 5
	if r >= 0xD800 && r < 0xDC00 && strings.HasPrefix(l.src[l.i:], `\u`) {
		if low, ok := hex4(l.src[l.i+2:]); ok && low >= 0xDC00 && low < 0xE000 {
			l.i += 6
			r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
		}
	}
	return encode(buf, r), nil
}

func hex4(s string) (rune, bool) {
	if len(s) < 4 || strings.ContainsAny(s[:4], "_+-xX") {
		return 0, false
	}
	n, err := strconv.ParseUint(s[:4], 16, 16)
	return rune(n), err == nil
}

func (l *lexer) number() (token, error) {
	start := l.i
	if l.src[l.i] == '0' {
		l.i++
	} else {
		l.digits()
	}
	if mark := l.i; l.i < len(l.src) && l.src[l.i] == '.' {
		l.i++
		if l.digits() == 0 {
			l.i = mark
		}
	}
	if mark := l.i; l.i < len(l.src) && l.src[l.i]|0x20 == 'e' {
		l.i++
		if l.i < len(l.src) && (l.src[l.i] == '+' || l.src[l.i] == '-') {
			l.i++
		}
		if l.digits() == 0 {
			l.i = mark
		}
	}
	lit := l.src[start:l.i]
	f, _ := strconv.ParseFloat(lit, 64) // out of range gives an infinity
	if math.IsInf(f, 0) {
		return token{}, failAt("S0102", start, lit)
	}
	return token{kind: tokenNumber, value: ofNumber(f), pos: l.i}, nil
}

func (l *lexer) digits() int {
	start := l.i
	for l.i < len(l.src) && l.src[l.i] >= '0' && l.src[l.i] <= '9' {
		l.i++
	}
	return l.i - start
}

// quoted reads a name in backquotes.
func (l *lexer) quoted() (token, error) {
	name, _, ok := strings.Cut(l.src[l.i+1:], "`")
	if !ok {
		return token{}, failAt("S0105", len(l.src), nil)
	}
	l.i += len(name) + 2
	return token{kind: tokenName, text: name, pos: l.i}, nil
}

// word reads a name, a variable, or one of the words with a meaning.
func (l *lexer) word() token {
	start := l.i
	for l.i < len(l.src) && strings.IndexByte(" \t\n\r\v"+operators, l.src[l.i]) < 0 {
		l.i++
	}
	t := token{kind: tokenName, text: l.src[start:l.i], pos: l.i}
	if name, ok := strings.CutPrefix(t.text, "$"); ok {
		t.kind, t.text = tokenVariable, name
		return t
	}
	switch t.text {
	case "or", "in", "and":
		t.kind = tokenOperator
	case "true":
		t.kind, t.value = tokenValue, trueItem
	case "false":
		t.kind, t.value = tokenValue, falseItem
	case "null":
		t.kind, t.value = tokenValue, nullItem
	}
	return t
}
