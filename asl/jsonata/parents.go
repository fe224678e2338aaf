package jsonata

import "slices"

// inherit lets what part looks for be looked for from e.
func (e *expr) inherit(part *expr) {
	e.seeking = append(e.seeking, part.wanted()...)
}

// wanted are the parents that e and what is in it look for.
func (e *expr) wanted() []*slot {
	if e.form == formParent {
		return append(slices.Clone(e.seeking), e.slot)
	}
	return e.seeking
}

// findParents goes back along a path for the parents that its last step wants.
func (r *resolver) findParents(path *expr) error {
	for _, s := range path.list[len(path.list)-1].wanted() {
		i := len(path.list) - 2
		for s.level > 0 {
			if i < 0 {
				path.seeking = append(path.seeking, s)
				break
			}
			step := path.list[i]
			i--
			for i >= 0 && step.focus != "" && path.list[i].focus != "" {
				step = path.list[i] // steps that bind their focus share an input
				i--
			}
			if err := r.seek(step, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// seek goes one step back, and has that step keep its input if it is the
// parent.
func (r *resolver) seek(step *expr, s *slot) error {
	switch step.form {
	case formName, formWildcard:
		if s.level--; s.level == 0 {
			if step.ancestor != nil {
				r.parents[s.index].slot.label = step.ancestor.label
			}
			step.ancestor = s
			step.tuple = true
		}
	case formParent:
		s.level++
	case formBlock:
		if n := len(step.list); n > 0 {
			step.tuple = true
			return r.seek(step.list[n-1], s)
		}
	case formPath:
		step.tuple = true
		i := len(step.list) - 1
		for {
			if err := r.seek(step.list[i], s); err != nil {
				return err
			}
			if i--; s.level <= 0 || i < 0 {
				return nil
			}
		}
	default:
		return failAt("S0217", step.pos, nil)
	}
	return nil
}
