package jsonata

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"switchyard/asl/value"
)

const shop = `{"o":{"a":1,"b":{"c":2}},"x":7,"nested":[[1,2],[3]],
	"list":[{"n":2,"s":"x","tags":["x","y"]},{"n":1,"s":"y","tags":["z"]},{"n":3,"s":"x"}]}`

// run gives the result as JSON, "undefined", or "!" and the error.
func run(t testing.TB, src string, sc Scope) string {
	t.Helper()
	e, err := Compile(src)
	if err != nil {
		return "!" + err.Error()
	}
	if sc.Input == nil {
		in := parseValue(t, shop)
		sc.Input = &in
	}
	v, ok, err := e.Eval(&sc)
	switch {
	case err != nil:
		return "!" + err.Error()
	case !ok:
		return "undefined"
	}
	return v.JSON()
}

// TestLanguage has what jsonata 2.0.6 under Node gives.
func TestLanguage(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{`list.n`, `[2,1,3]`},
		{`list.missing`, `undefined`},
		{`list.tags.missing`, `undefined`},
		{`{"l":[{"k":1}]} ~> function($x){$x.l.k}`, `1`},
		{`list[n>1][0].n`, `2`},
		{`(list[n>1])[0].n`, `2`},
		{`list[1].tags`, `["z"]`},
		{`list[1].tags[]`, `["z"]`},
		{`o.a[]`, `[1]`},
		{`list.tags[0]`, `["x","z"]`},
		{`list.[n]`, `[[2],[1],[3]]`},
		{`list^(<s,>n).{"s":s,"n":n}`, `[{"s":"x","n":3},{"s":"x","n":2},{"s":"y","n":1}]`},
		{`list{s:$sum(n)}`, `{"x":5,"y":1}`},
		{`list#$i[n>1].{"i":$i,"n":n}`, `[{"i":0,"n":2},{"i":2,"n":3}]`},
		{`list@$l.list@$m[$l.n<$m.n].($l.n & "<" & $m.n)`, `["2<3","1<2","1<3"]`},
		{`list.tags.{"t":$,"n":%.n}`, `[{"t":"x","n":2},{"t":"y","n":2},{"t":"z","n":1}]`},
		{`list.%.o.a`, `[1,1,1]`},
		{`o.**.c`, `2`},
		{`{"a":[1]}.*`, `[1]`},
		{`{"1":1,"0":0,"a":2}`, `{"0":0,"1":1,"a":2}`},
		{`[1..3,7..9][-1]`, `9`},
		{`o ~> |$|{"z":9},["a"]|`, `{"b":{"c":2},"z":9}`},
		{`$ ~> |list[n=1]|{"n":100}| ~> $lookup("list") ~> $map(function($l){$l.n})`, `[2,100,3]`},
		{`($f:=function($n){$n<=1?1:$n*$f($n-1)};$f(10))`, `3628800`},
		{`($even:=function($n){$n=0?true:$odd($n-1)};$odd:=function($n){$n=0?false:$even($n-1)};$even(9000))`, `true`},
		{`o ~> |none|1,1|`, `{"a":1,"b":{"c":2}}`},
		{`$match("a😀b😀c", /[bc]/).index`, `[3,6]`},
		{`$replace("😀b😀c", /[bc]/, function($m){$string($m.start) & "-" & $string($m.end)})`, `"😀2-3😀5-6"`},
		{`/b/("😀b😀b").next().start`, `5`},
		{`($first:=$substring(?,0,2);$first("hello"))`, `"he"`},
		{`[true,null] ~> $map($power(?,2))`, `[1,0]`},
		{`["x"] ~> $map($power(?,2))`, `!D3061: The power function has resulted in a value that cannot be represented as a JSON number: base="x", exponent=2`},
		{`($up:=$uppercase ~> $length;$up("aB"))`, `2`},
		{`"p" ~> ($sqrt ~> $abs)`, `!T0410: Argument 1 of function "f" does not match function signature`},
		{`4 ~> ($sqrt ~> $uppercase)`, `!T0410: Argument 1 of function "g" does not match function signature`},
		{`($find:=$match("a", ?);$find(3))`, `!T1010: The matcher function argument passed to function "find" does not return the correct object structure`},
		{`$map([1..3], function($x,$i,$a){$x*$i+$count($a)})`, `[3,5,9]`},
		{`$map([1], function($x){[$x]})`, `[1]`},
		{`[list.(n>5?s)]`, `[]`},
		{`$string([0.1+0.2, 1e21, 1e20, 1e-7, $sum])`, `"[0.3,1e+21,100000000000000000000,1e-7,\"\"]"`},
		{`[1/0]`, `["Infinity"]`},
		{`$round(2.5) & $round(3.5) & $round(-2.5) & $round(1.005,2)`, `"24-21"`},
		{`$formatNumber(1234.5678,"00.000e0")`, `"12.346e2"`},
		{`$formatInteger(1234,"w")`, `"one thousand, two hundred and thirty-four"`},
		{`$parseInteger("twelve thousand, four hundred and seventy-six","w")`, `12476`},
		{`$fromMillis(1521801216617,"[D1o] [MNn] [Y0001] [FNn,*-3] [h#1]:[m01] [P] W[W] w[w]")`, `"23rd March 2018 Fri 10:33 am W12 w4"`},
		{`$toMillis("23rd March 2018 10:33 pm","[D1o] [MNn] [Y] [h]:[m] [P]")`, `1521844380000`},
		{`$replace("265USD",/([0-9]+)USD/,"$$1 $1x $12")`, `"$1 265x 2652"`},
		{`$match("2018-03",/(\d+)-(\d+)/)`, `{"match":"2018-03","index":0,"groups":["2018","03"]}`},
		{`$split("a1b22c",/\d+/)`, `["a","b","c"]`},
		{`"a" + 1`, `!T2001: The left side of the "+" operator must evaluate to a number`},
		{`1 < "a"`, `!T2009: The values 1 and "a" either side of operator "<" must be of the same data type`},
		{`$length(1)`, `!T0410: Argument 1 of function "length" does not match function signature`},
		{`$number("x")`, `!D3030: Unable to cast value to a number: "x"`},
		{`sum(1)`, `!T1005: Attempted to invoke a non-function. Did you mean $sum?`},
		{`$error("no " & "way")`, `!D3137: no way`},
		{`1 +`, `!S0207: Unexpected end of expression`},
		{`[1,`, `!S0203: Expected "]" before end of expression`},
		{`{"a"}`, `!S0202: Expected ":", got "}"`},
		{`a b`, `!S0201: Syntax error: "b"`},
		{`"open`, `!S0101: String literal must be terminated by a matching quote`},
		{`$missing`, `undefined`},
		{`o.zz + 1`, `undefined`},
	} {
		if got := run(t, tt.src, Scope{}); got != tt.want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", tt.src, got, tt.want)
		}
	}
}

