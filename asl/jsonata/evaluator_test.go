package jsonata

import (
	"sync"
	"testing"

	"switchyard/asl/value"
)

// statesLike knows the fields of $states without making it, as a state machine's
// bindings do.
type statesLike struct {
	BindingMap
	whole int // how often $states was asked for as a whole
}

func (s *statesLike) Lookup(name string) (value.Value, bool) {
	s.whole++
	return s.BindingMap.Lookup(name)
}

func (s *statesLike) LookupField(name, field string) (value.Value, bool) {
	v, _ := s.BindingMap.Lookup(name)
	return v.Get(field)
}

func TestFieldsOfVariablesComeOutAlike(t *testing.T) {
	states := BindingMap{"states": parseValue(t, `{"input":{"n":-40,"list":[{"k":1},{"k":2}],"deep":{"er":"x"},"one":[{"k":7}],"words":["a"]},"result":null}`)}
	for src, want := range map[string]string{
		`$states.input.n`:                                            `-40`,
		`$states.input.n.missing`:                                    `undefined`,
		`$states.input.list.k`:                                       `[1,2]`,
		`$states.input.one.k`:                                        `7`,
		`$states.input.one.k = 7`:                                    `true`,
		`$exists($states.input.words.k)`:                             `false`,
		`$exists($states.input.words.k) ? 1 : 2`:                     `2`,
		`$states.input.list.none`:                                    `undefined`,
		`$states.input.deep`:                                         `{"er":"x"}`,
		`$states.input.deep.er`:                                      `"x"`,
		`$states.missing.er`:                                         `undefined`,
		`$none.input.n`:                                              `undefined`,
		`$states.result`:                                             `null`,
		`$states.input.deep in [$states.input.deep]`:                 `true`,
		`($states := {"input": {"n": 3}}; $states.input.n)`:          `3`,
		`$map([1,2], function($states) { $states.input.n })`:         `undefined`,
		`$states.input.list@$states.($states.k)`:                     `[1,2]`,
		`($x := $states.input; $states.input.n & $x.n & $x.deep.er)`: `"-40-40x"`,
	} {
		if got := run(t, src, Scope{Bindings: states}); got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
		if got := run(t, src, Scope{Bindings: &statesLike{BindingMap: states}}); got != want {
			t.Errorf("%s, with fields looked up by themselves: %s, want %s", src, got, want)
		}
	}
	b := &statesLike{BindingMap: states}
	run(t, `$states.input.n > 1 or $states.input.deep.er = "x"`, Scope{Bindings: b})
	if b.whole > 0 {
		t.Errorf("$states was made %d times for its fields", b.whole)
	}
}

func TestWithoutAnInputTheRootIsNothing(t *testing.T) {
	e, err := Compile(`$$`)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok, err := e.Eval(&Scope{Bindings: BindingMap{"$": value.OfBool(true)}}); ok || err != nil {
		t.Errorf("%v, %v, %v", v, ok, err)
	}
}

// Evaluators are used again, which nobody may notice.
func TestEvaluationsShareNothing(t *testing.T) {
	_, _, failure := mustCompile(t, `$x.{"n":n} + 1`).Eval(&Scope{Bindings: BindingMap{"x": parseValue(t, `{"n":5}`)}})
	if failure == nil {
		t.Fatal("an object was added to a number")
	}
	said := failure.Error()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				for _, tt := range []struct{ src, bound, want string }{
					{`($y := $x; $f := function($n) { $n + $y }; $map([1..3], $f))`, `10`, `[11,12,13]`},
					{`$y`, `1`, `undefined`},
					{`$x[-1].a.b ~> $string`, `[{"a":1},{"a":{"b":[true]}}]`, `"[true]"`},
					{`$sum($x, 1)`, `[]`, `!T0410: Argument 2 of function "sum" does not match function signature`},
					{`$join($x.k, "-")`, `[{"k":"p"},{"k":"q"}]`, `"p-q"`},
				} {
					if got := run(t, tt.src, Scope{Bindings: BindingMap{"x": parseValue(t, tt.bound)}}); got != tt.want {
						t.Errorf("%s: %s, want %s", tt.src, got, tt.want)
					}
				}
			}
		})
	}
	all.Wait()
	if failure.Error() != said {
		t.Errorf("an error said %s, and later %s", said, failure)
	}
}

func mustCompile(t testing.TB, src string) *Expr {
	t.Helper()
	e, err := Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
