package asl

import (
	"strings"
	"testing"
)

// rule compiles the only rule of a Choice state.
func rule(t testing.TB, r string) Condition {
	t.Helper()
	r = strings.TrimSuffix(r, "}") + `,"Next":"E"}`
	m := mustParse(t, states(`"S":{"Type":"Choice","Choices":[`+r+`]},"E":{"Type":"Succeed"}`))
	return m.Start.Choice.Rules[0]
}

func TestRules(t *testing.T) {
	in := `{"s":"b","n":2,"d":2.0,"neg":-0.0,"t":true,"f":false,"null":null,"list":[],"obj":{},"time":"2020-01-01T00:00:00Z","other":"2020-01-01T01:00:00+01:00","day":"2020-01-01","big":123456789012345678901234567890}`
	for _, tt := range []struct {
		rule string
		want bool
	}{
		{`{"Variable":"$.s","StringEquals":"b"}`, true},
		{`{"Variable":"$.s","StringEqualsPath":"$.n"}`, false},
		{`{"Variable":"$.n","StringEquals":"2"}`, false},
		{`{"Variable":"$.s","StringLessThan":"c"}`, true},
		{`{"Variable":"$.s","StringLessThan":"b"}`, false},
		{`{"Variable":"$.s","StringLessThanEquals":"b"}`, true},
		{`{"Variable":"$.s","StringGreaterThan":"a"}`, true},
		{`{"Variable":"$.s","StringGreaterThanEqualsPath":"$.s"}`, true},
		{`{"Variable":"$.n","NumericEquals":2.0}`, true},
		{`{"Variable":"$.n","NumericEqualsPath":"$.d"}`, true},
		{`{"Variable":"$.n","NumericEqualsPath":"$.s"}`, false},
		{`{"Variable":"$.s","NumericEquals":2}`, false},
		{`{"Variable":"$.t","NumericEquals":1}`, false},
		{`{"Variable":"$.neg","NumericEquals":0}`, true},
		{`{"Variable":"$.n","NumericLessThan":3}`, true},
		{`{"Variable":"$.n","NumericLessThanEquals":1}`, false},
		{`{"Variable":"$.n","NumericGreaterThan":1.5}`, true},
		{`{"Variable":"$.n","NumericGreaterThanEqualsPath":"$.n"}`, true},
		{`{"Variable":"$.big","NumericGreaterThan":123456789012345678901234567889}`, true},
		{`{"Variable":"$.t","BooleanEquals":true}`, true},
		{`{"Variable":"$.f","BooleanEqualsPath":"$.f"}`, true},
		{`{"Variable":"$.null","BooleanEquals":false}`, false},
		{`{"Variable":"$.time","TimestampEquals":"2020-01-01T00:00:00.000Z"}`, true},
		{`{"Variable":"$.time","TimestampEqualsPath":"$.other"}`, true},
		{`{"Variable":"$.time","TimestampLessThan":"2020-01-01T00:00:01Z"}`, true},
		{`{"Variable":"$.time","TimestampGreaterThanEquals":"2020-01-02T00:00:00Z"}`, false},
		{`{"Variable":"$.day","TimestampEquals":"2020-01-01T00:00:00Z"}`, false},
		{`{"Variable":"$.time","TimestampLessThanPath":"$.day"}`, false},
		{`{"Variable":"$.null","IsNull":true}`, true},
		{`{"Variable":"$.s","IsNull":false}`, true},
		{`{"Variable":"$.null","IsPresent":true}`, true},
		{`{"Variable":"$.none","IsPresent":true}`, false},
		{`{"Variable":"$.none.deeper","IsPresent":false}`, true},
		{`{"Variable":"$.d","IsNumeric":true}`, true},
		{`{"Variable":"$.s","IsNumeric":true}`, false},
		{`{"Variable":"$.s","IsString":true}`, true},
		{`{"Variable":"$.obj","IsString":false}`, true},
		{`{"Variable":"$.f","IsBoolean":true}`, true},
		{`{"Variable":"$.list","IsBoolean":true}`, false},
		{`{"Variable":"$.other","IsTimestamp":true}`, true},
		{`{"Variable":"$.day","IsTimestamp":true}`, false},
		{`{"Variable":"$.n","IsTimestamp":false}`, true},
		{`{"Variable":"$$.State.Name","StringEquals":"S"}`, true},
		{`{"Variable":"$v.n","StringEquals":"2"}`, true},
		{`{"And":[{"Variable":"$.n","IsNumeric":true},{"Variable":"$.n","NumericEquals":2}]}`, true},
		{`{"And":[{"Variable":"$.none","IsPresent":true},{"Variable":"$.none","NumericEquals":2}]}`, false},
		{`{"Or":[{"Variable":"$.n","NumericEquals":1},{"Variable":"$.n","NumericEquals":2}]}`, true},
		{`{"Or":[{"Variable":"$.n","NumericEquals":1}]}`, false},
		{`{"Not":{"Variable":"$.n","NumericEquals":1}}`, true},
	} {
		got, err := rule(t, tt.rule).Match(scope(t, in))
		if err != nil || got != tt.want {
			t.Errorf("%s = %v, %v, want %v", tt.rule, got, err, tt.want)
		}
	}
}

func TestStringMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{`log-*.txt`, "log-1.txt", true},
		{`log-*.txt`, "log-.txt", true},
		{`log-*.txt`, "log.txt", false},
		{`*`, "", true},
		{`*a*b*`, "xaybz", true},
		{`*a*b*`, "xbya", false},
		{`a*a`, "a", false},
		{`plain`, "plain", true},
		{`plain`, "plainer", false},
		{`\\*`, `\*`, true}, // a backslash, then anything
		{`a\*b`, "a*b", true},
		{`a\*b`, "axb", false},
		{`a\\*`, `a\x`, true},
	} {
		if got := parsePattern(tt.pattern).match(tt.s); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

func TestRuleOnMissingVariableIsRuntimeError(t *testing.T) {
	const cause = "Invalid path '$.x': The choice state's condition path references an invalid value."
	for _, r := range []string{
		`{"Variable":"$.x","StringEquals":"a"}`,
		`{"Variable":"$.x","IsNull":true}`,
		`{"Variable":"$.a","StringEqualsPath":"$.x"}`,
		`{"Not":{"Variable":"$.x","NumericEquals":1}}`,
		`{"Or":[{"Variable":"$.x","NumericEquals":1}]}`,
		`{"And":[{"Variable":"$.x","NumericEquals":1}]}`,
	} {
		ok, err := rule(t, r).Match(scope(t, `{"a":"a"}`))
		wantError(t, err, ErrRuntime, cause)
		if ok {
			t.Errorf("%s matched", r)
		}
	}
}

func TestChooseTakesTheFirstRule(t *testing.T) {
	m := mustParse(t, states(`"S":{"Type":"Choice","Choices":[
{"Variable":"$.n","NumericEquals":1,"Next":"A"},{"Variable":"$.n","NumericLessThan":5,"Next":"B"}]},"A":{"Type":"Succeed"},"B":{"Type":"Succeed"}`))
	for in, want := range map[string]string{`{"n":1}`: "A", `{"n":2}`: "B", `{"n":9}`: ""} {
		r, err := m.Start.Choice.Choose(scope(t, in))
		got := ""
		if r != nil {
			got = r.Next.Name
		}
		if err != nil || got != want {
			t.Errorf("%s chose %q, %v, want %q", in, got, err, want)
		}
	}
}
