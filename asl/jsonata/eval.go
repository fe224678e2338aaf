package jsonata

// eval evaluates e with in as its context.
func (ev *evaluator) eval(e *expr, in item, env *frame) (item, error) {
	if ev.depth++; ev.depth > ev.limits.Depth {
		return nothing, ev.deeper()
	}
	if ev.steps++; ev.steps > ev.limits.Steps {
		return nothing, tooLong()
	}
	if e.literal {
		ev.depth--
		return e.constant, nil
	}
	var x item
	var err error
	if e.plain && in.kind != array {
		x, err = ev.plainPath(e, in, env)
	} else {
		x, err = ev.form(e, in, env)
	}
	for i := 0; err == nil && i < len(e.predicates); i++ {
		x, err = ev.filter(e.predicates[i].filter, x, env)
	}
	if err == nil && e.group != nil && e.form != formPath {
		x, err = ev.group(e.group.pairs, e.group.pos, x, env)
	}
	ev.depth--
	if err != nil {
		return nothing, err
	}
	if x.flags&(sequence|tuples) == sequence && x.kind == array {
		return settle(x, e.keepArray), nil
	}
	return x, nil
}

// settle makes what a sequence stands for: nothing if it is empty, its item if
// it has one.
func settle(x item, keepArray bool) item {
	if keepArray {
		x.flags |= keep
	}
	switch x.len() {
	case 0:
		return nothing
	case 1:
		if x.flags&keep == 0 {
			return x.at(0)
		}
	}
	return x
}

func (ev *evaluator) form(e *expr, in item, env *frame) (item, error) {
	switch e.form {
	case formPath:
		return ev.path(e, in, env)
	case formName:
		return ev.lookup(in, e.name)
	case formString, formNumber, formValue:
		return e.constant, nil
	case formVariable:
		return variable(e, in, env), nil
	case formBinary:
		return ev.binary(e, in, env)
	case formCall:
		return ev.call(e, in, env, nil)
	case formCondition:
		return ev.condition(e, in, env)
	case formBlock:
		return ev.block(e, in, env)
	case formBind:
		x, err := ev.eval(e.rhs, in, env)
		if err == nil {
			env.bind(e.lhs.name, x)
		}
		return x, err
	case formArray:
		return ev.array(e, in, env)
	case formObject:
		return ev.group(e.pairs, e.pos, in, env)
	case formNegate:
		return ev.negate(e, in, env)
	case formWildcard:
		return ev.wildcard(in)
	case formDescendant:
		return ev.descendants(in)
	case formParent:
		x, _ := env.lookup(e.slot.label)
		return x, nil
	case formRegex:
		return ofFunction(e.regex.function()), nil
	case formLambda:
		return ofFunction(lambda(e, in, env)), nil
	case formPartial:
		return ev.partial(e, in, env)
	case formApply:
		return ev.apply(e, in, env)
	case formTransform:
		return ofFunction(transform(e, env)), nil
	default:
	}
	return nothing, nil
}

func variable(e *expr, in item, env *frame) item {
	if e.name == "" {
		if in.has(outer) {
			return in.at(0)
		}
		return in
	}
	x, ok := env.lookup(e.name)
	if !ok && e.builtin != nil {
		return e.builtin.self
	}
	return x
}

func (ev *evaluator) condition(e *expr, in item, env *frame) (item, error) {
	test, err := ev.eval(e.lhs, in, env)
	if err != nil {
		return nothing, err
	}
	truth, err := truthy(test)
	switch {
	case err != nil:
		return nothing, err
	case truth:
		return ev.eval(e.rhs, in, env)
	case e.third != nil:
		return ev.eval(e.third, in, env)
	}
	return nothing, nil
}

func (ev *evaluator) block(e *expr, in item, env *frame) (x item, err error) {
	inner := &frame{outer: env}
	for _, part := range e.list {
		if x, err = ev.eval(part, in, inner); err != nil {
			return nothing, err
		}
	}
	return x, nil
}

