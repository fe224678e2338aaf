package jsonpath

import (
	"fmt"
	"math"

	"switchyard/asl/value"
)

type functionKind uint8

const (
	fnLength functionKind = iota
	fnMin
	fnMax
	fnAvg
	fnStddev
	fnSum
	fnKeys
	fnFirst
	fnLast
	fnIndex
)

var functions = map[string]functionKind{
	"length": fnLength, "size": fnLength, "min": fnMin, "max": fnMax, "avg": fnAvg, "stddev": fnStddev,
	"sum": fnSum, "keys": fnKeys, "first": fnFirst, "last": fnLast, "index": fnIndex,
}

// function ends a path: $.a.length().
type function struct {
	kind functionKind
	arg  int
}

// FunctionError says that a function of a path cannot work on a value.
type FunctionError struct{ Msg string }

func (e *FunctionError) Error() string { return e.Msg }

func (p *Path) applyFunction(v value.Value) (value.Value, error) {
	switch f := p.function; f.kind {
	case fnLength:
		if s, ok := v.Str(); ok {
			return value.OfInt(int64(utf16Len(s))), nil
		}
		if v.Kind() == value.Array || v.Kind() == value.Object {
			return value.OfInt(int64(v.Len())), nil
		}
		return value.Value{}, nil
	case fnKeys:
		if v.Kind() != value.Object {
			return value.Value{}, nil
		}
		keys := make([]value.Value, 0, v.Len())
		for k := range v.Fields() {
			keys = append(keys, value.OfString(k))
		}
		return value.OfArray(keys), nil
	case fnFirst, fnLast, fnIndex:
		i := f.arg
		switch f.kind { //nolint:exhaustive // fnIndex has its own
		case fnFirst:
			i = 0
		case fnLast:
			i = -1
		}
		if j, ok := within(i, v.Len()); ok && v.Kind() == value.Array {
			return v.Elem(j), nil
		}
		return value.Value{}, p.notFound(fmt.Sprintf("No results for path: %s.%d", render(p.steps), i))
	default:
		return p.aggregate(v)
	}
}

// aggregate computes a decimal from the numbers of an array.
func (p *Path) aggregate(v value.Value) (value.Value, error) {
	var n, sum, squares float64
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, e := range v.Elems() {
		f, ok := e.Float()
		if !ok {
			continue
		}
		n++
		sum += f
		squares += f * f
		lowest, highest = min(lowest, f), max(highest, f)
	}
	if n == 0 {
		return value.Value{}, &FunctionError{Msg: "Aggregation function attempted to calculate value using empty array"}
	}
	var out float64
	switch p.function.kind {
	case fnMin:
		out = lowest
	case fnMax:
		out = highest
	case fnAvg:
		out = sum / n
	case fnStddev:
		out = math.Sqrt(max(0, squares/n-sum*sum/n/n))
	default:
		out = sum
	}
	if math.IsInf(out, 0) || math.IsNaN(out) {
		return value.Value{}, &FunctionError{Msg: "the result is beyond the range of numbers"}
	}
	return value.OfFloat(out), nil
}

// utf16Len is the length of s as Java counts it.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}
