package jsonpath

import "switchyard/asl/value"

// walker collects what an indefinite path selects.
type walker struct {
	root   value.Value // what $ means inside a filter
	steps  []step
	out    []value.Value
	visits int
	err    error
}

func (w *walker) visit() bool { return w.spend(1) }

// spend takes n from the budget and reports whether there was as much.
func (w *walker) spend(n int) bool {
	if w.err != nil {
		return false
	}
	if w.visits += n; w.visits > maxVisits {
		w.err = errTooMuch
		return false
	}
	return true
}

// walk goes on with step i from at.
func (w *walker) walk(at value.Value, i int) {
	if !w.visit() {
		return
	}
	if i == len(w.steps) {
		w.out = append(w.out, at)
		return
	}
	if w.steps[i].deep {
		w.scan(at, i)
		return
	}
	w.apply(at, i)
}

// scan applies step i to at and to everything inside it, parents first.
func (w *walker) scan(at value.Value, i int) {
	if !w.visit() {
		return
	}
	st := &w.steps[i]
	switch {
	case st.kind == stepFilter && at.Kind() == value.Array:
		// Its elements are tested when the scan reaches them.
		if w.test(st.filter, at) {
			w.walk(at, i+1)
		}
	default:
		w.apply(at, i)
	}
	for j := range at.Len() {
		w.scan(at.Elem(j), i)
	}
}

// apply selects the children of at by step i.
func (w *walker) apply(at value.Value, i int) {
	st := &w.steps[i]
	switch st.kind {
	case stepField:
		if v, ok := at.Get(st.name); ok {
			w.walk(v, i+1)
		}
	case stepFields:
		if at.Kind() != value.Object {
			return
		}
		if i+1 == len(w.steps) { // the last step merges instead of iterating
			if v := pick(at, st.names); v.Len() > 0 || !st.deep {
				w.walk(v, i+1)
			}
			return
		}
		for _, n := range st.names {
			if v, ok := at.Get(n); ok {
				w.walk(v, i+1)
			}
		}
	case stepIndex:
		w.element(at, st.index, i)
	case stepIndexes:
		for _, n := range st.indexes {
			w.element(at, n, i)
		}
	case stepSlice:
		if at.Kind() != value.Array {
			return
		}
		from, to := st.slice.bounds(at.Len())
		for j := from; j < to; j += st.slice.by {
			w.walk(at.Elem(j), i+1)
		}
	case stepWildcard:
		for j := range at.Len() {
			w.walk(at.Elem(j), i+1)
		}
	case stepFilter:
		if at.Kind() == value.Array {
			for _, e := range at.Slice() {
				if w.test(st.filter, e) {
					w.walk(e, i+1)
				}
			}
		} else if at.Kind() == value.Object && w.test(st.filter, at) {
			w.walk(at, i+1)
		}
	}
}

func (w *walker) element(at value.Value, index, i int) {
	if at.Kind() != value.Array {
		return
	}
	if j, ok := within(index, at.Len()); ok {
		w.walk(at.Elem(j), i+1)
	}
}

func (w *walker) test(e expr, at value.Value) bool {
	return w.visit() && e.test(&filterScope{root: w.root, current: at, budget: w})
}

// bounds turns the slice into from ≤ j < to of an array of n elements.
func (s *slice) bounds(n int) (from, to int) {
	from, to = 0, n
	if s.from != nil {
		from = clamp(*s.from, n)
	}
	if s.to != nil {
		to = clamp(*s.to, n)
	}
	return from, to
}

func clamp(i, n int) int {
	if i < 0 {
		i += n
	}
	return max(0, min(i, n))
}
