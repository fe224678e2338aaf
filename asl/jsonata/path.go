package jsonata

import (
	"math"

	"switchyard/asl/value"
)

// path evaluates steps one after the other, each over what the one before it
// gave.
func (ev *evaluator) path(e *expr, in item, env *frame) (item, error) {
	if in.kind == array && e.list[0].form != formVariable {
		return ev.walk(e, 0, in.elems(), env)
	}
	one := [1]item{in}
	return ev.walk(e, 0, one[:], env)
}

// plainPath evaluates a path of names: as long as there is one item, without
// making sequences.
func (ev *evaluator) plainPath(e *expr, in item, env *frame) (item, error) {
	if ev.depth >= ev.limits.Depth {
		ev.depth++
		return nothing, ev.deeper()
	}
	if first := e.list[0]; first.form == formVariable && len(e.list) > 1 {
		if v, ok := env.lookupField(first.name, e.list[1].name); ok {
			if x, ok := follow(v, e.list[2:]); ok {
				return x, ev.step(len(e.list))
			}
		}
	}
	for i, step := range e.list {
		if ev.steps++; ev.steps > ev.limits.Steps {
			return nothing, tooLong()
		}
		if step.form == formVariable {
			in = variable(step, in, env)
		} else {
			if x, ok := peek(in, e.list[i:]); ok {
				return x, nil
			}
			in, _ = in.get(step.name)
		}
		if in.kind == array && in.flags&(sequence|tuples) == sequence {
			in = settle(in, false)
		}
		switch {
		case in.kind == undefined:
			return nothing, nil
		case in.kind != array || i+1 == len(e.list):
		case in.flags&cons != 0:
			return ev.walk(e, i+1, []item{in}, env)
		default:
			return ev.walk(e, i+1, in.elems(), env)
		}
	}
	return in, nil
}

// peek follows names into a value from outside that nobody has looked into yet,
// to what is neither an array nor an object: those are looked up in the usual
// way, so that they are the same each time.
func peek(in item, steps []*expr) (item, bool) {
	if in.kind != object || !in.node.lazy {
		return nothing, false
	}
	return follow(in.node.src, steps)
}

// follow is peek into a value.
func follow(v value.Value, steps []*expr) (item, bool) {
	for _, step := range steps {
		if v.Kind() == value.Array {
			return nothing, false
		}
		var ok bool
		if v, ok = v.Get(step.name); !ok {
			return nothing, true
		}
	}
	if k := v.Kind(); k == value.Array || k == value.Object {
		return nothing, false
	}
	return fromValue(v), true
}

// walk evaluates a path from a step on, over that step's input.
func (ev *evaluator) walk(e *expr, from int, input []item, env *frame) (item, error) {
	var result, bound item // bound is a sequence of tuples once there is one
	tupled := false
	for i := from; i < len(e.list); i++ {
		step := e.list[i]
		tupled = tupled || step.tuple
		var err error
		switch {
		case i == 0 && step.consArray:
			result, err = ev.eval(step, ofArray(input), env)
		case tupled:
			bound, err = ev.tupleStep(step, input, bound, env)
		default:
			result, err = ev.pathStep(step, input, env, i == len(e.list)-1)
		}
		if err != nil {
			return nothing, err
		}
		if !tupled && (result.kind == undefined || result.kind == array && result.len() == 0) {
			break
		}
		if step.focus == "" {
			input = stepInput(result)
		}
	}
	if tupled {
		result = bound
		if !e.tuple {
			result = ofSequence(make([]item, bound.len()))
			for i := range result.node.elems {
				result.node.elems[i], _ = bound.at(i).get("@")
			}
		}
	}
	if e.keepSingleton && result.kind == array {
		if result.flags&(cons|sequence) == cons {
			result = ofOne(result)
		}
		result.flags |= keep
	}
	if e.group != nil {
		if tupled {
			result = bound
		}
		return ev.group(e.group.pairs, e.group.pos, result, env)
	}
	return result, nil
}

// stepInput is what the next step goes over; of a text, as in JavaScript, its
// characters.
func stepInput(x item) []item {
	if x.kind != text {
		return x.elems()
	}
	var out []item
	for _, r := range x.str {
		out = append(out, ofString(string(r)))
	}
	return out
}

