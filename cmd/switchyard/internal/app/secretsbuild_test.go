package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
)

// The secrets of a build, by the variable in which it has them.
var buildSecrets = map[string]string{
	"EVERY": `s3cret/for+every build: "it's" $HOME & <more>?`,
	"FILE":  "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\nMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n-----END KEY-----",
	"TOOL":  "printed-by-a-tool-1234567890",
	"PART":  "p@ssw0rd-in-json",
	"INPUT": "Grüße/aus/Köln",
}

// How a build prints a variable, as commands of a shell. Each is tried in bash
// and, where that can't be told from what it says, in sh.
const printsSecrets = `
    - |
      show() {
        echo "$1"; printf '%s\n' "<$1>"; printf %s "$1" >&2; echo
        echo $1
        printf %s "$1" | base64; printf %s "$1" | base64 -w0; echo
        printf 'user:%s' "$1" | base64 -w0; echo; printf 'me:%s@x' "$1" | base64 -w0; echo; printf '..%s' "$1" | base64 | tr '+/' '-_'
        printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; echo
        printf %s "$1" | od -An -v -tx1 | tr -d ' ' | tr a-f A-F
        for i in 1 2 3; do printf '%s' "$1" | dd bs=7 2>/dev/null; echo; done
        (set -x; : "$1"; : x"$1"y)
        sh -xc ': "$1"' sh "$1"
        printf '%q\n' "$1"; declare -p 1 2>/dev/null; copy=$1; declare -p copy; export -p | grep -a copy
        printf '%s' "$1" | (head -c 5; sleep 0.1; cat); echo
        printf '\377\376%s\377\n' "$1"
      }
    - for name in EVERY FILE TOOL PART INPUT; do show "${!name}"; done
    - env; set | grep -a -e EVERY -e TOOL
    - LEAK="is $EVERY"; LINES="$FILE"; ENCODED=$(printf %s "$TOOL" | base64); COPY=$INPUT
`

// readings are the texts by which a secret could be read out of what is stored.
func readings(secret string) []string {
	inHex := hex.EncodeToString([]byte(secret))
	texts := []string{strings.ReplaceAll(secret, "\n", ""), inHex, strings.ToUpper(inHex), url.QueryEscape(secret), url.PathEscape(secret)}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		texts = append(texts, lines...)
	}
	for _, text := range texts[:len(texts):len(texts)] {
		for before := range 3 {
			encoded := base64.StdEncoding.EncodeToString([]byte("xxx"[:before] + text))
			// Without what depends on the neighbours.
			encoded = strings.TrimRight(encoded[4*((before+2)/3):], "=")
			texts = append(texts, encoded[:len(encoded)-1])
		}
		quoted, err := json.Marshal(text)
		if err != nil {
			panic(err)
		}
		texts = append(texts, strings.Trim(string(quoted), `"`))
	}
	return texts
}

