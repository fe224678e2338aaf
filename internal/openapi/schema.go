package openapi

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// check makes one of the JSON in a body; nil where there is none.
func (d *Description) check(b body) (*check, error) {
	raw := b.Content["application/json"].Schema
	if raw == nil {
		return nil, nil
	}
	t := translation{d: d, defs: map[string]any{}}
	root, err := t.decode(raw)
	if err != nil {
		return nil, err
	}
	whole := map[string]any{"allOf": []any{root}, "$defs": t.defs}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		return nil, err
	}
	c := &check{schema: resolved, members: map[string]bool{}}
	if !t.members(root, c.members) {
		c.members = nil
	}
	return c, nil
}

// translation turns schemas of OpenAPI 3.0 into those of JSON Schema, with all
// that they refer to as definitions.
type translation struct {
	d    *Description
	defs map[string]any
}

const refPrefix = "#/components/schemas/"

func (t *translation) decode(raw json.RawMessage) (any, error) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, err
	}
	return t.schema(v)
}

// keywords are those that are kept: of schemas, of lists of schemas, and of
// schemas by name.
var (
	plain   = []string{"enum", "required", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "minProperties", "maxProperties", "multipleOf", "uniqueItems"}
	schemas = []string{"items", "additionalProperties", "not"}
	lists   = []string{"allOf", "anyOf", "oneOf"}
)

func (t *translation) schema(v any) (any, error) {
	in, ok := v.(map[string]any)
	if !ok {
		return v, nil // true or false
	}
	if ref, ok := in["$ref"].(string); ok {
		return t.ref(ref)
	}
	out := map[string]any{}
	for _, key := range plain {
		if value, ok := in[key]; ok {
			out[key] = value
		}
	}
	if pattern, ok := in["pattern"].(string); ok {
		if _, err := regexp.Compile(pattern); err == nil { // else it is one that Go does not have
			out["pattern"] = pattern
		}
	}
	if kind, ok := in["type"]; ok {
		out["type"] = kind
	}
	for _, key := range schemas {
		if value, ok := in[key]; ok {
			made, err := t.schema(value)
			if err != nil {
				return nil, err
			}
			out[key] = made
		}
	}
	for _, key := range lists {
		list, ok := in[key].([]any)
		if !ok {
			continue
		}
		made := make([]any, len(list))
		for i := range list {
			var err error
			if made[i], err = t.schema(list[i]); err != nil {
				return nil, err
			}
		}
		if key == "oneOf" {
			key = "anyOf" // descriptions list alternatives that overlap
		}
		out[key] = made
	}
	if properties, ok := in["properties"].(map[string]any); ok {
		made := map[string]any{}
		for name, p := range properties {
			var err error
			if made[name], err = t.schema(p); err != nil {
				return nil, err
			}
		}
		out["properties"] = made
	}
	if in["nullable"] == true {
		return map[string]any{"anyOf": []any{out, map[string]any{"type": "null"}}}, nil
	}
	return out, nil
}

func (t *translation) ref(ref string) (any, error) {
	name, ok := strings.CutPrefix(ref, refPrefix)
	raw, known := t.d.components["schemas"][name]
	if !ok || !known {
		return nil, fmt.Errorf("%s leads nowhere", ref)
	}
	if _, done := t.defs[name]; !done {
		t.defs[name] = true // for those that refer to themselves
		made, err := t.decode(raw)
		if err != nil {
			return nil, err
		}
		t.defs[name] = made
	}
	return map[string]any{"$ref": "#/$defs/" + name}, nil
}

// members collects the names of an object's members, or of the members of a
// list's objects. It returns false where others are allowed.
func (t *translation) members(v any, into map[string]bool) bool {
	s, ok := v.(map[string]any)
	if !ok {
		return v != true
	}
	if ref, ok := s["$ref"].(string); ok {
		return t.members(t.defs[strings.TrimPrefix(ref, "#/$defs/")], into)
	}
	if more, ok := s["additionalProperties"]; ok && more != false {
		return false
	}
	properties, _ := s["properties"].(map[string]any)
	for name := range properties {
		into[name] = true
	}
	if items, ok := s["items"]; ok && !t.members(items, into) {
		return false
	}
	for _, key := range []string{"allOf", "anyOf"} {
		list, _ := s[key].([]any)
		for _, alternative := range list {
			if !t.members(alternative, into) {
				return false
			}
		}
	}
	if s["type"] == "object" && properties == nil && s["allOf"] == nil && s["anyOf"] == nil {
		return false // anything
	}
	return true
}
