// Package jsonpath is the dialect of JSONPath that Step Functions speaks.
//
// It behaves as the Java library Jayway JsonPath does, which AWS's errors
// name: a path is definite when it can only ever select one place, and then
// gives that value or a [*NotFoundError]; an indefinite path (wildcards, deep
// scans, slices, filters, several indexes) gives an array of what it selects,
// [] when that is nothing. A path starts at the state's input ($), at the
// context object ($$) or at a variable ($name).
//
// A [Reference] is the restricted form that names exactly one place, to write
// to: only fields and single indexes.
package jsonpath

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"switchyard/asl/value"
)

// Scope is what a path can select from.
type Scope struct {
	// Input is what $ stands for.
	Input value.Value
	// Context makes the context object, $$; nil makes it {}. It is called only
	// when a path needs it.
	Context func() value.Value
	// Variable finds the value of $name; nil knows no variables.
	Variable func(name string) (value.Value, bool)
}

// NotFoundError says that a definite path selects nothing. Its text is the
// reason in the words of the Java library, for example
// No results for path: $['a'].
type NotFoundError struct {
	// Path is the path as it was written.
	Path string

	// The text is made only when it is asked for: to many callers it is enough
	// to know that there is nothing.
	msg  string
	path *Path
	at   value.Value
	step int
}

func (e *NotFoundError) Error() string {
	if e.msg != "" {
		return e.msg
	}
	return e.path.explain(e.at, e.step)
}

// Step is the name or index of the step that could not be taken, "" when the
// variable that the path starts at is unknown.
func (e *NotFoundError) Step() string {
	if e.path == nil {
		return ""
	}
	switch st := &e.path.steps[e.step]; st.kind {
	case stepField:
		return st.name
	case stepIndex:
		return strconv.Itoa(st.index)
	default:
		return fragment(st)
	}
}

// PastEnd reports whether the path leads up to an array and ends with an index
// that the array does not have.
func (e *NotFoundError) PastEnd() bool {
	return e.path != nil && e.step == len(e.path.steps)-1 && e.path.function == nil &&
		e.path.steps[e.step].kind == stepIndex && e.at.Kind() == value.Array
}

// errTooMuch stops evaluations whose cost has nothing to do with the size of
// their input any more.
var errTooMuch = errors.New("the path visits too many values")

// maxVisits bounds one evaluation: the values it looks at and the comparisons
// its filters make. Nested scans multiply; a payload of 256 KiB has at most
// 131,072 values.
const maxVisits = 2 << 20

// Root is where a path starts.
type Root uint8

// The roots of paths.
const (
	Input    Root = iota // $
	Context              // $$
	Variable             // $name
)

// Path is a compiled path, safe for concurrent use.
type Path struct {
	src      string
	root     Root
	variable string
	steps    []step
	definite bool
	function *function // applied to what steps select; nil when absent
	scans    bool      // has a deep scan, so that a function sees all matches
}

// String is the path as it was written.
func (p *Path) String() string { return p.src }

// Root tells where the path starts.
func (p *Path) Root() Root { return p.root }

// VariableName is the variable that the path starts at, "" for other roots.
func (p *Path) VariableName() string { return p.variable }

// Definite reports whether the path can only select one place.
func (p *Path) Definite() bool { return p.definite }

// IsRoot reports whether the path is $, $$ or $name alone.
func (p *Path) IsRoot() bool { return len(p.steps) == 0 && p.function == nil }

type stepKind uint8

const (
	stepField    stepKind = iota // .a or ['a']
	stepFields                   // ['a','b']
	stepIndex                    // [0]
	stepIndexes                  // [0,1]
	stepSlice                    // [1:2]
	stepWildcard                 // .* or [*]
	stepFilter                   // [?(…)]
)

type step struct {
	kind    stepKind
	deep    bool // preceded by ..
	name    string
	names   []string
	index   int
	indexes []int
	slice   slice
	filter  expr
}

// slice is [from:to:by]; nil bounds are open.
type slice struct {
	from, to *int
	by       int
}

// Eval gives what the path selects. The error is a [*NotFoundError] for a
// definite path that selects nothing.
func (p *Path) Eval(sc *Scope) (value.Value, error) {
	var at value.Value
	switch p.root {
	case Input:
		at = sc.Input
	case Context:
		if sc.Context != nil {
			at = sc.Context()
		} else {
			at = value.EmptyObject
		}
	case Variable:
		ok := false
		if sc.Variable != nil {
			at, ok = sc.Variable(p.variable)
		}
		if !ok {
			return value.Value{}, p.notFound("No results for path: $['" + p.variable + "']")
		}
	}
	return p.evalAt(at)
}

