//go:build unix

package build

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func TestParseBuildspec(t *testing.T) {
	s, err := parseBuildspec("buildspec.yml", []byte(`version: 0.2
run-as: root
env:
  shell: bash
  variables:
    A: text
    B: 1.10
    C: yes
    D: ""
    E:
  parameter-store: {P: /path/to}
  secrets-manager: {S: id:key}
  exported-variables:
    - A
    - B
  git-credential-helper: yes
proxy: {logs: yes}
phases:
  install:
    on-failure: CONTINUE
    runtime-versions: {nodejs: 20}
    commands: &common
      - echo one
      - "echo: two"
  pre_build:
    commands: *common
  build:
    run-as: nobody
    commands:
      - |
        if true; then
          echo three
        fi
      - >-
        echo
        four
    finally: [echo five]
  post_build:
    commands: echo six
reports:
  unit:
    files: ['**/*.xml']
    file-format: JUNITXML
    base-directory: out
artifacts:
  files: [a, 'b/**/*']
  name: n-$(date +%F)
  discard-paths: yes
  base-directory: out
  exclude-paths: [b/c]
  secondary-artifacts:
    second: {files: [x], discard-paths: no}
cache: {paths: [/root/.m2]}
`))
	if err != nil {
		t.Fatal(err)
	}
	two := []string{"echo one", "echo: two"}
	want := &buildspec{
		shell: "bash",
		variables: []variable{
			{"A", "text", plaintext}, {"B", "1.10", plaintext}, {"C", "yes", plaintext}, {"D", "", plaintext}, {"E", "", plaintext},
		},
		secrets:  []variable{{"P", "/path/to", parameterStore}, {"S", "id:key", secretsManager}},
		exported: []string{"A", "B"},
		phases: map[string]phaseSpec{
			phaseInstall:   {commands: two, onFailure: onFailure{action: failContinue}},
			phasePreBuild:  {commands: two},
			phaseBuild:     {commands: []string{"if true; then\n  echo three\nfi\n", "echo four"}, finally: []string{"echo five"}},
			phasePostBuild: {commands: []string{"echo six"}},
		},
		artifacts: &artifactSpec{name: "n-$(date +%F)", files: []string{"a", "b/**/*"}, exclude: []string{"b/c"}, base: "out", discardPaths: true},
		secondary: []artifactSpec{{id: "second", files: []string{"x"}}},
		cache:     &cacheSpec{paths: []string{"/root/.m2"}},
		reports:   []artifactSpec{{id: "unit", files: []string{"**/*.xml"}, base: "out"}},
		notes: []string{
			"buildspec.yml:2: run-as: ignored: a local build runs as the user of Switchyard",
			"buildspec.yml:16: env/git-credential-helper: ignored: builds get no credentials",
			"buildspec.yml:17: proxy: ignored: a local build has no proxy of its own",
			"buildspec.yml:21: phases/install/runtime-versions: ignored: a local build uses what this machine has",
			"buildspec.yml:28: phases/build/run-as: ignored: a local build runs as the user of Switchyard",
		},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(buildspec{}, phaseSpec{}, artifactSpec{}, onFailure{}, cacheSpec{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseBuildspecErrors(t *testing.T) {
	const phases = "phases: {build: {commands: [a]}}\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "buildspec.yml: is empty"},
		{"not YAML", "version: 0.2\nphases: [\n", "buildspec.yml:2: "},
		{"cache action", "version: 0.2\ncache:\n  action: both\n  paths: [a]\n" + phases, `buildspec.yml:3: cache/action: "both" is neither restore nor save`},
		{"fallback keys", "version: 0.2\ncache: {key: k, fallback-keys: [a, b, c, d, e, f], paths: [a]}\n" + phases, "buildspec.yml:2: cache/fallback-keys: there are 6, and at most 5"},
		{"tab", "version: 0.2\nphases:\n\tbuild:\n", "buildspec.yml:3: "},
		{"a list", "- a\n", "buildspec.yml:1: must be a mapping"},
		{"only comments", "# version: 0.2\n", "buildspec.yml: is empty"},
		{"unknown version", "version: 0.3\n" + phases, `buildspec.yml:1: version: version "0.3" is not one of 0.1, 0.2`},
		{"version that is no number", "version: latest\n" + phases, `version "latest" is not one of`},
		{"no version", phases, "version is missing; write version: 0.2"},
		{"no phases", "version: 0.2\n", "phases is missing"},
		{"empty phases", "version: 0.2\nphases:\n", "phases is missing"},
		{"unknown phase", "version: 0.2\nphases:\n  deploy: {}\n", "buildspec.yml:3: phases/deploy: unknown phase"},
		{"phase in capitals", "version: 0.2\nphases:\n  BUILD: {}\n", "phases/BUILD: unknown phase"},
		{"command with a colon", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo ok\n      - echo a: b\n",
			"buildspec.yml:6: phases/build/commands/2: must be a text, but is a mapping; quote"},
		{"nested list", "version: 0.2\nphases: {build: {commands: [[a]]}}\n", "phases/build/commands/1: must be a text"},
		{"mapping for a list", "version: 0.2\nphases: {build: {commands: {a: b}}}\n", "phases/build/commands: must be a list"},
		{"alias without anchor", "version: 0.2\nphases: {build: {commands: *x}}\n", "buildspec.yml:2: "},
		{"on-failure", "version: 0.2\nphases: {build: {on-failure: IGNORE, commands: [a]}}\n", `"IGNORE" is not one of ABORT`},
		{"retry expression", "version: 0.2\nphases: {build: {on-failure: 'RETRY-2-(', commands: [a]}}\n", "missing closing"},
		{"retry count", "version: 0.2\nphases: {build: {on-failure: RETRY-101, commands: [a]}}\n", "must be 0 to 100"},
		{"shell", "version: 0.2\nenv: {shell: powershell.exe}\n" + phases, "only sh and bash"},
		{"artifacts without files", "version: 0.2\nartifacts: {name: x}\n" + phases, "buildspec.yml:2: artifacts: files is missing"},
		{"discard-paths", "version: 0.2\nartifacts: {files: [a], discard-paths: maybe}\n" + phases, "must be yes or no"},
		{"secondary identifier", "version: 0.2\nartifacts: {secondary-artifacts: {'../x': {files: [a]}}}\n" + phases, "not a valid identifier"},
		{"artifacts with no file", "version: 0.2\nartifacts:\n  files:\n    # - a\n" + phases, "artifacts: files is missing"},
		{"merged list", "version: 0.2\nx: &x [a]\nphases: {build: {<<: *x, commands: [a]}}\n", "must be a mapping"},
		{"merges of merges", "version: 0.2\na0: &a0 {x: y}\n" + merges(20) + phases, "merge keys (<<) are followed"},
		{"brackets", "version: 0.2\nx: " + strings.Repeat("[", 100_000), "buildspec.yml:2: nested deeper than 64"},
		{"dashes", strings.Repeat("- ", 100_000), "buildspec.yml:1: nested deeper than 64"},
		{"too large", strings.Repeat("#", maxBuildspec+1), "at most 262144 are read"},
		{"aliases of aliases", "version: 0.2\nphases: {build: {commands: [&a a, &b [*a, *a], *b]}}\n", "phases/build/commands/2: must be a text"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parseBuildspec("buildspec.yml", []byte(tc.text))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v\nwant %q", err, tc.want)
			}
		})
	}
}

// merges makes mappings each of which merges the one before it twice.
func merges(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a%[1]d: &a%[1]d {<<: [*a%[2]d, *a%[2]d]}\n", i+1, i)
	}
	return b.String() + fmt.Sprintf("env: {<<: *a%d}\n", n)
}

