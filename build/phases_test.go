//go:build unix

package build

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runSpec builds a commit with an inline buildspec.
func runSpec(t testing.TB, h *Handler, r *repo, id, commit, spec string) built {
	t.Helper()
	return run(t, h, newTask(t, id, input{"SourceVersion": commit, "SourceLocationOverride": r.bare, "BuildspecOverride": spec}))
}

// trace makes each command leave a word in the log, in order.
func (b built) trace() string {
	var words []string
	for line := range strings.Lines(b.log) {
		if w, ok := strings.CutPrefix(line, "> "); ok {
			words = append(words, strings.TrimSpace(w))
		}
	}
	return strings.Join(words, " ")
}

func TestPhaseTransitions(t *testing.T) {
	t.Parallel()
	const (
		ok  = "SUCCEEDED"
		bad = "FAILED"
	)
	phases := func(s ...string) string {
		names := []string{"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"}
		var out []string
		for i, status := range s {
			if status != "" {
				out = append(out, names[i]+"="+status)
			}
		}
		return strings.Join(out, " ")
	}
	tests := []struct {
		name, spec, phases, trace string
	}{
		{"all succeed", `
  install: {commands: [echo "> i", echo "> i2"], finally: [echo "> if"]}
  pre_build: {commands: [echo "> p"]}
  build: {commands: [echo "> b"]}
  post_build: {commands: [echo "> o"], finally: [echo "> of"]}`,
			phases(ok, ok, ok, ok, ok, ok), "i i2 if p b o of"},
		{"install fails: nothing follows but its finally", `
  install: {commands: [echo "> i", "false", echo "> never"], finally: [echo "> if"]}
  pre_build: {commands: [echo "> p"]}
  build: {commands: [echo "> b"]}
  post_build: {commands: [echo "> o"]}`,
			phases(ok, bad), "i if"},
		{"pre_build fails: build does not run", `
  pre_build: {commands: ["false"], finally: [echo "> pf"]}
  build: {commands: [echo "> b"]}
  post_build: {commands: [echo "> o"]}`,
			phases(ok, ok, bad), "pf"},
		{"build fails: post_build runs and knows", `
  build: {commands: [echo "> b$CODEBUILD_BUILD_SUCCEEDING", exit 3, echo "> never"], finally: [echo "> bf$CODEBUILD_BUILD_SUCCEEDING"]}
  post_build: {commands: [echo "> o$CODEBUILD_BUILD_SUCCEEDING"]}`,
			phases(ok, ok, ok, bad, ok, ok), "b1 bf0 o0"},
		{"build fails with ABORT: post_build does not run", `
  build: {on-failure: ABORT, commands: ["false"], finally: [echo "> bf"]}
  post_build: {commands: [echo "> o"]}`,
			phases(ok, ok, ok, bad), "bf"},
		{"install fails with CONTINUE: all run, the build has failed", `
  install: {on-failure: CONTINUE, commands: ["false"]}
  build: {commands: [echo "> b$CODEBUILD_BUILD_SUCCEEDING"]}`,
			phases(ok, bad, ok, ok, ok, ok), "b0"},
		{"post_build fails: artifacts are still attempted", `
  post_build: {commands: ["false"]}`,
			phases(ok, ok, ok, ok, bad, ok), ""},
		{"a failing finally fails the phase and stops finally", `
  build: {commands: [echo "> b"], finally: ["false", echo "> never"]}`,
			phases(ok, ok, ok, bad, ok, ok), "b"},
		{"directory, variables and functions last within a phase", `
  build:
    commands:
      - mkdir d && cd d
      - A="a  b"; f() { echo "> f $1"; }
      - 'test "$(basename "$PWD")" = d && f "$A"'`,
			phases(ok, ok, ok, ok, ok, ok), "f a  b"},
		{"directory and variables last to the next phase", `
  pre_build: {commands: ["mkdir d && cd d", "A=\"it's\"", "export B=b C=$'x'", unset CI]}
  build: {commands: ['echo "> $(basename "$PWD") $A $B ${CI-none}"']}
  post_build: {commands: ['cd .. && echo "> $A"']}`,
			phases(ok, ok, ok, ok, ok, ok), "d it's b none it's"},
		{"exit 0 ends its command only, and keeps what it set", `
  build: {commands: ["A=1; exit 0", 'echo "> $A"'], finally: [exit 0, echo "> f"]}`,
			phases(ok, ok, ok, ok, ok, ok), "1 f"},
		{"exec ends its command only", `
  build: {commands: ['exec echo "> e"', 'echo "> after"']}`,
			phases(ok, ok, ok, ok, ok, ok), "e after"},
		{"set -e holds inside a command of several lines", `
  build:
    commands:
      - |
        set -e
        false
        echo "> never"`,
			phases(ok, ok, ok, bad, ok, ok), ""},
		{"a syntax error fails its command", `
  build: {commands: ["if then", echo "> never"], finally: [echo "> f"]}`,
			phases(ok, ok, ok, bad, ok, ok), "f"},
		{"options of the shell do not disturb us", `
  build: {commands: ["set -u -f -C", "IFS=/", 'echo "> u"', "trap 'echo \"> trap\"' EXIT"]}
  post_build: {commands: ['echo "> o"']}`,
			phases(ok, ok, ok, ok, ok, ok), "u trap o"},
		{"the directory was removed", `
  install: {commands: [mkdir d, cd d, rmdir ../d]}
  build: {commands: ['test "$PWD" = "$CODEBUILD_SRC_DIR" && echo "> src"']}`,
			phases(ok, ok, ok, ok, ok, ok), "src"},
		{"background programs last to the next phase", `
  install: {commands: ["sleep 100 & echo $! > pid"]}
  build: {commands: ['kill -0 $(cat pid) && echo "> alive"']}`,
			phases(ok, ok, ok, ok, ok, ok), "alive"},
	}
	r := newRepo(t)
	commit := r.spec("unused")
	h := newHandler(t, Config{})
	for i, tc := range tests {
		for _, shell := range []string{"sh", "bash"} {
			t.Run(tc.name+"/"+shell, func(t *testing.T) {
				b := runSpec(t, h, r, fmt.Sprintf("t%d-%s", i, shell), commit, "version: 0.2\nenv: {shell: "+shell+"}\nphases:"+tc.spec+"\n")
				if diff := cmp.Diff(tc.phases, b.phases()); diff != "" {
					t.Errorf("phases: %s\n%s", diff, b.log)
				}
				if diff := cmp.Diff(tc.trace, b.trace()); diff != "" {
					t.Errorf("commands: %s\n%s", diff, b.log)
				}
				failed := strings.Contains(tc.phases, bad)
				if failed != (b.err != nil) || failed != (b.result.BuildStatus == bad) {
					t.Errorf("build status %s, error %v", b.result.BuildStatus, b.err)
				}
			})
		}
	}
}

