package jsonata

import "switchyard/asl/value"

// frame holds the variables of a block, a function or a step.
type frame struct {
	outer *frame
	vars  []binding
	tuple *node // the variables that a tuple brings
	// outermost is the evaluation, in the frame around all others.
	outermost *evaluator
}

type binding struct {
	name  string
	value item
}

// lookup finds a variable; ok is false when none of the name is bound.
func (f *frame) lookup(name string) (x item, ok bool) {
	for ; f != nil; f = f.outer {
		for i := range f.vars {
			if f.vars[i].name == name {
				return f.vars[i].value, true
			}
		}
		if f.tuple != nil {
			if i := f.tuple.find(name); i >= 0 {
				return f.tuple.elems[i], true
			}
		}
		if ev := f.outermost; ev != nil && ev.bindings != nil && name != "$" { // without an input $$ is nothing
			if v, ok := ev.bindings.Lookup(name); ok {
				x := ev.outside(v)
				f.bind(name, x)
				return x, true
			}
		}
	}
	return nothing, false
}

// lookupField finds a field of a variable that is still to be taken in from
// outside, unless only the whole variable can be.
func (f *frame) lookupField(name, field string) (v value.Value, ok bool) {
	for ; f != nil; f = f.outer {
		for i := range f.vars {
			if f.vars[i].name == name {
				return v, false
			}
		}
		if f.tuple != nil && f.tuple.find(name) >= 0 {
			return v, false
		}
		if f.outermost != nil {
			if b, can := f.outermost.bindings.(FieldBindings); can {
				return b.LookupField(name, field)
			}
		}
	}
	return v, false
}

// bind sets a variable of this frame.
func (f *frame) bind(name string, x item) {
	for i := range f.vars {
		if f.vars[i].name == name {
			f.vars[i].value = x
			return
		}
	}
	f.vars = append(f.vars, binding{name: name, value: x})
}

// within is a frame with the variables of a tuple.
func (f *frame) within(t item) *frame { return &frame{outer: f, tuple: t.node} }
