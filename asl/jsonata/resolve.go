package jsonata

import "strconv"

// maxHeight bounds the depth of the tree; operators in a row make it deep
// without nesting.
const maxHeight = 3000

// resolver turns the tree as it is written into the one that is evaluated:
// steps are put together into paths, filters become stages of steps, and each
// parent operator is given the step whose input it stands for.
type resolver struct {
	parents []*expr
	height  int
}

func resolve(raw *expr) (*expr, error) {
	r := &resolver{}
	e, err := r.resolve(raw)
	if err != nil {
		return nil, err
	}
	if e.form == formParent || len(e.seeking) > 0 {
		return nil, failAt("S0217", e.pos, nil)
	}
	e.mark()
	return e, nil
}

// mark finds the plain paths, and what is nothing but a constant.
func (e *expr) mark() {
	if e == nil {
		return
	}
	e.plain = e.form == formPath && e.group == nil && !e.keepArray && !e.keepSingleton && !e.tuple
	e.literal = e.isConstant() && e.predicates == nil && e.group == nil
	for i, step := range e.list {
		named := step.form == formName || step.form == formVariable && i == 0
		if !named || step.tuple || step.keepArray || step.stages != nil || step.predicates != nil || step.group != nil {
			e.plain = false
		}
		step.mark()
	}
	for _, part := range []*expr{e.lhs, e.rhs, e.third} {
		part.mark()
	}
	for _, t := range e.terms {
		t.expr.mark()
	}
	pairs := e.pairs
	if e.group != nil {
		pairs = append(pairs[:len(pairs):len(pairs)], e.group.pairs...)
	}
	for _, p := range pairs {
		p[0].mark()
		p[1].mark()
	}
	for _, stages := range [][]stage{e.predicates, e.stages} {
		for _, s := range stages {
			s.filter.mark()
		}
	}
}

func (e *expr) isConstant() bool {
	return e.form == formString || e.form == formNumber || e.form == formValue
}

func (r *resolver) resolve(e *expr) (*expr, error) {
	if r.height++; r.height > maxHeight {
		return nil, tooDeep()
	}
	defer func() { r.height-- }()
	out, err := r.form(e)
	if err != nil {
		return nil, err
	}
	if e.keepArray {
		out.keepArray = true
	}
	return out, nil
}

func (r *resolver) form(e *expr) (*expr, error) {
	switch e.form {
	case formEnd:
		return nil, failAt("S0207", e.pos, "(end)")
	case formHole, formString, formNumber, formValue, formWildcard, formDescendant, formRegex:
		return e, nil
	case formVariable:
		e.builtin = builtins[e.name]
		return e, nil
	case formKeyword:
		e.form = formName
		return r.form(e)
	case formName:
		return &expr{form: formPath, pos: e.pos, list: []*expr{e}, keepSingleton: e.keepArray}, nil
	case formParent:
		n := len(r.parents)
		e.slot = &slot{label: "!" + strconv.Itoa(n), level: 1, index: n}
		r.parents = append(r.parents, e)
		return e, nil
	case formBinary:
		return r.binary(e)
	case formNegate:
		return r.negate(e)
	case formLambda:
		body, err := r.resolve(e.rhs)
		if err != nil {
			return nil, err
		}
		e.rhs = lastCall(body)
		return e, nil
	case formTransform:
		return e, r.all(&e.lhs, &e.rhs, &e.third)
	default:
	}
	return e, r.compound(e)
}

// compound resolves the parts of an expression and lets parent operators in
// them look further out.
func (r *resolver) compound(e *expr) error {
	visit := func(part **expr) error {
		resolved, err := r.resolve(*part)
		if err != nil {
			return err
		}
		*part = resolved
		e.inherit(resolved)
		return nil
	}
	for i := range e.list {
		if err := visit(&e.list[i]); err != nil {
			return err
		}
	}
	for i := range e.pairs {
		for j := range e.pairs[i] {
			if err := visit(&e.pairs[i][j]); err != nil {
				return err
			}
		}
	}
	switch e.form {
	case formCall, formPartial: // parents are not looked for in what is called
		return r.all(&e.lhs)
	case formBlock:
		for _, part := range e.list {
			if part.consArray || part.form == formPath && part.list[0].consArray {
				e.consArray = true
			}
		}
	case formCondition:
		for _, part := range []**expr{&e.lhs, &e.rhs, &e.third} {
			if *part != nil {
				if err := visit(part); err != nil {
					return err
				}
			}
		}
	default:
	}
	return nil
}

func (r *resolver) all(parts ...**expr) error {
	for _, part := range parts {
		if *part == nil {
			continue
		}
		resolved, err := r.resolve(*part)
		if err != nil {
			return err
		}
		*part = resolved
	}
	return nil
}

func (r *resolver) negate(e *expr) (*expr, error) {
	if err := r.all(&e.lhs); err != nil {
		return nil, err
	}
	if e.lhs.form == formNumber {
		e.lhs.constant.num = -e.lhs.constant.num
		return e.lhs, nil
	}
	e.inherit(e.lhs)
	return e, nil
}

// lastCall marks calls in the last place of a function's body, which are made
// after the function has ended.
func lastCall(e *expr) *expr {
	switch e.form {
	case formCall:
		if len(e.predicates) == 0 {
			return &expr{form: formLambda, thunk: true, pos: e.pos, rhs: e}
		}
	case formCondition:
		e.rhs = lastCall(e.rhs)
		if e.third != nil {
			e.third = lastCall(e.third)
		}
	case formBlock:
		if n := len(e.list); n > 0 {
			e.list[n-1] = lastCall(e.list[n-1])
		}
	default:
	}
	return e
}

