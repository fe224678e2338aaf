package awsmodel

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Input checks the body of a request. Its error lists all that is wrong. A nil
// model checks nothing.
func (m *Model) Input(operation string, body []byte) error {
	if m == nil {
		return nil
	}
	op := m.Operations[operation]
	if op == nil {
		return fmt.Errorf("the service has no operation %q", operation)
	}
	return m.body(operation+" request", op.Input, body)
}

// Output checks the body of an answer that is no error, as [Model.Input] does.
func (m *Model) Output(operation string, body []byte) error {
	if m == nil {
		return nil
	}
	op := m.Operations[operation]
	if op == nil {
		return fmt.Errorf("the service has no operation %q", operation)
	}
	return m.body(operation+" answer", op.Output, body)
}

func (m *Model) body(what string, of *Reference, body []byte) error {
	if of == nil {
		if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && string(trimmed) != "{}" {
			return fmt.Errorf("%s: expected no body", what)
		}
		return nil
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Errorf("%s: not JSON: %w", what, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: something follows the JSON value", what)
	}
	c := check{model: m}
	c.value(what, *of, v)
	return errors.Join(c.wrong...)
}

// check collects what is wrong with a value.
type check struct {
	model *Model
	wrong []error
}

func (c *check) wrongf(format string, args ...any) {
	c.wrong = append(c.wrong, fmt.Errorf(format, args...))
}

func (c *check) value(at string, r Reference, v any) {
	s := c.model.Shapes[r.Shape]
	switch s.Type {
	case "structure":
		c.structure(at, s, v)
	case "list":
		list, ok := v.([]any)
		if !ok {
			c.wrongf("%s: expected a list, got %s", at, kind(v))
			return
		}
		c.size(at, s, float64(len(list)), "entries")
		for i, e := range list {
			c.value(fmt.Sprintf("%s[%d]", at, i), s.Member, e)
		}
	case "map":
		entries, ok := v.(map[string]any)
		if !ok {
			c.wrongf("%s: expected a map, got %s", at, kind(v))
			return
		}
		c.size(at, s, float64(len(entries)), "entries")
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			c.value(at+" key", s.Key, key)
			c.value(at+"."+key, s.Value, entries[key])
		}
	default:
		c.scalar(at, s, v)
	}
}

func (c *check) structure(at string, s *Shape, v any) {
	fields, ok := v.(map[string]any)
	if !ok {
		c.wrongf("%s: expected a structure, got %s", at, kind(v))
		return
	}
	wire := func(member string) string {
		if r := s.Members[member]; r.LocationName != "" {
			return r.LocationName
		}
		return member
	}
	for _, member := range s.Required {
		if fields[wire(member)] == nil {
			c.wrongf("%s: %s is missing", at, wire(member))
		}
	}
	known := map[string]Reference{}
	for member, r := range s.Members {
		known[wire(member)] = r
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		r, ok := known[name]
		switch {
		case !ok:
			c.wrongf("%s: there is no member %s", at, name)
		case fields[name] != nil: // null is as good as left out
			c.value(at+"."+name, r, fields[name])
		}
	}
}

func (c *check) scalar(at string, s *Shape, v any) {
	switch s.Type {
	case "string", "character":
		text, ok := v.(string)
		if !ok {
			c.wrongf("%s: expected a string, got %s", at, kind(v))
			return
		}
		c.size(at, s, float64(utf8.RuneCountInString(text)), "characters")
		if s.matches != nil && !s.matches.MatchString(text) {
			c.wrongf("%s: %q does not match %s", at, text, s.Pattern)
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
			c.wrongf("%s: %q is not one of %s", at, text, strings.Join(s.Enum, ", "))
		}
	case "blob":
		text, ok := v.(string)
		if !ok {
			c.wrongf("%s: expected base64, got %s", at, kind(v))
			return
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.wrongf("%s: not base64: %w", at, err)
		}
		c.size(at, s, float64(len(raw)), "bytes")
	case "boolean":
		if _, ok := v.(bool); !ok {
			c.wrongf("%s: expected true or false, got %s", at, kind(v))
		}
	case "integer", "long":
		number, ok := v.(json.Number)
		bits := map[string]int{"integer": 32, "long": 64}[s.Type]
		n, err := strconv.ParseInt(number.String(), 10, bits)
		if !ok || err != nil {
			c.wrongf("%s: expected a whole number of %d bits, got %s", at, bits, kind(v))
			return
		}
		c.size(at, s, float64(n), "")
	case "double", "float", "timestamp":
		number, ok := v.(json.Number)
		n, err := number.Float64()
		if !ok || err != nil {
			c.wrongf("%s: expected a number, got %s", at, kind(v))
			return
		}
		c.size(at, s, n, "")
	default:
		c.wrongf("%s: the model has a shape of the unknown type %q", at, s.Type)
	}
}

func (c *check) size(at string, s *Shape, n float64, of string) {
	if s.Min != nil && n < *s.Min {
		c.wrongf("%s: %s, fewer than %v", at, strings.TrimSpace(fmt.Sprint(n, " ", of)), *s.Min)
	}
	if s.Max != nil && n > *s.Max {
		c.wrongf("%s: %s, more than %v", at, strings.TrimSpace(fmt.Sprint(n, " ", of)), *s.Max)
	}
}

// kind says for a person what a JSON value is.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "the number " + v.String()
	case string:
		return "a string"
	case []any:
		return "a list"
	default:
		return "a structure"
	}
}
