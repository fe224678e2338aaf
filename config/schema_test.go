package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The published copy of the schema, which editors are pointed at.
const schemaFile = "../docs/switchyard.schema.json"

func TestSchemaIsPublished(t *testing.T) {
	got, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go test ./config -update and read the difference:\n%s", diff)
	}
}

func resolved(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve(&jsonschema.ResolveOptions{ValidateDefaults: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	js, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(js, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Every config in the repository that an operator might copy.
func examples(t *testing.T) []string {
	t.Helper()
	found := []string{"../switchyard.example.yaml"}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() == "switchyard.yaml" && !strings.Contains(path, "testdata") {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestExamplesAreValid(t *testing.T) {
	schema := resolved(t)
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s against the schema: %v", file, err)
		}
		everySet := func(string) (string, bool) { return "set", true }
		if _, err := Parse(file, text, everySet); err != nil {
			t.Error(err)
		}
	}
}

func TestSchemaAndParserAgree(t *testing.T) {
	schema := resolved(t)
	for name, row := range map[string]struct {
		text string
		ok   bool
	}{
		"empty":                 {"{}", true},
		"minimal":               {minimal, true},
		"one or many":           {strings.Replace(minimal, "name: all", "name: all, on: push, branches: [a, b], authors: 7", 1), true},
		"engine by name":        {"engine: embedded", true},
		"engine with settings":  {"engine: {embedded: {max_builds: 2}}", true},
		"aws":                   {"engine: {aws: {region: eu-west-1, start_rate: 0.5}}", true},
		"empty environment":     {"environments: {a: , b: {}}", true},
		"sizes":                 {"limits: {body: 1024}", true},
		"sizes with unit":       {"limits: {body: 25MB, read_timeout: 1m30s}", true},
		"references":            {"limits: {body: \"${S:-1MB}\", read_timeout: \"${T:-1s}\"}", true},
		"build secrets":         {"engine: {embedded: {secrets: {a: x}, projects: {p: {secrets: {S: text, T: {command: [a, b], cache: 0s}, U: {shared: a, variable: V}}}}}}", true},
		"build secret's key":    {"engine: {embedded: {secrets: {a: {comand: x}}}}", false},
		"build secret's type":   {"engine: {embedded: {secrets: {a: [x]}}}", false},
		"unknown key":           {"bogus: 1", false},
		"unknown nested key":    {"log: {bogus: 1}", false},
		"unknown engine key":    {"engine: {embedded: {bogus: 1}}", false},
		"unknown key in a map":  {"environments: {a: {bogus: 1}}", false},
		"unknown key in a list": {strings.Replace(minimal, "name: all", "name: all, bogus: 1", 1), false},
		"missing key":           {strings.Replace(minimal, "name: all, ", "", 1), false},
		"both engines":          {"engine: {embedded: {}, aws: {}}", false},
		"no engine":             {"engine: {}", false},
		"other engine":          {"engine: other", false},
		"enum":                  {"log: {level: loud}", false},
		"enum in a list":        {strings.Replace(minimal, "name: all", "name: all, on: [pushed]", 1), false},
		"enum alone":            {strings.Replace(minimal, "name: all", "name: all, on: pushed", 1), false},
		"minimum":               {"limits: {starts: 0}", false},
		"maximum":               {"tracing: {ratio: 2}", false},
		"duration":              {"limits: {read_timeout: soon}", false},
		"size":                  {"limits: {body: big}", false},
		"number by reference":   {"limits: {starts: \"${N:-3}\"}", true},
		"number as other text":  {"limits: {starts: three}", false},
		"null patterns":         {strings.Replace(minimal, "name: all", "name: all, branches: ", 1), false},
		"null list":             {"routes: ", true},
		"type":                  {"routes: 5", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := schema.Validate(asJSON(t, []byte(row.text)))
			if (err == nil) != row.ok {
				t.Errorf("schema: got %v, want valid: %v", err, row.ok)
			}
			if _, err := Parse("c.yaml", []byte(row.text), env()); (err == nil) != row.ok {
				t.Errorf("parser: got %v, want valid: %v", err, row.ok)
			}
		})
	}
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&s); err != nil {
		t.Fatal(err)
	}
	var walk func(path string, s *jsonschema.Schema)
	walk = func(path string, s *jsonschema.Schema) {
		if s == nil {
			return
		}
		for name, p := range s.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", path, name)
			}
			walk(path+"."+name, p)
		}
		walk(path+".*", s.AdditionalProperties)
		walk(path+"[]", s.Items)
		for _, o := range s.OneOf {
			walk(path, o)
		}
	}
	walk("", &s)
}
