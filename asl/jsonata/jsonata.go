// Package jsonata is the JSONata query language as Step Functions runs it,
// version 2.0.6.
//
// [Compile] reads an expression once; [Expr.Eval] evaluates it over JSON
// values. An evaluation is bounded in steps, depth and memory by [Limits],
// regular expressions included, so that an expression from anywhere can be
// evaluated. It uses one goroutine, the caller's.
//
// The language is that of https://docs.jsonata.org/2.0.0 with its function
// library and error codes. There is no $eval, and $partition, $range, $hash,
// $random(seed), $uuid and $parse are added, as
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
// has it.
package jsonata

import (
	"cmp"
	"errors"
	"time"

	"switchyard/asl/value"
)

// Expr is a compiled expression. Safe for concurrent use.
type Expr struct {
	src  string
	root *expr
}

// Compile reads an expression. The error is an [*Error].
func Compile(src string) (*Expr, error) {
	raw, err := parse(src)
	if err != nil {
		return nil, err
	}
	root, err := resolve(raw)
	if err != nil {
		return nil, err
	}
	return &Expr{src: src, root: root}, nil
}

// String is the expression as it was written.
func (e *Expr) String() string { return e.src }

// Bindings are the variables that an expression can see. Lookup is given names
// without the $ and is asked at most once for a name that it has.
type Bindings interface {
	Lookup(name string) (value.Value, bool)
}

// FieldBindings are [Bindings] that can give a field of a variable without making
// the whole of it.
type FieldBindings interface {
	Bindings
	// LookupField gives what the field of the variable that Lookup finds is. ok
	// is false when it has none, or when only Lookup knows.
	LookupField(variable, field string) (v value.Value, ok bool)
}

// BindingMap is Bindings as a map.
type BindingMap map[string]value.Value

// Lookup finds a variable.
func (m BindingMap) Lookup(name string) (value.Value, bool) {
	v, ok := m[name]
	return v, ok
}

// Scope is what an expression is evaluated over.
type Scope struct {
	// Input is $; nil for none.
	Input *value.Value
	// Bindings may be nil.
	Bindings Bindings
	// Now is what $now and $millis give; the time of the evaluation when zero.
	Now time.Time
	// Random gives a number from 0 up to, not including, n; nil for the
	// package's own.
	Random func(n uint64) uint64
	// Limits that are zero are the default ones.
	Limits Limits
}

// Limits bound an evaluation. One that exceeds them ends with U1001.
type Limits struct {
	Steps  int // expressions evaluated and elements made
	Depth  int // expressions within one another, called functions included
	Memory int // bytes that are allocated, roughly
	Value  int // bytes of one text, or of one array at eight an element
}

// DefaultLimits are what zero Limits stand for.
var DefaultLimits = Limits{Steps: 10_000_000, Depth: 3000, Memory: 512 << 20, Value: 512 << 20}

// StateLimits are those of an expression in a state machine. Depth and Value are
// Step Functions': 873,782 numbers pass, one more does not.
var StateLimits = Limits{Steps: DefaultLimits.Steps, Depth: 100, Memory: 256 << 20, Value: 6_990_256}

func (l Limits) orDefaults() Limits {
	return Limits{
		Steps: cmp.Or(l.Steps, DefaultLimits.Steps), Depth: cmp.Or(l.Depth, DefaultLimits.Depth),
		Memory: cmp.Or(l.Memory, DefaultLimits.Memory), Value: cmp.Or(l.Value, DefaultLimits.Value),
	}
}

// ErrFunction says that the result is a function, which is no value.
var ErrFunction = errors.New("the result is a function")

// Eval evaluates the expression; ok is false when the result is nothing. The
// error is an [*Error] or [ErrFunction].
func (e *Expr) Eval(sc *Scope) (v value.Value, ok bool, err error) {
	ev := newEvaluator(sc)
	// After an error it is not used again: the error may show what it holds.
	if v, ok, err = ev.run(e, sc.Input); err == nil {
		ev.release()
	}
	return v, ok, err
}

func (ev *evaluator) run(e *Expr, input *value.Value) (v value.Value, ok bool, err error) {
	env := &ev.root
	var in item
	if input != nil {
		in = ev.outside(*input)
		env.vars = append(env.vars, binding{"$", in})
	}
	if in.isArray() {
		in = ofOne(in)
		in.flags |= outer
	}
	out, err := ev.eval(e.root, in, env)
	if err != nil || out.kind == undefined {
		return value.Value{}, false, err
	}
	if out.kind == function {
		return value.Value{}, false, ErrFunction
	}
	if out.has(outer) {
		out = out.at(0)
	}
	if err := ev.checkDepth(out, 0); err != nil {
		return value.Value{}, false, err
	}
	return toValue(out), true, nil
}

// asError gives the error as this package's.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "U1001", text: err.Error()}
}
