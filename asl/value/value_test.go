package value

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseKeepsWhatJacksonKeeps(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"order of keys", `{"b":1,"a":2}`, `{"b":1,"a":2}`},
		{"last duplicate wins in the first place", `{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`},
		{"integer and decimal stay apart", `[1,1.0]`, `[1,1.0]`},
		{"big integer exact", `123456789012345678901234567890`, `123456789012345678901234567890`},
		{"negative zero", `-0`, `0`},
		{"negative zero decimal", `-0.0`, `-0.0`},
		{"superfluous zero of a decimal", `1.10`, `1.1`},
		{"exponent written out", `1e3`, `1000.0`},
		{"large decimal as Java writes it", `12345678.0`, `1.2345678E7`},
		{"small decimal as Java writes it", `0.0001`, `1.0E-4`},
		{"decimal beyond doubles kept", `1e999`, `1e999`},
		{"white space dropped", " { \"a\" : [ 1 , 2 ] }\n", `{"a":[1,2]}`},
		{"escapes normal", `"\u0041\/\n\u001f\u00e9"`, `"A/\n\u001Fé"`},
		{"surrogate pair", `"\ud83c\udd97"`, `"🆗"`},
		{"half a surrogate", `"\ud83cx"`, "\"\uFFFDx\""},
		{"html stays", `"<a href='x'>&"`, `"<a href='x'>&"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := v.JSON(); got != tt.want {
				t.Errorf("Parse(%s).JSON() = %s, want %s", tt.in, got, tt.want)
			}
			again, err := ParseString(v.JSON())
			if err != nil || !Equal(v, again) {
				t.Errorf("does not survive a round trip: %v, %v", again, err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, in, want string
		offset         int
	}{
		{"nothing", ``, "unexpected end", 0},
		{"leading zero", `[01]`, "must not start with 0", 1},
		{"bare word", `nope`, "unexpected 'n'", 0},
		{"trailing comma", `[1,]`, "unexpected ']'", 3},
		{"trailing text", `{} x`, "after the value", 3},
		{"single quotes", `{'a':1}`, "double quotes", 1},
		{"control character", "\"a\nb\"", "must be escaped", 2},
		{"unknown escape", `"\x"`, "unknown escape", 1},
		{"short unicode escape", `"\u12"`, "four hexadecimal", 1},
		{"invalid UTF-8", "\"a\xff\"", "invalid UTF-8", 2},
		{"open string", `"abc`, "end of a string", 4},
		{"no digit after the point", `1.`, "digit after the point", 2},
		{"NaN", `NaN`, "unexpected 'N'", 0},
		{"too deep", strings.Repeat("[", MaxDepth+1), "nested deeper than 1000", MaxDepth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			e := new(SyntaxError)
			if !errors.As(err, &e) {
				t.Fatalf("error = %v, want a *SyntaxError", err)
			}
			if !strings.Contains(e.Msg, tt.want) || e.Offset != tt.offset {
				t.Errorf("got %v, want %q at byte %d", e, tt.want, tt.offset)
			}
		})
	}
}

func TestParseAcceptsTheDeepestNesting(t *testing.T) {
	in := strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)
	if _, err := ParseString(in); err != nil {
		t.Fatal(err)
	}
}

func mustParse(t testing.TB, s string) Value {
	t.Helper()
	v, err := ParseString(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	orig := mustParse(t, `{"a":1,"b":{"c":2}}`)
	changed := orig.With("a", OfInt(9)).With("d", OfBool(true))
	if got, want := changed.JSON(), `{"a":9,"b":{"c":2},"d":true}`; got != want {
		t.Errorf("changed = %s, want %s", got, want)
	}
	if got, want := orig.JSON(), `{"a":1,"b":{"c":2}}`; got != want {
		t.Errorf("original = %s, want %s", got, want)
	}
	arr := mustParse(t, `[1,2]`)
	if got := arr.WithElem(1, Value{}).JSON() + arr.JSON(); got != `[1,null][1,2]` {
		t.Errorf("got %s", got)
	}
}

func TestShapeMakesObjects(t *testing.T) {
	s := NewShape([]string{"a", "b"})
	v := s.Object([]Value{OfInt(1), OfInt(2)})
	w := v.With("c", OfInt(3)).With("a", OfInt(0))
	if got := v.JSON() + w.JSON() + s.Object([]Value{{}, {}}).JSON(); got != `{"a":1,"b":2}{"a":0,"b":2,"c":3}{"a":null,"b":null}` {
		t.Errorf("got %s", got)
	}
	if NewShape([]string{"a", "b", "a"}) != nil {
		t.Error("a repeated key made a shape")
	}
}

func TestLargeObjectsFindEveryKey(t *testing.T) {
	var fields []Field
	for i := range 100 {
		fields = append(fields, Field{strings.Repeat("k", i+1), OfInt(int64(i))})
	}
	v := OfObject(append(fields, fields[3])...)
	v = v.With("new", OfString("x"))
	if v.Len() != 101 {
		t.Fatalf("Len = %d, want 101", v.Len())
	}
	for i, f := range fields {
		if got, ok := v.Get(f.Key); !ok || !Equal(got, OfInt(int64(i))) {
			t.Errorf("Get(%s) = %v, %v", f.Key, got, ok)
		}
	}
	if _, ok := v.Get("absent"); ok {
		t.Error("found a key that is not there")
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[2]}`, `{"b":[2],"a":1}`, true},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1}`, `{"b":1}`, false},
		{`[1,2]`, `[2,1]`, false},
		{`1`, `1.0`, false},
		{`1.10`, `1.1`, true},
		{`"1"`, `1`, false},
		{`null`, `null`, true},
		{`true`, `false`, false},
	} {
		if got := Equal(mustParse(t, tt.a), mustParse(t, tt.b)); got != tt.want {
			t.Errorf("Equal(%s, %s) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestCompareNumbers(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{`1`, `1.0`, 0}, {`1`, `2`, -1}, {`2.5`, `2`, 1}, {`0`, `-0.0`, 0},
		{`123456789012345678901`, `123456789012345678902`, -1},
		{`1e999`, `1`, 1},
	} {
		got, ok := CompareNumbers(mustParse(t, tt.a), mustParse(t, tt.b))
		if !ok || got != tt.want {
			t.Errorf("CompareNumbers(%s, %s) = %d, %v, want %d", tt.a, tt.b, got, ok, tt.want)
		}
	}
	if _, ok := CompareNumbers(OfString("1"), OfInt(1)); ok {
		t.Error("a string compared as a number")
	}
}

func TestFloat(t *testing.T) {
	for literal, want := range map[string]float64{
		"0": 0, "7": 7, "-12": -12, "123456789012345": 123456789012345, "-12345678901234": -12345678901234,
		"9007199254740993": 9007199254740992, "1e400": math.Inf(1), "-2.50": -2.5, "-0": 0,
	} {
		v, err := Parse([]byte(literal))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := v.Float(); !ok || got != want || math.Signbit(got) != math.Signbit(want) {
			t.Errorf("%s is %v, %v", literal, got, ok)
		}
	}
}

func TestCompareStringsByUTF16(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		sign int
	}{
		{"", "", 0}, {"A", "AB", -1}, {"b", "a", 1},
		{"\U0001F197", "\uFF5E", -1}, // the surrogate sorts first in UTF-16
		{"é", "z", 1},
	} {
		got := CompareStrings(tt.a, tt.b)
		if (got < 0) != (tt.sign < 0) || (got > 0) != (tt.sign > 0) {
			t.Errorf("CompareStrings(%q, %q) = %d, want sign %d", tt.a, tt.b, got, tt.sign)
		}
	}
}

