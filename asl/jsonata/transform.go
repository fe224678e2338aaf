package jsonata

import "switchyard/asl/value"

// maxCloneDepth is how deep what is copied may nest.
const maxCloneDepth = value.MaxDepth

// transform is the function that |pattern|update,delete| stands for: it copies
// its argument and changes what the pattern finds in the copy.
func transform(e *expr, env *frame) *fn {
	return &fn{sig: transformSignature, arity: 1, places: 1, native: func(ev *evaluator, args []item) (item, error) {
		x := arg(args, 0)
		if x.kind == undefined {
			return nothing, nil
		}
		cloned, err := ev.cloneBy(e, x, env)
		if err != nil {
			return nothing, err
		}
		found, err := ev.eval(e.lhs, cloned, env)
		if err != nil {
			return nothing, err
		}
		if found.kind == undefined {
			return cloned, nil
		}
		matches := []item{found}
		if found.kind == array {
			matches = found.elems()
		}
		for _, m := range matches {
			if err := ev.change(e, m, env); err != nil {
				return nothing, err
			}
		}
		return cloned, nil
	}}
}

var transformSignature = mustSignature("<(oa):o>")

// cloneBy copies x by the function $clone, which may have been replaced.
func (ev *evaluator) cloneBy(e *expr, x item, env *frame) (item, error) {
	f, ok := env.lookup("clone")
	if !ok {
		return ev.clone(x, 0)
	}
	if f.kind != function {
		return nothing, failAt("T2013", e.pos, nil)
	}
	return ev.give(f, x)
}

// change updates one object that the pattern found.
func (ev *evaluator) change(e *expr, m item, env *frame) error {
	if m.kind == function {
		return failAt("D1010", e.pos, nil)
	}
	update, err := ev.eval(e.rhs, m, env)
	if err != nil {
		return err
	}
	if update.kind != undefined && update.kind != object {
		return failAt("T2011", e.rhs.pos, nil).of(update)
	}
	if update.kind == object && m.kind == object {
		m.members() // reads a lazy node
		keys, elems := update.members()
		for i, k := range keys {
			m.node.set(k, elems[i])
		}
		m.node.order()
	}
	if e.third == nil {
		return nil
	}
	names, err := ev.eval(e.third, m, env)
	if err != nil || names.kind == undefined {
		return err
	}
	list := names
	if names.kind != array {
		list = ofArray([]item{names})
	}
	if !allOf(list, text) {
		return failAt("T2012", e.third.pos, nil).of(names)
	}
	for _, name := range list.elems() {
		if m.kind == object {
			m.members()
			m.node.remove(name.str)
		}
	}
	return nil
}