func (ev *evaluator) array(e *expr, in item, env *frame) (item, error) {
	if len(e.list) == 1 && e.list[0].operator == opRange { // without a copy
		x, err := ev.eval(e.list[0], in, env)
		if err != nil || x.kind == array {
			x.flags = 0
			if e.consArray {
				x.flags = cons
			}
			return x, err
		}
	}
	elems := make([]item, 0, len(e.list))
	for _, part := range e.list {
		x, err := ev.eval(part, in, env)
		switch {
		case err != nil:
			return nothing, err
		case x.kind == undefined:
			continue
		case x.kind == array && part.form != formArray:
			err = ev.grow(x.len(), len(elems)+x.len())
			if err == nil {
				elems = append(elems, x.elems()...)
			}
		default:
			err = ev.grow(1, len(elems)+1)
			elems = append(elems, x)
		}
		if err != nil {
			return nothing, err
		}
	}
	out := ofArray(elems)
	if e.consArray {
		out.flags |= cons
	}
	return out, nil
}

func (ev *evaluator) negate(e *expr, in item, env *frame) (item, error) {
	x, err := ev.eval(e.lhs, in, env)
	if err != nil || x.kind == undefined {
		return nothing, err
	}
	ok, err := finite(x)
	if err != nil {
		return nothing, err
	}
	if !ok {
		return nothing, failAt("D1002", e.pos, "-").of(x)
	}
	return ofNumber(-x.num), nil
}

// lookup is the field of an object, or of each object in an array.
func (ev *evaluator) lookup(in item, name string) (item, error) {
	switch in.kind {
	case object, tuple:
		x, _ := in.get(name)
		return x, nil
	case array:
	default:
		return nothing, nil
	}
	if ev.depth++; ev.depth > ev.limits.Depth {
		return nothing, ev.deeper()
	}
	defer func() { ev.depth-- }()
	var out []item
	for i := range in.len() {
		x, err := ev.lookup(in.at(i), name)
		if err != nil {
			return nothing, err
		}
		if out, err = ev.spread(out, x); err != nil {
			return nothing, err
		}
	}
	return ofSequence(out), nil
}

// spread appends x, or the elements of x if it is an array.
func (ev *evaluator) spread(out []item, x item) ([]item, error) {
	switch x.kind {
	case undefined:
		return out, nil
	case array:
		if err := ev.grow(x.len(), len(out)+x.len()); err != nil {
			return nil, err
		}
		if len(out) == 0 {
			return x.elems()[:x.len():x.len()], nil
		}
		return append(out, x.elems()...), nil
	default:
	}
	if err := ev.grow(1, len(out)+1); err != nil {
		return nil, err
	}
	return append(out, x), nil
}

func (ev *evaluator) wildcard(in item) (item, error) {
	if in.has(outer) && in.len() > 0 {
		in = in.at(0)
	}
	var values []item
	switch in.kind {
	case object:
		_, values = in.members()
	case array:
		values = in.elems()
	default:
	}
	out := ofSequence(nil)
	for _, x := range values {
		var err error
		if x.kind == array {
			out.flags = 0
			out.node.elems, err = ev.flatten(out.node.elems, x)
		} else {
			out.node.elems, err = ev.spread(out.node.elems, x)
		}
		if err != nil {
			return nothing, err
		}
	}
	return out, nil
}

// flatten appends what is not an array in x, at any depth.
func (ev *evaluator) flatten(out []item, x item) ([]item, error) {
	if x.kind != array {
		return append(out, x), ev.grow(1, len(out)+1)
	}
	if ev.depth++; ev.depth > ev.limits.Depth {
		return nil, ev.deeper()
	}
	defer func() { ev.depth-- }()
	var err error
	for i := 0; err == nil && i < x.len(); i++ {
		out, err = ev.flatten(out, x.at(i))
	}
	return out, err
}

func (ev *evaluator) descendants(in item) (item, error) {
	if in.kind == undefined {
		return nothing, nil
	}
	out, err := ev.descend(nil, in)
	if len(out) == 1 {
		return out[0], err
	}
	return ofSequence(out), err
}

func (ev *evaluator) descend(out []item, x item) (_ []item, err error) {
	if ev.depth++; ev.depth > ev.limits.Depth {
		return nil, ev.deeper()
	}
	defer func() { ev.depth-- }()
	var parts []item
	switch x.kind {
	case array:
		parts = x.elems()
	case object:
		_, parts = x.members()
	default:
	}
	if x.kind != array {
		if err := ev.grow(1, len(out)+1); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	for i := 0; err == nil && i < len(parts); i++ {
		out, err = ev.descend(out, parts[i])
	}
	return out, err
}
