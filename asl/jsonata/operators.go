package jsonata

import (
	"math"

	"switchyard/asl/value"
)

// operator is what formBinary does, once paths, filters and the like are taken
// apart.
type operator uint8

const (
	opAnd operator = iota + 1
	opOr
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opEqual
	opUnequal
	opLess
	opLessOrEqual
	opGreater
	opGreaterOrEqual
	opConcat
	opRange
	opIn
)

var operatorOf = map[string]operator{
	"and": opAnd, "or": opOr, "+": opAdd, "-": opSubtract, "*": opMultiply, "/": opDivide, "%": opModulo,
	"=": opEqual, "!=": opUnequal, "<": opLess, "<=": opLessOrEqual, ">": opGreater, ">=": opGreaterOrEqual,
	"&": opConcat, "..": opRange, "in": opIn,
}

func (ev *evaluator) binary(e *expr, in item, env *frame) (item, error) {
	lhs, err := ev.eval(e.lhs, in, env)
	if err != nil {
		return nothing, err
	}
	if e.operator <= opOr {
		x, err := ev.logical(e, lhs, in, env)
		return x, e.blame(err)
	}
	rhs, err := ev.eval(e.rhs, in, env)
	if err != nil {
		return nothing, err
	}
	if lhs.kind == number && rhs.kind == number {
		if truth, ok := compareNumbers(e.operator, lhs.num, rhs.num); ok {
			return ofBool(truth), nil
		}
	}
	x, err := ev.operate(e.operator, lhs, rhs)
	if err != nil {
		return nothing, e.blame(err)
	}
	return x, nil
}

// compareNumbers compares by an operator; ok is false if it is for something else.
func compareNumbers(op operator, a, b float64) (truth, ok bool) {
	switch op {
	case opEqual:
		return a == b, true
	case opUnequal:
		return a != b, true
	case opLess:
		return a < b, true
	case opLessOrEqual:
		return a <= b, true
	case opGreater:
		return a > b, true
	case opGreaterOrEqual:
		return a >= b, true
	default:
		return false, false
	}
}

// blame puts an operator's name and place on an error.
func (e *expr) blame(err error) error {
	if err == nil {
		return nil
	}
	was := asError(err)
	if was.fatal {
		return was
	}
	was.Position, was.token = e.pos, e.op
	return was
}

func (ev *evaluator) logical(e *expr, lhs, in item, env *frame) (item, error) {
	left, err := truthy(lhs)
	if err != nil || left == (e.operator == opOr) {
		return ofBool(left), err
	}
	rhs, err := ev.eval(e.rhs, in, env)
	if err != nil {
		return nothing, err
	}
	right, err := truthy(rhs)
	return ofBool(right), err
}

func (ev *evaluator) operate(op operator, lhs, rhs item) (item, error) {
	switch op {
	case opAdd, opSubtract, opMultiply, opDivide, opModulo:
		return arithmetic(op, lhs, rhs)
	case opEqual, opUnequal:
		if lhs.kind == undefined || rhs.kind == undefined {
			return falseItem, nil
		}
		same, err := ev.equal(lhs, rhs)
		return ofBool(same == (op == opEqual)), err
	case opLess, opLessOrEqual, opGreater, opGreaterOrEqual:
		return compare(op, lhs, rhs)
	case opConcat:
		return ev.concat(lhs, rhs)
	case opRange:
		return ev.span(lhs, rhs)
	default: // opIn
		return ev.includes(lhs, rhs)
	}
}

func arithmetic(op operator, lhs, rhs item) (item, error) {
	if err := operand(lhs, "T2001"); err != nil {
		return nothing, err
	}
	if err := operand(rhs, "T2002"); err != nil {
		return nothing, err
	}
	if lhs.kind == undefined || rhs.kind == undefined {
		return nothing, nil
	}
	a, b := lhs.num, rhs.num
	switch op {
	case opAdd:
		a += b
	case opSubtract:
		a -= b
	case opMultiply:
		a *= b
	case opDivide:
		a /= b
	default: // opModulo
		a = math.Mod(a, b)
	}
	return ofNumber(a), nil
}

// operand checks that x is a number, or nothing.
func operand(x item, code string) error {
	if x.kind == undefined {
		return nil
	}
	ok, err := finite(x)
	if err == nil && !ok {
		err = fail(code).of(x)
	}
	return err
}

