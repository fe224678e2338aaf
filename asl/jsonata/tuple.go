package jsonata

// tupleStep evaluates a step over tuples: each result goes on with the
// variables that led to it, and with those that the step binds.
func (ev *evaluator) tupleStep(step *expr, input []item, bound item, env *frame) (item, error) {
	if step.form == formSort {
		return ev.tupleSort(step, input, bound, env)
	}
	from := bound.elems()
	if bound.kind == undefined {
		from = make([]item, len(input))
		for i, x := range input {
			from[i] = newTuple(x)
		}
	}
	out := ofSequence(nil)
	out.flags |= tuples
	for _, t := range from {
		context, _ := t.get("@")
		x, err := ev.eval(step, context, env.within(t))
		if err != nil {
			return nothing, err
		}
		if x.kind == undefined {
			continue
		}
		results := []item{x}
		if x.kind == array {
			results = x.elems()
		}
		if err := ev.grow(len(results)*(1+len(t.node.keys)), out.len()+len(results)); err != nil {
			return nothing, err
		}
		for i, r := range results {
			next := copyTuple(t)
			switch {
			case x.has(tuples):
				keys, elems := r.node.keys, r.node.elems
				for j, k := range keys {
					next.node.set(k, elems[j])
				}
			default:
				step.extend(next.node, context, r, i)
			}
			out.node.elems = append(out.node.elems, next)
		}
	}
	return ev.stages(step.stages, out, env)
}

// extend puts the i-th result of a step into the tuple that goes on with it.
func (e *expr) extend(t *node, context, result item, i int) {
	if e.focus != "" {
		t.set(e.focus, result)
	} else {
		t.set("@", result)
	}
	if e.index != "" {
		t.set(e.index, ofNumber(float64(i)))
	}
	if e.ancestor != nil {
		t.set(e.ancestor.label, context)
	}
}

func newTuple(x item) item {
	return item{kind: tuple, node: &node{fields: &fields{keys: []string{"@"}}, elems: []item{x}}}
}

func copyTuple(t item) item {
	n := &node{fields: &fields{keys: make([]string, len(t.node.keys), len(t.node.keys)+1)}, elems: make([]item, len(t.node.elems), len(t.node.elems)+1)}
	copy(n.keys, t.node.keys)
	copy(n.elems, t.node.elems)
	if t.node.index != nil {
		n.reindex()
	}
	return item{kind: tuple, node: n}
}

// tupleSort sorts tuples, or makes tuples of what it sorts.
func (ev *evaluator) tupleSort(step *expr, input []item, bound item, env *frame) (item, error) {
	if bound.kind != undefined {
		sorted, err := ev.order(step, bound, env)
		if err != nil {
			return nothing, err
		}
		return ev.stages(step.stages, sorted, env)
	}
	sorted, err := ev.order(step, ofSequence(input), env)
	if err != nil {
		return nothing, err
	}
	out := ofSequence(make([]item, sorted.len()))
	out.flags |= tuples
	for i, x := range sorted.elems() {
		t := newTuple(x)
		if step.index != "" {
			t.node.set(step.index, ofNumber(float64(i)))
		}
		out.node.elems[i] = t
	}
	return ev.stages(step.stages, out, env)
}

// reduce makes one tuple of several: each variable holds the values of all.
func (ev *evaluator) reduce(x item) (item, error) {
	if x.kind != array {
		return x, nil
	}
	out := copyTuple(x.at(0))
	for i := 1; i < x.len(); i++ {
		t := x.at(i).node
		for j, k := range t.keys {
			sofar, _ := out.get(k)
			both, err := ev.join(sofar, t.elems[j])
			if err != nil {
				return nothing, err
			}
			out.node.set(k, both)
		}
	}
	return out, nil
}

// join is $append: the elements of both, or one alone if the other is nothing.
// Appending again and again to what came of it copies nothing twice.
func (ev *evaluator) join(a, b item) (item, error) {
	if a.kind == undefined {
		return b, nil
	}
	if b.kind == undefined {
		return a, nil
	}
	left, right := []item{a}, []item{b}
	open := false
	if a.kind == array {
		left = a.elems()
		open, a.node.open = a.node.open, false
	}
	if b.kind == array {
		right = b.elems()
	}
	size := len(left) + len(right)
	if !open || cap(left) < size {
		if err := ev.grow(size, size); err != nil {
			return nothing, err
		}
		left = append(make([]item, 0, 2*size), left...)
	} else if err := ev.grow(len(right), size); err != nil {
		return nothing, err
	}
	out := ofArray(append(left, right...))
	out.node.open = true
	return out, nil
}