func (p *Path) evalAt(root value.Value) (value.Value, error) {
	if p.definite {
		at, failed := p.walkDefinite(root)
		if failed >= 0 {
			return value.Value{}, &NotFoundError{Path: p.src, path: p, at: at, step: failed}
		}
		if p.function != nil {
			return p.applyFunction(at)
		}
		return at, nil
	}
	w := walker{root: root, steps: p.steps}
	w.walk(root, 0)
	if w.err != nil {
		return value.Value{}, w.err
	}
	if p.function == nil {
		return value.OfArray(w.out), nil
	}
	if p.scans {
		return p.applyFunction(value.OfArray(w.out))
	}
	results := make([]value.Value, 0, len(w.out))
	for _, v := range w.out {
		r, err := p.applyFunction(v)
		if err != nil {
			return value.Value{}, err
		}
		results = append(results, r)
	}
	return value.OfArray(results), nil
}

func (p *Path) notFound(msg string) error { return &NotFoundError{Path: p.src, msg: msg} }

// walkDefinite follows a definite path. It ends at step failed, -1 when it
// came to the end of the path.
func (p *Path) walkDefinite(at value.Value) (v value.Value, failed int) {
	for i := range p.steps {
		st := &p.steps[i]
		switch st.kind {
		case stepField:
			next, ok := at.Get(st.name)
			if !ok {
				return at, i
			}
			at = next
		case stepIndex:
			if at.Kind() != value.Array {
				return at, i
			}
			j, ok := within(st.index, at.Len())
			if !ok {
				return at, i
			}
			at = at.Elem(j)
		case stepFields:
			if at.Kind() != value.Object {
				return at, i
			}
			at = pick(at, st.names)
		default: // makes a path indefinite
			return at, i
		}
	}
	return at, -1
}

// explain says in the Java library's words why a definite path cannot take
// step i at this value.
func (p *Path) explain(at value.Value, i int) string {
	st := &p.steps[i]
	switch {
	case st.kind == stepIndex && at.IsNull():
		return "The path " + render(p.steps[:i]) + " is null"
	case st.kind == stepIndex && at.Kind() != value.Array:
		return fmt.Sprintf("Filter: [%d] can only be applied to arrays. Current context is: %s", st.index, JavaString(at))
	case st.kind != stepIndex && at.Kind() != value.Object:
		return fmt.Sprintf("Expected to find an object with property %s in path %s but found '%s'. "+
			"This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'.",
			fragment(st), render(p.steps[:i]), javaClass(at))
	case st.kind == stepField && i+1 < len(p.steps):
		return "Missing property in path " + render(p.steps[:i+1])
	default:
		return "No results for path: " + render(p.steps)
	}
}

// pick makes an object of those names that the object v has.
func pick(v value.Value, names []string) value.Value {
	b := value.NewBuilder(len(names))
	for _, n := range names {
		if e, ok := v.Get(n); ok {
			b.Set(n, e)
		}
	}
	return b.Object()
}

// within resolves an index that may count from the end.
func within(i, n int) (int, bool) {
	if i < 0 {
		i += n
	}
	return i, i >= 0 && i < n
}

// render writes steps in the Java library's normal form.
func render(steps []step) string {
	var b strings.Builder
	b.WriteByte('$')
	for i := range steps {
		if steps[i].deep {
			b.WriteString("..")
		}
		b.WriteString(fragment(&steps[i]))
	}
	return b.String()
}

func fragment(st *step) string {
	switch st.kind {
	case stepField:
		return "['" + st.name + "']"
	case stepFields:
		return "['" + strings.Join(st.names, "','") + "']"
	case stepIndex:
		return "[" + strconv.Itoa(st.index) + "]"
	case stepIndexes:
		parts := make([]string, len(st.indexes))
		for i, n := range st.indexes {
			parts[i] = strconv.Itoa(n)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case stepSlice:
		return "[" + bound(st.slice.from) + ":" + bound(st.slice.to) + "]"
	case stepWildcard:
		return "[*]"
	default:
		return "[?]"
	}
}

func bound(b *int) string {
	if b == nil {
		return ""
	}
	return strconv.Itoa(*b)
}
