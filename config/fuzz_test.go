package config

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse holds that Parse ends, without panic, with a config or with errors
// that name the file, print safely, and never hold a secret.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("../switchyard.example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	for _, s := range []string{
		"", "{}", "null", "- a", "a: [b", minimal, "a: &a [*a]\n", "? {a: b}\n: c\n", "<<: {a: b}\n", "log: {level: *x}",
		"data_dir: ${A:-${B}}\n", "data_dir: $${X}${", "engine:\n", "engine: [aws]\n", "routes: [~]\n", "routes: [{input: {a: .inf, 1: 2}}]",
		"sources: {github: {secrets: ${SECRET}, app: {id: x}}}", "sources: {github: {secrets: [[a]]}}", "\"\\e\": 1", "a: !!binary x\n", "--- a\n--- b\n", "%YAML 1.2\n---\ndata_dir: x\n",
		"data_dir: |\n  x\n", "sources: {github: {secrets: [\"aws-secret:a#b\", \"aws-ssm:x\"]}}", "data_dir: >-\n  x\n", "limits: {body: 99999999999999999999GB}", "retention: {journal: 1d1d}",
		strings.Repeat("a: {", 70),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret := func(name string) (string, bool) { return "hunter2\x1b", name == "SECRET" }
		for _, opts := range [][]Option{nil, {Offline()}} {
			// Files may be named: none of them may be waited for.
			_, err := Parse("testdata/none/c.yaml", []byte(text), secret, opts...)
			if err == nil {
				continue
			}
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("got %T", err)
			}
			for _, e := range list {
				line := e.Error()
				if !strings.HasPrefix(line, "testdata/none/c.yaml:") || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%q does not print well", line)
				}
			}
		}
	})
}