// What CodeBuild reads is read, with a line about what means nothing here.
func TestParseBuildspecIsTolerant(t *testing.T) {
	const phases = "phases:\n  build:\n    commands:\n      - a\n"
	want := map[string]phaseSpec{phaseBuild: {commands: []string{"a"}}}
	tests := []struct{ name, text, note string }{
		{"batch beside phases", "version: 0.2\nbatch: {fast-fail: false, build-list: [{identifier: one, env: {variables: {N: '1'}}}]}\n" + phases,
			"buildspec.yml:2: batch: ignored: startBuild runs the phases"},
		{"unknown key", "version: 0.2\nstages: {x: [1, {y: z}]}\n" + phases, "buildspec.yml:2: stages: unknown key, passed over; known here are version, "},
		{"unknown key of env", "version: 0.2\nenv: {vars: {A: b}}\n" + phases, "env/vars: unknown key, passed over; known here are shell, "},
		{"unknown key of a phase", "version: 0.2\nphases: {build: {commands: [a], timeout: 5}}\n", "phases/build/timeout: unknown key, passed over; known here are commands, "},
		{"unknown key of artifacts", "version: 0.2\nartifacts: {files: [x], path: b}\n" + phases, "artifacts/path: unknown key"},
		{"unknown key of a report", "version: 0.2\nreports: {r: {files: [x], format: b}}\n" + phases, "reports/r/format: unknown key"},
		{"two documents", "version: 0.2\n" + phases + "---\nversion: 9\n", "has 2 YAML documents; only the first is read"},
		{"begins with dashes", "---\nversion: 0.2\n" + phases, ""},
		{"byte order mark", "\ufeffversion: 0.2\n" + phases, ""},
		{"CRLF", strings.ReplaceAll("version: 0.2\n"+phases, "\n", "\r\n"), ""},
		{"BOM and CRLF", "\ufeff" + strings.ReplaceAll("version: 0.2\n"+phases, "\n", "\r\n"), ""},
		{"UTF-16", utf16le("version: 0.2\n" + phases), ""},
		{"version in quotes", "version: '0.2'\n" + phases, ""},
		{"version with a zero", "version: 0.20\n" + phases, ""},
		{"version after a tab", "version:\t0.2\n" + phases, ""},
		{"key twice", "version: 0.2\nphases: {build: {commands: [b]}}\n" + phases, "buildspec.yml:3: phases: is there twice; the last one counts"},
		{"empty command", "version: 0.2\nphases:\n  build:\n    commands:\n      - a\n      - # - b\n", "phases/build/commands/2: is empty, passed over"},
		{"one command as a text", "version: 0.2\nphases: {build: {commands: a}}\n", ""},
		{"cache without paths", "version: 0.2\ncache: {key: k}\n" + phases, "buildspec.yml:2: cache: ignored without paths"},
		{"keys without a value", "version: 0.2\nenv:\ncache:\nartifacts:\nreports:\nphases: {build: {commands: [a], finally: , on-failure: }}\n", ""},
		{"name of a variable", "version: 0.2\nenv: {variables: {A-B: c}}\n" + phases, "env/variables/A-B: is not a name"},
		{"exported name", "version: 0.2\nenv: {exported-variables: ['x; touch pwned']}\n" + phases, `"x; touch pwned" is not the name of a variable`},
		{"merge key", "version: 0.2\nx: &x {commands: [a]}\nphases: {build: {<<: *x}}\n", "x: unknown key"},
		{"merge key that loses", "version: 0.2\nx: &x {commands: [b]}\nphases: {build: {<<: *x, commands: [a]}}\n", "x: unknown key"},
		{"merge keys in a list", "version: 0.2\nx: &x {commands: [a]}\ny: &y {commands: [b]}\nphases: {build: {<<: [*x, *y]}}\n", "x: unknown key"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s, err := parseBuildspec("buildspec.yml", []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, s.phases, cmp.AllowUnexported(phaseSpec{}, onFailure{})); diff != "" {
				t.Error(diff)
			}
			if notes := strings.Join(s.notes, "\n"); !strings.Contains(notes, tc.note) || tc.note == "" && notes != "" {
				t.Errorf("notes: %s\nwant: %s", notes, tc.note)
			}
			if s.apart || len(s.exported) > 0 || len(s.variables) > 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func utf16le(s string) string {
	b := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func TestParseBuildspecVariables(t *testing.T) {
	s, err := parseBuildspec("buildspec.yml", []byte(`version: 0.1
environment_variables:
  plaintext: {A: 007, B: 1.10, C: true, D: null, E: "", F: 0x1F, G: 2020-01-02, H: "x: y", I: ~}
phases: {build: {commands: [a]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []variable{
		{"A", "007", plaintext}, {"B", "1.10", plaintext}, {"C", "true", plaintext}, {"D", "", plaintext}, {"E", "", plaintext},
		{"F", "0x1F", plaintext}, {"G", "2020-01-02", plaintext}, {"H", "x: y", plaintext}, {"I", "", plaintext},
	}
	if diff := cmp.Diff(want, s.variables); diff != "" || !s.apart {
		t.Errorf("apart: %v\n%s", s.apart, diff)
	}
}

func TestParseOnFailure(t *testing.T) {
	for text, want := range map[string]struct {
		retries int
		match   string
	}{
		"RETRY":               {3, ".*"},
		"RETRY-8":             {8, ".*"},
		"RETRY-.*Error":       {3, ".*Error"},
		"RETRY-2-exit status": {2, "exit status"},
		"RETRY-a-b":           {3, "a-b"},
	} {
		f, err := parseOnFailure(text)
		if err != nil || f.action != failRetry || f.retries != want.retries || f.match.String() != want.match {
			t.Errorf("%s: %+v, %v", text, f, err)
		}
	}
}

func FuzzParseBuildspec(f *testing.F) {
	for _, s := range []string{
		"version: 0.2\nphases:\n  build:\n    commands:\n      - echo a\n",
		"version: 0.2\nenv: {variables: {A: 1}}\nphases: {build: {commands: &a [x], finally: *a, on-failure: RETRY-2-x}}\n",
		"version: 0.2\nartifacts: {files: ['**/*'], secondary-artifacts: {a: {files: [b]}}}\nreports: {r: {files: [x]}}\n",
		"a: &a [*a]\n", "? [\n", "- - - -", "!!binary |\n x", "%YAML 1.2\n---\nversion: 0.2", "version: &v 0.2\nphases: *v",
		"<<: {version: 0.2}", "\xff\xfe", "version: 0.2\nphases: |\n", "&a", "*a", "? ", ": ", "!x",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseBuildspec("buildspec.yml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "buildspec.yml:") {
				t.Errorf("error without its file: %v", err)
			}
			return
		}
		if len(s.phases) == 0 {
			t.Error("a buildspec without phases was accepted")
		}
		for _, name := range s.exported {
			if !isIdentifier(name) {
				t.Errorf("exports %q", name)
			}
		}
	})
}

func TestPatternMatches(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no []string
	}{
		{"a.txt", []string{"a.txt"}, []string{"b/a.txt", "a.txt/b", "xa.txt"}},
		{"*", []string{"a", ".a"}, []string{"a/b"}},
		{"**/*", []string{"a", "a/b", "a/b/c"}, nil},
		{"**", []string{"a", "a/b"}, nil},
		{"d/*", []string{"d/a"}, []string{"d/a/b", "a"}},
		{"d/**/*", []string{"d/a", "d/a/b"}, []string{"a", "e/a"}},
		{"**/x/*.go", []string{"x/a.go", "a/x/b.go"}, []string{"x/a.c", "x/a/b.go"}},
		{"a/**/b", []string{"a/b", "a/x/y/b"}, []string{"a/b/c"}},
		{"[", nil, []string{"[", "a"}},
	}
	for _, tc := range tests {
		p := compilePattern(tc.pattern)
		for _, name := range tc.yes {
			if !p.match(name) {
				t.Errorf("%s does not match %s", tc.pattern, name)
			}
		}
		for _, name := range tc.no {
			if p.match(name) {
				t.Errorf("%s matches %s", tc.pattern, name)
			}
		}
	}
	// A pattern that makes naive matchers exponential.
	if compilePattern(strings.Repeat("**/a/", 30) + "b").match(strings.Repeat("a/", 1000) + "c") {
		t.Error("matched")
	}
}