func TestBindingsShadowFunctions(t *testing.T) {
	got := run(t, `[$v.n, $sum, ($sum:=4; $sum)]`, Scope{Bindings: BindingMap{"v": parseValue(t, `{"n":5}`), "sum": value.OfInt(3)}})
	if got != `[5,3,4]` {
		t.Errorf("got %s", got)
	}
}

func TestTimeStandsStill(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 789e6, time.UTC)
	if got := run(t, `[$now(), $millis(), $now("[Y]")]`, Scope{Now: at}); got != `["2031-02-03T04:05:06.789Z",1927857906789,"2031"]` {
		t.Errorf("got %s", got)
	}
}

// TestStateFunctions has what was measured on AWS: the random number of a seed
// is Java's, ranges include their end and drop fractions.
func TestStateFunctions(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{`$random(42)`, `0.7275636800328681`},
		{`$partition([1,2,3,4,5], 2)`, `[[1,2],[3,4],[5]]`},
		{`$partition([1,2], -1)`, `!D3137: The second argument of the partition function must be a positive integer: -1`},
		{`$range(0, 10, 5)`, `[0,5,10]`},
		{`$range(3.9, 1.1, -1)`, `[3,2,1]`},
		{`$range(5, 1, 1)`, `undefined`},
		{`$range(1, 9, 9)`, `1`},
		{`$range(1, 2)`, `undefined`},
		{`$partition([], 2)`, `undefined`},
		{`$partition([1,2], 0.5)`, `undefined`},
		{`$hash("abc")`, `undefined`},
		{`$eval("1")`, `!T1006: Attempted to invoke a non-function`},
		{`$count($range(1, 5000, 1))`, `5000`},
		{`$hash("abc", "MD5")`, `"900150983cd24fb0d6963f7d28e17f72"`},
		{`$hash("abc", "SHA-1")`, `"a9993e364706816aba3e25717850c26c9cd0d89d"`},
		{`$parse('{"a":[1,{"b":null}]}').a[1]`, `{"b":null}`},
		{`$length($uuid())`, `36`},
	} {
		if got := run(t, tt.src, Scope{}); got != tt.want {
			t.Errorf("%s\n\tgot  %s\n\twant %s", tt.src, got, tt.want)
		}
	}
}

