//go:build unix

package build

import (
	"strings"
	"testing"

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
		reports:   []artifactSpec{{id: "unit", files: []string{"**/*.xml"}, base: "out"}},
		notes: []string{
			"run-as is ignored: a local build runs as the user of Switchyard",
			"env/git-credential-helper is ignored: builds get no credentials",
			"proxy is ignored",
			"phases/install/runtime-versions is ignored: a local build uses what this machine has",
			"phases/build/run-as is ignored: a local build runs as the user of Switchyard",
			"cache is ignored: a local build has no cache",
		},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(buildspec{}, phaseSpec{}, artifactSpec{}, onFailure{})); diff != "" {
		t.Error(diff)
	}
}

func TestParseBuildspecErrors(t *testing.T) {
	const phases = "phases: {build: {commands: [a]}}\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", "buildspec.yml: has 0 YAML documents"},
		{"two documents", "version: 0.2\n---\nversion: 0.2\n", "has 2 YAML documents"},
		{"not YAML", "version: 0.2\nphases: [\n", "buildspec.yml:2: "},
		{"tab", "version: 0.2\nphases:\n\tbuild:\n", "buildspec.yml:3: "},
		{"a list", "- a\n", "buildspec.yml:1: must be a mapping"},
		{"no version", phases, "version is missing; write version: 0.2"},
		{"old version", "version: 0.1\n" + phases, `buildspec.yml:1: version: version "0.1" is not supported, only 0.2`},
		{"no phases", "version: 0.2\n", "phases is missing"},
		{"empty phases", "version: 0.2\nphases:\n", "phases is missing"},
		{"unknown key", "version: 0.2\nphase: {}\n", "buildspec.yml:2: phase: unknown key"},
		{"unknown phase", "version: 0.2\nphases:\n  deploy: {}\n", "buildspec.yml:3: phases/deploy: unknown phase"},
		{"phase in capitals", "version: 0.2\nphases:\n  BUILD: {}\n", "phases/BUILD: unknown phase"},
		{"unknown key of a phase", "version: 0.2\nphases: {build: {command: [a]}}\n", "phases/build/command: unknown key"},
		{"command with a colon", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo ok\n      - echo a: b\n",
			"buildspec.yml:6: phases/build/commands/2: must be a text, but is a mapping; quote"},
		{"empty command", "version: 0.2\nphases: {build: {commands: [a, null]}}\n", "phases/build/commands/2: is empty"},
		{"nested list", "version: 0.2\nphases: {build: {commands: [[a]]}}\n", "phases/build/commands/1: must be a text"},
		{"mapping for a list", "version: 0.2\nphases: {build: {commands: {a: b}}}\n", "phases/build/commands: must be a list"},
		{"key twice", "version: 0.2\nversion: 0.2\n" + phases, `buildspec.yml:2: `},
		{"alias without anchor", "version: 0.2\nphases: {build: {commands: *x}}\n", "buildspec.yml:2: "},
		{"merge key", "version: 0.2\nphases: {build: &b {commands: [a]}, install: {<<: *b}}\n", "merge keys"},
		{"on-failure", "version: 0.2\nphases: {build: {on-failure: IGNORE, commands: [a]}}\n", `"IGNORE" is not one of ABORT`},
		{"retry expression", "version: 0.2\nphases: {build: {on-failure: 'RETRY-2-(', commands: [a]}}\n", "missing closing"},
		{"retry count", "version: 0.2\nphases: {build: {on-failure: RETRY-101, commands: [a]}}\n", "must be 0 to 100"},
		{"shell", "version: 0.2\nenv: {shell: powershell.exe}\n" + phases, "only sh and bash"},
		{"variable name", "version: 0.2\nenv: {variables: {A-B: c}}\n" + phases, `environment variable name "A-B"`},
		{"exported name", "version: 0.2\nenv: {exported-variables: ['x; touch pwned']}\n" + phases, "is not the name of a variable"},
		{"batch", "version: 0.2\nbatch: {}\n" + phases, "batch builds can't be run locally"},
		{"artifacts without files", "version: 0.2\nartifacts: {name: x}\n" + phases, "buildspec.yml:2: artifacts: files is missing"},
		{"artifacts key", "version: 0.2\nartifacts: {files: [a], path: b}\n" + phases, "artifacts/path: unknown key"},
		{"discard-paths", "version: 0.2\nartifacts: {files: [a], discard-paths: maybe}\n" + phases, "must be yes or no"},
		{"secondary identifier", "version: 0.2\nartifacts: {secondary-artifacts: {'../x': {files: [a]}}}\n" + phases, "not a valid identifier"},
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
