//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReferencesFindTheSecret(t *testing.T) {
	const (
		secretARN    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"
		parameterARN = "arn:aws:ssm:eu-west-1:123456789012:parameter"
	)
	db := `{"user":"app","password":"p:1","port":5432,"on":true,"none":null,"more":{"a":1}}`
	p := Project{Secrets: map[string]Secret{
		"prod/db": {Value: db}, "plain": {Value: "text"}, "prod/db:password:AWSPREVIOUS": {Value: "older"},
		"abc-Suffix": {Value: "ends like an ARN"}, "/app/token": {Value: "t0"}, "top": {Value: "t1"}, "/app/token:7": {Value: "t7"},
		secretARN + "by-arn-AbCdEf": {Value: "whole ARN"}, secretARN + "part": {Value: "partial ARN"},
	}}
	h := newHandler(t, Config{Projects: map[string]Project{"app": p}})
	store := h.secretsOf(&request{project: "app"})
	for _, tc := range []struct{ kind, ref, want, wrong string }{
		{secretsManager, "plain", "text", ""},
		{secretsManager, "prod/db", db, ""},
		{secretsManager, "prod/db:", db, ""},
		{secretsManager, "prod/db:::", db, ""},
		{secretsManager, "prod/db:password", "p:1", ""},
		{secretsManager, "prod/db:password:AWSCURRENT", "p:1", ""},
		{secretsManager, "prod/db:password:AWSCURRENT:", "p:1", ""},
		{secretsManager, "prod/db:password:AWSPREVIOUS", "older", ""},
		{secretsManager, "prod/db:port", "5432", ""},
		{secretsManager, "prod/db:on", "true", ""},
		{secretsManager, "prod/db:none", "null", ""},
		{secretsManager, "prod/db:more", `{"a":1}`, ""},
		{secretsManager, secretARN + "prod/db-AbCdEf", db, ""},
		{secretsManager, secretARN + "prod/db-AbCdEf:user", "app", ""},
		{secretsManager, secretARN + "prod/db-AbCdEf:user::", "app", ""},
		{secretsManager, secretARN + "prod/db:user", "app", ""},
		{secretsManager, secretARN + "abc-Suffix", "ends like an ARN", ""},
		{secretsManager, secretARN + "by-arn-AbCdEf", "whole ARN", ""},
		{secretsManager, secretARN + "part-AbCdEf", "partial ARN", ""},
		{parameterStore, "/app/token", "t0", ""},
		{parameterStore, "/app/token:7", "t7", ""},
		{parameterStore, "top", "t1", ""},
		{parameterStore, parameterARN + "/app/token", "t0", ""},
		{parameterStore, parameterARN + "/top", "t1", ""},

		{secretsManager, "prod/db:password:OTHER", "", `a secret has one version here, and this asks for OTHER; add engine.embedded.projects.app.secrets["prod/db:password:OTHER"]`},
		{secretsManager, "prod/db:password::0123-4567", "", `asks for 0123-4567`},
		{secretsManager, "prod/db:missing", "", `engine.embedded.projects.app.secrets["prod/db"]: the JSON has no key "missing", which V asks for`},
		{secretsManager, "plain:key", "", `engine.embedded.projects.app.secrets.plain: its value is not a JSON object`},
		{secretsManager, "other", "", "V needs secrets-manager other: add engine.embedded.projects.app.secrets.other to the configuration"},
		{secretsManager, secretARN + "other-AbCdEf:key", "", "add engine.embedded.projects.app.secrets.other to the configuration"},
		{secretsManager, "a:b:c:d:e", "", "has more than"},
		{secretsManager, "", "", "names nothing"},
		{secretsManager, ":key", "", "names nothing"},
		{secretsManager, "arn:aws:secretsmanager:eu-west-1:123456789012", "", "is not a whole ARN"},
		{secretsManager, parameterARN + "/app/token:x", "", "is not the ARN of a secret"},
		{parameterStore, "/app/other", "", `V needs parameter-store /app/other: add engine.embedded.projects.app.secrets["/app/other"] to the configuration`},
		{parameterStore, "/app/token:8", "", "asks for 8"},
		{parameterStore, "a:b:c", "", "more than a name and a version"},
		{parameterStore, secretARN + "x", "", "is not the ARN of a parameter"},
	} {
		got, err := store.value(t.Context(), variable{"V", tc.ref, tc.kind})
		if tc.wrong == "" {
			if got != tc.want || err != nil {
				t.Errorf("%s %s: %q, %v, want %q", tc.kind, tc.ref, got, err, tc.want)
			}
			continue
		}
		if got != "" || err == nil || !strings.Contains(err.Error(), tc.wrong) {
			t.Errorf("%s %s: %q, %v, want an error with %q", tc.kind, tc.ref, got, err, tc.wrong)
		}
		if err != nil && (strings.Contains(err.Error(), "p:1") || strings.Contains(err.Error(), "5432")) {
			t.Errorf("%s: the error shows the secret: %v", tc.ref, err)
		}
	}
	if _, err := (&secretStore{}).value(t.Context(), variable{"V", "plain", secretsManager}); err == nil {
		t.Error("a build without secrets gets one")
	}
}

