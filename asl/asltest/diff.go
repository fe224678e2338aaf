package asltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// diff lists where got, a JSON text, is not what a test wants. Where that may
// be a part, objects may have more members than wanted; arrays may not.
func diff(name string, want any, got []byte, part bool) []string {
	text, err := json.Marshal(want)
	if err != nil {
		return []string{fmt.Sprintf("%s: what the test wants is not JSON: %v", name, err)}
	}
	var found []string
	compareJSON(name, "$", decoded(text), decoded(got), part, &found)
	return found
}

func decoded(text []byte) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return string(text)
	}
	return v
}

func compareJSON(name, at string, want, got any, part bool, found *[]string) {
	complain := func(format string, args ...any) {
		*found = append(*found, name+" "+at+": "+fmt.Sprintf(format, args...))
	}
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if v, has := got[key]; has {
				compareJSON(name, at+member(key), want[key], v, part, found)
			} else {
				complain("%s is missing, expected %s", strconv.Quote(key), brief(want[key]))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, has := want[key]; !has && !part {
				complain("%s was not expected: %s", strconv.Quote(key), brief(got[key]))
			}
		}
		return
	case []any:
		got, ok := got.([]any)
		if !ok {
			break
		}
		for i := range max(len(want), len(got)) {
			switch {
			case i >= len(got):
				complain("element %d is missing, expected %s", i, brief(want[i]))
			case i >= len(want):
				complain("element %d was not expected: %s", i, brief(got[i]))
			default:
				compareJSON(name, fmt.Sprintf("%s[%d]", at, i), want[i], got[i], part, found)
			}
		}
		return
	case json.Number:
		if got, ok := got.(json.Number); ok && sameNumber(want, got) {
			return
		}
	default:
		if want == got {
			return
		}
	}
	complain("expected %s, got %s", brief(want), brief(got))
}

func sameNumber(a, b json.Number) bool {
	x, errX := a.Float64()
	y, errY := b.Float64()
	return a == b || errX == nil && errY == nil && x == y
}

func member(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "[" + strconv.Quote(key) + "]"
	}
	return "." + key
}

// maxBrief is how much of a value a difference shows, in characters.
const maxBrief = 200

func brief(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(text)); len(r) > maxBrief {
		return string(r[:maxBrief]) + "…"
	}
	return string(text)
}

func (e *Expect) comparePath(got []string) []string {
	var found []string
	if e.Path != nil && !slices.Equal(e.Path, got) {
		same := 0
		for same < len(e.Path) && same < len(got) && e.Path[same] == got[same] {
			same++
		}
		at := func(path []string) string {
			if same < len(path) {
				return strconv.Quote(path[same])
			}
			return "the end"
		}
		found = append(found, fmt.Sprintf("path: state %d: expected %s, got %s\n      it went %s", same+1, at(e.Path), at(got), strings.Join(got, " → ")))
	}
	left := got
	for _, name := range e.PathContains {
		i := slices.Index(left, name)
		if i < 0 {
			return append(found, fmt.Sprintf("path_contains: %q does not come, or not in this order\n      it went %s", name, strings.Join(got, " → ")))
		}
		left = left[i+1:]
	}
	return found
}
