package jsonata

// frame holds the variables of a block, a function or a step.
type frame struct {
	outer *frame
	vars  []binding
	tuple *node // the variables that a tuple brings
	// bindings are those of the outermost frame.
	bindings Bindings
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
		if f.bindings != nil {
			if v, ok := f.bindings.Lookup(name); ok {
				x := fromValue(v)
				f.bind(name, x)
				return x, true
			}
		}
	}
	return nothing, false
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