func TestSecretsOfBuildsAreShownNowhere(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal("this test needs bash")
	}
	github := newGitHub(t)
	repo := github.clone(t)
	dir := t.TempDir()
	t.Setenv("TEST_SECRET_EVERY", buildSecrets["EVERY"])
	files := map[string]string{
		"file": buildSecrets["FILE"] + "\n", "tool": "#!/bin/sh\necho " + buildSecrets["TOOL"] + "\n",
		"json": fmt.Sprintf(`{"user": "somebody", "password": %q}`, buildSecrets["PART"]),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	config := fmt.Sprintf(buildSettings, secret, github.URL) + `
engine:
  embedded:
    secrets: {tool: {command: [./tool]}}
    projects:
      api:
        repository: ` + repo.bare + `
        environment: {INPUT: ` + buildSecrets["INPUT"] + `}
        secrets:
          every: {value: "${TEST_SECRET_EVERY}", variable: EVERY}
          key: file:file
          tool: {shared: tool}
          prod/db: {file: json}
`
	machine := fmt.Sprintf(`{"StartAt": "Build", "States": {"Build": {"Type": "Task", "Resource": "arn:aws:states:::codebuild:startBuild.sync",
  "Parameters": {"ProjectName": "api", "SourceLocationOverride": %q, "SourceVersion.$": "$.commit.sha",
    "EnvironmentVariablesOverride": [{"Name": "INPUT", "Type": "PARAMETER_STORE", "Value": "/app/input"}, {"Name": "FILE", "Type": "SECRETS_MANAGER", "Value": "key"}]},
  "End": true}}}`, repo.bare)
	const env = `version: 0.2
env:
  shell: bash
  secrets-manager: {TOOL: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:tool-AbCdEf", PART: "prod/db:password"}
  exported-variables: [LEAK, LINES, ENCODED, COPY, TOOL]
phases:
  build:
    commands:` + printsSecrets
	good := repo.commit("good", env)
	bad := repo.commit("bad", env+"    - exit 3\nartifacts:\n  files: [\"none-$EVERY-$TOOL\"]\n  base-directory: $PART\n")
	s := startWith(t, dir, config, machine)
	if status, text := s.deliver(t, "d1", pushOf("feature/a", commit{good, "good"}, commit{bad, "bad"})); status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	ended := s.settled(t, 2)
	links := github.final(t, 2)

	shown := map[string]string{}
	for _, e := range ended {
		whole, err := s.client.Execution(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		name := map[string]string{good: "good", bad: "bad"}[e.SHA]
		shown[name+"'s execution"] = string(text)
		_, page := s.get(t, strings.TrimPrefix(links[e.SHA].URL, "http://"+s.Addr().String()))
		shown[name+"'s page"] = page
		shown[name+"'s status"] = links[e.SHA].Description
		var log strings.Builder
		if err := s.client.Log(t.Context(), e.ID, &log); err != nil {
			t.Fatal(err)
		}
		shown[name+"'s log"] = log.String()
		if n := strings.Count(log.String(), "***"); n < 80 {
			t.Errorf("%s's log has %d marks, so it did not print all:\n%s", name, n, log.String())
		}
		if name == "good" {
			if e.State != dispatch.StateSucceeded {
				t.Fatalf("%s %s\n%s", e.State, text, log.String())
			}
			want := map[string]string{"LEAK": "is ***", "LINES": "***", "ENCODED": "***", "COPY": "***"}
			if diff := cmp.Diff(want, handedOn(t, whole.Output)); diff != "" {
				t.Error(diff)
			}
		} else if e.State != dispatch.StateFailed {
			t.Errorf("bad: %s", e.State)
		}
	}
	s.stop()
	// All that is stored, the journal and the engine's history too.
	walk(t, filepath.Join(dir, "data"), func(path string) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			shown[strings.TrimPrefix(path, dir)] = string(text)
		}
	})
	for where, text := range shown {
		// Encodings may be broken into lines.
		flat := strings.NewReplacer("\n", "", "\r", "").Replace(text)
		for name, secret := range buildSecrets {
			for _, reading := range readings(secret) {
				if i := strings.Index(flat, reading); i >= 0 {
					t.Errorf("%s shows %s as %q: …%q…", where, name, reading, flat[max(0, i-60):min(len(flat), i+len(reading)+60)])
				}
			}
		}
		if bytes.Contains([]byte(text), []byte("somebody")) {
			t.Errorf("%s shows what no build has asked for", where)
		}
	}
}

// handedOn are the variables that a build exported.
func handedOn(t *testing.T, output []byte) map[string]string {
	t.Helper()
	var out struct {
		Build struct {
			ExportedEnvironmentVariables []struct{ Name, Value string }
		}
	}
	if err := json.Unmarshal(output, &out); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	values := map[string]string{}
	for _, v := range out.Build.ExportedEnvironmentVariables {
		values[v.Name] = v.Value
	}
	return values
}
