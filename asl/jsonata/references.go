package jsonata

// References is what an expression reads from outside.
type References struct {
	// Context are names that are read from the context of the expression as a
	// whole, "$" for the context itself, each once, in order.
	Context []string
	// Root says that $$ is read.
	Root bool
	// Fields are the fields that are read of each variable, by its name without
	// the $: of $a.b.c it is b. A variable that is read as a whole has "".
	Fields map[string][]string
}

// References tells what the expression reads. What steps, filters, order-bys
// and groups read is about the items that they are applied to, and not listed.
func (e *Expr) References() References {
	w := &walker{refs: References{Fields: map[string][]string{}}, seen: map[string]bool{}}
	w.walk(e.root, true)
	return w.refs
}

type walker struct {
	refs References
	seen map[string]bool // names of the context
}

func (w *walker) context(name string, top bool) {
	if top && !w.seen[name] {
		w.seen[name] = true
		w.refs.Context = append(w.refs.Context, name)
	}
}

// walk looks at an expression; top says that its context is that of the whole.
func (w *walker) walk(e *expr, top bool) {
	if e == nil {
		return
	}
	switch e.form {
	case formName:
		w.context(e.name, top)
	case formWildcard:
		w.context("*", top)
	case formDescendant:
		w.context("**", top)
	case formVariable:
		w.variable(e, "", top)
	case formPath:
		w.path(e, top)
	case formTransform:
		top = false
	default:
	}
	if e.form != formPath {
		w.parts(e, top)
	}
	for _, stages := range [][]stage{e.predicates, e.stages} {
		for _, s := range stages {
			w.walk(s.filter, false)
		}
	}
	if e.group != nil {
		w.pairs(e.group.pairs, false)
	}
}

func (w *walker) parts(e *expr, top bool) {
	switch e.form {
	case formBind: // what is on the left is a name
	case formLambda: // the word function, and the names of its parameters
	default:
		w.walk(e.lhs, top)
		for _, part := range e.list {
			w.walk(part, top)
		}
	}
	w.walk(e.rhs, top)
	w.walk(e.third, top)
	w.pairs(e.pairs, top)
	for _, t := range e.terms {
		w.walk(t.expr, false)
	}
}

func (w *walker) pairs(pairs [][2]*expr, top bool) {
	for _, p := range pairs {
		w.walk(p[0], top)
		w.walk(p[1], top)
	}
}

func (w *walker) path(e *expr, top bool) {
	for i, step := range e.list {
		if i == 0 && step.form == formVariable && len(e.list) > 1 && e.list[1].form == formName {
			w.variable(step, e.list[1].name, top)
			for _, s := range step.predicates {
				w.walk(s.filter, false)
			}
			continue
		}
		w.walk(step, top && i == 0)
	}
}

func (w *walker) variable(e *expr, field string, top bool) {
	switch e.name {
	case "":
		w.context("$", top)
	case "$":
		w.refs.Root = true
	default:
		w.refs.Fields[e.name] = append(w.refs.Fields[e.name], field)
	}
}