// pathStep evaluates a step over each item of the input.
func (ev *evaluator) pathStep(step *expr, input []item, env *frame, last bool) (item, error) {
	if step.form == formSort {
		x, err := ev.order(step, ofSequence(input), env)
		if err == nil {
			x, err = ev.stages(step.stages, x, env)
		}
		return x, err
	}
	if len(input) == 1 {
		x, err := ev.stepOver(step, input[0], env)
		if err != nil || x.kind == undefined {
			return ofSequence(nil), err
		}
		switch {
		case x.kind == array && last && x.flags&sequence == 0:
			return x, nil
		case x.kind != array || x.flags&cons != 0:
			return ofOne(x), nil
		}
		return ofSequence(x.elems()[:x.len():x.len()]), nil
	}
	results := make([]item, 0, len(input))
	for _, in := range input {
		x, err := ev.stepOver(step, in, env)
		if err != nil {
			return nothing, err
		}
		if x.kind != undefined {
			results = append(results, x)
		}
	}
	if last && len(results) == 1 && results[0].kind == array && results[0].flags&sequence == 0 {
		return results[0], nil
	}
	flat := false
	for _, x := range results {
		flat = flat || x.kind == array && x.flags&cons == 0
	}
	if err := ev.grow(len(results), len(results)); err != nil || !flat {
		return ofSequence(results), err
	}
	var out []item
	var err error
	for _, x := range results {
		if x.kind == array && x.flags&cons != 0 {
			out = append(out, x)
		} else if out, err = ev.spread(out, x); err != nil {
			return nothing, err
		}
	}
	return ofSequence(out), nil
}

func (ev *evaluator) stepOver(step *expr, in item, env *frame) (item, error) {
	x, err := ev.eval(step, in, env)
	for i := 0; err == nil && i < len(step.stages); i++ {
		x, err = ev.filter(step.stages[i].filter, x, env)
	}
	return x, err
}

// stages filters the result of a step as a whole, or binds positions.
func (ev *evaluator) stages(stages []stage, x item, env *frame) (_ item, err error) {
	for _, s := range stages {
		if s.filter != nil {
			if x, err = ev.filter(s.filter, x, env); err != nil {
				return nothing, err
			}
			continue
		}
		for i, t := range x.elems() {
			if t.kind == tuple {
				t.node.set(s.index, ofNumber(float64(i)))
			}
		}
	}
	return x, nil
}

// filter keeps the items that a predicate selects, by position or by truth.
func (ev *evaluator) filter(predicate *expr, in item, env *frame) (item, error) {
	var one [1]item
	var input []item
	if in.kind == array {
		if predicate.form == formNumber {
			return pick(in, predicate.constant.num), nil
		}
		input = in.elems()
	} else {
		one[0] = in
		input = one[:]
		if predicate.form == formNumber {
			return pick(ofArray(input), predicate.constant.num), nil
		}
	}
	var first item // kept aside until there is a second
	var out []item
	size := 0
	for i, x := range input {
		context, frame := x, env
		if in.has(tuples) {
			context, _ = x.get("@")
			frame = env.within(x)
		}
		test, err := ev.eval(predicate, context, frame)
		if err != nil {
			return nothing, err
		}
		n, err := ev.selects(test, i, len(input))
		if err != nil {
			return nothing, err
		}
		for range n {
			if size++; size == 1 {
				first = x
				continue
			}
			if err := ev.grow(1, size); err != nil {
				return nothing, err
			}
			if size == 2 {
				out = append(out, first)
			}
			out = append(out, x)
		}
	}
	result := ofSequence(out)
	if size == 1 {
		result = ofOne(first)
	}
	result.flags |= in.flags & tuples
	return result, nil
}

// pick is the item at a constant position, from the end if it is negative.
func pick(in item, position float64) item {
	i := math.Floor(position)
	if i < 0 {
		i += float64(in.len())
	}
	if i < 0 || i >= float64(in.len()) {
		return ofSequence(nil)
	}
	x := in.at(int(i))
	if x.kind == array {
		return x
	}
	out := ofOne(x)
	if x.kind == undefined {
		out = ofSequence(nil)
	}
	out.flags |= in.flags & tuples
	return out
}

// selects tells how many times a predicate's value selects the item at place
// of size: numbers are positions, all else is a condition.
func (ev *evaluator) selects(test item, place, size int) (int, error) {
	hits := func(x item) int {
		i := math.Floor(x.num)
		if i < 0 {
			i += float64(size)
		}
		if i == float64(place) {
			return 1
		}
		return 0
	}
	ok, err := finite(test)
	if err != nil || ok {
		return hits(test), err
	}
	if test.kind == array {
		numbers := true
		for i := 0; numbers && i < test.len(); i++ {
			if numbers, err = finite(test.at(i)); err != nil {
				return 0, err
			}
		}
		if numbers {
			n := 0
			for i := range test.len() {
				n += hits(test.at(i))
			}
			return n, ev.step(test.len())
		}
	}
	truth, err := truthy(test)
	if truth {
		return 1, err
	}
	return 0, err
}

// truthy is what $boolean gives, nothing being false.
func truthy(x item) (bool, error) { return truthyWithin(x, 0) }

func truthyWithin(x item, depth int) (bool, error) {
	switch x.kind {
	case boolean:
		return x.num != 0, nil
	case number:
		ok, err := finite(x)
		return ok && x.num != 0, err
	case text:
		return x.str != "", nil
	case object:
		keys, _ := x.members()
		return len(keys) > 0, nil
	case function:
		return x.flags&wrapped == 0, nil
	case array:
		if depth > maxCloneDepth {
			return false, tooDeep()
		}
		for i := range x.len() {
			if truth, err := truthyWithin(x.at(i), depth+1); truth || err != nil {
				return truth, err
			}
		}
	default:
	}
	return false, nil
}
