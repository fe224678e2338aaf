package asl

import "testing"

func TestConditionsInWords(t *testing.T) {
	for _, tt := range []struct{ rule, want string }{
		{`{"Variable":"$.s","StringEquals":"b \"c\""}`, `$.s == "b \"c\""`},
		{`{"Variable":"$.n","NumericLessThanEquals":3}`, `$.n <= 3`},
		{`{"Variable":"$.n","NumericGreaterThanPath":"$.limits.max"}`, `$.n > $.limits.max`},
		{`{"Variable":"$.skip","BooleanEquals":true}`, `$.skip is true`},
		{`{"Variable":"$.a","BooleanEqualsPath":"$.b"}`, `$.a == $.b`},
		{`{"Variable":"$.at","TimestampLessThan":"2026-01-02T03:04:05Z"}`, `$.at < 2026-01-02T03:04:05Z`},
		{`{"Variable":"$.ref","StringMatches":"refs/heads/*"}`, `$.ref matches "refs/heads/*"`},
		{`{"Variable":"$.a","IsPresent":true}`, `$.a is present`},
		{`{"Variable":"$.a","IsNumeric":false}`, `$.a is not a number`},
		{`{"Not":{"Variable":"$.a","IsNull":true}}`, `$.a is not null`},
		{`{"Not":{"Variable":"$.a","IsNull":false}}`, `$.a is null`},
		{`{"Not":{"Variable":"$.s","StringEquals":"x"}}`, `$.s != "x"`},
		{`{"Not":{"Variable":"$.skip","BooleanEquals":true}}`, `$.skip is not true`},
		{`{"Not":{"Variable":"$.a","BooleanEqualsPath":"$.b"}}`, `$.a != $.b`},
		{`{"Not":{"Variable":"$.n","NumericLessThan":1}}`, `not $.n < 1`},
		{`{"Not":{"And":[{"Variable":"$.a","IsPresent":true},{"Variable":"$.n","NumericLessThan":1}]}}`, `not ($.a is present and $.n < 1)`},
		{`{"And":[{"Variable":"$.a","IsPresent":true},{"Or":[{"Variable":"$.n","NumericLessThan":1},{"Variable":"$.n","NumericGreaterThan":9}]}]}`, `$.a is present and ($.n < 1 or $.n > 9)`},
		{`{"Or":[{"Variable":"$.a","IsPresent":true}]}`, `$.a is present`},
	} {
		if got := rule(t, tt.rule).String(); got != tt.want {
			t.Errorf("%s is %q, want %q", tt.rule, got, tt.want)
		}
	}
}

func TestWaitsInWords(t *testing.T) {
	for field, want := range map[string]string{
		`"Seconds":0`:                        "for 0s",
		`"Seconds":90`:                       "for 1m30s",
		`"Seconds":600`:                      "for 10m",
		`"Seconds":7200`:                     "for 2h",
		`"Seconds":5400`:                     "for 1h30m",
		`"SecondsPath":"$.pause"`:            "for $.pause s",
		`"Timestamp":"2027-02-03T04:05:06Z"`: "until 2027-02-03T04:05:06Z",
		`"TimestampPath":"$.window.opens"`:   "until $.window.opens",
	} {
		m := mustParse(t, states(`"S":{"Type":"Wait",`+field+`,"End":true}`))
		if got := m.Start.Wait.String(); got != want {
			t.Errorf("%s is %q, want %q", field, got, want)
		}
	}
}
