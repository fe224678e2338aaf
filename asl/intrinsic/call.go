// Package intrinsic is the intrinsic functions of the Amazon States Language:
// calls such as States.Format('{} of {}', $.a, $.b) in payload templates.
//
// [Parse] compiles a call; arguments are paths, texts in single quotes,
// numbers, true, false, null, and further calls, nested up to ten deep. The
// limits and the rules of each function are those of the Step Functions
// developer guide; what it leaves open follows recordings of AWS.
package intrinsic

import (
	"errors"
	"fmt"
	"strings"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// maxNesting is AWS's limit on calls within calls in one field.
const maxNesting = 10

// Scope is what a call sees: what its paths select from, and where chance
// comes from.
type Scope struct {
	jsonpath.Scope
	// Random gives a number from 0 up to but not n, for States.MathRandom
	// without a seed; nil takes the runtime's generator.
	Random func(n uint64) uint64
	// NewUUID gives a version 4 UUID for States.UUID; nil takes one from the
	// system's randomness.
	NewUUID func() string
}

// Error is the failure of a call at run time.
type Error struct {
	// Call is the call that failed, as it was written.
	Call string
	Msg  string
}

func (e *Error) Error() string {
	return fmt.Sprintf("The function '%s' had the following error: %s", e.Call, e.Msg)
}

// ArgumentError says that a path among a call's arguments selects nothing.
type ArgumentError struct {
	Call string
	Path *jsonpath.Path
	Err  error
}

func (e *ArgumentError) Error() string {
	return fmt.Sprintf("The function '%s' had the following error: %v", e.Call, e.Err)
}

func (e *ArgumentError) Unwrap() error { return e.Err }

// Call is a compiled call, safe for concurrent use.
type Call struct {
	src  string
	fn   *function
	args []argument
}

// argument is exactly one of a literal, a path and a call.
type argument struct {
	literal value.Value
	// raw is a text literal before its escapes were taken out, which Format
	// needs to tell \{ from {.
	raw  string
	path *jsonpath.Path
	call *Call
}

// String is the call as it was written.
func (c *Call) String() string { return c.src }

// Name is the function's name, for example States.Format.
func (c *Call) Name() string { return c.fn.name }

// Variables hands the variables among the arguments over to refer; "" stands for
// a path that starts elsewhere.
func (c *Call) Variables(refer func(name string)) {
	for i := range c.args {
		switch a := &c.args[i]; {
		case a.path != nil:
			refer(a.path.VariableName())
		case a.call != nil:
			a.call.Variables(refer)
		}
	}
}

// Eval makes the call. The error is an [*Error], or an [*ArgumentError] when
// an argument's path selects nothing.
func (c *Call) Eval(sc *Scope) (value.Value, error) {
	var few [4]value.Value
	args := few[:0]
	for i := range c.args {
		a := &c.args[i]
		v := a.literal
		var err error
		switch {
		case a.path != nil:
			if v, err = a.path.Eval(&sc.Scope); err != nil {
				return value.Value{}, &ArgumentError{Call: c.src, Path: a.path, Err: err}
			}
		case a.call != nil:
			if v, err = a.call.Eval(sc); err != nil {
				return value.Value{}, c.blame(err)
			}
		}
		args = append(args, v)
	}
	v, err := c.fn.eval(sc, c, args)
	if err != nil {
		return value.Value{}, &Error{Call: c.src, Msg: err.Error()}
	}
	return v, nil
}

// blame makes an error of a nested call the whole call's: AWS names the
// outermost.
func (c *Call) blame(err error) error {
	var (
		failed  *Error
		missing *ArgumentError
	)
	switch {
	case errors.As(err, &failed):
		failed.Call = c.src
	case errors.As(err, &missing):
		missing.Call = c.src
	}
	return err
}

// Parse compiles a call. The error says what is wrong and where.
func Parse(s string) (*Call, error) {
	p := parser{s: s}
	p.space()
	c, err := p.call(1)
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(s) {
		return nil, p.fail("unexpected %q after the call", s[p.i:])
	}
	return c, nil
}

// SyntaxError says why a text is not a call.
type SyntaxError struct {
	Offset int // in bytes
	Msg    string
}

func (e *SyntaxError) Error() string { return "invalid intrinsic function call: " + e.Msg }

type parser struct {
	s string
	i int
}

func (p *parser) fail(format string, args ...any) error {
	return &SyntaxError{Offset: p.i, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *parser) call(depth int) (*Call, error) {
	if depth > maxNesting {
		return nil, p.fail("calls are nested deeper than %d", maxNesting)
	}
	start := p.i
	for c := p.peek(); c == '.' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'; c = p.peek() {
		p.i++
	}
	name := p.s[start:p.i]
	fn := byName[name]
	if fn == nil {
		p.i = start
		return nil, p.fail("unknown function %q", name)
	}
	p.space()
	if p.peek() != '(' {
		return nil, p.fail("expected '(' after %s", name)
	}
	p.i++
	c := &Call{fn: fn}
	p.space()
	for p.peek() != ')' {
		if len(c.args) > 0 {
			if p.peek() != ',' {
				return nil, p.fail("expected ',' or ')' in the arguments of %s", name)
			}
			p.i++
			p.space()
		}
		a, err := p.argument(depth)
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, a)
		p.space()
	}
	p.i++
	c.src = p.s[start:p.i]
	if n := len(c.args); n < fn.least || fn.most >= 0 && n > fn.most {
		return nil, p.fail("%s takes %s, not %d", name, fn.arity(), n)
	}
	return c, nil
}

func (p *parser) argument(depth int) (argument, error) {
	switch c := p.peek(); {
	case c == '\'':
		return p.text()
	case c == '$':
		path, rest, err := jsonpath.ParsePrefix(p.s[p.i:])
		if err != nil {
			return argument{}, p.fail("%v", err)
		}
		p.i = len(p.s) - len(rest)
		return argument{path: path}, nil
	case c == 'S':
		call, err := p.call(depth + 1)
		return argument{call: call}, err
	case c == '-' || c >= '0' && c <= '9' || c == 't' || c == 'f' || c == 'n':
		v, rest, err := value.ParsePrefix(p.s[p.i:])
		if err != nil {
			var syntax *value.SyntaxError
			if errors.As(err, &syntax) {
				p.i += syntax.Offset
			}
			return argument{}, p.fail("%v", err)
		}
		p.i = len(p.s) - len(rest)
		return argument{literal: v}, nil
	default:
		return argument{}, p.fail("expected a path, a text in single quotes, a number, true, false, null or a call")
	}
}

// text reads a text in single quotes. Backslash escapes ', {, } and itself;
// before anything else AWS refuses it.
func (p *parser) text() (argument, error) {
	start := p.i + 1
	var b strings.Builder
	for j := start; j < len(p.s); j++ {
		c := p.s[j]
		switch c {
		case '\'':
			p.i = j + 1
			return argument{literal: value.OfString(b.String()), raw: p.s[start:j]}, nil
		case '\\':
			j++
			if j >= len(p.s) {
				return argument{}, p.fail("a quote is not closed")
			}
			if c = p.s[j]; strings.IndexByte(`'{}\`, c) < 0 {
				p.i = j - 1
				return argument{}, p.fail(`unknown escape \%c, only \' \{ \} and \\ exist`, c)
			}
		}
		b.WriteByte(c)
	}
	return argument{}, p.fail("a quote is not closed")
}
