package jsonata

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

var numberFunctions = []entry{
	{"number", "<(nsb)-:n>", 1, ofFirst(numberOf)},
	{"abs", "<n-:n>", 1, ofFirst(func(_ *evaluator, x item, _ []item) (item, error) { return ofNumber(math.Abs(x.num)), nil })},
	{"floor", "<n-:n>", 1, ofFirst(func(_ *evaluator, x item, _ []item) (item, error) { return ofNumber(math.Floor(x.num)), nil })},
	{"ceil", "<n-:n>", 1, ofFirst(func(_ *evaluator, x item, _ []item) (item, error) { return ofNumber(math.Ceil(x.num)), nil })},
	{"round", "<n-n?:n>", 2, ofFirst(func(_ *evaluator, x item, rest []item) (item, error) {
		return ofNumber(round(x.num, arg(rest, 0).num)), nil
	})},
	{"power", "<n-n:n>", 2, ofFirst(power2)},
	{"sqrt", "<n-:n>", 1, ofFirst(sqrt)},
	{"formatNumber", "<n-so?:s>", 3, ofFirst(formatPicture)},
	{"formatBase", "<n-n?:s>", 2, ofFirst(formatBase)},
	{"formatInteger", "<n-s:s>", 2, ofFirst(formatInteger)},
	{"parseInteger", "<s-s:n>", 2, ofFirst(parseInteger)},
	{"sum", "<a<n>:n>", 1, ofFirst(sum)},
	{"max", "<a<n>:n>", 1, ofFirst(extreme(math.Max))},
	{"min", "<a<n>:n>", 1, ofFirst(extreme(math.Min))},
	{"average", "<a<n>:n>", 1, ofFirst(average)},
	{"boolean", "<x-:b>", 1, ofFirst(func(_ *evaluator, x item, _ []item) (item, error) {
		truth, err := truthy(x)
		return ofBool(truth), err
	})},
	{"not", "<x-:b>", 1, ofFirst(func(_ *evaluator, x item, _ []item) (item, error) {
		truth, err := truthy(x)
		return ofBool(!truth), err
	})},
}

var (
	decimalText = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)?$`)
	prefixedInt = regexp.MustCompile(`^0([xX][0-9A-Fa-f]+|[oO][0-7]+|[bB][01]+)$`)
)

func numberOf(_ *evaluator, x item, _ []item) (item, error) {
	switch {
	case x.kind == number:
		return x, nil
	case x.kind == boolean:
		return ofNumber(x.num), nil
	case x.kind == text && decimalText.MatchString(x.str):
		if f, err := strconv.ParseFloat(x.str, 64); err == nil {
			return ofNumber(f), nil
		}
	case x.kind == text && prefixedInt.MatchString(x.str):
		return ofNumber(digitsOf(x.str[2:], map[byte]float64{'x': 16, 'o': 8, 'b': 2}[x.str[1]|0x20])), nil
	}
	e := fail("D3030").of(x)
	e.index = 1
	return nothing, e
}

func digitsOf(s string, base float64) float64 {
	var f float64
	for i := range len(s) {
		d, _ := strconv.ParseUint(s[i:i+1], 16, 8)
		f = f*base + float64(d)
	}
	return f
}

// round rounds half to even, precision digits behind the point or, when
// negative, before it.
func round(f, precision float64) float64 {
	if precision != 0 {
		f = shift(f, precision)
	}
	r := math.Floor(f + 0.5)
	if f+0.5 == f+1 || math.Abs(f) >= 1<<52 {
		r = f
	}
	if math.Abs(r-f) == 0.5 && math.Abs(math.Mod(r, 2)) == 1 {
		r--
	}
	if precision != 0 {
		r = shift(r, -precision)
	}
	return r + 0 // not -0
}

// shift moves the decimal point, on the number as it is written.
func shift(f, places float64) float64 {
	mant, exp, _ := strings.Cut(formatNumber(f), "e")
	e, _ := strconv.ParseFloat(exp, 64)
	r, err := strconv.ParseFloat(mant+"e"+formatNumber(e+places), 64)
	if err != nil && !math.IsInf(r, 0) {
		return math.NaN()
	}
	return r
}

func power2(_ *evaluator, x item, rest []item) (item, error) {
	exp := arg(rest, 0)
	r := math.Pow(x.num, exp.num)
	counts := x.kind == number || x.kind == boolean || x.kind == null // of a partial application it can be anything
	if !counts || exp.kind == undefined || math.IsInf(r, 0) || math.IsNaN(r) || math.Abs(x.num) == 1 && math.IsInf(exp.num, 0) {
		e := fail("D3061").of(x)
		e.index, e.exponent = 1, exp.num
		return nothing, e
	}
	return ofNumber(r), nil
}

func sqrt(_ *evaluator, x item, _ []item) (item, error) {
	if x.num < 0 {
		e := fail("D3060").of(x)
		e.index = 1
		return nothing, e
	}
	return ofNumber(math.Sqrt(x.num)), nil
}

func formatBase(_ *evaluator, x item, rest []item) (item, error) {
	radix := 10.0
	if r := arg(rest, 0); r.kind != undefined {
		radix = round(r.num, 0)
	}
	if !(radix >= 2 && radix <= 36) {
		return nothing, fail("D3100").of(radix)
	}
	f := round(x.num, 0)
	if radix == 10 || math.IsInf(f, 0) || math.IsNaN(f) {
		return ofString(formatNumber(f)), nil
	}
	return ofString(whole(f).Text(int(radix))), nil
}

func sum(ev *evaluator, x item, _ []item) (item, error) {
	var total float64
	for i := range x.len() {
		total += x.at(i).num
	}
	return ofNumber(total), ev.step(x.len())
}

func average(ev *evaluator, x item, rest []item) (item, error) {
	if x.len() == 0 {
		return nothing, nil
	}
	total, err := sum(ev, x, rest)
	return ofNumber(total.num / float64(x.len())), err
}

func extreme(of func(a, b float64) float64) func(ev *evaluator, x item, _ []item) (item, error) {
	return func(ev *evaluator, x item, _ []item) (item, error) {
		if x.len() == 0 {
			return nothing, nil
		}
		best := x.at(0).num
		for i := range x.len() {
			best = of(best, x.at(i).num)
		}
		return ofNumber(best), ev.step(x.len())
	}
}
