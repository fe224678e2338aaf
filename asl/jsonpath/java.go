package jsonpath

import (
	"strconv"
	"strings"

	"switchyard/asl/value"
)

// javaClass is the class that the Java library holds v in, which its messages
// show.
func javaClass(v value.Value) string {
	switch v.Kind() {
	case value.Null:
		return "null"
	case value.Bool:
		return "java.lang.Boolean"
	case value.Number:
		if !v.IsInteger() {
			return "java.lang.Double"
		}
		i, ok := v.Int()
		switch {
		case !ok:
			return "java.math.BigInteger"
		case i == int64(int32(i)):
			return "java.lang.Integer"
		default:
			return "java.lang.Long"
		}
	case value.String:
		return "java.lang.String"
	case value.Array:
		return "java.util.ArrayList"
	default:
		return "java.util.LinkedHashMap"
	}
}

// JavaString is v as Java's toString shows it: strings bare, arrays as
// [a, b], objects as {k=v, l=w}. States.Format inserts values like this.
func JavaString(v value.Value) string {
	var b strings.Builder
	writeJava(&b, v)
	return b.String()
}

func writeJava(b *strings.Builder, v value.Value) {
	switch v.Kind() {
	case value.String:
		s, _ := v.Str()
		b.WriteString(s)
	case value.Array:
		b.WriteByte('[')
		for i, e := range v.Elems() {
			if i > 0 {
				b.WriteString(", ")
			}
			writeJava(b, e)
		}
		b.WriteByte(']')
	case value.Object:
		b.WriteByte('{')
		first := true
		for k, e := range v.Fields() {
			if !first {
				b.WriteString(", ")
			}
			first = false
			b.WriteString(k)
			b.WriteByte('=')
			writeJava(b, e)
		}
		b.WriteByte('}')
	case value.Bool:
		t, _ := v.Bool()
		b.WriteString(strconv.FormatBool(t))
	default:
		b.WriteString(v.JSON())
	}
}