func TestFailureNamesTheCommand(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [\"true\", \"sh -c 'exit 7'\", \"true\"]}}\n")
	b := run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	want := []phaseContext{{"COMMAND_EXECUTION_ERROR", "Error while executing command: sh -c 'exit 7'. Reason: exit status 7"}}
	if diff := cmp.Diff(want, b.result.Phases[4].Contexts); diff != "" {
		t.Error(diff)
	}
}

func TestRetryRepeatsTheBuild(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	h := newHandler(t, Config{})
	dir := t.TempDir()
	tests := []struct {
		name, onFailure, command string
		wantRuns                 int
		wantStatus               string
	}{
		{"succeeds the third time", "RETRY", `test $(wc -l < FILE) -ge 3`, 3, statusSucceeded},
		{"gives up after the count", "RETRY-1", "false", 2, statusFailed},
		{"default count", "RETRY", "false", 4, statusFailed},
		{"message matches", "RETRY-1-exit status 9", "exit 9", 2, statusFailed},
		{"message does not match", "RETRY-exit status 9", "exit 8", 1, statusFailed},
	}
	for i, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			file := fmt.Sprint(dir, "/runs", i)
			spec := fmt.Sprintf("version: 0.2\nphases:\n  build:\n    on-failure: %s\n    commands:\n      - test ! -e left && touch left\n      - echo run >> %s\n      - %s\n",
				tc.onFailure, file, strings.ReplaceAll(tc.command, "FILE", file))
			b := runSpec(t, h, r, fmt.Sprint("t", i), commit, spec)
			if b.result.BuildStatus != tc.wantStatus {
				t.Errorf("status %s: %s\n%s", b.result.BuildStatus, b.messages(), b.log)
			}
			if n := strings.Count(b.log, "running command: echo run"); n != tc.wantRuns {
				t.Errorf("ran %d times, want %d", n, tc.wantRuns)
			}
		})
	}
}

func TestBuildspecIsFound(t *testing.T) {
	r := newRepo(t)
	commit := r.commit(map[string]string{"ci/build.yml": "version: 0.2\nphases: {build: {commands: [echo found]}}\n"})
	r.git(r.work, "config", "core.symlinks", "true")
	r.push()
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare, Buildspec: "ci/build.yml"}}})
	if b := run(t, h, newTask(t, "project", input{"SourceVersion": commit})); b.err != nil {
		t.Errorf("path of the project: %v", b.err)
	}
	for _, tc := range []struct{ name, spec, want string }{
		{"missing", "other.yml", "commit " + commit + " has no other.yml"},
		{"outside", "../../../../../../etc/passwd", "path escapes from parent"},
		{"absolute", "/etc/passwd", "path escapes from parent"},
		{"a directory", "ci", "is a directory"},
	} {
		b := run(t, h, newTask(t, tc.name, input{"SourceVersion": commit, "BuildspecOverride": tc.spec}))
		if b.err == nil || !strings.Contains(b.messages(), tc.want) || b.phases() != "DOWNLOAD_SOURCE=FAILED" {
			t.Errorf("%s: %s %s", tc.name, b.phases(), b.messages())
		}
		if code := b.result.Phases[1].Contexts[0].StatusCode; code != "YAML_FILE_ERROR" {
			t.Errorf("%s: status code %s", tc.name, code)
		}
	}
}