func TestNumbersAreWrittenAsJavaScriptDoes(t *testing.T) {
	in := parseValue(t, `{"a":[1.0,1e3,0.00001,1E-7,123456789012345678901,9007199254740993],"b":"kept"}`)
	if got, want := run(t, `$`, Scope{Input: &in}), `{"a":[1,1000,0.00001,1e-7,123456789012345680000,9007199254740993],"b":"kept"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestLimits: hostile expressions end with U1001, soon and in bounded memory.
func TestLimits(t *testing.T) {
	limits := Limits{Steps: 200_000, Depth: 1000, Memory: 16 << 20, Value: 6_990_256}
	for name, src := range map[string]string{
		"endless loop":           `($f:=function(){$f()}; $f())`,
		"endless recursion":      `($f:=function($n){1+$f($n)}; $f(1))`,
		"array beyond its limit": `[1..873783]`,
		"doubling text":          `$reduce([1..60], function($t,$i){$t & $t}, "x")`,
		"doubling array":         `$reduce([1..60], function($a,$i){$append($a, $a)}, [1])`,
		"many long texts":        `$map([1..1000], function($i){$pad("", 100000)})`,
		"pad":                    `$pad("x", 1e12)`,
		"deep array":             `$reduce([1..90000], function($a,$i){[[$a]]}, [])`,
		"deep comparison":        `($a:=$reduce([1..9000], function($a,$i){[[$a]]}, [1]); $b:=$reduce([1..9000], function($a,$i){[[$a]]}, [1]); $a = $b)`,
		"object in itself":       `{"a":1} ~> |$|{"b":$}|`,
		"backtracking":           `$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /(a+)+$/)`,
		"parentheses":            strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000),
		"a long sum":             "1" + strings.Repeat("+1", 100000),
		"a long path":            "a" + strings.Repeat("[0]", 100000),
		"grown by replacement":   `$reduce([1..40], function($t,$i){$replace($t, "a", "aaaaaaaaaa")}, "a")`,
		"Roman numeral":          `$formatInteger(1e300, "I")`,
	} {
		t.Run(name, func(t *testing.T) {
			if got := run(t, src, Scope{Limits: limits}); !strings.HasPrefix(got, "!U1001: ") {
				t.Errorf("got %.100s", got)
			}
		})
	}
	if got := run(t, `$count([1..873782])`, Scope{Limits: StateLimits}); got != "873782" {
		t.Errorf("the largest array: got %s", got)
	}
}

// nested is an object of the same two objects again and again: in 60 steps of
// memory it holds 2 to the power of 60 leaves.
const nested = `($f:=function($n,$x){$n = 0 ? $x : $f($n-1, {"a":$x,"b":$x})}; $x:=$f(%d, %s); %s)`

// TestNothingIsBuiltBeforeItIsCharged: what goes beyond the limit of memory is
// refused before the memory is taken.
func TestNothingIsBuiltBeforeItIsCharged(t *testing.T) {
	const long = `$pad("é", 100000, "é")`
	for name, src := range map[string]string{
		"replacement":        `$replace(` + long + `, /.+/, $pad("$0", 20000, "$0"))`,
		"text of shared":     fmt.Sprintf(nested, 14, long, `$string($x)`),
		"indented":           fmt.Sprintf(nested, 14, long, `$string($x, true)`),
		"result of shared":   fmt.Sprintf(nested, 60, `1`, `$x`),
		"URL":                `$encodeUrlComponent($pad("é", 3000000, "é"))`,
		"URL back":           `$decodeUrlComponent($pad("x", 6000000, "x") & $pad("x", 900000, "x"))`,
		"base 64":            `$base64encode($pad("é", 3000000, "é"))`,
		"base 64 back":       `$base64decode($pad("x", 6000000, "x"))`,
		"upper case":         `$uppercase($pad("é", 3000000, "é"))`,
		"words of a trimmed": `$trim($pad("x ", 3000000, "x "))`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := run(t, src, Scope{Limits: Limits{Steps: 200_000, Depth: 1000, Memory: 16 << 20, Value: 6_990_256}})
			runtime.ReadMemStats(&after)
			if !strings.HasPrefix(got, "!U1001: ") {
				t.Errorf("got %.100s", got)
			}
			if taken := after.TotalAlloc - before.TotalAlloc; taken > 100<<20 {
				t.Errorf("took %d MB", taken>>20)
			}
		})
	}
}

func TestErrorsShowLittleOfWhatIsLarge(t *testing.T) {
	got := run(t, fmt.Sprintf(nested, 60, `"leaf"`, `$number($x)`), Scope{Limits: StateLimits})
	if !strings.HasPrefix(got, `!T0410: `) {
		t.Errorf("got %.100s", got)
	}
	got = run(t, fmt.Sprintf(nested, 60, `"leaf"`, `{"k": 1, $x: 2}`), Scope{Limits: StateLimits})
	if !strings.HasPrefix(got, `!T1003: Key in object structure must evaluate to a string; got: {"a":{"a":`) || len(got) > 1<<18 {
		t.Errorf("%d bytes: %.100s", len(got), got)
	}
}

func TestReferences(t *testing.T) {
	for _, tt := range []struct{ src, want string }{
		{`phone`, `phone`},
		{`a.b.c & d[e = 1]^(f){g: h}`, `a d`},
		{`$uppercase(name)`, `name`},
		{`function($x){ b + $x }`, `b`},
		{`$map($v, function($x){ $x.c })`, ``},
		{`[a, {"k": b}, c ? d : (e; f)]`, `a b c d e f`},
		{`$`, `$`},
		{`$.a`, `$`},
		{`$v[a = $]`, ``},
		{`$v ~> |a|{"b": c}|`, ``},
		{`*`, `*`},
		{`$x := y`, `y`},
	} {
		e, err := Compile(tt.src)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(e.References().Context, " "); got != tt.want {
			t.Errorf("%s reads %q of its context, want %q", tt.src, got, tt.want)
		}
	}
	e, err := Compile(`$states.input.a & $states.result & $states & $$.x`)
	if err != nil {
		t.Fatal(err)
	}
	if r := e.References(); !r.Root || strings.Join(r.Fields["states"], ",") != "input,result," {
		t.Errorf("got %+v", r)
	}
}
