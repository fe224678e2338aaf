package jsonpath

import (
	"errors"
	"strings"
	"testing"
	"time"

	"switchyard/asl/value"
)

const store = `{"store":{"book":[
 {"category":"reference","author":"Rees","title":"Sayings","price":8.95},
 {"category":"fiction","author":"Waugh","title":"Sword","price":12.99},
 {"category":"fiction","author":"Melville","title":"Moby","isbn":"0-553","price":8.99},
 {"category":"fiction","author":"Tolkien","title":"Lord","isbn":"0-395","price":22.99}],
 "bicycle":{"color":"red","price":19.95}},
 "limit":10,"tags":["a","b","c"],"empty":[],"null":null,"dash-ed":1,"a.b":2,"it's":3}`

func mustJSON(t testing.TB, s string) value.Value {
	t.Helper()
	v, err := value.ParseString(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestEvalSelects(t *testing.T) {
	doc := mustJSON(t, store)
	for _, tt := range []struct{ path, want string }{
		{"$.limit", `10`},
		{"$.dash-ed", `1`},
		{`$.a\.b`, `2`},
		{"$['a.b']", `2`},
		{`$["limit"]`, `10`},
		{`$['it\'s']`, `3`},
		{"$.null", `null`},
		{"$.tags[0]", `"a"`},
		{"$.tags[-1]", `"c"`},
		{"$.tags[0,2]", `["a","c"]`},
		{"$.tags[1:]", `["b","c"]`},
		{"$.tags[:2]", `["a","b"]`},
		{"$.tags[-2:]", `["b","c"]`},
		{"$.tags[1:2]", `["b"]`},
		{"$.tags[::2]", `["a","c"]`},
		{"$.tags[5:9]", `[]`},
		{"$.tags[*]", `["a","b","c"]`},
		{"$.store.bicycle.*", `["red",19.95]`},
		{"$.store.bicycle['color','price']", `{"color":"red","price":19.95}`},
		{"$.store['book','bicycle'].price", `[19.95]`},
		{"$.store.book[*].author", `["Rees","Waugh","Melville","Tolkien"]`},
		{"$..author", `["Rees","Waugh","Melville","Tolkien"]`},
		{"$..price", `[8.95,12.99,8.99,22.99,19.95]`},
		{"$..book[2].title", `["Moby"]`},
		{"$.store..color", `["red"]`},
		{"$.nothing[*]", `[]`},
		{"$.nothing.deeper[1:]", `[]`},
		{"$.limit[*]", `[]`},
		{"$.empty[*].x", `[]`},
		{"$.store.book[?(@.price < 10)].title", `["Sayings","Moby"]`},
		{"$.store.book[?(@.price<10&&@.isbn)].title", `["Moby"]`},
		{"$.store.book[?(@.price > $.limit)].title", `["Sword","Lord"]`},
		{"$.store.book[?(@.isbn)].title", `["Moby","Lord"]`},
		{"$.store.book[?(!@.isbn)].title", `["Sayings","Sword"]`},
		{"$.store.book[?(@.category == 'fiction' && (@.price < 9 || @.author == \"Tolkien\"))].title", `["Moby","Lord"]`},
		{"$.store.book[?(@['author'] != 'Rees')].price", `[12.99,8.99,22.99]`},
		{"$.store.book[?(@.author =~ /.*ees/)].author", `["Rees"]`},
		{"$.store.book[?(@.author =~ /WAUGH/i)].author", `["Waugh"]`},
		{"$.store.book[?(@.author =~ /ees/)].author", `[]`},
		{"$.store.book[?(@.author in ['Rees','Waugh'])].price", `[8.95,12.99]`},
		{"$.store.book[?(@.author nin [\"Rees\"])].author", `["Waugh","Melville","Tolkien"]`},
		{"$.store.book[?(@.title contains 'or')].title", `["Sword","Lord"]`},
		{"$.store.book[?(@.author.length() == 4)].author", `["Rees"]`},
		{"$.store[?(@.color == 'red')]", `[]`},
		{"$.store.bicycle[?(@.color == 'red')].price", `[19.95]`},
		{"$..[?(@.color == 'red')].price", `[19.95]`},
		{"$..[?(@.isbn)].title", `["Moby","Lord"]`},
		{"$.tags[?(@ == 'b')]", `["b"]`},
		{"$.tags[?(@ in $.tags)]", `["a","b","c"]`},
		{"$.tags[?(@ size 1)]", `["a","b","c"]`},
		{"$.store.book[?(@.price == '8.95')].title", `["Sayings"]`},
		{"$.store.book[?(@.none == null)].title", `[]`},
		{"$.store.book[?(@.price >= 12.99)].title", `["Sword","Lord"]`},
		{"$.tags.length()", `3`},
		{"$.store.book.length()", `4`},
		{"$..price.sum()", `73.87`},
		{"$.store.book[*].title.length()", `[7,5,4,4]`},
		{"$.store.bicycle.keys()", `["color","price"]`},
		{"$.tags.first()", `"a"`},
		{"$.tags.index(1)", `"b"`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			p, err := Parse(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(&Scope{Input: doc})
			if err != nil {
				t.Fatal(err)
			}
			if got.JSON() != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if p.String() != tt.path {
				t.Errorf("String() = %q, want %q", p, tt.path)
			}
		})
	}
}

func TestComparisonsTakeTextsWithoutQuotes(t *testing.T) {
	doc := mustJSON(t, `{"at":[
		{"n":1,"k":"harbour"},{"n":2,"k":"New York"},{"n":3,"k":"v1.20.3"},{"n":4,"k":"/dev/sda-1"},{"n":5,"k":"a@b.org"},
		{"n":6,"k":true},{"n":7,"k":2024},{"n":8,"k":"2024-11-30"},{"n":9,"k":"truest"},{"n":10,"k":null},{"n":11,"k":"-"}]}`)
	for filter, want := range map[string]string{
		"@.k==harbour":                  `[1]`,
		"@.k == harbour ":               `[1]`,
		"@.k==New York":                 `[2]`,
		"@.k ==  New York  ":            `[2]`,
		"@.k==v1.20.3":                  `[3]`,
		"@.k==/dev/sda-1":               `[4]`,
		"@.k==a@b.org":                  `[5]`,
		"@.k==true":                     `[6]`,
		"@.k==2024":                     `[7]`,
		"@.k==2024-11-30":               `[8]`,
		"@.k==truest":                   `[9]`,
		"@.k==null":                     `[10]`,
		"@.k==-":                        `[11]`,
		"@.k===harbour":                 `[1]`,
		"@.n<4&&@.k!=harbour":           `[2,3]`,
		"@.n<4 && @.k != New York":      `[1,3]`,
		"@.k==harbour||@.k == New York": `[1,2]`,
		"(@.k==harbour) || @.n==11":     `[1,11]`,
		"!(@.k!=New York)":              `[2]`,
		"@.n<5&&@.k>=n":                 `[3]`,
		"@['k']==harbour":               `[1]`,
	} {
		p, err := Parse("$.at[?(" + filter + ")].n")
		if err != nil {
			t.Errorf("%s: %v", filter, err)
			continue
		}
		if got, err := p.Eval(&Scope{Input: doc}); err != nil || got.JSON() != want {
			t.Errorf("%s selected %v, %v, want %s", filter, got, err, want)
		}
	}
}

func TestBlanksAroundAPathDoNotCount(t *testing.T) {
	doc := mustJSON(t, `{"a":{"b":[1,2]}}`)
	for _, path := range []string{" $.a.b[1]", "$.a.b[1] ", "\t$.a.b[1]\r\n"} {
		p, err := Parse(path)
		if err != nil {
			t.Errorf("%q: %v", path, err)
			continue
		}
		if got, err := p.Eval(&Scope{Input: doc}); err != nil || got.JSON() != "2" {
			t.Errorf("%q selected %v, %v, want 2", path, got, err)
		}
	}
	if ref, err := ParseReference(" $ "); err != nil || !ref.IsRoot() {
		t.Errorf("reference to the root between blanks: %v, %v", ref, err)
	}
}

func TestEvalStartsAtItsRoot(t *testing.T) {
	sc := &Scope{
		Input:   mustJSON(t, `{"x":"input"}`),
		Context: func() value.Value { return mustJSON(t, `{"Execution":{"Name":"n"}}`) },
		Variable: func(name string) (value.Value, bool) {
			return mustJSON(t, `{"x":["var"]}`), name == "größe_1"
		},
	}
	for path, want := range map[string]string{
		"$":                   `{"x":"input"}`,
		"$.x":                 `"input"`,
		"$$":                  `{"Execution":{"Name":"n"}}`,
		"$$.Execution.Name":   `"n"`,
		"$$['Execution']":     `{"Name":"n"}`,
		"$größe_1.x[0]":       `"var"`,
		"$größe_1['x'][*]":    `["var"]`,
		"$größe_1":            `{"x":["var"]}`,
		"$größe_1.x.length()": `1`,
	} {
		p, err := Parse(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got, err := p.Eval(sc); err != nil || got.JSON() != want {
			t.Errorf("%s gave %v, %v, want %s", path, got, err, want)
		}
	}
}

func TestDefinitePathThatSelectsNothingSaysWhy(t *testing.T) {
	doc := mustJSON(t, `{"a":{"b":1,"s":"x","n":null,"l":[1]}}`)
	for _, tt := range []struct{ path, want string }{
		{"$.no", "No results for path: $['no']"},
		{"$.a.no", "No results for path: $['a']['no']"},
		{"$.no.b", "Missing property in path $['no']"},
		{"$.a.l[3]", "No results for path: $['a']['l'][3]"},
		{"$.a.n[0]", "The path $['a']['n'] is null"},
		{"$.a.s[0]", "Filter: [0] can only be applied to arrays. Current context is: x"},
		{"$.a.s.t", "Expected to find an object with property ['t'] in path $['a']['s'] but found 'java.lang.String'. " +
			"This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."},
		{"$unknown.x", "No results for path: $['unknown']"},
	} {
		p, err := Parse(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Eval(&Scope{Input: doc})
		var missing *NotFoundError
		if !errors.As(err, &missing) || missing.Error() != tt.want || missing.Path != tt.path {
			t.Errorf("%s: error %v, want %q", tt.path, err, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"", "must start with $"},
		{"a.b", "must start with $"},
		{"$.", "must not end with '.'"},
		{"$..", "must not end with '.'"},
		{"$...a", "unexpected '.'"},
		{"$.a..", "must not end with '.'"},
		{"$.a b", "unexpected"},
		{"$[", "expected a name in quotes"},
		{"$[]", "expected a name in quotes"},
		{"$[abc]", "expected a name in quotes"},
		{"$['a", "a quote is not closed"},
		{"$['a',]", "expected a name in quotes after ','"},
		{"$[1", "expected ']'"},
		{"$[1,2:3]", "cannot stand in a list"},
		{"$[::0]", "must not be 0"},
		{"$[99999999999]", "is not an index"},
		{"$.a'b", "use ['…']"},
		{"$.a.nope()", `unknown function "nope"`},
		{"$[?]", "needs an expression"},
		{"$[?(@.a ==)]", "expected a path"},
		{"$[?(@.a == 1]", "expected ')'"},
		{"$[?(@.a == b]", "expected ')'"},
		{"$[?(@.a == b == c)]", "expected ')'"},
		{"$[?(@.a == it's)]", "expected ')'"},
		{"$[?(home == @.a)]", "expected a path"},
		{"$[?(@.a =~ 'x')]", "go together"},
		{"$[?(@.a =~ /(/)]", "cannot compile"},
		{"$[?(@.a =~ /x/q)]", "unknown flag"},
		{"$[?(@.a in [$.b])]", "only hold literals"},
		{"$[?(@.a == $$.b)]", "only refer to $ and @"},
		{"$" + strings.Repeat("v", 81), "at most 80"},
		{"$[?" + strings.Repeat("(", 100) + "@.a" + strings.Repeat(")", 100) + "]", "nested deeper"},
		{"$." + strings.Repeat("a", maxLength), "longer than"},
	} {
		_, err := Parse(tt.path)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.40s: error %v, want a *SyntaxError", tt.path, err)
			continue
		}
		if !strings.Contains(syntax.Msg, tt.want) {
			t.Errorf("%.40s: %q, want it to contain %q", tt.path, syntax.Msg, tt.want)
		}
	}
}

func TestParsePrefixStopsAtTheEndOfAnArgument(t *testing.T) {
	for in, rest := range map[string]string{
		"$.a, $.b)": ", $.b)", "$.a)": ")", "$['x, y'] , 1": " , 1", "$$.a.b)": ")", "$v)": ")", "$, 1": ", 1",
	} {
		_, got, err := ParsePrefix(in)
		if err != nil || got != rest {
			t.Errorf("ParsePrefix(%q) left %q, %v, want %q", in, got, err, rest)
		}
	}
}

func TestReferenceSet(t *testing.T) {
	for _, tt := range []struct{ name, path, in, want string }{
		{"replaces a field", "$.a", `{"a":1,"b":2}`, `{"a":"new","b":2}`},
		{"adds a field", "$.c", `{"a":1}`, `{"a":1,"c":"new"}`},
		{"makes what is missing on the way", "$.x.y.z", `{"a":1}`, `{"a":1,"x":{"y":{"z":"new"}}}`},
		{"replaces an element", "$.a[1]", `{"a":[1,2,3]}`, `{"a":[1,"new",3]}`},
		{"field of an element", "$.a[0].b", `{"a":[{}]}`, `{"a":[{"b":"new"}]}`},
		{"root", "$", `{"a":1}`, `"new"`},
		{"brackets", "$['a.b']['c']", `{}`, `{"a.b":{"c":"new"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ref, err := ParseReference(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			in := mustJSON(t, tt.in)
			got, err := ref.Set(in, value.OfString("new"))
			if err != nil || got.JSON() != tt.want {
				t.Errorf("got %v, %v, want %s", got, err, tt.want)
			}
			if !value.Equal(in, mustJSON(t, tt.in)) {
				t.Errorf("the input changed to %s", in)
			}
		})
	}
}

func TestReferenceSetRefusesWhatItCannotStepInto(t *testing.T) {
	for _, tt := range []struct{ path, in, want string }{
		{"$.a", `"text"`, `Unable to apply step "a" to input "text"`},
		{"$.a", `[1]`, `Unable to apply step "a" to input [1]`},
		{"$.a.b", `{"a":1}`, `Unable to apply step "b" to input {"a":1}`},
		{"$.a[0]", `{"a":{}}`, `Unable to apply step "0" to input {"a":{}}`},
		{"$.a[2]", `{"a":[1]}`, `Unable to apply step "2" to input {"a":[1]}`},
	} {
		ref, err := ParseReference(tt.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ref.Set(mustJSON(t, tt.in), value.Value{}); err == nil || err.Error() != tt.want {
			t.Errorf("%s into %s: %v, want %s", tt.path, tt.in, err, tt.want)
		}
	}
}

func TestParseReferenceRefusesPathsToManyPlaces(t *testing.T) {
	for _, path := range []string{"$..a", "$.a[*]", "$.*", "$.a[0,1]", "$.a[1:]", "$.a[?(@.b)]", "$['a','b']", "$.a[-1]", "$.a.length()", "$$.a", "$var.a"} {
		if _, err := ParseReference(path); err == nil {
			t.Errorf("%s was taken for a reference", path)
		}
	}
}

func TestCostlyPathsEnd(t *testing.T) {
	wide := "[" + strings.Repeat("1,", 50000) + "1]"
	deep := strings.Repeat(`{"a":[`, 400) + strings.Repeat(`]}`, 400)
	for _, tt := range []struct{ name, path, doc string }{
		{"nested scans", "$" + strings.Repeat("..*", 6), deep},
		{"scans in a filter", "$..[?(@..a)]..[?(@..a)]", deep},
		{"list in list", "$[?(@ in $)]", strings.ReplaceAll(wide, "1", "[1]")},
		{"subset", "$[?($ subsetof $)]", wide},
		{"many clauses", "$[?(@.b" + strings.Repeat(" || @.a", 5000) + ")]", wide},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse(tt.path)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if _, err := p.Eval(&Scope{Input: mustJSON(t, tt.doc)}); !errors.Is(err, errTooMuch) {
				t.Errorf("error %v, want %v", err, errTooMuch)
			}
			if d := time.Since(start); d > 10*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func TestJavaString(t *testing.T) {
	v := mustJSON(t, `{"a":1,"b":["x",null,true,1.5],"c":{}}`)
	if got, want := JavaString(v), `{a=1, b=[x, null, true, 1.5], c={}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"$.a.b[0]['c']", "$..a[?(@.b == 1 && @.c in ['x'])]", "$$.x[1:2:3]", "$v[0,1].length()", `$.a\.b`, "$[?(@.a =~ /x/i)]", "$[?(!(@.a))]", " $..a[?(@.b!=x y.z/-)] "} {
		f.Add(s, `{"a":{"b":[{"c":1}]},"x":[1,2,3]}`)
	}
	f.Fuzz(func(t *testing.T, path, doc string) {
		p, err := Parse(path)
		if err != nil {
			return
		}
		v, err := value.ParseString(doc)
		if err != nil {
			return
		}
		sc := &Scope{Input: v, Variable: func(string) (value.Value, bool) { return v, true }}
		got, err := p.Eval(sc)
		if err == nil && !p.Definite() && got.Kind() != value.Array {
			t.Fatalf("%q is indefinite but gave %s", path, got)
		}
		if again, err := Parse(p.String()); err != nil || again.Definite() != p.Definite() {
			t.Fatalf("%q does not parse again: %v", p, err)
		}
		if ref, err := ParseReference(path); err == nil {
			if out, err := ref.Set(v, value.OfInt(7)); err == nil {
				if back, err := p.Eval(&Scope{Input: out}); err != nil || !value.Equal(back, value.OfInt(7)) {
					t.Fatalf("%q set in %s but read %v, %v", path, v, back, err)
				}
			}
		}
	})
}

func BenchmarkEval(b *testing.B) {
	doc := mustJSON(b, store)
	for _, path := range []string{"$.limit", "$.store.bicycle.color", "$.store.book[2].title", "$..price", "$.store.book[?(@.price < 10)].title"} {
		p, err := Parse(path)
		if err != nil {
			b.Fatal(err)
		}
		sc := &Scope{Input: doc}
		b.Run(path, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(sc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReferenceSet(b *testing.B) {
	doc := mustJSON(b, store)
	ref, err := ParseReference("$.store.bicycle.owner")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ref.Set(doc, value.OfInt(1)); err != nil {
			b.Fatal(err)
		}
	}
}