// script writes a program.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret-tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsAreReadWhereTheyAre(t *testing.T) {
	t.Setenv("NOT_FOR_COMMANDS", "1")
	now := time.Unix(1e9, 0)
	h := newHandler(t, Config{}, WithNow(func() time.Time { return now }))
	key := 0
	read := func(s Secret) (string, error) {
		key++
		p := Project{Secrets: map[string]Secret{fmt.Sprint("S", key): s}}
		if err := p.fillSecrets("app"); err != nil {
			t.Fatal(err)
		}
		return h.secrets.read(t.Context(), p.Secrets[fmt.Sprint("S", key)])
	}
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) Secret {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return Secret{File: file}
	}
	for _, tc := range []struct {
		name   string
		secret Secret
		want   string
	}{
		{"value", Secret{Value: " as it is\n"}, " as it is\n"},
		{"file", write("one\ntwo\r\n\n"), "one\ntwo"},
		{"file, changed", write("three"), "three"},
		{"command", Secret{Command: []string{script(t, `printf '%s\n' "$1 $2"`), "a b", "$HOME;x"}}, "a b $HOME;x"},
		{"its variables", Secret{Command: []string{script(t, `echo "$TOKEN,$NOT_FOR_COMMANDS,$(pwd)"`)}, Env: map[string]string{"TOKEN": "x"}}, "x,,/"},
		{"what it starts is not waited for", Secret{Command: []string{script(t, "sleep 1000 &\necho it")}}, "it"},
	} {
		if tc.secret.File != "" && tc.name == "file" {
			write("one\ntwo\r\n\n")
		} else if tc.secret.File != "" {
			write("three")
		}
		if got, err := read(tc.secret); got != tc.want || err != nil {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
	failing := script(t, "echo hunter2; echo hunter3 >&2; exit 3")
	missing := filepath.Join(t.TempDir(), "missing")
	for _, tc := range []struct {
		name   string
		secret Secret
		want   string
	}{
		{"command fails", Secret{Command: []string{failing, "hunter4"}}, "command " + failing + ": exit status 3; what it printed is not shown"},
		{"command is missing", Secret{Command: []string{missing}}, "no such file"},
		{"nothing printed", Secret{Command: []string{script(t, "echo")}}, "it is empty"},
		{"too much printed", Secret{Command: []string{script(t, "yes hunter2")}}, "it is larger than 65536 bytes"},
		{"too slow", Secret{Command: []string{script(t, "echo hunter2; sleep 1000")}, Timeout: 20 * time.Millisecond}, "it was ended after 20ms"},
		{"file is missing", Secret{File: missing}, "no such file"},
		{"file is empty", write("\n"), file + ": it is empty"},
		{"file is a folder", Secret{File: t.TempDir()}, "is not a regular file"},
	} {
		got, err := read(tc.secret)
		if got != "" || err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "engine.embedded.projects.app.secrets.S") {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: the error shows what was printed: %v", tc.name, err)
		}
	}
}

