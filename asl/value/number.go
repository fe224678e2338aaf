package value

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// OfInt returns the integer i.
func OfInt(i int64) Value { return Value{kind: Number, str: strconv.FormatInt(i, 10)} }

// OfFloat returns the decimal f, which must be finite.
func OfFloat(f float64) Value {
	return Value{kind: Number, decimal: true, str: string(appendJavaDouble(nil, f))}
}

// IsInteger reports whether v is a number written without fraction or exponent.
func (v Value) IsInteger() bool { return v.kind == Number && !v.decimal }

// Int returns the integer, and whether v is an integer that fits.
func (v Value) Int() (int64, bool) {
	if v.kind != Number || v.decimal {
		return 0, false
	}
	i, err := strconv.ParseInt(v.str, 10, 64)
	return i, err == nil
}

// BigInt returns the integer at any size, and whether v is an integer.
func (v Value) BigInt() (*big.Int, bool) {
	if v.kind != Number || v.decimal {
		return nil, false
	}
	return new(big.Int).SetString(v.str, 10)
}

// Float returns the number, rounded to a double, and whether v is a number. A
// number beyond the range of doubles is ±Inf.
func (v Value) Float() (float64, bool) {
	if v.kind != Number {
		return 0, false
	}
	if !v.decimal && len(v.str) <= exactDigits {
		return smallInteger(v.str), true
	}
	f, _ := strconv.ParseFloat(v.str, 64) // out of range gives ±Inf, which is the answer
	return f, true
}

// exactDigits is how long an integer's literal may be for doubles to hold it and
// all on the way to it.
const exactDigits = 15

func smallInteger(literal string) float64 {
	n, digits := 0, literal
	if literal[0] == '-' {
		digits = literal[1:]
	}
	for i := range len(digits) {
		n = 10*n + int(digits[i]-'0')
	}
	if len(digits) < len(literal) {
		return -float64(n)
	}
	return float64(n)
}

// CompareNumbers orders two numbers by their size, 1 and 1.0 being equal; ok
// is false when one of them is not a number.
func CompareNumbers(a, b Value) (c int, ok bool) {
	if a.kind != Number || b.kind != Number {
		return 0, false
	}
	if !a.decimal && !b.decimal {
		ia, oka := a.Int()
		ib, okb := b.Int()
		if oka && okb {
			switch {
			case ia < ib:
				return -1, true
			case ia > ib:
				return 1, true
			}
			return 0, true
		}
		ba, _ := a.BigInt()
		bb, _ := b.BigInt()
		return ba.Cmp(bb), true
	}
	fa, _ := a.Float()
	fb, _ := b.Float()
	switch {
	case fa < fb:
		return -1, true
	case fa > fb:
		return 1, true
	}
	return 0, true
}

// canonicalNumber gives the literal under which a valid JSON number is kept:
// integers as they are but for -0, decimals as Java writes the nearest double.
// A decimal beyond the range of doubles stays as it was written.
func canonicalNumber(lit string, decimal bool) string {
	if !decimal {
		if lit == "-0" {
			return "0"
		}
		return lit
	}
	if plainDecimal(lit) {
		return lit
	}
	f, err := strconv.ParseFloat(lit, 64)
	if err != nil || math.IsInf(f, 0) {
		return lit
	}
	return string(appendJavaDouble(nil, f))
}

// plainDecimal reports whether Java's Double.toString is known to give back
// lit, without converting it: at most 15 digits, between 1 and 10^7, no
// exponent, no superfluous zero.
func plainDecimal(lit string) bool {
	s := strings.TrimPrefix(lit, "-")
	whole, frac, ok := strings.Cut(s, ".")
	if !ok || len(s) > 16 || len(whole) > 7 || whole == "0" || strings.ContainsAny(frac, "eE") {
		return false
	}
	return frac == "0" || frac[len(frac)-1] != '0'
}

// appendJavaDouble writes f as Java's Double.toString does: plain between
// 10^-3 and 10^7, else in scientific notation, always with a fraction.
func appendJavaDouble(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 || abs >= 1e-3 && abs < 1e7 {
		n := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if !strings.Contains(string(dst[n:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	s := strconv.FormatFloat(f, 'E', -1, 64) // d.dddE+dd or dE-dd
	mant, exp, _ := strings.Cut(s, "E")
	dst = append(dst, mant...)
	if !strings.Contains(mant, ".") {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exp[0] == '-' {
		dst = append(dst, '-')
	}
	return append(dst, strings.TrimLeft(exp[1:], "0")...)
}

// OfScriptNumber returns the number f, which must be finite, written as
// JavaScript writes it: what is whole has no fraction.
func OfScriptNumber(f float64) Value {
	if i := int64(f); float64(i) == f && i > -1<<53 && i < 1<<53 {
		return OfInt(i)
	}
	lit := string(AppendScriptNumber(nil, f))
	return Value{kind: Number, decimal: strings.ContainsAny(lit, ".e"), str: lit}
}

// AppendScriptNumber appends f, which must be finite, as JavaScript writes it:
// in digits from 1e-6 to 1e21, else with an exponent
// (https://tc39.es/ecma262/#sec-numeric-types-number-tostring).
func AppendScriptNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, '0')
	}
	if i := int64(f); float64(i) == f && i > -1<<53 && i < 1<<53 {
		return strconv.AppendInt(dst, i, 10)
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64) // d.ddde+dd
	mant, exp, _ := strings.Cut(s, "e")
	dst = append(append(dst, mant...), 'e', exp[0])
	return append(dst, strings.TrimLeft(exp[1:], "0")...)
}
