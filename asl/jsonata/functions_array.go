package jsonata

var arrayFunctions = []entry{
	{"count", "<a:n>", 1, func(_ *evaluator, args []item) (item, error) {
		return ofNumber(float64(arg(args, 0).len())), nil
	}},
	{"append", "<xx:a>", 2, func(ev *evaluator, args []item) (item, error) {
		return ev.join(arg(args, 0), arg(args, 1))
	}},
	{"exists", "<x:b>", 1, func(_ *evaluator, args []item) (item, error) {
		return ofBool(arg(args, 0).kind != undefined), nil
	}},
	{"reverse", "<a:a>", 1, ofFirst(reverse)},
	{"shuffle", "<a:a>", 1, ofFirst(shuffle)},
	{"distinct", "<x:x>", 1, ofFirst(distinct)},
	{"zip", "<a+>", 0, zip},
	{"sort", "<af?:a>", 2, ofFirst(sortBy)},
}

func reverse(ev *evaluator, x item, _ []item) (item, error) {
	n := x.len()
	if n <= 1 {
		return x, nil
	}
	if err := ev.grow(n, n); err != nil {
		return nothing, err
	}
	out := make([]item, n)
	for i := range out {
		out[i] = x.at(n - 1 - i)
	}
	return ofArray(out), nil
}

func shuffle(ev *evaluator, x item, _ []item) (item, error) {
	n := x.len()
	if n <= 1 {
		return x, nil
	}
	if err := ev.grow(n, n); err != nil {
		return nothing, err
	}
	out := make([]item, n)
	for i := range out {
		j := int(ev.random(uint64(i + 1)))
		out[i] = out[j]
		out[j] = x.at(i)
	}
	return ofArray(out), nil
}

// distinct leaves out what was there before: simple values are looked up, the
// others compared.
func distinct(ev *evaluator, x item, _ []item) (item, error) {
	if x.kind != array || x.len() <= 1 {
		return x, nil
	}
	type simple struct {
		kind kind
		num  float64
		str  string
	}
	seen := map[simple]bool{}
	var out, others []item
	for _, e := range x.elems() {
		switch e.kind {
		case array, object:
			if err := ev.step(len(others)); err != nil {
				return nothing, err
			}
			known, err := ev.contains(others, e)
			if err != nil {
				return nothing, err
			}
			if known {
				continue
			}
			others = append(others, e)
		default:
			key := simple{e.kind, e.num, e.str}
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		out = append(out, e)
	}
	return item{kind: array, flags: x.flags & sequence, node: &node{elems: out}}, ev.grow(len(out), len(out))
}

func (ev *evaluator) contains(in []item, x item) (bool, error) {
	for _, e := range in {
		if same, err := ev.equal(e, x); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func zip(ev *evaluator, args []item) (item, error) {
	size := -1
	for _, a := range args {
		if n := a.len(); size < 0 || n < size {
			size = n
		}
	}
	size = max(size, 0)
	if err := ev.grow(size*len(args), size); err != nil {
		return nothing, err
	}
	out := make([]item, size)
	for i := range out {
		row := make([]item, len(args))
		for j, a := range args {
			row[j] = a.at(i)
		}
		out[i] = ofArray(row)
	}
	return ofArray(out), nil
}

func sortBy(ev *evaluator, x item, rest []item) (item, error) {
	if x.len() <= 1 {
		return x, nil
	}
	if err := ev.grow(x.len(), x.len()); err != nil {
		return nothing, err
	}
	greater := func(a, b item) (bool, error) { return less(b, a), ev.step(1) }
	if by := arg(rest, 0); by.kind == function {
		greater = func(a, b item) (bool, error) {
			r, err := ev.give(by, a, b)
			return scriptTruth(r), err
		}
	} else if !allOf(x, number) && !allOf(x, text) {
		e := fail("D3070")
		e.index = 1
		return nothing, e
	}
	out, err := mergeSort(x.elems(), greater)
	return ofArray(out), err
}

func allOf(x item, k kind) bool {
	for i := range x.len() {
		if x.at(i).kind != k {
			return false
		}
	}
	return true
}

// scriptTruth is what JavaScript takes for true.
func scriptTruth(x item) bool {
	switch x.kind {
	case undefined, null:
		return false
	case boolean, number:
		return x.num != 0 && x.num == x.num
	case text:
		return x.str != ""
	default:
	}
	return true
}