func TestSourcePointsAtKeysAndValues(t *testing.T) {
	text := "{\n  \"a\": [1,\n    {\"é\": true}],\n  \"a\": 2\n}"
	v, src, err := ParseSource([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if line, col := src.Position(src.KeyOffset(v, 0)); line != 4 || col != 3 {
		t.Errorf("key a (last wins) at %d:%d, want 4:3", line, col)
	}
	if line, col := src.Position(src.ValueOffset(v, 0)); line != 4 || col != 8 {
		t.Errorf("value of a at %d:%d, want 4:8", line, col)
	}
	if len(src.Duplicates) != 1 {
		t.Errorf("duplicates = %v, want one", src.Duplicates)
	}
	if src.KeyOffset(OfObject(Field{"x", Value{}}), 0) != -1 {
		t.Error("found a foreign value in the source")
	}
}

func TestParsePrefix(t *testing.T) {
	v, rest, err := ParsePrefix(` {"a":1} tail`)
	if err != nil || v.JSON() != `{"a":1}` || rest != " tail" {
		t.Errorf("got %v, %q, %v", v, rest, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.50,"x\u0041"],"a":null}`, `[[[]]]`, `"\ud83c\udd97"`, `-0`, `1e5`, ` true `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, src, err := ParseSource([]byte(s))
		if err != nil {
			return
		}
		text := v.JSON()
		again, err := ParseString(text)
		if err != nil {
			t.Fatalf("own text %q of %q does not parse: %v", text, s, err)
		}
		if !Equal(v, again) || again.JSON() != text {
			t.Fatalf("%q became %q then %q", s, text, again.JSON())
		}
		for i := range v.Len() {
			if o := src.ValueOffset(v, i); o < 0 || o >= len(s) {
				t.Fatalf("offset %d of element %d is outside %q", o, i, s)
			}
		}
	})
}

var benchText = `{"environment":"acceptance","skip_console_v1":true,"commit":{"sha":"0123456789abcdef0123456789abcdef01234567","message":"Fix the \"thing\"\n\nlong text","author":"A <a@example.com>"},"numbers":[1,2,3,4.5,-6],"nested":{"a":{"b":{"c":[{"d":null},{"d":false}]}}}}`

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchText)))
	for b.Loop() {
		if _, err := ParseString(benchText); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseEncodingJSON is the baseline: the standard library, which
// loses the order of keys and the size of integers.
func BenchmarkParseEncodingJSON(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(benchText)))
	for b.Loop() {
		var v any
		if err := json.Unmarshal([]byte(benchText), &v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	v := mustParse(b, benchText).With("x", OfInt(1))
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = v.AppendJSON(dst[:0])
	}
}

func TestSharedValuesAreSafeToRead(t *testing.T) {
	v := mustParse(t, benchText).With("x", OfInt(1))
	want := string(v.AppendJSON(nil))
	done := make(chan string)
	for range 8 {
		go func() { done <- v.With("y", OfBool(true)).Elem(0).JSON() + v.JSON() }()
	}
	for range 8 {
		if got := <-done; got != `"acceptance"`+want {
			t.Errorf("got %s", got)
		}
	}
}

func TestPassingOnKeepsTheText(t *testing.T) {
	v := mustParse(t, `{"a":[1,2],"b":"x"}`)
	if n := testing.AllocsPerRun(100, func() { _ = v.JSON() }); n != 0 {
		t.Errorf("the text of a parsed value costs %v allocations", n)
	}
	w := v.With("c", OfInt(1))
	_ = w.JSON()
	if n := testing.AllocsPerRun(100, func() { _ = w.JSON() }); n != 0 {
		t.Errorf("the text of a value written before costs %v allocations", n)
	}
}
