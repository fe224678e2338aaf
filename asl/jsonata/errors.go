package jsonata

import (
	"regexp"
	"strconv"
)

// Error is what went wrong in an expression, at compiling or at evaluation.
type Error struct {
	// Code is JSONata's: S for syntax, T for types, D for values, U1001 for an
	// evaluation that exceeds a limit.
	Code string
	// Position is the offset in the expression, in bytes, behind the token that
	// the error is about; 0 when it has none.
	Position int

	token    any // string, a number or an item; nil when there is none
	value    any
	value2   any
	index    int
	exponent float64
	typ      string
	function string
	text     string // a message that is not the code's
	fatal    bool   // a limit: nothing in the expression goes on after it
}

func fail(code string) *Error { return &Error{Code: code} }

func failAt(code string, position int, token any) *Error {
	return &Error{Code: code, Position: position, token: token}
}

// of adds the value that the message shows.
func (e *Error) of(v any) *Error {
	e.value = v
	return e
}

// Error is "CODE: message".
func (e *Error) Error() string { return e.Code + ": " + e.Message() }

var placeholder = regexp.MustCompile(`\{(raw:)?(\w+)\}`)

// Message is what JSONata says of the error.
func (e *Error) Message() string {
	return placeholder.ReplaceAllStringFunc(messages[e.Code], func(m string) string {
		parts := placeholder.FindStringSubmatch(m)
		v := e.part(parts[2])
		if s, ok := v.(string); ok && parts[1] != "" {
			return s
		}
		return show(v)
	})
}

func (e *Error) part(name string) any {
	switch name {
	case "token":
		return e.token
	case "value":
		return e.value
	case "value2":
		return e.value2
	case "index":
		return float64(e.index)
	case "exp":
		return e.exponent
	case "type":
		return e.typ
	case "functionName":
		return e.function
	}
	return e.text
}

// maxShown is the size up to which an error shows a value. Parts of a value may
// be the same, so that little memory holds one of any size.
const maxShown = 1 << 16

// show writes a part of an error as JavaScript's JSON.stringify does.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return string(appendText(nil, v))
	case float64:
		return formatNumber(v)
	case item:
		if v.kind != undefined {
			return string(stringify(nil, v, style{most: maxShown}))
		}
	case bool:
		return strconv.FormatBool(v)
	}
	return "undefined"
}
