package jsonata

import (
	"math"
	"strconv"

	"switchyard/asl/value"
)

// formatNumber writes f as JavaScript does.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return string(value.AppendScriptNumber(nil, f))
}

// fifteenDigits rounds f to the digits that $string shows.
func fifteenDigits(f float64) float64 {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return f
	}
	r, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 14, 64), 64)
	return r
}

// isInteger reports JavaScript's Number.isInteger.
func isInteger(x item) bool {
	return x.kind == number && x.num == math.Trunc(x.num) && !math.IsInf(x.num, 0)
}

// finite reports whether x is a number; infinity is refused wherever a number
// is needed.
func finite(x item) (bool, error) {
	if x.kind != number || math.IsNaN(x.num) {
		return false, nil
	}
	if math.IsInf(x.num, 0) {
		return false, fail("D1001").of(x)
	}
	return true, nil
}
