package jsonpath

import (
	"regexp"
	"strings"

	"switchyard/asl/value"
)

// filterScope is what a filter sees: $ and @.
type filterScope struct {
	root    value.Value
	current value.Value
	budget  *walker
}

// expr is a boolean expression in a filter.
type expr interface {
	test(fs *filterScope) bool
}

type (
	andExpr []expr
	orExpr  []expr
	notExpr struct{ of expr }
	// existsExpr is a path alone.
	existsExpr struct{ of operand }
	compare    struct {
		op          string
		left, right operand
	}
)

func (e andExpr) test(fs *filterScope) bool {
	for _, x := range e {
		if !x.test(fs) {
			return false
		}
	}
	return true
}

func (e orExpr) test(fs *filterScope) bool {
	for _, x := range e {
		if x.test(fs) {
			return true
		}
	}
	return false
}

func (e notExpr) test(fs *filterScope) bool { return !e.of.test(fs) }

func (e existsExpr) test(fs *filterScope) bool {
	v, ok := e.of.get(fs)
	if e.of.path == nil { // a literal alone is its truth
		b, _ := v.Bool()
		return b
	}
	return ok && (e.of.path.definite || e.of.path.function != nil || v.Len() > 0)
}

// operand is a literal, a pattern, or a path from $ or @.
type operand struct {
	literal value.Value
	pattern *regexp.Regexp
	path    *Path
	current bool // the path starts at @
}

// get gives the operand's value; ok is false when its path selects nothing.
func (o *operand) get(fs *filterScope) (v value.Value, ok bool) {
	if o.path == nil {
		return o.literal, true
	}
	if !fs.budget.spend(len(o.path.steps)) {
		return value.Value{}, false
	}
	root := fs.root
	if o.current {
		root = fs.current
	}
	if o.path.definite {
		at, failed := o.path.walkDefinite(root)
		if failed >= 0 {
			return value.Value{}, false
		}
		if o.path.function == nil {
			return at, true
		}
		at, err := o.path.applyFunction(at)
		return at, err == nil
	}
	// An indefinite path inside a filter spends the budget of the whole.
	w := walker{root: root, steps: o.path.steps, visits: fs.budget.visits}
	w.walk(root, 0)
	fs.budget.visits = w.visits
	if w.err != nil {
		fs.budget.err = w.err
		return value.Value{}, false
	}
	out := value.OfArray(w.out)
	if o.path.function == nil {
		return out, true
	}
	out, err := o.path.applyFunction(out)
	return out, err == nil
}

func (e *compare) test(fs *filterScope) bool {
	if !fs.budget.visit() {
		return false
	}
	if e.op == "=~" {
		return e.matches(fs)
	}
	l, lok := e.left.get(fs)
	r, rok := e.right.get(fs)
	switch e.op {
	case "empty":
		want, isBool := r.Bool()
		if !lok || !isBool {
			return false
		}
		s, isString := l.Str()
		if !isString && l.Kind() != value.Array && l.Kind() != value.Object {
			return false
		}
		return (l.Len() == 0 && s == "") == want
	case "!=":
		return lok != rok || lok && !looselyEqual(l, r)
	case "!==":
		return lok != rok || lok && (l.Kind() != r.Kind() || !looselyEqual(l, r))
	}
	if !lok || !rok {
		return e.op == "==" && !lok && !rok || e.op == "nin" && rok
	}
	if !fs.budget.spend(cost(e.op, l, r)) {
		return false
	}
	switch e.op {
	case "==":
		return looselyEqual(l, r)
	case "===":
		return l.Kind() == r.Kind() && looselyEqual(l, r)
	case "<":
		c, ok := order(l, r)
		return ok && c < 0
	case "<=":
		c, ok := order(l, r)
		return ok && c <= 0
	case ">":
		c, ok := order(l, r)
		return ok && c > 0
	case ">=":
		c, ok := order(l, r)
		return ok && c >= 0
	case "in":
		return contains(r, l)
	case "nin":
		return !contains(r, l)
	case "contains":
		if s, ok := l.Str(); ok {
			sub, isString := r.Str()
			return isString && strings.Contains(s, sub)
		}
		return contains(l, r)
	case "all":
		return subset(r, l)
	case "subsetof":
		return subset(l, r)
	case "anyof":
		return overlap(l, r)
	case "noneof":
		return l.Kind() == value.Array && r.Kind() == value.Array && !overlap(l, r)
	case "size":
		n, ok := r.Int()
		s, isString := l.Str()
		if isString {
			return ok && int64(utf16Len(s)) == n
		}
		return ok && l.Kind() == value.Array && int64(l.Len()) == n
	default:
		return false
	}
}

// cost is about how many values a comparison looks at.
func cost(op string, l, r value.Value) int {
	switch op {
	case "in", "nin", "contains":
		return max(l.Len(), r.Len())
	case "all", "subsetof", "anyof", "noneof":
		return l.Len() * r.Len()
	default:
		return min(l.Len(), r.Len())
	}
}

func (e *compare) matches(fs *filterScope) bool {
	subject, pattern := &e.left, e.right.pattern
	if pattern == nil {
		subject, pattern = &e.right, e.left.pattern
	}
	v, ok := subject.get(fs)
	if !ok || pattern == nil {
		return false
	}
	if k := v.Kind(); k == value.Array || k == value.Object || k == value.Null {
		return false
	}
	return pattern.MatchString(JavaString(v))
}

// looselyEqual compares as the Java library does: numbers by size, and a
// number with a string that spells it.
func looselyEqual(a, b value.Value) bool {
	if c, ok := value.CompareNumbers(a, b); ok {
		return c == 0
	}
	if a.Kind() == value.String && b.Kind() == value.Number {
		a, b = b, a
	}
	if s, ok := b.Str(); ok && a.Kind() == value.Number {
		n, err := value.ParseString(s)
		if err != nil {
			return false
		}
		c, ok := value.CompareNumbers(a, n)
		return ok && c == 0
	}
	if a.Kind() == value.Array && b.Kind() == value.Array && a.Len() == b.Len() {
		for i, e := range a.Elems() {
			if !looselyEqual(e, b.Elem(i)) {
				return false
			}
		}
		return true
	}
	return value.Equal(a, b)
}

// order compares two numbers or two strings.
func order(a, b value.Value) (int, bool) {
	if c, ok := value.CompareNumbers(a, b); ok {
		return c, true
	}
	s, ok1 := a.Str()
	t, ok2 := b.Str()
	return value.CompareStrings(s, t), ok1 && ok2
}

func contains(list, v value.Value) bool {
	for _, e := range list.Elems() {
		if looselyEqual(e, v) {
			return true
		}
	}
	return false
}

func subset(a, b value.Value) bool {
	if a.Kind() != value.Array || b.Kind() != value.Array {
		return false
	}
	for _, e := range a.Elems() {
		if !contains(b, e) {
			return false
		}
	}
	return true
}

func overlap(a, b value.Value) bool {
	for _, e := range a.Elems() {
		if contains(b, e) {
			return true
		}
	}
	return false
}