func (r *resolver) binary(e *expr) (*expr, error) {
	switch e.op {
	case ".":
		return r.path(e)
	case "[":
		return r.filter(e)
	case "{":
		return r.grouping(e)
	case "^":
		return r.order(e)
	case "@":
		return r.bindFocus(e)
	case "#":
		return r.bindIndex(e)
	}
	if err := r.all(&e.lhs, &e.rhs); err != nil {
		return nil, err
	}
	switch e.op {
	case ":=":
		e.form = formBind
		e.inherit(e.rhs)
	case "~>":
		e.form = formApply
		e.keepArray = e.keepArray || e.lhs.keepArray || e.rhs.keepArray
	default:
		e.operator = operatorOf[e.op]
		e.inherit(e.lhs)
		e.inherit(e.rhs)
	}
	return e, nil
}

func (r *resolver) path(e *expr) (*expr, error) {
	if err := r.all(&e.lhs, &e.rhs); err != nil {
		return nil, err
	}
	out, rest := e.lhs, e.rhs
	if out.form != formPath {
		out = &expr{form: formPath, pos: e.pos, list: []*expr{out}}
	}
	if e.lhs.form == formParent {
		out.seeking = []*slot{e.lhs.slot}
	}
	if rest.form == formPath {
		out.list = append(out.list, rest.list...)
	} else {
		if rest.predicates != nil {
			rest.stages, rest.predicates = rest.predicates, nil
		}
		out.list = append(out.list, rest)
	}
	for _, step := range out.list {
		switch step.form {
		case formNumber, formValue:
			return nil, failAt("S0213", step.pos, nil).of(step.constant)
		case formString:
			step.form = formName
		default:
		}
		if step.keepArray {
			out.keepSingleton = true
		}
	}
	for _, step := range []*expr{out.list[0], out.list[len(out.list)-1]} {
		if step.form == formArray {
			step.consArray = true
		}
	}
	return out, r.findParents(out)
}

// lastStep is the step that what follows e is about.
func lastStep(e *expr) *expr {
	if e.form == formPath {
		return e.list[len(e.list)-1]
	}
	return e
}

func (r *resolver) filter(e *expr) (*expr, error) {
	if err := r.all(&e.lhs, &e.rhs); err != nil {
		return nil, err
	}
	out, predicate := e.lhs, e.rhs
	step := lastStep(out)
	if step.group != nil {
		return nil, failAt("S0209", e.pos, nil)
	}
	for _, s := range predicate.seeking {
		if s.level != 1 {
			s.level--
		} else if err := r.seek(step, s); err != nil {
			return nil, err
		}
	}
	if len(predicate.seeking) > 0 {
		step.inherit(predicate)
	}
	st := stage{filter: predicate, pos: e.pos}
	if out.form == formPath {
		step.stages = append(step.stages, st)
	} else {
		step.predicates = append(step.predicates, st)
	}
	return out, nil
}

func (r *resolver) grouping(e *expr) (*expr, error) {
	if err := r.all(&e.lhs); err != nil {
		return nil, err
	}
	if e.lhs.group != nil {
		return nil, failAt("S0210", e.pos, nil)
	}
	for i := range e.pairs {
		if err := r.all(&e.pairs[i][0], &e.pairs[i][1]); err != nil {
			return nil, err
		}
	}
	e.lhs.group = &group{pairs: e.pairs, pos: e.pos}
	return e.lhs, nil
}

func (r *resolver) order(e *expr) (*expr, error) {
	if err := r.all(&e.lhs); err != nil {
		return nil, err
	}
	out := e.lhs
	if out.form != formPath {
		out = &expr{form: formPath, pos: e.pos, list: []*expr{out}}
	}
	step := &expr{form: formSort, pos: e.pos, terms: e.terms}
	for i := range step.terms {
		if err := r.all(&step.terms[i].expr); err != nil {
			return nil, err
		}
		step.inherit(step.terms[i].expr)
	}
	out.list = append(out.list, step)
	return out, r.findParents(out)
}

func (r *resolver) bindFocus(e *expr) (*expr, error) {
	if err := r.all(&e.lhs); err != nil {
		return nil, err
	}
	step := lastStep(e.lhs)
	switch {
	case step.stages != nil || step.predicates != nil:
		return nil, failAt("S0215", e.pos, nil)
	case step.form == formSort:
		return nil, failAt("S0216", e.pos, nil)
	}
	if e.keepArray {
		step.keepArray = true
	}
	step.focus, step.tuple = e.rhs.name, true
	return e.lhs, nil
}

func (r *resolver) bindIndex(e *expr) (*expr, error) {
	if err := r.all(&e.lhs); err != nil {
		return nil, err
	}
	out := e.lhs
	step := lastStep(out)
	if out.form != formPath {
		out = &expr{form: formPath, pos: e.pos, list: []*expr{out}}
		step.stages, step.predicates = step.predicates, nil
	}
	if step.stages == nil {
		step.index = e.rhs.name
	} else {
		step.stages = append(step.stages, stage{index: e.rhs.name, pos: e.pos})
	}
	step.tuple = true
	return out, nil
}
