package jsonpath

import (
	"fmt"
	"strconv"

	"switchyard/asl/value"
)

// Reference is a path that names exactly one place in a state's input: $,
// fields and non-negative indexes. Safe for concurrent use.
type Reference struct{ path *Path }

// ParseReference compiles a reference path. The error says what makes it not
// one.
func ParseReference(s string) (*Reference, error) {
	p, err := Parse(s)
	if err != nil {
		return nil, err
	}
	if p.root != Input {
		return nil, &SyntaxError{Path: s, Msg: "a path to write to must start with $."}
	}
	if err := p.CheckReference(); err != nil {
		return nil, err
	}
	return &Reference{path: p}, nil
}

// CheckReference tells why the path does not name exactly one place: a
// [*SyntaxError], nil when it does.
func (p *Path) CheckReference() error {
	if p.function != nil {
		return &SyntaxError{Path: p.src, Msg: "a reference path cannot call a function"}
	}
	for i := range p.steps {
		st := &p.steps[i]
		if st.deep || st.kind != stepField && (st.kind != stepIndex || st.index < 0) {
			return &SyntaxError{Path: p.src, Msg: "a reference path can only name fields and single indexes, not " + fragment(st)}
		}
	}
	return nil
}

// String is the path as it was written.
func (r *Reference) String() string { return r.path.src }

// IsRoot reports whether the reference is $ alone.
func (r *Reference) IsRoot() bool { return len(r.path.steps) == 0 }

// StepError says that a reference cannot be followed into a value, as a field
// of a string cannot. Its text is AWS's.
type StepError struct {
	Step string // the field or index
	Root value.Value
}

func (e *StepError) Error() string {
	return fmt.Sprintf("Unable to apply step \"%s\" to input %s", e.Step, e.Root.JSON())
}

// Set returns root with v at the reference; root itself does not change.
// Fields that are missing on the way are made. The error is a [*StepError].
func (r *Reference) Set(root, v value.Value) (value.Value, error) {
	out, failed := set(root, true, r.path.steps, v)
	if failed != nil {
		step := failed.name
		if failed.kind == stepIndex {
			step = strconv.Itoa(failed.index)
		}
		return value.Value{}, &StepError{Step: step, Root: root}
	}
	return out, nil
}

// set does the work of Set; failed is the step that could not be taken, nil
// when all could.
func set(at value.Value, exists bool, steps []step, v value.Value) (out value.Value, failed *step) {
	if len(steps) == 0 {
		return v, nil
	}
	st := &steps[0]
	if st.kind == stepField {
		if exists && at.Kind() != value.Object {
			return at, st
		}
		old, ok := at.Get(st.name)
		inner, failed := set(old, ok, steps[1:], v)
		if failed != nil {
			return at, failed
		}
		return at.With(st.name, inner), nil
	}
	if at.Kind() != value.Array || st.index >= at.Len() {
		return at, st
	}
	inner, failed := set(at.Elem(st.index), true, steps[1:], v)
	if failed != nil {
		return at, failed
	}
	return at.WithElem(st.index, inner), nil
}
