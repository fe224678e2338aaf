package stepfn

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// identityParts are where an input says which execution it is. The route is
// part of the identity too; the name of the execution stands for it. The rest
// of an input tells how the commit was first heard of, and may differ.
var identityParts = [][]string{
	{"environment"},
	{"commit", "sha"},
	{"commit", "head"},
	{"source", "provider"},
	{"source", "repository"},
}

// difference says in which part the input of an execution that exists is not
// that of the one wanted, "" when both are the same execution. An input that
// names no commit has no identity: it must be the same in all.
func difference(existing, wanted string) string {
	if existing == wanted {
		return ""
	}
	theirs, errTheirs := decodeJSON(existing)
	ours, errOurs := decodeJSON(wanted)
	switch {
	case errTheirs != nil || errOurs != nil:
		return "a different input"
	case said(ours, "commit", "sha") != "" && said(ours, "commit", "sha") != nil:
	case !reflect.DeepEqual(theirs, ours):
		return "a different input, and the one wanted names no commit by which they could be told to be the same"
	default:
		return ""
	}
	for _, part := range identityParts {
		want, has := said(ours, part...), said(theirs, part...)
		// What ours does not say may be anything; saying nothing is as good as
		// saying "".
		if want != nil && !reflect.DeepEqual(has, want) && (has != nil || want != "") {
			return fmt.Sprintf("another %s in its input: %s, not %s", strings.Join(part, "."), show(has), show(want))
		}
	}
	return ""
}

// said is the value at a path of object keys; nil where there is none.
func said(v any, path ...string) any {
	for _, key := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}

func show(v any) string {
	if v == nil {
		return "none"
	}
	text, err := json.Marshal(v)
	if err != nil || len(text) > 200 {
		return "something else"
	}
	return string(text)
}

// decodeJSON keeps numbers as they are written: 2^53 and 2^53+1 are different
// inputs.
func decodeJSON(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the JSON value")
	}
	return v, nil
}
