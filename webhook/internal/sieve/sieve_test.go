package sieve_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"switchyard/webhook/internal/sieve"
)

var fields = sieve.Fields{"a": nil, "list": {"id": nil, "who": {"name": nil}}, "o": {"x": nil}}

func newSieve(t testing.TB) *sieve.Sieve {
	t.Helper()
	s, err := sieve.New(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSiftKeepsWhatIsNamed(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"empty":                 {`{}`, `{}`},
		"white space":           {" \t\r\n{ \"a\" : 1 , \"b\" : 2 } \n", `{"a":1}`},
		"whole values":          {`{"a":{"b":[1,{"c":null}]}}`, `{"a":{"b":[1,{"c":null}]}}`},
		"part of an object":     {`{"o":{"y":[{}],"x":"k","z":0}}`, `{"o":{"x":"k"}}`},
		"each of an array":      {`{"list":[{"id":1,"n":2},{},{"who":{"name":"é","x":1},"id":3}]}`, `{"list":[{"id":1},{},{"who":{"name":"é"},"id":3}]}`},
		"scalar for an object":  {`{"o":null,"list":"x"}`, `{"o":null,"list":"x"}`},
		"other spelling":        {`{"A":1,"LIST":2}`, `{}`},
		"name with escapes":     {`{"\u0061":1}`, `{"a":1}`},
		"repeated, not read":    {`{"b":1,"b":2,"a":3}`, `{"a":3}`},
		"same name, two places": {`{"o":{"x":1},"list":[{"id":1},{"id":1}]}`, `{"o":{"x":1},"list":[{"id":1},{"id":1}]}`},
		"numbers":               {`{"a":[0,-0,1.5,-2e+9,1E-3,10]}`, `{"a":[0,-0,1.5,-2e+9,1E-3,10]}`},
		"literals":              {`{"a":[true,false,null]}`, `{"a":[true,false,null]}`},
		"escapes":               {`{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d"}`, `{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d"}`},
		"as deep as allowed":    {`{"b":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newSieve(t).Sift([]byte("…"), []byte(row.in))
			if err != nil || string(got) != "…"+row.want {
				t.Errorf("%s, %v, want %s", got, err, row.want)
			}
		})
	}
}

func TestSiftRefuses(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"nothing":                {``, "ends where a JSON object"},
		"an array":               {`[]`, "a JSON object"},
		"HTML":                   {`<html>`, "not JSON: '<' where a JSON object should be at byte 0"},
		"truncated object":       {`{"a":1`, "ends where a comma"},
		"truncated string":       {`{"a":"x`, "ends inside a string"},
		"truncated name":         {`{"a`, "ends inside a string"},
		"truncated escape":       {`{"a":"\u00`, "a bad escape"},
		"truncated array":        {`{"b":[1,`, "ends where a value"},
		"truncated literal":      {`{"b":tru`, "a value"},
		"truncated number":       {`{"b":1.`, "a digit"},
		"minus alone":            {`{"b":-}`, "a digit"},
		"leading zero":           {`{"b":01}`, "a comma"},
		"no exponent":            {`{"b":1e}`, "a digit"},
		"plus":                   {`{"b":+1}`, "a value"},
		"two values":             {`{} {}`, "the end"},
		"trailing comma":         {`{"a":1,}`, "a member's name"},
		"trailing array comma":   {`{"b":[1,]}`, "a value"},
		"no colon":               {`{"a" 1}`, "a colon"},
		"bare name":              {`{a:1}`, "a member's name"},
		"control character":      {"{\"b\":\"\x01\"}", "a control character in a string at byte 6"},
		"NUL":                    {"{\"b\":\x00}", "a value"},
		"bad escape":             {`{"b":"\x"}`, "a bad escape"},
		"invalid UTF-8":          {"{\"b\":\"\xff\"}", "invalid UTF-8 at byte 6"},
		"surrogate in UTF-8":     {"{\"b\":\"\xed\xa0\x80\"}", "invalid UTF-8 at byte 6"},
		"twice":                  {`{"a":1,"a":1}`, `member "a" is there twice at byte 7`},
		"twice, once in escapes": {`{"a":1,"\u0061":1}`, `member "a" is there twice`},
		"twice in an element":    {`{"list":[{},{"id":1,"id":2}]}`, `member "id" is there twice`},
		"too deep":               {`{"b":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`, "deeper than 64"},
		"very deep":              {`{"a":` + strings.Repeat("[", 5_000_000), "deeper than 64"},
		"very deep objects":      {strings.Repeat(`{"o":`, 1_000_000), "deeper than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newSieve(t).Sift(nil, []byte(row.in))
			var e *sieve.Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%.100s, error %v, want %q in it", got, err, row.want)
			}
		})
	}
}

func TestNewRefusesMoreMembersThanItHasBits(t *testing.T) {
	many := sieve.Fields{}
	for i := range 65 {
		many[strings.Repeat("x", i+1)] = nil
	}
	if _, err := sieve.New(sieve.Fields{"o": many}); err == nil {
		t.Error("no error")
	}
}

// FuzzSift holds the sieve to what encoding/json makes of the same text.
func FuzzSift(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1,"list":[{"id":"x","who":{"name":"y","z":[]}}],"o":{"x":-0.5e+3}}`, `{"\u0061":"\ud800","b":"\\"}`,
		`{"a":1,"a":2}`, `{"b":[[[]]]}`, ` {"o" : null , "list" : [ ] } `, `{"a":tru}`, `{"a":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	s := newSieve(f)
	type shape struct {
		A    json.RawMessage `json:"a"`
		List json.RawMessage `json:"list"`
		O    json.RawMessage `json:"o"`
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, err := s.Sift(nil, text)
		valid := json.Valid(text) && utf8.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
		if err != nil {
			var e *sieve.Error
			if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("error %v", err)
			}
			if valid && !strings.Contains(e.Reason, "twice") && !strings.Contains(e.Reason, "deeper") {
				t.Fatalf("%q is JSON, but: %v", text, err)
			}
			return
		}
		if !valid {
			t.Fatalf("%q is no JSON object, but passed", text)
		}
		var members map[string]json.RawMessage
		var kept shape
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &kept); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if !bytes.Equal(members["a"], kept.A) || (members["list"] == nil) != (kept.List == nil) || (members["o"] == nil) != (kept.O == nil) {
			t.Fatalf("%q became %q", text, out)
		}
		again, err := s.Sift(nil, out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q sifted again is %q, %v", out, again, err)
		}
	})
}

// Embedded has a member of its own, as the payload types of a library have.
type Embedded struct {
	A int `json:"a"`
}

func TestDecodeNamesTheMember(t *testing.T) {
	for name, row := range map[string]struct{ in, want string }{
		"well":        {`{"a":3,"o":{"x":"k"}}`, ""},
		"embedded":    {`{"a":"x"}`, "a: a JSON string, where int should be"},
		"in an array": {`{"list":[{"id":{}}]}`, "list.id: a JSON object, where string should be"},
		"out of range": {
			`{"a":99999999999999999999}`, "a: a JSON number 99999999999999999999, where int should be",
		},
		"not JSON": {`{"a":`, "ends where a value"},
	} {
		t.Run(name, func(t *testing.T) {
			var into struct {
				Embedded
				List []struct {
					ID string `json:"id"`
				} `json:"list"`
				O struct {
					X string `json:"x"`
				} `json:"o"`
			}
			err := newSieve(t).Decode([]byte(row.in), &into)
			switch {
			case row.want == "" && (err != nil || into.A != 3 || into.O.X != "k"):
				t.Errorf("%+v, %v", into, err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
}
