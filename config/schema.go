package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// Schema is the JSON Schema (draft 2020-12) of switchyard.yaml, for editors. It
// is made from the same structs and tags that the config is decoded with.
func Schema() ([]byte, error) {
	s, err := schema()
	if err != nil {
		return nil, fmt.Errorf("make the config's schema: %w", err)
	}
	// Indent, and not MarshalIndent: the latter sorts the keys of what a
	// MarshalJSON method returns no differently, but escapes < and > again.
	var raw, out bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("write the config's schema: %w", err)
	}
	if err := json.Indent(&out, raw.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("write the config's schema: %w", err)
	}
	return out.Bytes(), nil
}

func schema() (*jsonschema.Schema, error) {
	types := notations()
	repository, err := jsonschema.For[repositorySettings](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		return nil, err
	}
	finish(repository, reflect.TypeFor[repositorySettings](), reflect.Value{})
	one := &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string", MinLength: jsonschema.Ptr(1)}, repository}}
	types[reflect.TypeFor[Repositories]()] = &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Types: []string{"object", "null"}, AdditionalProperties: one},
		{Type: "array", Items: &jsonschema.Schema{Type: "string", MinLength: jsonschema.Ptr(1)}},
	}}
	s, err := jsonschema.For[Config](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		return nil, err
	}
	types = notations()
	secret, err := jsonschema.For[buildSecretSettings](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		return nil, err
	}
	finish(secret, reflect.TypeFor[buildSecretSettings](), reflect.ValueOf(buildSecretSettings{Timeout: secretTimeout, Cache: secretCache}))
	types[reflect.TypeFor[BuildSecret]()] = &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string", MinLength: jsonschema.Ptr(1)}, secret}}
	engine, err := jsonschema.For[engineSettings](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		return nil, err
	}
	finish(s, reflect.TypeFor[Config](), reflect.ValueOf(*Default()))
	finish(engine, reflect.TypeFor[engineSettings](), reflect.Value{})
	engine.MinProperties, engine.MaxProperties = jsonschema.Ptr(1), jsonschema.Ptr(1)
	s.Properties["engine"] = &jsonschema.Schema{
		Description: s.Properties["engine"].Description,
		Default:     json.RawMessage(`"embedded"`),
		OneOf:       []*jsonschema.Schema{{Type: "string", Enum: []any{"embedded", "aws"}}, engine},
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "switchyard.yaml"
	return s, nil
}

// ref matches a text with a reference, which may stand for any scalar.
const ref = `\$\{[^{}]*\}`

// notations are the schemas of the types that decode themselves.
func notations() map[reflect.Type]*jsonschema.Schema {
	text := func() *jsonschema.Schema { return &jsonschema.Schema{Types: []string{"string", "number"}} }
	oneOrMany := func() *jsonschema.Schema {
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{text(), {Type: "array", Items: text()}}}
	}
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[Secret]():   {Type: "string", MinLength: jsonschema.Ptr(1)},
		reflect.TypeFor[Secrets]():  oneOrMany(),
		reflect.TypeFor[Strings]():  oneOrMany(),
		reflect.TypeFor[Duration](): {Type: "string", Pattern: `^([0-9]+d)?([0-9.]+(ns|us|µs|ms|s|m|h))*$|` + ref},
		reflect.TypeFor[Size]():     {Types: []string{"string", "integer"}, Pattern: `^[0-9]+ *([KkMmGg]?[Bb])?$|` + ref},
		reflect.TypeFor[Engine]():   {},
	}
}

// finish adds to s what the other tags and the defaults say.
func finish(s *jsonschema.Schema, t reflect.Type, defaults reflect.Value) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p := s.Properties[name]
		if p == nil {
			continue
		}
		var value reflect.Value
		if defaults.IsValid() {
			value = defaults.Field(i)
		}
		finishValue(p, f.Type, value)
		restrict(p, f.Tag)
	}
}

func finishValue(p *jsonschema.Schema, t reflect.Type, value reflect.Value) {
	for t.Kind() == reflect.Pointer {
		t, value = t.Elem(), reflect.Value{}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[nodeDecoder]()) {
		setDefault(p, value)
		return
	}
	// A section or an entry with nothing after its key, such as "dev-*:", is one
	// without settings.
	switch t.Kind() {
	case reflect.Struct:
		p.Types, p.Type = []string{"object", "null"}, ""
		finish(p, t, value)
	case reflect.Map:
		p.Types, p.Type = []string{"object", "null"}, ""
		if t.Elem().Kind() == reflect.Struct {
			finishValue(p.AdditionalProperties, t.Elem(), reflect.Value{})
		}
	case reflect.Slice:
		p.Types, p.Type = []string{"array", "null"}, ""
		finishValue(p.Items, t.Elem(), reflect.Value{})
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		if p.Type == "" && len(p.Types) > 0 { // of a pointer, which may be null too
			p.Type = p.Types[len(p.Types)-1]
		}
		p.Types, p.Type, p.Pattern = []string{p.Type, "string"}, "", ref
		setDefault(p, value)
	case reflect.Interface:
	default:
		setDefault(p, value)
	}
}

func setDefault(p *jsonschema.Schema, value reflect.Value) {
	if !value.IsValid() || value.IsZero() {
		return
	}
	if text, err := json.Marshal(value.Interface()); err == nil {
		p.Default = text
	}
}

func restrict(p *jsonschema.Schema, tag reflect.StructTag) {
	if enum, ok := tag.Lookup("enum"); ok {
		var values []any
		for v := range strings.SplitSeq(enum, ",") {
			values = append(values, v)
		}
		if p.OneOf == nil {
			p.Enum = values
		} else {
			p.OneOf[0] = &jsonschema.Schema{Enum: values}
			p.OneOf[1].Items = &jsonschema.Schema{Enum: values}
		}
	}
	if low, err := strconv.ParseFloat(tag.Get("min"), 64); err == nil {
		p.Minimum = &low
	}
	if high, err := strconv.ParseFloat(tag.Get("max"), 64); err == nil {
		p.Maximum = &high
	}
}
