package jsonata

var objectFunctions = []entry{
	{"keys", "<x-:a<s>>", 1, keysOf},
	{"lookup", "<x-s:x>", 2, func(ev *evaluator, args []item) (item, error) {
		return ev.lookup(arg(args, 0), arg(args, 1).str)
	}},
	{"spread", "<x-:a<o>>", 1, func(ev *evaluator, args []item) (item, error) { return ev.pieces(arg(args, 0)) }},
	{"merge", "<a<o>:o>", 1, ofFirst(merge)},
	{"type", "<x:s>", 1, ofFirst(typeOf)},
	{"clone", "<(oa)-:o>", 1, ofFirst(func(ev *evaluator, x item, _ []item) (item, error) { return ev.clone(x, 0) })},
	{"error", "<s?:x>", 1, raise},
	{"assert", "<bs?:x>", 2, assert},
}

func keysOf(ev *evaluator, args []item) (item, error) {
	all := newObject(0)
	if err := ev.gatherKeys(all, arg(args, 0)); err != nil {
		return nothing, err
	}
	all.order()
	out := make([]item, len(all.keys))
	for i, k := range all.keys {
		out[i] = ofString(k)
	}
	return ofSequence(out), ev.grow(len(out), len(out))
}

func (ev *evaluator) gatherKeys(all *node, x item) error {
	if err := ev.step(1); err != nil {
		return err
	}
	if ev.depth++; ev.depth > ev.limits.Depth {
		return ev.deeper()
	}
	defer func() { ev.depth-- }()
	switch x.kind {
	case array:
		for _, e := range x.elems() {
			if err := ev.gatherKeys(all, e); err != nil {
				return err
			}
		}
	case object:
		keys, _ := x.members()
		for _, k := range keys {
			all.set(k, nothing)
		}
		return ev.step(len(keys))
	default:
	}
	return nil
}

// pieces is $spread: an object for each field.
func (ev *evaluator) pieces(x item) (item, error) {
	if ev.depth++; ev.depth > ev.limits.Depth {
		return nothing, ev.deeper()
	}
	defer func() { ev.depth-- }()
	switch x.kind {
	case array:
		out := ofSequence(nil)
		for _, e := range x.elems() {
			part, err := ev.pieces(e)
			if err != nil {
				return nothing, err
			}
			if out, err = ev.join(out, part); err != nil {
				return nothing, err
			}
		}
		return out, nil
	case object:
		keys, elems := x.members()
		out := make([]item, len(keys))
		for i, k := range keys {
			n := newObject(1)
			n.set(k, elems[i])
			out[i] = n.object()
		}
		return ofSequence(out), ev.grow(2*len(out), len(out))
	default:
	}
	return x, nil
}

func merge(ev *evaluator, x item, _ []item) (item, error) {
	out := newObject(0)
	for _, e := range x.elems() {
		if e.kind != object {
			continue
		}
		keys, elems := e.members()
		if err := ev.grow(len(keys), len(out.keys)); err != nil {
			return nothing, err
		}
		for i, k := range keys {
			out.set(k, elems[i])
		}
	}
	return out.object(), nil
}

func typeOf(_ *evaluator, x item, _ []item) (item, error) {
	names := map[kind]string{null: "null", boolean: "boolean", number: "number", text: "string", array: "array", object: "object", function: "function"}
	return ofString(names[x.kind]), nil
}

// clone copies x as it would be read back from its JSON.
func (ev *evaluator) clone(x item, depth int) (item, error) {
	if depth > maxCloneDepth {
		return nothing, tooDeep()
	}
	switch x.kind {
	case undefined:
		return nullItem, nil
	case number:
		if ok, err := finite(x); err != nil || !ok {
			return nullItem, err
		}
		return ofNumber(fifteenDigits(x.num)), nil
	case function:
		return ofString(""), nil
	case array:
		if x.has(outer) {
			x = x.at(0)
		}
		if err := ev.grow(x.len(), x.len()); err != nil {
			return nothing, err
		}
		out := make([]item, x.len())
		for i := range out {
			var err error
			if out[i], err = ev.clone(x.at(i), depth+1); err != nil {
				return nothing, err
			}
		}
		return ofArray(out), nil
	case object:
		keys, elems := x.members()
		if err := ev.grow(len(keys), len(keys)); err != nil {
			return nothing, err
		}
		out := newObject(len(keys))
		for i, k := range keys {
			if elems[i].kind == undefined {
				continue
			}
			e, err := ev.clone(elems[i], depth+1)
			if err != nil {
				return nothing, err
			}
			out.set(k, e)
		}
		return out.object(), nil
	default:
	}
	return x, nil
}

func raise(_ *evaluator, args []item) (item, error) {
	return nothing, &Error{Code: "D3137", text: textOr(arg(args, 0), "$error() function evaluated")}
}

func assert(_ *evaluator, args []item) (item, error) {
	if scriptTruth(arg(args, 0)) {
		return nothing, nil
	}
	return nothing, &Error{Code: "D3141", text: textOr(arg(args, 1), "$assert() statement failed")}
}

func textOr(x item, other string) string {
	if x.kind == text && x.str != "" {
		return x.str
	}
	return other
}