// In version 0.1 each command has a shell of its own.
func TestVersionOneRunsEachCommandApart(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(`version: 0.1
environment_variables:
  plaintext:
    WORD: given
phases:
  install:
    commands:
      - export WORD=changed; cd /; f() { echo "> never"; }
      - 'echo "> $WORD $(test "$PWD" = "$CODEBUILD_SRC_DIR" && echo src)"'
      - exit 0
      - 'f 2>/dev/null || echo "> no function"'
  build:
    commands:
      - 'echo "> $WORD"'
      - test -f made || touch made
      - sh -c 'exit 7'
      - 'echo "> never"'
    finally:
      - 'test -f made && echo "> file $CODEBUILD_BUILD_SUCCEEDING"'
`)
	b := run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if got, want := b.trace(), "given src no function given file 0"; got != want {
		t.Errorf("ran %q, want %q\n%s", got, want, b.log)
	}
	if want := "Error while executing command: sh -c 'exit 7'. Reason: exit status 7"; b.messages() != want {
		t.Errorf("message %q, want %q", b.messages(), want)
	}
}

// What AWS keeps in a store is set in the project, and is a secret all the same.
func TestProjectSetsWhatAWSHasInAStore(t *testing.T) {
	t.Parallel()
	const spec = `version: 0.2
env:
  parameter-store: {TOKEN: /app/token, CODEBUILD_X: /no/matter}
  secrets-manager: {DB: "prod/db:password"}
  exported-variables: [TOKEN, PLAIN]
phases: {build: {commands: ['PLAIN=x; test "$TOKEN" = hunter2 && echo "the token is $TOKEN"', 'test "$DB" = s3cret']}}
`
	r := newRepo(t)
	commit := r.spec(spec)
	build := func(env map[string]string, override ...variable) built {
		t.Helper()
		h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare, Env: env}}})
		return run(t, h, newTask(t, "t", input{"SourceVersion": commit, "EnvironmentVariablesOverride": override}))
	}
	all := map[string]string{"TOKEN": "hunter2", "DB": "s3cret"}
	for name, override := range map[string][]variable{
		"by the project":                       nil,
		"by the project, for the input's type": {{"TOKEN", "/other", parameterStore}},
		"by the input":                         {{"TOKEN", "hunter2", plaintext}},
	} {
		b := build(all, override...)
		if b.err != nil {
			t.Fatalf("%s: %s\n%s", name, b.messages(), b.log)
		}
		out, err := b.result.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if text := string(out) + b.log; strings.Contains(text, "hunter2") || strings.Contains(text, "s3cret") {
			t.Errorf("%s: a secret is shown: %s", name, text)
		}
		b.wantLog(t, "the token is "+masked)
		if diff := cmp.Diff([]nameValue{{"PLAIN", "x"}}, b.result.ExportedEnvironmentVariables); diff != "" {
			t.Error(diff)
		}
	}
	b := build(map[string]string{"TOKEN": "hunter2"})
	if want := `DB needs secrets-manager prod/db:password: add engine.embedded.projects.app.secrets["prod/db"] to the configuration`; b.messages() != want {
		t.Errorf("%q\nwant %q", b.messages(), want)
	}
	b = build(nil)
	if want := `TOKEN needs parameter-store /app/token: add engine.embedded.projects.app.secrets["/app/token"] to the configuration; DB needs secrets-manager prod/db:password: add `; !strings.HasPrefix(b.messages(), want) {
		t.Errorf("%q\nwant %q", b.messages(), want)
	}
}

func TestKillForWantOfMemoryIsTold(t *testing.T) {
	for status, want := range map[string]string{
		"137": "exit status 137 (the machine had no memory left and killed 2 processes meanwhile)", "1": "exit status 1",
	} {
		err := exec.Command("sh", "-c", "exit "+status).Run()
		if got := explain(err, 2).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := explain(err, 0); !errors.Is(got, err) {
			t.Errorf("without a kill: %v", got)
		}
	}
}

// A failure's cause stays a JSON text that can be read, whatever is in it.
func TestCauseStaysReadable(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("unused")
	h := newHandler(t, Config{})
	b := runSpec(t, h, r, "t", commit, "version: 0.2\nphases: {build: {commands: ['exit 3']}}\n"+strings.Repeat("# a long comment\n", 4000))
	if b.err == nil || len(b.err.Cause) > maxCause || b.messages() != "Error while executing command: exit 3. Reason: exit status 3" {
		t.Errorf("cause of %d bytes: %s", len(b.err.Cause), b.messages())
	}
}
