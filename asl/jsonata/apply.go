package jsonata

// wrapped marks a function that was handed to another one: what is done with
// it there sees it as opaque.
const wrapped flags = 1 << 7

// native is a function of the library. args are as its signature gives them;
// what is left out at the end may be absent, and the slice is used again after
// the call.
type native func(ev *evaluator, args []item) (item, error)

// fn is a function: of the library, or a lambda with what it sees.
type fn struct {
	name   string
	sig    *signature // nil for any arguments
	native native
	arity  int  // how many arguments it is given by functions such as $map
	places int  // how many can be left open in a partial application
	self   item // of the library's functions
	match  *regex

	params []*expr
	body   *expr
	env    *frame
	input  item
	thunk  bool // a call that is still to be made: body
}

func lambda(e *expr, in item, env *frame) *fn {
	return &fn{sig: e.sig, params: e.list, arity: len(e.list), body: e.rhs, env: env, input: in, thunk: e.thunk}
}

// call evaluates a call; first, when not nil, is an argument that comes before
// those in the parentheses.
func (ev *evaluator) call(e *expr, in item, env *frame, first *item) (item, error) {
	f, err := ev.eval(e.lhs, in, env)
	if err != nil {
		return nothing, err
	}
	name := e.calledName()
	if f.kind == undefined && e.misses(env) {
		return nothing, failAt("T1005", e.pos, name)
	}
	base := len(ev.args)
	if first != nil {
		ev.args = append(ev.args, *first)
	}
	for _, part := range e.list {
		x, err := ev.eval(part, in, env)
		if err != nil {
			return nothing, err
		}
		if x.kind == function {
			x.flags |= wrapped
		}
		ev.args = append(ev.args, x)
	}
	x, err := ev.invoke(f, ev.args[base:len(ev.args):len(ev.args)], in)
	ev.args = ev.args[:base]
	if err != nil {
		return nothing, e.blameCall(err, name)
	}
	return x, nil
}

// calledName is the name that a call has for its function, "" for none.
func (e *expr) calledName() string {
	switch e.lhs.form {
	case formPath:
		return e.lhs.list[0].name
	case formLambda, formBlock, formCondition:
		return ""
	default:
	}
	return e.lhs.name
}

// misses reports whether the name of what is called would be a function with $
// before it.
func (e *expr) misses(env *frame) bool {
	if e.lhs.form != formPath {
		return false
	}
	name := e.lhs.list[0].name
	x, ok := env.lookup(name)
	return x.kind != undefined || !ok && builtins[name] != nil
}

// blameCall puts the called function's name and place on an error that has
// none.
func (e *expr) blameCall(err error, name string) error {
	was := asError(err)
	if was.Position == 0 {
		was.Position = e.pos
	}
	if was.token == nil && name != "" {
		was.token = name
	}
	return was
}

// invoke calls f, and makes the calls that functions leave for after their end.
func (ev *evaluator) invoke(f item, args []item, context item) (item, error) {
	x, err := ev.invokeOnce(f, args, context)
	for err == nil && x.kind == function && x.node.fn.thunk {
		call := x.node.fn
		e := call.body
		if f, err = ev.eval(e.lhs, call.input, call.env); err != nil {
			return nothing, err
		}
		args = make([]item, len(e.list))
		for i, part := range e.list {
			if args[i], err = ev.eval(part, call.input, call.env); err != nil {
				return nothing, err
			}
		}
		if x, err = ev.invokeOnce(f, args, context); err != nil {
			return nothing, e.blameCall(err, e.calledName())
		}
	}
	return x, err
}

func (ev *evaluator) invokeOnce(x item, args []item, context item) (item, error) {
	if x.kind != function {
		return nothing, fail("T1006")
	}
	f := x.node.fn
	if f.sig != nil {
		var err error
		if args, err = f.sig.check(args, context); err != nil {
			return nothing, err
		}
	}
	if f.native != nil {
		return f.native(ev, args)
	}
	env := &frame{outer: f.env, vars: make([]binding, 0, len(f.params))}
	for i, p := range f.params {
		env.bind(p.name, arg(args, i))
	}
	return ev.eval(f.body, f.input, env)
}

// give calls a function that was handed to one of the library.
func (ev *evaluator) give(f item, args ...item) (item, error) {
	return ev.invoke(f, args, nullItem)
}

// arg is argument i, nothing if it is absent.
func arg(args []item, i int) item {
	if i < len(args) {
		return args[i]
	}
	return nothing
}

// partial evaluates a call with ? among its arguments: a function of those.
func (ev *evaluator) partial(e *expr, in item, env *frame) (item, error) {
	args := make([]item, len(e.list))
	open := make([]bool, len(e.list))
	for i, part := range e.list {
		if part.form == formHole {
			open[i] = true
			continue
		}
		var err error
		if args[i], err = ev.eval(part, in, env); err != nil {
			return nothing, err
		}
	}
	f, err := ev.eval(e.lhs, in, env)
	if err != nil {
		return nothing, err
	}
	if f.kind != function {
		code := "T1008"
		if f.kind == undefined && e.misses(env) {
			code = "T1007"
		}
		return nothing, failAt(code, e.pos, e.calledName())
	}
	if f.node.fn.native != nil {
		return ofFunction(partialNative(f.node.fn, args, open)), nil
	}
	return ofFunction(partialLambda(f.node.fn, args, open)), nil
}

func partialLambda(f *fn, args []item, open []bool) *fn {
	out := *f
	out.sig, out.params, out.env = nil, nil, &frame{outer: f.env}
	for i, p := range f.params {
		if i < len(open) && open[i] {
			out.params = append(out.params, p)
		} else {
			out.env.bind(p.name, arg(args, i))
		}
	}
	out.arity = len(out.params)
	return &out
}

func partialNative(f *fn, args []item, open []bool) *fn {
	var places []int
	for i := range min(len(open), f.places) {
		if open[i] {
			places = append(places, i)
		}
	}
	return &fn{arity: len(places), places: len(places), native: func(ev *evaluator, given []item) (item, error) {
		all := make([]item, f.places)
		copy(all, args)
		for i, place := range places {
			all[place] = arg(given, i)
		}
		return f.native(ev, all)
	}}
}

// apply evaluates lhs ~> rhs: a call with lhs as the first argument, or, if lhs
// is a function too, the function that calls one after the other.
func (ev *evaluator) apply(e *expr, in item, env *frame) (item, error) {
	lhs, err := ev.eval(e.lhs, in, env)
	if err != nil {
		return nothing, err
	}
	if e.rhs.form == formCall { // its filters and groups don't count here
		return ev.call(e.rhs, in, env, &lhs)
	}
	f, err := ev.eval(e.rhs, in, env)
	switch {
	case err != nil:
		return nothing, err
	case f.kind != function:
		return nothing, failAt("T2006", e.pos, nil).of(f)
	case lhs.kind == function:
		return ofFunction(&fn{arity: 1, places: 1, native: func(ev *evaluator, args []item) (item, error) {
			x, err := ev.give(lhs, arg(args, 0))
			if err != nil {
				return nothing, e.blameCall(err, "f")
			}
			if x, err = ev.give(f, x); err != nil {
				return nothing, e.blameCall(err, "g")
			}
			return x, nil
		}}), nil
	}
	return ev.give(f, lhs)
}