func comparable(x item) bool { return x.kind == text || x.kind == number }

// compare is for all but two numbers.
func compare(op operator, lhs, rhs item) (item, error) {
	switch {
	case comparable(lhs) && comparable(rhs):
	case lhs.kind != undefined && !comparable(lhs) || rhs.kind != undefined && !comparable(rhs):
		shown := rhs
		if !comparable(lhs) {
			shown = lhs
		}
		return nothing, fail("T2010").of(shown)
	}
	if lhs.kind == undefined || rhs.kind == undefined {
		return nothing, nil
	}
	if lhs.kind != rhs.kind {
		e := fail("T2009").of(lhs)
		e.value2 = rhs
		return nothing, e
	}
	truth, _ := compareNumbers(op, float64(value.CompareStrings(lhs.str, rhs.str)), 0)
	return ofBool(truth), nil
}

// less orders two numbers, or two texts by their UTF-16 code units.
func less(a, b item) bool {
	if a.kind == text {
		return value.CompareStrings(a.str, b.str) < 0
	}
	return a.num < b.num
}

func (ev *evaluator) concat(lhs, rhs item) (item, error) {
	a, err := ev.toText(lhs)
	if err != nil {
		return nothing, err
	}
	b, err := ev.toText(rhs)
	if err != nil {
		return nothing, err
	}
	if err := ev.text(len(a) + len(b)); err != nil {
		return nothing, err
	}
	return ofString(a + b), nil
}

// toText is $string, nothing being the empty text.
func (ev *evaluator) toText(x item) (string, error) {
	switch {
	case x.kind == text:
		return x.str, nil
	case x.kind == undefined || x.kind == function:
		return "", nil
	case x.kind == number && (math.IsInf(x.num, 0) || math.IsNaN(x.num)):
		return "", fail("D3001").of(x)
	}
	return ev.stringify(x, style{rounded: true})
}

// stringify writes x as JSON within the limits.
func (ev *evaluator) stringify(x item, st style) (string, error) {
	if x.has(outer) {
		x = x.at(0)
	}
	if err := ev.checkNumbers(x, 0); err != nil {
		return "", err
	}
	st.most = min(ev.limits.Value, ev.limits.Memory-ev.memory)
	s := stringify(nil, x, st)
	if err := ev.text(len(s)); err != nil {
		return "", err
	}
	return string(s), nil
}

// checkNumbers refuses infinite numbers, and what nests too deep to be written.
func (ev *evaluator) checkNumbers(x item, depth int) error {
	if depth > value.MaxDepth {
		return tooDeep()
	}
	if err := ev.step(1); err != nil {
		return err
	}
	var parts []item
	switch x.kind {
	case number:
		_, err := finite(x)
		return err
	case array:
		if x.node.ranged {
			return ev.step(x.len())
		}
		parts = x.elems()
	case object:
		_, parts = x.members()
	default:
	}
	for _, p := range parts {
		if err := ev.checkNumbers(p, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// maxSpan is the size up to which .. makes an array.
const maxSpan = 1e7

func (ev *evaluator) span(lhs, rhs item) (item, error) {
	if lhs.kind != undefined && !isInteger(lhs) {
		return nothing, fail("T2003").of(lhs)
	}
	if rhs.kind != undefined && !isInteger(rhs) {
		return nothing, fail("T2004").of(rhs)
	}
	if lhs.kind == undefined || rhs.kind == undefined || lhs.num > rhs.num {
		return nothing, nil
	}
	size := rhs.num - lhs.num + 1
	if size > maxSpan {
		return nothing, fail("D2014").of(size)
	}
	return item{kind: array, flags: sequence, node: &node{origin: &origin{from: lhs.num, size: int(size)}, ranged: true}}, ev.fits(int(size), int(size))
}

func (ev *evaluator) includes(lhs, rhs item) (item, error) {
	if lhs.kind == undefined || rhs.kind == undefined {
		return falseItem, nil
	}
	if rhs.kind != array {
		return ofBool(same(lhs, rhs)), nil
	}
	for i := range rhs.len() {
		if same(lhs, rhs.at(i)) {
			return trueItem, nil
		}
	}
	return falseItem, ev.step(rhs.len())
}
