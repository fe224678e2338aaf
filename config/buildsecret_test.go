package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/build"
)

func embedded(text string) string { return minimal + "\nengine:\n  embedded:\n" + text }

func TestBuildSecretsSayWhereTheyComeFrom(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "db.json"), "{}....\n")
	marker := filepath.Join(dir, "ran")
	path := filepath.Join(dir, "switchyard.yaml")
	write(t, path, embedded(`
    secrets:
      npm: {command: [touch, "`+marker+`"], environment: {TOKEN: "${VAULT}"}, cache: 0s}
    projects:
      api:
        secrets:
          plain: ${PLAIN}
          prod/db: file:db.json
          mapped: {file: db.json, variable: DB}
          text: {value: "x${PLAIN}"}
          tool: {command: bin/tool, timeout: 5s, cache: 10m}
          npm: {shared: npm, variable: NPM_TOKEN}
      web: {secrets: {npm: {shared: npm}}}
      other: {}
`))
	c, err := Load(path, WithEnv(env("PLAIN=a-secret", "VAULT=token")))
	if err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "db.json")
	npm := build.Secret{Key: "engine.embedded.secrets.npm", Command: []string{"touch", marker}, Env: map[string]string{"TOKEN": "token"}, Timeout: 30 * time.Second, Cache: -1}
	named := npm
	named.Variable = "NPM_TOKEN"
	none := map[string]string{}
	const at = "engine.embedded.projects.api.secrets"
	want := map[string]build.Secret{
		"plain":   {Key: at + ".plain", Value: "a-secret", Env: none, Timeout: 30 * time.Second, Cache: time.Minute},
		"prod/db": {Key: at + `["prod/db"]`, File: db, Env: none, Timeout: 30 * time.Second, Cache: time.Minute},
		"mapped":  {Key: at + ".mapped", File: db, Env: none, Timeout: 30 * time.Second, Cache: time.Minute, Variable: "DB"},
		"text":    {Key: at + ".text", Value: "xa-secret", Env: none, Timeout: 30 * time.Second, Cache: time.Minute},
		"tool":    {Key: at + ".tool", Command: []string{filepath.Join(dir, "bin/tool")}, Env: none, Timeout: 5 * time.Second, Cache: 10 * time.Minute},
		"npm":     named,
	}
	if diff := cmp.Diff(want, c.BuildSecrets("api")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]build.Secret{"npm": npm}, c.BuildSecrets("web")); diff != "" {
		t.Error(diff)
	}
	if got := c.BuildSecrets("other"); len(got) > 0 {
		t.Errorf("a project has secrets that it does not name: %v", got)
	}
	if diff := cmp.Diff([]string{db, db}, c.BuildSecretFiles()); diff != "" {
		t.Error(diff)
	}
	// A file that is read for each build is not one that a reload waits for.
	if diff := cmp.Diff([]string{path}, c.Files()); diff != "" {
		t.Error(diff)
	}
	if !c.Variables()["PLAIN"] || !c.Variables()["VAULT"] {
		t.Errorf("not known for secrets: %v", c.Variables())
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("reading the config ran a command")
	}
	if err := os.Remove(db); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, WithEnv(env()), Offline()); err != nil {
		t.Errorf("offline: %v", err)
	}
}

func TestBuildSecretsAreChecked(t *testing.T) {
	dir := t.TempDir()
	empty, large := filepath.Join(dir, "empty"), filepath.Join(dir, "large")
	write(t, empty, "\n")
	write(t, large, strings.Repeat("x", maxSecret+1))
	for secret, want := range map[string]string{
		`{}`:                                   "S: needs one of value, file, command and shared",
		`{value: abcd, file: /x}`:              "S: needs one of value, file, command and shared",
		`{value: abcd, command: [a]}`:          "S: needs one of",
		`{value: "${UNSET}"}`:                  "environment variable UNSET is not set",
		`"${UNSET}"`:                           "environment variable UNSET is not set",
		`""`:                                   "the secret is empty",
		`[a]`:                                  "S: expected keys with values, got a list",
		`{value: "file:/x"}`:                   "S.value: write file: PATH instead",
		`{file: /nowhere/x}`:                   "S.file: read secret: /nowhere/x: no such file",
		`file:/nowhere/x`:                      "S: read secret: /nowhere/x: no such file",
		`{file: ` + empty + `}`:                "holds nothing",
		`{file: ` + large + `}`:                "is larger than",
		`{command: [""]}`:                      "S.command[0]: the program's name is empty",
		`{command: a, timeout: 0s}`:            "S.timeout: must be longer than nothing",
		`{command: a, environment: {A-B: x}}`:  "S.environment.A-B: is not the name",
		`{value: abcd, cache: 1m}`:             "S.cache: only a command has it",
		`{value: abcd, environment: {A: x}}`:   "S.environment: only a command has it",
		`{value: abcd, variable: a-b}`:         `S.variable: "a-b" is not the name`,
		`{value: abcd, variable: CODEBUILD_X}`: "S.variable: names that begin with CODEBUILD_",
		`{value: abcd, variable: TAKEN}`:       "S.variable: TAKEN stands in the project's environment too",
		`{value: abcd, variable: A}, T: {value: abcd, variable: A}`: "T.variable: A is the variable of engine.embedded.projects.p.secrets.S too",
		`{shared: comon}`:            "S.shared: engine.embedded.secrets has no \"comon\"; did you mean common?",
		`{shared: common, valeu: x}`: "did you mean value?",
	} {
		text := embedded("    secrets: {common: abcd}\n    projects: {p: {environment: {TAKEN: x}, secrets: {S: " + secret + "}}}\n")
		_, err := Parse("switchyard.yaml", []byte(text), env())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "switchyard.yaml:") {
			t.Errorf("%s: %v, want %q", secret, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "abcd") {
			t.Errorf("%s: the error shows a secret: %v", secret, err)
		}
	}
	for shared, want := range map[string]string{
		"{value: abcd, variable: X}": "secrets.S.variable: stands with the secrets of a project",
		"{shared: T}":                "secrets.S.shared: stands with the secrets of a project",
	} {
		if _, err := Parse("switchyard.yaml", []byte(embedded("    secrets: {S: "+shared+"}\n")), env()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", shared, err, want)
		}
	}
}

func TestShortBuildSecretsAreWarnedOf(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "short"), "abc\n")
	c := parseText(t, embedded("    projects: {p: {secrets: {S: xyz, L: wxyz, F: {file: "+filepath.Join(dir, "short")+"}, C: {command: a}}}}\n"))
	var got []string
	for _, w := range c.Warnings() {
		if strings.Contains(w, "is not masked") {
			key, _, _ := strings.Cut(w, ":")
			got = append(got, key)
		}
		if strings.Contains(w, "xyz") || strings.Contains(w, "abc") {
			t.Errorf("the warning shows the secret: %s", w)
		}
	}
	if diff := cmp.Diff([]string{"engine.embedded.projects.p.secrets.F", "engine.embedded.projects.p.secrets.S"}, got); diff != "" {
		t.Error(diff)
	}
}
