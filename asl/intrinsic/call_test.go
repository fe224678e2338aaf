package intrinsic

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
)

func mustJSON(t testing.TB, s string) value.Value {
	t.Helper()
	v, err := value.ParseString(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func scope(input value.Value) *Scope {
	return &Scope{
		Scope:   jsonpath.Scope{Input: input},
		Random:  func(n uint64) uint64 { return n - 1 },
		NewUUID: func() string { return "00000000-0000-4000-8000-000000000000" },
	}
}

func TestCalls(t *testing.T) {
	for _, tt := range []struct{ name, call, input, want string }{
		{"format", `States.Format('{} is {}', $.a, $.b)`, `{"a":"x","b":1.5}`, `"x is 1.5"`},
		{"format shows null, booleans and objects as Java does", `States.Format('{} {} {}', $.n, true, $.o)`, `{"n":null,"o":{"k":["v",1]}}`, `"null true {k=[v, 1]}"`},
		{"format keeps escaped braces", `States.Format('\{{}\} it\'s \\', 1)`, `{}`, `"{1} it's \\"`},
		{"format takes its template from the input", `States.Format($.t, 'x')`, `{"t":"<{}> \\{\\}"}`, `"<x> {}"`},
		{"a lone brace stands for itself", `States.Format('{"a": {}}', 1)`, `{}`, `"{\"a\": 1}"`},
		{"format without placeholders", `States.Format('plain')`, `{}`, `"plain"`},
		{"a real line feed in a text", "States.StringSplit('a\nb', '\n')", `{}`, `["a","b"]`},
		{"string to JSON", `States.StringToJson($.s)`, `{"s":"{\"a\": [1, 2.0]}"}`, `{"a":[1,2.0]}`},
		{"empty string to JSON", `States.StringToJson('')`, `{}`, `null`},
		{"text after a value is left", `States.StringToJson('[1] x')`, `{}`, `[1]`},
		{"JSON to string", `States.JsonToString($)`, `{"a": [1, "x\u00e9"]}`, `"{\"a\":[1,\"xé\"]}"`},
		{"array of nothing", `States.Array()`, `{}`, `[]`},
		{"array of mixed arguments", `States.Array(1, -2.5, 'x', null, $.a)`, `{"a":{}}`, `[1,-2.5,"x",null,{}]`},
		{"partition", `States.ArrayPartition($.a, 2)`, `{"a":[1,2,3]}`, `[[1,2],[3]]`},
		{"partition of nothing", `States.ArrayPartition($.a, 2)`, `{"a":[]}`, `[]`},
		{"partition rounds its size", `States.ArrayPartition($.a, 1.5)`, `{"a":[1,2,3]}`, `[[1,2],[3]]`},
		{"contains an object", `States.ArrayContains($.a, $.b)`, `{"a":[{"x":1,"y":2}],"b":{"y":2,"x":1}}`, `true`},
		{"does not contain", `States.ArrayContains($.a, 2)`, `{"a":[1]}`, `false`},
		{"range up to its end", `States.ArrayRange(1, 9, 2)`, `{}`, `[1,3,5,7,9]`},
		{"range down", `States.ArrayRange(3, 0, -2)`, `{}`, `[3,1]`},
		{"range of nothing", `States.ArrayRange(3, 0, 1)`, `{}`, `[]`},
		{"get item", `States.ArrayGetItem($.a, 1)`, `{"a":["x","y"]}`, `"y"`},
		{"length", `States.ArrayLength($.a)`, `{"a":["x","y"]}`, `2`},
		{"unique keeps the first of each", `States.ArrayUnique($.a)`, `{"a":[1,"1",1,{"x":1,"y":2},{"y":2,"x":1},null,null,[1],[1]]}`, `[1,"1",{"x":1,"y":2},null,[1]]`},
		{"encode", `States.Base64Encode('Data to encode')`, `{}`, `"RGF0YSB0byBlbmNvZGU="`},
		{"decode", `States.Base64Decode('RGF0YSB0byBlbmNvZGU=')`, `{}`, `"Data to encode"`},
		{"decode without padding", `States.Base64Decode('YQ')`, `{}`, `"a"`},
		{"hash", `States.Hash('input data', 'SHA-1')`, `{}`, `"aaff4a450a104cd177d28d18d74485e8cae074b7"`},
		{"hash of an object is of its JSON", `States.Hash($, 'MD5')`, `{ "a": 1 }`, `"bb6cb5c68df4652941caf652a366f2d8"`},
		{"merge is shallow, the second wins in place", `States.JsonMerge($.a, $.b, false)`, `{"a":{"x":{"p":1},"y":1},"b":{"x":{"q":2},"z":3}}`, `{"x":{"q":2},"y":1,"z":3}`},
		{"random with the given source", `States.MathRandom(1, 999)`, `{}`, `998`},
		{"add", `States.MathAdd($.a, -1)`, `{"a":111}`, `110`},
		{"add rounds each half up", `States.MathAdd(-1.5, -1.51)`, `{}`, `-3`},
		{"split at any of the delimiters, without empty parts", `States.StringSplit('This.is+a,,test', '.+,')`, `{}`, `["This","is","a","test"]`},
		{"split without delimiter", `States.StringSplit('a b', '')`, `{}`, `["a b"]`},
		{"UUID from the given source", `States.UUID()`, `{}`, `"00000000-0000-4000-8000-000000000000"`},
		{"nested", `States.ArrayGetItem(States.StringSplit($.s, '-'), States.MathAdd(States.ArrayLength(States.StringSplit($.s, '-')), -1))`, `{"s":"a-b-c"}`, `"c"`},
		{"white space", " States.Array ( 1 ,\n$.a ) ", `{"a":2}`, `[1,2]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(tt.call)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Eval(scope(mustJSON(t, tt.input)))
			if err != nil {
				t.Fatal(err)
			}
			if got.JSON() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCallsFail(t *testing.T) {
	long := strings.Repeat("x", maxChars+1)
	for _, tt := range []struct{ name, call, input, want string }{
		{"too few values for a format", `States.Format('{} {}', 1)`, `{}`, "2 placeholders for 1 argument"},
		{"too many values for a format", `States.Format('{}', 1, 2)`, `{}`, "1 placeholders for 2 arguments"},
		{"format of a number", `States.Format($.a)`, `{"a":1}`, "argument 1 must be a string, was 1"},
		{"not JSON", `States.StringToJson('{')`, `{}`, "invalid JSON"},
		{"a date is not a number", `States.StringToJson('2012-10-09')`, `{}`, "after the number"},
		{"partition by nothing", `States.ArrayPartition($.a, 0)`, `{"a":[1]}`, "positive"},
		{"partition of a text", `States.ArrayPartition('x', 1)`, `{}`, "must be an array"},
		{"range without step", `States.ArrayRange(1, 2, 0)`, `{}`, "must not be 0"},
		{"range too long", `States.ArrayRange(1, 1001, 1)`, `{}`, "more than 1000"},
		{"index beyond the end", `States.ArrayGetItem($.a, 1)`, `{"a":[1]}`, "out of bounds"},
		{"negative index", `States.ArrayGetItem($.a, -1)`, `{"a":[1]}`, "out of bounds"},
		{"index that is a text", `States.ArrayGetItem($.a, '0')`, `{"a":[1]}`, "must be an integer"},
		{"not Base64", `States.Base64Decode('*')`, `{}`, "not Base64"},
		{"too long to encode", `States.Base64Encode($.a)`, `{"a":"` + long + `"}`, "longer than 10000"},
		{"unknown algorithm", `States.Hash('x', 'CRC')`, `{}`, "unknown algorithm"},
		{"deep merge", `States.JsonMerge($, $, true)`, `{}`, "must be false"},
		{"merge of a list", `States.JsonMerge($, $, false)`, `[]`, "must be an object"},
		{"random without range", `States.MathRandom(5, 5)`, `{}`, "must be less"},
		{"beyond 32 bits", `States.MathAdd(2147483648, 1)`, `{}`, "must be between"},
		{"adding a text", `States.MathAdd('1', 1)`, `{}`, "must be a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse(tt.call)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Eval(scope(mustJSON(t, tt.input)))
			var failed *Error
			if !errors.As(err, &failed) {
				t.Fatalf("error %v, want an *Error", err)
			}
			if !strings.Contains(failed.Msg, tt.want) || failed.Call != tt.call {
				t.Errorf("got %q of %q, want %q", failed.Msg, failed.Call, tt.want)
			}
		})
	}
}

func TestMissingArgumentNamesItsPathAndTheWholeCall(t *testing.T) {
	c, err := Parse(`States.Array(States.Format('{}', $.a.b))`)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Eval(scope(mustJSON(t, `{}`)))
	var missing *ArgumentError
	if !errors.As(err, &missing) || missing.Path.String() != "$.a.b" || missing.Call != c.String() {
		t.Errorf("error %#v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	nested := strings.Repeat("States.Array(", 11) + strings.Repeat(")", 11)
	for call, want := range map[string]string{
		``:                             `unknown function ""`,
		`States.Nope()`:                `unknown function "States.Nope"`,
		`States.Array`:                 "expected '('",
		`States.Array(`:                "expected a path",
		`States.Array(1 2)`:            "expected ','",
		`States.Array(1,)`:             "expected a path",
		`States.Array() x`:             "after the call",
		`States.Array('x)`:             "not closed",
		`States.Array("x")`:            "expected a path",
		`States.Array($.)`:             "name is missing",
		`States.Array($.a b)`:          "expected ','",
		`States.Array([1])`:            "expected a path",
		`States.Array(nil)`:            "invalid JSON",
		`States.Format('a "\x" b')`:    "unknown escape",
		`States.Format('said \"hi\"')`: "unknown escape",
		`States.Format()`:              "takes at least 1 argument, not 0",
		`States.UUID(1)`:               "takes 0 arguments, not 1",
		`States.MathRandom(1)`:         "takes 2 to 3 arguments, not 1",
		`States.ArrayLength($.a, $.b)`: "takes 1 argument, not 2",
		nested:                         "nested deeper than 10",
	} {
		_, err := Parse(call)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(syntax.Msg, want) {
			t.Errorf("%.50s: error %v, want %q", call, err, want)
		}
	}
	if _, err := Parse(strings.Repeat("States.Array(", 10) + strings.Repeat(")", 10)); err != nil {
		t.Errorf("ten nested calls: %v", err)
	}
}

func TestSeededRandomRepeats(t *testing.T) {
	c, err := Parse(`States.MathRandom(-5, 5, $.seed)`)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, seed := range []string{`{"seed":1}`, `{"seed":2}`, `{"seed":3}`, `{"seed":4}`} {
		var last value.Value
		for i := range 3 {
			v, err := c.Eval(scope(mustJSON(t, seed)))
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := v.Int(); n < -5 || n >= 5 {
				t.Fatalf("%d is out of range", n)
			}
			if i > 0 && !value.Equal(v, last) {
				t.Fatalf("seed %s gave %s then %s", seed, last, v)
			}
			last = v
		}
		seen[last.JSON()] = true
	}
	if len(seen) < 2 {
		t.Errorf("four seeds gave the same number: %v", seen)
	}
}

func TestDefaultSourcesOfChance(t *testing.T) {
	sc := &Scope{}
	id, err := Parse(`States.UUID()`)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := id.Eval(sc)
	b, _ := id.Eval(sc)
	form := regexp.MustCompile(`^"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"$`)
	if !form.MatchString(a.JSON()) || value.Equal(a, b) {
		t.Errorf("UUIDs %s and %s", a, b)
	}
	roll, err := Parse(`States.MathRandom(1, 3)`)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		v, err := roll.Eval(sc)
		if n, _ := v.Int(); err != nil || n < 1 || n > 2 {
			t.Fatalf("rolled %v, %v", v, err)
		}
	}
}

func FuzzCall(f *testing.F) {
	for _, s := range []string{
		`States.Format('{} \{ \'', $.a)`, `States.ArrayGetItem(States.Array(1, $.a), 0)`, `States.ArrayRange(0, 5, 1)`,
		`States.StringToJson('[1]')`, `States.JsonMerge($, $, false)`, `States.MathRandom(1, 9, 1e300)`, `States.Hash($.a, 'MD5')`,
		`States.ArrayPartition($.a, 2)`, `States.StringSplit($.a, ',')`, `States.Base64Decode('YQ==')`,
	} {
		f.Add(s, `{"a":[1,"x"]}`)
	}
	f.Fuzz(func(t *testing.T, call, input string) {
		c, err := Parse(call)
		if err != nil {
			return
		}
		v, err := value.ParseString(input)
		if err != nil {
			return
		}
		if again, err := Parse(c.String()); err != nil || again.String() != c.String() {
			t.Fatalf("%q does not parse again: %v", c, err)
		}
		if out, err := c.Eval(scope(v)); err == nil {
			if _, err := value.ParseStored(out.JSON()); err != nil {
				t.Fatalf("%q gave what is not JSON: %v", call, err)
			}
		}
	})
}

func BenchmarkFormat(b *testing.B) {
	c, err := Parse(`States.Format('{} of {}', $.a, $.b)`)
	if err != nil {
		b.Fatal(err)
	}
	sc := scope(mustJSON(b, `{"a":1,"b":"x"}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Eval(sc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMathAdd(b *testing.B) {
	c, err := Parse(`States.MathAdd($.a, -1)`)
	if err != nil {
		b.Fatal(err)
	}
	sc := scope(mustJSON(b, `{"a":200}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Eval(sc); err != nil {
			b.Fatal(err)
		}
	}
}
