package integration

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl/value"
)

// Problem is something that an integration does not take.
type Problem struct {
	// Message is AWS's wording where that is known.
	Message string
	// In and Index say where the value stands that is wrong or lacks something: at
	// that place of an object or array. Index is -1 for the parameters themselves.
	In    value.Value
	Index int
	// Field is the name of a field that there is not, and Known are those that
	// there are; empty for other problems.
	Field string
	Known []string
}

// Reader reads a field of a payload template, or an element of an array or the
// whole of it with the key "": the name of the field that it will be, and whether
// its value is what stands there.
type Reader func(key string, v value.Value) (name string, known bool)

// Evaluated reads parameters that are computed: everything is what it is.
func Evaluated(key string, _ value.Value) (string, bool) { return key, true }

// JSONPath reads a payload template of a JSONPath state, where the values of
// keys that end in .$ are yet to be computed.
func JSONPath(key string, _ value.Value) (string, bool) {
	name, computed := strings.CutSuffix(key, ".$")
	return name, !computed
}

// maxProblems bounds what is said about one call.
const maxProblems = 100

// Check gives what is wrong with the parameters of the call: fields that it does
// not have, that are missing, or whose values are of another type. Null is taken
// everywhere. What read does not know is not judged. field is the one that has
// them in the definition, Parameters or Arguments.
func (c *Call) Check(field string, parameters value.Value, read Reader) []Problem {
	k := check{service: c.service, read: read}
	if _, known := read("", parameters); !known {
		return nil
	}
	if parameters.Kind() != value.Object {
		return []Problem{{Message: mustBe(field, object), Index: -1}}
	}
	k.object(c.input, parameters, value.Value{}, -1)
	return k.found
}

// Refusal says why Step Functions does not start a task with these computed
// parameters, as the cause of States.Runtime; "" when it does, or when resource
// is no integration that is known. field is as for [Call.Check].
func Refusal(resource, field string, parameters value.Value) string {
	c, err := Find(resource)
	if err != nil {
		return ""
	}
	problems := c.Check(field, parameters, Evaluated)
	if len(problems) == 0 {
		return ""
	}
	reasons := make([]string, len(problems))
	for i, p := range problems {
		reasons[i] = p.Message
	}
	return fmt.Sprintf("The %s '%s' could not be used to start the Task: [%s]", field, parameters.JSON(), strings.Join(reasons, ", "))
}

// The types as messages name them.
const (
	text    = "STRING"
	boolean = "BOOLEAN"
	integer = "INTEGER"
	number  = "NUMBER"
	array   = "ARRAY"
	object  = "OBJECT"
)

func mustBe(name, is string) string {
	article := "a"
	if strings.ContainsAny(is[:1], "AIO") {
		article = "an"
	}
	return fmt.Sprintf("The value for the field '%s' must be %s %s", name, article, is)
}

// scalars are the types that hold no others, by their letter: what a message
// calls one, and which values it takes.
var scalars = map[string]struct {
	name  string
	takes func(value.Value) bool
}{
	"t": {text, isText},
	// bytes
	"b": {text, isPayload},
	// a text, or JSON that Step Functions makes one of
	"j": {text, isPayload},
	// a time
	"w": {text, func(v value.Value) bool { return isText(v) || v.Kind() == value.Number }},
	"y": {boolean, func(v value.Value) bool { return v.Kind() == value.Bool }},
	"i": {integer, func(v value.Value) bool { return v.Kind() == value.Number && v.IsInteger() }},
	"n": {number, func(v value.Value) bool { return v.Kind() == value.Number }},
	// anything
	"a": {"", func(value.Value) bool { return true }},
}

func isText(v value.Value) bool { return v.Kind() == value.String }

func isPayload(v value.Value) bool {
	return isText(v) || v.Kind() == value.Object || v.Kind() == value.Array
}

// check collects what is wrong with parameters.
type check struct {
	service *service
	read    Reader
	found   []Problem
}

func (k *check) add(p Problem) {
	if len(k.found) < maxProblems {
		k.found = append(k.found, p)
	}
}

// object checks the fields of v, which stands at a place of in.
func (k *check) object(is string, v, in value.Value, at int) {
	s := k.shape(is)
	switch {
	case s == nil: // anything
		return
	case s.kind == '<':
		for i := range v.Len() {
			k.element(s.elem, v, i, v.Key(i))
		}
		return
	}
	names := make([]string, v.Len())
	for i := range names {
		names[i], _ = k.read(v.Key(i), v.Elem(i))
	}
	for _, f := range s.fields {
		if f.required && !slices.Contains(names, f.name) {
			k.add(Problem{Message: fmt.Sprintf("The field '%s' is required but was missing", f.name), In: in, Index: at})
		}
	}
	for i, name := range names {
		f := slices.IndexFunc(s.fields, func(f field) bool { return f.name == name })
		switch {
		case f >= 0:
			k.element(s.fields[f].is, v, i, name)
			continue
		case len(k.found) == maxProblems:
			return
		}
		p := Problem{Message: fmt.Sprintf(`The field "%s" is not supported by Step Functions`, name), In: v, Index: i, Field: name}
		for _, f := range s.fields {
			p.Known = append(p.Known, f.name)
		}
		k.add(p)
	}
}

// shape gives a type that holds others; nil for the letter of one that holds
// anything.
func (k *check) shape(is string) *shape {
	if is == "-" {
		return &shape{kind: '{'}
	}
	at, err := strconv.Atoi(is)
	if err != nil {
		return nil
	}
	return &k.service.shapes[at]
}

// element checks an element of an object or array; name is what messages call
// it.
func (k *check) element(is string, in value.Value, i int, name string) {
	v := in.Elem(i)
	key := ""
	if in.Kind() == value.Object {
		key = in.Key(i)
	}
	if _, known := k.read(key, v); !known || v.IsNull() {
		return
	}
	if t, ok := scalars[is]; ok {
		if !t.takes(v) {
			k.add(Problem{Message: mustBe(name, t.name), In: in, Index: i})
		}
		return
	}
	s := k.shape(is)
	kind, called := value.Object, object
	if s.kind == '[' {
		kind, called = value.Array, array
	}
	switch {
	case v.Kind() != kind:
		k.add(Problem{Message: mustBe(name, called), In: in, Index: i})
	case kind == value.Array:
		for j := range v.Len() {
			k.element(s.elem, v, j, name)
		}
	default:
		k.object(is, v, in, i)
	}
}
