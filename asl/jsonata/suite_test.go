package jsonata

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchyard/asl/value"
)

// suite is the language's official suite at v2.0.6, cut down to data. It lies
// beside the checkout, where CI has it too.
const suite = "../../../shared/conformance/jsonata"

// suiteCase is one of its cases; Result and Undefined are not set for those
// that end with an error.
type suiteCase struct {
	ID        string          `json:"id"`
	Expr      string          `json:"expr"`
	Data      json.RawMessage `json:"data"`
	Dataset   *string         `json:"dataset"`
	Bindings  json.RawMessage `json:"bindings"`
	Result    json.RawMessage `json:"result"`
	Undefined bool            `json:"undefinedResult"`
	Code      string          `json:"code"`
	Error     *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
	Depth     int  `json:"depth"`
	Unordered bool `json:"unordered"`
}

func readSuite(t testing.TB) (cases []suiteCase, datasets map[string]json.RawMessage) {
	t.Helper()
	for name, to := range map[string]any{"cases.json": &cases, "datasets.json": &datasets} {
		data, err := os.ReadFile(filepath.Join(suite, name))
		if errors.Is(err, os.ErrNotExist) {
			t.Skip("the official suite is not beside this checkout")
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, to); err != nil {
			t.Fatal(err)
		}
	}
	return cases, datasets
}

// scope is what a case is evaluated over.
func (c *suiteCase) scope(t testing.TB, datasets map[string]json.RawMessage) *Scope {
	t.Helper()
	sc := &Scope{Limits: Limits{Depth: c.Depth, Steps: 1_000_000}}
	data := c.Data
	if c.Dataset != nil {
		data = datasets[*c.Dataset]
	}
	if data != nil {
		v := parseValue(t, string(data))
		sc.Input = &v
	}
	bindings := BindingMap{}
	if len(c.Bindings) > 0 {
		for name, v := range parseValue(t, string(c.Bindings)).Fields() {
			bindings[name] = v
		}
	}
	sc.Bindings = bindings
	return sc
}

func (c *suiteCase) code() string {
	if c.Error != nil {
		return c.Error.Code
	}
	return c.Code
}

// fails says why an outcome is not the one that the case wants, "" if it is.
func (c *suiteCase) fails(t testing.TB, v value.Value, ok bool, err error) string {
	want := c.code()
	switch {
	case err != nil && want != asError(err).Code:
		return err.Error()
	case err != nil && c.Error != nil && c.Error.Message != "" && asError(err).Message() != c.Error.Message:
		return asError(err).Message()
	case err != nil:
		return ""
	case want != "":
		return "no error: " + v.JSON()
	case c.Undefined && ok:
		return "not undefined: " + v.JSON()
	case c.Undefined:
		return ""
	case !ok:
		return "undefined"
	}
	if wanted := parseValue(t, string(c.Result)); !alike(v, wanted, c.Unordered) {
		return v.JSON()
	}
	return ""
}

// alike compares as JavaScript does: 1 is 1.0.
func alike(a, b value.Value, unordered bool) bool {
	if a.Kind() == value.Number && b.Kind() == value.Number {
		x, _ := a.Float()
		y, _ := b.Float()
		return x == y || math.Abs(x-y) <= 1e-13*math.Abs(y)
	}
	if a.Kind() != b.Kind() || a.Len() != b.Len() {
		return false
	}
	switch a.Kind() {
	case value.Array:
		rest := slices.Clone(b.Slice())
		for _, x := range a.Elems() {
			i := slices.IndexFunc(rest, func(y value.Value) bool { return alike(x, y, unordered) })
			if i < 0 || i > 0 && !unordered {
				return false
			}
			rest = slices.Delete(rest, i, i+1)
		}
		return true
	case value.Object:
		for k, x := range a.Fields() {
			if y, ok := b.Get(k); !ok || !alike(x, y, unordered) {
				return false
			}
		}
		return true
	}
	return value.Equal(a, b)
}

func parseValue(t testing.TB, s string) value.Value {
	t.Helper()
	v, err := value.ParseString(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

// TestSuite holds the shares of the suite that come out right. Step Functions
// refuses $eval, so its cases are left out.
func TestSuite(t *testing.T) {
	cases, datasets := readSuite(t)
	type score struct{ right, all int }
	var results, codes score
	for _, c := range cases {
		if strings.Contains(c.Expr, "$eval") {
			continue
		}
		s := &results
		if c.code() != "" {
			s = &codes
		}
		s.all++
		e, err := Compile(c.Expr)
		var v value.Value
		var ok bool
		if err == nil {
			v, ok, err = e.Eval(c.scope(t, datasets))
		}
		if why := c.fails(t, v, ok, err); why != "" {
			t.Logf("%s: %s\n\tgot  %.300s\n\twant %.300s%s", c.ID, c.Expr, why, c.code(), c.Result)
			continue
		}
		s.right++
	}
	for _, f := range []struct {
		name  string
		got   score
		floor float64
	}{{"results", results, 100}, {"codes", codes, 99}} {
		share := 100 * float64(f.got.right) / float64(f.got.all)
		t.Logf("%s: %d of %d, %.1f%%", f.name, f.got.right, f.got.all, share)
		if share < f.floor {
			t.Errorf("%s: %.1f%%, under the floor of %.1f%%", f.name, share, f.floor)
		}
	}
}