func TestWhatACommandPrintedIsKeptForAWhile(t *testing.T) {
	now := time.Unix(1e9, 0)
	h := newHandler(t, Config{}, WithNow(func() time.Time { return now }))
	count := filepath.Join(t.TempDir(), "count")
	counting := script(t, "echo x >> "+count+"; wc -l < "+count+" | tr -d ' '")
	s := Secret{Key: "k", Command: []string{counting}, Timeout: time.Minute, Cache: time.Minute}
	read := func(s Secret, want string) {
		t.Helper()
		if got, err := h.secrets.read(t.Context(), s); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	read(s, "1")
	now = now.Add(59 * time.Second)
	read(s, "1")
	now = now.Add(2 * time.Second)
	read(s, "2")
	never := s
	never.Key, never.Cache = "other", -1
	read(never, "3")
	read(never, "4")
	// Of many builds at once one runs the command.
	now = now.Add(time.Hour)
	results := make(chan string)
	for range 8 {
		go func() {
			got, err := h.secrets.read(context.Background(), s)
			results <- fmt.Sprint(got, err)
		}()
	}
	for range 8 {
		if got := <-results; got != "5<nil>" {
			t.Errorf("got %s", got)
		}
	}
	// A failure is not kept.
	flaky := Secret{Key: "flaky", Command: []string{script(t, "test -e "+count+".2 && echo ok; touch "+count+".2")}, Timeout: time.Minute, Cache: time.Minute}
	if _, err := h.secrets.read(t.Context(), flaky); err == nil {
		t.Error("an empty secret was taken")
	}
	read(flaky, "ok")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := h.secrets.read(ctx, never); !errors.Is(err, gone) {
		t.Errorf("with a cancelled context: %v", err)
	}
}

// A secret is in a build's environment when the configuration says so, or when
// the build asks for it by name, and nothing that it does not ask for is read.
func TestBuildsGetTheSecretsOfTheirProject(t *testing.T) {
	r := newRepo(t)
	file := filepath.Join(t.TempDir(), "file")
	marker := filepath.Join(t.TempDir(), "ran")
	p := Project{
		CloneURL: r.bare,
		Env:      map[string]string{"PLAIN": "shown"},
		Secrets: map[string]Secret{
			"every":  {Value: "for-every-build", Variable: "EVERY"},
			"file":   {File: file},
			"unused": {Command: []string{script(t, "touch "+marker+"; echo never-asked-for")}},
			"over":   {Value: "not-this-one", Variable: "OVER"},
			"broken": {Command: []string{script(t, "exit 1")}},
		},
	}
	h := newHandler(t, Config{Projects: map[string]Project{"app": p}})
	commit := r.spec(`version: 0.2
env:
  secrets-manager: {FROM_FILE: file, OVER: broken}
phases:
  build:
    commands:
      - test "$EVERY" = for-every-build
      - test -z "$unused$UNUSED"
      - test "$OVER" = input
      - test "$FROM_FILE" = "$WANT"
      - echo "$EVERY $FROM_FILE"
`)
	for _, text := range []string{"first-text", "second-text"} {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		b := run(t, h, newTask(t, text, input{"SourceVersion": commit, "EnvironmentVariablesOverride": []variable{{"OVER", "input", plaintext}, {"WANT", "first-text", plaintext}}}))
		if want := text == "first-text"; (b.err == nil) != want {
			t.Errorf("%s: %s\n%s", text, b.messages(), b.log)
		}
		if strings.Contains(b.log, "for-every") {
			t.Errorf("log shows a secret:\n%s", b.log)
		}
		if strings.Contains(b.result.Environment.EnvironmentVariables[0].Value, "every-build") {
			t.Errorf("result shows a secret: %+v", b.result.Environment)
		}
	}
	if exists(marker) {
		t.Error("a command ran though no build asked for its secret")
	}

	// An error is told before the first command.
	commit = r.spec("version: 0.2\nenv: {secrets-manager: {B: broken}}\nphases: {build: {commands: [echo began]}}\n")
	b := run(t, h, newTask(t, "broken", input{"SourceVersion": commit}))
	if b.err == nil || !strings.Contains(b.messages(), "engine.embedded.projects.app.secrets.broken: command ") || strings.Contains(b.log, "began") {
		t.Errorf("%s\n%s", b.messages(), b.log)
	}
}

func TestBuildWithoutSecretsGetsNone(t *testing.T) {
	p := Project{CloneURL: "/r", Secrets: map[string]Secret{"every": {Value: "for-every-build", Variable: "EVERY"}, "named": {Value: "named-one"}}}
	h := newHandler(t, Config{Projects: map[string]Project{"app": p}})
	req := &request{project: "app", noSecrets: "no reason"}
	if err := h.setEnv(req, p, nil); err != nil || len(req.env) > 0 {
		t.Errorf("%v, %v", req.env, err)
	}
	// One that asks for some fails, and is not left to run without.
	if err := h.setEnv(req, p, []variable{{"IN", "named", secretsManager}}); err == nil || !strings.Contains(err.Error(), "no reason, and IN asks for secrets-manager named") {
		t.Error(err)
	}
	s := h.newSession(newTask(t, "t", input{}), req, nil, &buildResult{})
	s.spec = &buildspec{secrets: []variable{{"SPEC", "named", secretsManager}, {"OTHER", "nowhere", parameterStore}}}
	want := "no reason, and SPEC asks for secrets-manager named; no reason, and OTHER asks for parameter-store nowhere"
	if err := s.setVariables(t.Context()); err == nil || err.Error() != want || len(s.env.names) > 0 {
		t.Errorf("%v, it gets %v", err, s.env.list())
	}
}

func TestSecretsAreChecked(t *testing.T) {
	one := func(s Secret) Project { return Project{Secrets: map[string]Secret{"a/b": s}} }
	for name, tc := range map[string]struct {
		p    Project
		want string
	}{
		"no source":    {one(Secret{}), `engine.embedded.projects.app.secrets["a/b"]: one of value, file and command`},
		"two sources":  {one(Secret{Value: "x", File: "/x"}), "one of value, file and command"},
		"no program":   {one(Secret{Command: []string{""}}), "name is empty"},
		"name":         {one(Secret{Value: "x", Variable: "A-B"}), "must be letters"},
		"reserved":     {one(Secret{Value: "x", Variable: "CODEBUILD_X"}), "reserved"},
		"too large":    {one(Secret{Value: strings.Repeat("x", maxVariable), Variable: "X"}), "the system allows"},
		"same":         {Project{Secrets: map[string]Secret{"a": {Value: "x", Variable: "X"}, "b": {Value: "y", Variable: "X"}}}, "is that of engine.embedded.projects.app.secrets.a too"},
		"environment":  {Project{Env: map[string]string{"X": "1"}, Secrets: map[string]Secret{"a": {Value: "x", Variable: "X"}}}, "stands in the project's environment too"},
		"negative":     {one(Secret{Command: []string{"x"}, Timeout: -1}), "timeout"},
		"own key kept": {Project{Secrets: map[string]Secret{"a": {Key: "shared.a"}}}, "shared.a: one of"},
	} {
		if _, err := New(nil, Config{DataDir: t.TempDir(), Projects: map[string]Project{"app": tc.p}}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// A build whose commands have ended is finished with the secrets that it began
// with: it must not run again because a command fails meanwhile.
func TestBuildThatGoesOnKeepsItsSecrets(t *testing.T) {
	tool := script(t, "echo first-value")
	p := Project{Secrets: map[string]Secret{"s": {Command: []string{tool}, Cache: -1}}}
	h := newHandler(t, Config{Projects: map[string]Project{"app": p}})
	const spec = "version: 0.2\nenv: {secrets-manager: {S: s}}\nphases: {build: {commands: ['true']}}\n"
	tk := newTask(t, "t", input{})
	begin := func() *session {
		lf, err := h.logs.create(tk, 1<<20, h.now)
		if err != nil {
			t.Fatal(err)
		}
		s := h.newSession(tk, &request{project: "app", buildspec: spec, inline: true}, lf, &buildResult{})
		if err := os.MkdirAll(filepath.Join(s.dir, "control"), 0o700); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := begin()
	if err := s.readSpec(); err != nil {
		t.Fatal(err)
	}
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.record(phaseBuild); err != nil {
		t.Fatal(err)
	}
	if err := s.log.finish(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tool, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	next := begin()
	phase, err := next.resume(t.Context())
	if phase != phaseBuild || err != nil {
		t.Fatalf("%q, %v", phase, err)
	}
	if got := next.log.maskText("it was first-value"); got != "it was ***" {
		t.Errorf("%q", got)
	}
	if err := next.log.finish(); err != nil {
		t.Fatal(err)
	}
}

// Secrets that were rotated are given to builds that begin afterwards; wrong ones
// change nothing.
func TestRenewedSecrets(t *testing.T) {
	h := newHandler(t, Config{Projects: map[string]Project{"app": {Secrets: map[string]Secret{"npm": {Value: "first"}}}, "other": {}}})
	read := func(project string) string {
		t.Helper()
		store := h.secretsOf(&request{project: project})
		got, err := store.value(t.Context(), variable{"V", "npm", secretsManager})
		if err != nil {
			return err.Error()
		}
		return got
	}
	begun := h.secretsOf(&request{project: "app"})
	if _, err := h.PrepareSecrets(map[string]map[string]Secret{"app": {"npm": {}}}); err == nil || !strings.Contains(err.Error(), "engine.embedded.projects.app.secrets.npm: one of value") {
		t.Errorf("an empty secret: %v", err)
	}
	apply, err := h.PrepareSecrets(map[string]map[string]Secret{"app": {"npm": {Value: "second"}}, "other": {}})
	if err != nil {
		t.Fatal(err)
	}
	if got := read("app"); got != "first" {
		t.Errorf("before it is applied: %q", got)
	}
	apply()
	if got := read("app"); got != "second" {
		t.Errorf("afterwards: %q", got)
	}
	if got := read("other"); !strings.Contains(got, "add engine.embedded.projects.other.secrets.npm") {
		t.Errorf("another project: %q", got)
	}
	if got, err := begun.value(t.Context(), variable{"V", "npm", secretsManager}); got != "first" || err != nil {
		t.Errorf("a build that had begun: %q, %v", got, err)
	}
	fork := h.secretsOf(&request{project: "app", noSecrets: "builds of commits from forks get no secrets"})
	if got, err := fork.value(t.Context(), variable{"V", "npm", secretsManager}); err == nil {
		t.Errorf("a fork's build got %q", got)
	}
}
