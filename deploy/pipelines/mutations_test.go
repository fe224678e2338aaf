package pipelines_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"switchyard/asl/asltest"
	"switchyard/deploy/pipelines"
)

// mutant is a definition with a mistake in it.
type mutant struct{ mistake, definition string }

// mutants makes a mistake in each place of a definition where one can be made: a
// Catch, Retry or rule of a Choice that was left out, and a comparison that was
// turned around.
func mutants(t *testing.T, definition []byte) (all []mutant) {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(definition, &whole); err != nil {
		t.Fatal(err)
	}
	note := func(format string, args ...any) {
		text, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, mutant{fmt.Sprintf(format, args...), string(text)})
	}
	eachState(whole, func(name string, state map[string]any) {
		for _, field := range []string{"Catch", "Retry", "Choices"} {
			entries, _ := state[field].([]any)
			for i := range entries {
				if field == "Choices" {
					rule := entries[i].(map[string]any)
					if condition, ok := rule["Condition"].(string); ok {
						for _, turned := range turnedAround(condition) {
							rule["Condition"] = turned
							note("%s: %s for %s", name, turned, condition)
						}
						rule["Condition"] = condition
					}
					if len(entries) == 1 {
						continue
					}
				}
				state[field] = slices.Delete(slices.Clone(entries), i, i+1)
				note("%s: %s %d is left out", name, field, i+1)
				state[field] = entries
			}
		}
	})
	return all
}

// eachState calls f with every state of a definition, at any depth.
func eachState(v any, f func(name string, state map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		states, _ := v["States"].(map[string]any)
		for name, state := range states {
			f(name, state.(map[string]any))
		}
		for _, inner := range v {
			eachState(inner, f)
		}
	case []any:
		for _, inner := range v {
			eachState(inner, f)
		}
	}
}

// comparison is one in a JSONata condition.
var comparison = regexp.MustCompile(` (=|!=|<|>) `)

// turnedAround are a condition with each of its comparisons turned around.
func turnedAround(condition string) (all []string) {
	instead := map[string]string{"=": "!=", "!=": "=", "<": ">=", ">": "<="}
	for _, at := range comparison.FindAllStringSubmatchIndex(condition, -1) {
		all = append(all, condition[:at[2]]+instead[condition[at[2]:at[3]]]+condition[at[3]:])
	}
	return all
}

// A mistake in a pipeline fails one of its tests. The generated ones are tried with
// two components, since each further one is alike.
func TestMistakesAreFoundByThePipelinesTests(t *testing.T) {
	two := []pipelines.Component{{Name: "web", Project: "web"}, {Name: "api", Project: "backend"}}
	for _, name := range []string{"deploy", "services", "suites"} {
		files := map[string][]byte{}
		if slices.Contains(pipelines.Generated, name) {
			var err error
			if files, err = pipelines.Generate(name, two); err != nil {
				t.Fatal(err)
			}
		} else {
			for _, file := range []string{name + ".asl.json", name + ".test.yaml"} {
				text, err := os.ReadFile(filepath.Join(name, file))
				if err != nil {
					t.Fatal(err)
				}
				files[file] = text
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests := filepath.Join(t.TempDir(), name+".test.yaml")
			if err := os.WriteFile(tests, files[name+".test.yaml"], 0o600); err != nil {
				t.Fatal(err)
			}
			finds := func(definition string) bool {
				path := filepath.Join(filepath.Dir(tests), name+".asl.json")
				if err := os.WriteFile(path, []byte(definition), 0o600); err != nil {
					t.Fatal(err)
				}
				return isFound(t, tests)
			}
			text := files[name+".asl.json"]
			if finds(string(text)) {
				t.Fatal("a test fails where there is no mistake")
			}
			all := mutants(t, text)
			if len(all) < 15 {
				t.Errorf("only %d mistakes were made", len(all))
			}
			for _, m := range all {
				if !finds(m.definition) {
					t.Errorf("no test finds the mistake in %s", m.mistake)
				}
			}
		})
	}
}

// isFound reports whether a test in the file fails.
func isFound(t *testing.T, path string) bool {
	t.Helper()
	f, err := asltest.Load(path)
	if err != nil {
		return true // not even a definition any more
	}
	for i := range f.Tests {
		result, err := f.Run(t.Context(), &f.Tests[i], f.NewCoverage())
		if err != nil {
			t.Fatal(err)
		}
		if !result.Passed() {
			return true
		}
	}
	return false
}
