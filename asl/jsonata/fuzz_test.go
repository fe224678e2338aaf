package jsonata

import (
	"errors"
	"testing"

	"switchyard/asl/value"
)

var seeds = []string{
	`list[n>1]^(>n).{"s":s,"n":n}`, `list@$l#$i.tags#$t.[$i,$t,%.n]`, `o ~> |$|{"z":9},["a"]|`, `$replace("a1b2",/([a-z])(\d)/i,"$2$1")`,
	`($f:=function($n)<n:n>{$n<=1?1:$n*$f($n-1)};$f(10))`, `$fromMillis(0,"[Y0001]-[M01]-[D1o] [FNn,*-3]")`, `$toMillis("1 Jan 2020","[D] [MNn,3-3] [Y]")`,
	`$formatNumber(1234.5,"#,##0.00;(0)")`, `$formatInteger(1234,"Ww;o")`, `$map([1..3],$string) ~> $join(?, "-")`, `list{s:$sum(n)}`, `[[1,[2]]].**`,
	"`quoted name`.\"x\\u00e9\" /* c */ in ['a'..3]", `$match("x", /(?<=a)(?:b|c){2,3}?\b[^\d\w-z]/m)`,
}

func FuzzCompile(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if e, err := Compile(src); err == nil && e.String() != src {
			t.Errorf("%q became %q", src, e)
		}
	})
}

func FuzzEval(f *testing.F) {
	for _, s := range seeds {
		f.Add(s, shop)
	}
	limits := Limits{Steps: 20_000, Depth: 200, Memory: 4 << 20, Value: 1 << 20}
	f.Fuzz(func(t *testing.T, src, input string) {
		in, err := value.ParseString(input)
		if err != nil {
			return
		}
		e, err := Compile(src)
		if err != nil {
			return
		}
		v, ok, err := e.Eval(&Scope{Input: &in, Limits: limits})
		if errors.Is(err, ErrFunction) {
			return
		}
		if err != nil {
			if asError(err).Message() == "" {
				t.Errorf("%s: an error without a message: %v", src, err)
			}
			return
		}
		if !ok {
			return
		}
		if _, err := value.ParseString(v.JSON()); err != nil {
			t.Errorf("%s gives what is not JSON: %v", src, err)
		}
	})
}
