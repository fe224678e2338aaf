package jsonata

var higherFunctions = []entry{
	{"map", "<af>", 2, ofFirst(mapOver)},
	{"filter", "<af>", 2, ofFirst(filterBy)},
	{"single", "<af?>", 2, ofFirst(single)},
	{"reduce", "<afj?:j>", 3, ofFirst(reduceBy)},
	{"sift", "<o-f?:o>", 2, sift},
	{"each", "<o-f:a>", 2, each},
}

// offer calls f with as many of the arguments as it takes, at least the first.
func (ev *evaluator) offer(f item, args ...item) (item, error) {
	if f.kind != function {
		return nothing, fail("T1006")
	}
	return ev.give(f, args[:min(max(f.node.fn.arity, 1), len(args))]...)
}

func mapOver(ev *evaluator, x item, rest []item) (item, error) {
	out := make([]item, 0, min(x.len(), 1024))
	for i := range x.len() {
		r, err := ev.offer(arg(rest, 0), x.at(i), ofNumber(float64(i)), x)
		if err != nil {
			return nothing, err
		}
		if r.kind == undefined {
			continue
		}
		if err := ev.grow(1, len(out)+1); err != nil {
			return nothing, err
		}
		out = append(out, r)
	}
	return ofSequence(out), nil
}

func filterBy(ev *evaluator, x item, rest []item) (item, error) {
	var out []item
	for i := range x.len() {
		r, err := ev.offer(arg(rest, 0), x.at(i), ofNumber(float64(i)), x)
		if err != nil {
			return nothing, err
		}
		truth, err := truthy(r)
		if err != nil {
			return nothing, err
		}
		if truth {
			if err := ev.grow(1, len(out)+1); err != nil {
				return nothing, err
			}
			out = append(out, x.at(i))
		}
	}
	return ofSequence(out), nil
}

func single(ev *evaluator, x item, rest []item) (item, error) {
	found, n := nothing, 0
	for i := range x.len() {
		truth := true
		if f := arg(rest, 0); f.kind != undefined {
			r, err := ev.offer(f, x.at(i), ofNumber(float64(i)), x)
			if err == nil {
				truth, err = truthy(r)
			}
			if err != nil {
				return nothing, err
			}
		}
		if !truth {
			continue
		}
		if n++; n > 1 {
			return nothing, fail("D3138")
		}
		found = x.at(i)
	}
	if n == 0 {
		return nothing, fail("D3139")
	}
	return found, nil
}

func reduceBy(ev *evaluator, x item, rest []item) (item, error) {
	f, sofar := arg(rest, 0), arg(rest, 1)
	if f.kind != function || f.node.fn.arity < 2 {
		e := fail("D3050")
		e.index = 1
		return nothing, e
	}
	i := 0
	if sofar.kind == undefined && x.len() > 0 {
		sofar, i = x.at(0), 1
	}
	for ; i < x.len(); i++ {
		args := []item{sofar, x.at(i), ofNumber(float64(i)), x}
		var err error
		if sofar, err = ev.give(f, args[:min(f.node.fn.arity, 4)]...); err != nil {
			return nothing, err
		}
	}
	return sofar, nil
}

func sift(ev *evaluator, args []item) (item, error) {
	x := arg(args, 0)
	if x.kind != object {
		return nothing, nil
	}
	keys, elems := x.members()
	out := newObject(len(keys))
	for i, k := range keys {
		r, err := ev.offer(arg(args, 1), elems[i], ofString(k), x)
		if err != nil {
			return nothing, err
		}
		truth, err := truthy(r)
		if err != nil {
			return nothing, err
		}
		if truth {
			out.set(k, elems[i])
		}
	}
	if len(out.keys) == 0 {
		return nothing, nil
	}
	return out.object(), ev.grow(len(out.keys), len(out.keys))
}

func each(ev *evaluator, args []item) (item, error) {
	x := arg(args, 0)
	if x.kind != object {
		return ofSequence(nil), nil
	}
	keys, elems := x.members()
	var out []item
	for i, k := range keys {
		r, err := ev.offer(arg(args, 1), elems[i], ofString(k), x)
		if err != nil {
			return nothing, err
		}
		if r.kind != undefined {
			out = append(out, r)
		}
	}
	return ofSequence(out), ev.grow(len(out), len(out))
}
