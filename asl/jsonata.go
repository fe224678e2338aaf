package asl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"switchyard/asl/jsonata"
	"switchyard/asl/value"
)

// evaluationError is the error of a field that does not evaluate to what it
// should; the history tells it as EvaluationFailed.
func evaluationError(field, format string, args ...any) error {
	return &Error{Name: ErrQueryEvaluationError, Cause: fmt.Sprintf(format, args...), Evaluation: true, Location: field}
}

// sight is what a JSONata expression sees.
type sight struct {
	*Scope
	// extra is the name of what $states has beside input and context, result or
	// errorOutput, "" for nothing.
	extra string
	value value.Value
	now   time.Time
	// context says that $states has the context object, which is costly to make.
	context bool
}

// The shapes of $states, to which a result or an error output comes.
var (
	withContext    = value.NewShape([]string{"input", "context"})
	withoutContext = value.NewShape([]string{"input"})
)

// Lookup finds a variable: $states, or one of the state machine's.
func (s *sight) Lookup(name string) (value.Value, bool) {
	if name != "states" {
		if s.Variable == nil {
			return value.Value{}, false
		}
		return s.Variable(name)
	}
	var states value.Value
	switch {
	case !s.context:
		states = withoutContext.Object([]value.Value{s.Input})
	case s.Context == nil:
		states = withContext.Object([]value.Value{s.Input, value.EmptyObject})
	default:
		states = withContext.Object([]value.Value{s.Input, s.Context()})
	}
	if s.extra != "" {
		states = states.With(s.extra, s.value)
	}
	return states, true
}

// LookupField gives the input, and what there is beside it, without making
// $states.
func (s *sight) LookupField(variable, field string) (value.Value, bool) {
	switch {
	case variable != "states":
		v, ok := s.Lookup(variable)
		if !ok {
			return v, false
		}
		return v.Get(field)
	case field == "input":
		return s.Input, true
	case field == s.extra:
		return s.value, field != ""
	}
	return value.Value{}, false
}

// inputScope is a sight of variables and input only, for which nothing needs to
// be made.
type inputScope Scope

func (s *inputScope) Lookup(name string) (value.Value, bool) {
	return (&sight{Scope: (*Scope)(s)}).Lookup(name)
}

func (s *inputScope) LookupField(variable, field string) (value.Value, bool) {
	return (&sight{Scope: (*Scope)(s)}).LookupField(variable, field)
}

var (
	_ jsonata.FieldBindings = (*sight)(nil)
	_ jsonata.FieldBindings = (*inputScope)(nil)
)

// query is a value of the definition that may have JSONata in it.
type query interface {
	Expression
	see(s sight) (value.Value, error)
}

// literal is a value without JSONata.
type literal struct{ constant }

func (l literal) see(sight) (value.Value, error) { return l.v, nil }

// jsonataExpr is {% … %} in a field.
type jsonataExpr struct {
	at      string // the field, as Output/a[0]
	text    string // without the delimiters
	expr    *jsonata.Expr
	context bool // reads the context object
}

// delimited gives the expression between {% and %}.
func delimited(s string) (string, bool) {
	inner, opened := strings.CutPrefix(s, "{%")
	inner, closed := strings.CutSuffix(inner, "%}")
	return strings.TrimSpace(inner), opened && closed
}

func newJSONataExpr(at, text string) (*jsonataExpr, jsonata.References, error) {
	e, err := jsonata.Compile(text)
	if err != nil {
		return nil, jsonata.References{}, err
	}
	refs := e.References()
	whole := func(field string) bool { return field == "context" || field == "" }
	return &jsonataExpr{at: at, text: text, expr: e, context: slices.ContainsFunc(refs.Fields["states"], whole)}, refs, nil
}

func (e *jsonataExpr) String() string { return e.text }

// Eval implements [Expression].
func (e *jsonataExpr) Eval(sc *Scope) (value.Value, error) { return e.see(sight{Scope: sc}) }

// bindings are what the expression can need of s.
func (e *jsonataExpr) bindings(s *sight) jsonata.Bindings {
	if s.extra == "" && !e.context {
		return (*inputScope)(s.Scope)
	}
	seen := *s
	seen.context = e.context
	return &seen
}

func (e *jsonataExpr) see(s sight) (value.Value, error) {
	sc := jsonata.Scope{Bindings: e.bindings(&s), Now: s.now, Random: s.Random, Limits: jsonata.StateLimits}
	v, ok, err := e.expr.Eval(&sc)
	switch {
	case errors.Is(err, jsonata.ErrFunction):
		return value.Value{}, e.fail("returned an unsupported result type.")
	case err != nil:
		return value.Value{}, e.fail("threw an error during evaluation. %v", err)
	case !ok:
		return value.Value{}, e.fail("returned nothing (undefined).")
	}
	return v, nil
}

// fail is the error of the expression, in AWS's words.
func (e *jsonataExpr) fail(format string, args ...any) error {
	return evaluationError(e.at, "The JSONata expression '%s' specified for the field '%s' "+format, append([]any{e.text, e.at}, args...)...)
}

// unexpected is the error of a value of another kind than the field takes.
func (e *jsonataExpr) unexpected(want string, v value.Value) error {
	return e.fail("returned an unexpected result type. Expected '%s', but was '%s' for value: %s", want, v.Kind(), v.JSON())
}

// jsonataTemplate is an array or object with JSONata in it.
type jsonataTemplate struct {
	src   value.Value
	keys  []string // nil for an array
	parts []query
}

func (t *jsonataTemplate) String() string { return t.src.JSON() }

// Eval implements [Expression].
func (t *jsonataTemplate) Eval(sc *Scope) (value.Value, error) { return t.see(sight{Scope: sc}) }

func (t *jsonataTemplate) see(s sight) (value.Value, error) {
	elems := make([]value.Value, len(t.parts))
	for i, p := range t.parts {
		v, err := p.see(s)
		if err != nil {
			return value.Value{}, err
		}
		elems[i] = v
	}
	if t.keys == nil {
		return value.OfArray(elems), nil
	}
	b := value.NewBuilder(len(elems))
	for i, v := range elems {
		b.Set(t.keys[i], v)
	}
	return b.Object(), nil
}

// typed evaluates q to a value of a kind, which a literal was checked to have.
func typed(q query, s sight, kind value.Kind) (value.Value, error) {
	v, err := q.see(s)
	if e, ok := q.(*jsonataExpr); ok && err == nil && v.Kind() != kind {
		err = e.unexpected(kind.String(), v)
	}
	return v, err
}

// integer evaluates q to a whole number within limits.
func integer(q query, s sight, least, most int64) (int64, error) {
	v, err := typed(q, s, value.Number)
	if err != nil {
		return 0, err
	}
	n, ok := v.Int()
	if e, computed := q.(*jsonataExpr); computed && (!ok || n < least || n > most) {
		return 0, e.fail("returned a value that is not an integer from %d to %d: %s", least, most, v.JSON())
	}
	return n, nil
}

// jsonataCondition is the Condition of a choice.
type jsonataCondition struct{ query }

// Match implements [Condition].
func (c jsonataCondition) Match(sc *Scope) (bool, error) { return c.holds(sight{Scope: sc}) }

func (c jsonataCondition) holds(s sight) (bool, error) {
	v, err := typed(c.query, s, value.Bool)
	truth, _ := v.Bool()
	return truth, err
}
