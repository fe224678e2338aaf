package asl

import (
	"errors"
	"strings"

	"switchyard/asl/intrinsic"
	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

// pathExpr is a path in a field that holds one, such as SecondsPath.
type pathExpr struct {
	field string
	path  *jsonpath.Path
	// explain gives the error of a path that selects nothing, in the words
	// that AWS has for this field; nil for the words it has for templates.
	explain func(p *jsonpath.Path, missing *jsonpath.NotFoundError) error
}

func (e *pathExpr) Eval(sc *Scope) (value.Value, error) {
	v, err := e.path.Eval(&sc.Scope)
	if err == nil {
		return v, nil
	}
	var missing *jsonpath.NotFoundError
	switch {
	case !errors.As(err, &missing):
	case e.explain != nil:
		return value.Value{}, e.explain(e.path, missing)
	case missing.PastEnd() && strings.HasSuffix(e.field, ".$"):
		// In a template AWS gives null for an index past the end of an array,
		// though not in the arguments of a function.
		return value.Value{}, nil
	}
	return value.Value{}, fieldError(sc, e.field, e.path.String(), err)
}

// invalidPath is what AWS says of InputPath and the like.
func invalidPath(p *jsonpath.Path, missing *jsonpath.NotFoundError) error {
	return runtimeError("Invalid path '%s' : %v", p, missing)
}

func (e *pathExpr) String() string { return e.path.String() }

// callExpr is an intrinsic function call in a field.
type callExpr struct {
	field string
	call  *intrinsic.Call
}

func (e *callExpr) Eval(sc *Scope) (value.Value, error) {
	v, err := e.call.Eval(sc)
	if err != nil {
		return value.Value{}, fieldError(sc, e.field, e.call.String(), err)
	}
	return v, nil
}

func (e *callExpr) String() string { return e.call.String() }

// constant is a value without anything to compute.
type constant struct{ v value.Value }

func (e constant) Eval(*Scope) (value.Value, error) { return e.v, nil }
func (e constant) String() string                   { return e.v.JSON() }

// template is a payload template's object or array with something to compute
// in it.
type template struct {
	src   value.Value
	keys  []string     // nil for an array; without the .$
	shape *value.Shape // of keys, nil when one is repeated
	parts []Expression
}

func (t *template) Eval(sc *Scope) (value.Value, error) {
	elems := make([]value.Value, len(t.parts))
	for i, p := range t.parts {
		v, err := p.Eval(sc)
		if err != nil {
			return value.Value{}, err
		}
		elems[i] = v
	}
	switch {
	case t.keys == nil:
		return value.OfArray(elems), nil
	case t.shape != nil:
		return t.shape.Object(elems), nil
	}
	b := value.NewBuilder(len(elems))
	for i, v := range elems {
		b.Set(t.keys[i], v)
	}
	return b.Object(), nil
}

func (t *template) String() string { return t.src.JSON() }

// variables hands the variables that an expression refers to over to refer.
func variables(e Expression, refer func(name string)) {
	switch e := e.(type) {
	case *pathExpr:
		refer(e.path.VariableName())
	case *callExpr:
		e.call.Variables(refer)
	case *template:
		for _, p := range e.parts {
			variables(p, refer)
		}
	}
}

// templateError says which field of a template is wrong: the one at this index
// of the object at.
type templateError struct {
	msg   string
	err   error // why, may be nil
	at    value.Value
	index int
}

// compileTemplate compiles a payload template: the values of keys that end in
// .$ are paths or intrinsic function calls, everything else stands for itself.
// It hands errors to report and goes on.
func compileTemplate(v value.Value, report func(templateError)) Expression {
	switch v.Kind() {
	case value.Object, value.Array:
	default:
		return constant{v}
	}
	t := &template{src: v, parts: make([]Expression, 0, v.Len())}
	if v.Kind() == value.Object {
		t.keys = make([]string, 0, v.Len())
	}
	constantSoFar := true
	for i := range v.Len() {
		elem := v.Elem(i)
		if t.keys != nil {
			key := v.Key(i)
			name, dynamic := strings.CutSuffix(key, ".$")
			t.keys = append(t.keys, name)
			if dynamic {
				e, err := compileDynamic(key, elem)
				if err != nil {
					report(templateError{msg: err.Error(), err: errors.Unwrap(err), at: v, index: i})
					e = constant{}
				}
				constantSoFar = false
				t.parts = append(t.parts, e)
				continue
			}
		}
		part := compileTemplate(elem, report)
		if _, ok := part.(constant); !ok {
			constantSoFar = false
		}
		t.parts = append(t.parts, part)
	}
	if constantSoFar {
		return constant{v}
	}
	if t.keys != nil {
		t.shape = value.NewShape(t.keys)
	}
	return t
}

// dynamicError is a value under a .$ key that is neither a path nor a call.
type dynamicError struct {
	msg string
	err error
}

func (e *dynamicError) Error() string { return e.msg }
func (e *dynamicError) Unwrap() error { return e.err }

// compileDynamic compiles the value of a key that ends in .$.
func compileDynamic(key string, v value.Value) (Expression, error) {
	s, ok := v.Str()
	if !ok {
		return nil, &dynamicError{msg: "The value for the field '" + key + "' must be a STRING that contains a JSONPath but was an " + strings.ToUpper(v.Kind().String())}
	}
	e, err := compileExpression(key, s)
	if err != nil {
		return nil, &dynamicError{msg: "The value for the field '" + key + "' must be a valid JSONPath or a valid intrinsic function call", err: err}
	}
	return e, nil
}

// ParseExpression compiles a path or an intrinsic function call that stands by
// itself.
func ParseExpression(s string) (Expression, error) {
	e, err := compileExpression("", s)
	if err != nil {
		return nil, errors.New(reason(err))
	}
	return e, nil
}

// compileExpression compiles a path or an intrinsic function call.
func compileExpression(field, s string) (Expression, error) {
	if strings.HasPrefix(strings.TrimSpace(s), "$") {
		p, err := jsonpath.Parse(s)
		if err != nil {
			return nil, err
		}
		return &pathExpr{field: field, path: p}, nil
	}
	c, err := intrinsic.Parse(s)
	if err != nil {
		return nil, err
	}
	return &callExpr{field: field, call: c}, nil
}

// Apply gives what the filter lets through of the scope's input.
func (f *Filter) Apply(sc *Scope) (value.Value, error) {
	switch {
	case f.path == nil && !f.discard:
		return sc.Input, nil
	case f.discard:
		return value.EmptyObject, nil
	}
	v, err := f.path.Eval(&sc.Scope)
	if err == nil {
		return v, nil
	}
	var missing *jsonpath.NotFoundError
	if errors.As(err, &missing) {
		return value.Value{}, invalidPath(f.path, missing)
	}
	return value.Value{}, runtimeError("Invalid path '%s' : %v", f.path, err)
}

// String is the path as the definition has it: $ when absent, null for null.
func (f *Filter) String() string {
	switch {
	case f.discard:
		return "null"
	case f.path == nil:
		return "$"
	default:
		return f.path.String()
	}
}

// Apply puts a result into a state's input: the output before OutputPath.
func (p *Placement) Apply(input, result value.Value) (value.Value, error) {
	switch {
	case p.discard:
		return input, nil
	case p.ref == nil:
		return result, nil
	}
	out, err := p.ref.Set(input, result)
	if err != nil {
		return value.Value{}, &Error{Name: ErrReferencePathConflict, Cause: err.Error()}
	}
	return out, nil
}

// String is the path as the definition has it: $ when absent, null for null.
func (p *Placement) String() string {
	switch {
	case p.discard:
		return "null"
	case p.ref == nil:
		return "$"
	default:
		return p.ref.String()
	}
}

// Eval computes the values to assign. All of them see the variables as they
// were before; yield is called for each only after all were computed.
func (a *Assignment) Eval(sc *Scope, yield func(name string, v value.Value)) error {
	v, err := a.template.Eval(sc)
	if err != nil {
		return err
	}
	for name, val := range v.Fields() {
		yield(name, val)
	}
	return nil
}

// String is the template as the definition has it.
func (a *Assignment) String() string { return a.template.String() }
