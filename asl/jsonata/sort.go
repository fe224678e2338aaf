package jsonata

// order sorts the input by the terms of an order-by.
func (ev *evaluator) order(step *expr, in item, env *frame) (item, error) {
	items := in.elems()
	if len(items) <= 1 {
		return in, nil
	}
	type known struct {
		x    item
		done bool
	}
	values := make([]known, len(items)*len(step.terms))
	value := func(place, term int) (item, error) {
		v := &values[place*len(step.terms)+term]
		if v.done {
			return v.x, nil
		}
		context, frame := items[place], env
		if in.has(tuples) {
			context, _ = items[place].get("@")
			frame = env.within(items[place])
		}
		x, err := ev.eval(step.terms[term].expr, context, frame)
		*v = known{x, true}
		return x, err
	}
	places := make([]int, len(items))
	for i := range places {
		places[i] = i
	}
	sorted, err := mergeSort(places, func(a, b int) (bool, error) {
		for i, term := range step.terms {
			x, err := value(a, i)
			if err != nil {
				return false, err
			}
			y, err := value(b, i)
			if err != nil {
				return false, err
			}
			switch c, err := compareTerms(x, y, step.pos); {
			case err != nil:
				return false, err
			case c == 0:
			case x.kind == undefined || y.kind == undefined: // last, whatever the direction
				return c > 0, nil
			default:
				return (c > 0) != term.descending, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return nothing, err
	}
	out := make([]item, len(items))
	for i, place := range sorted {
		out[i] = items[place]
	}
	return ofArray(out), ev.grow(len(out), len(out))
}

// compareTerms orders two values of a term; nothing comes last.
func compareTerms(a, b item, pos int) (int, error) {
	switch {
	case a.kind == undefined && b.kind == undefined:
		return 0, nil
	case a.kind == undefined:
		return 1, nil
	case b.kind == undefined:
		return -1, nil
	case !comparable(a) || !comparable(b):
		shown := b
		if !comparable(a) {
			shown = a
		}
		return 0, failAt("T2008", pos, nil).of(shown)
	case a.kind != b.kind:
		e := failAt("T2007", pos, nil).of(a)
		e.value2 = b
		return 0, e
	case same(a, b):
		return 0, nil
	case less(a, b):
		return -1, nil
	}
	return 1, nil
}

// mergeSort sorts as JSONata does: stable, and with the same questions in the
// same order, which decides what an inconsistent comparison gives.
func mergeSort[T any](in []T, greater func(a, b T) (bool, error)) ([]T, error) {
	if len(in) <= 1 {
		return in, nil
	}
	left, err := mergeSort(in[:len(in)/2], greater)
	if err != nil {
		return nil, err
	}
	right, err := mergeSort(in[len(in)/2:], greater)
	if err != nil {
		return nil, err
	}
	out := make([]T, 0, len(in))
	for len(left) > 0 && len(right) > 0 {
		later, err := greater(left[0], right[0])
		if err != nil {
			return nil, err
		}
		if later {
			out, right = append(out, right[0]), right[1:]
		} else {
			out, left = append(out, left[0]), left[1:]
		}
	}
	return append(append(out, left...), right...), nil
}
