package config

import (
	"strings"
	"testing"
)

// An error is read by others than the config is, in logs and answers of CI. It
// shows neither what a variable holds, which may be a secret in the wrong place,
// nor what else may be one.
func TestErrorsDoNotShowSecrets(t *testing.T) {
	for _, text := range []string{
		`limits: {starts: "${TOKEN}"}`, `limits: {body: "${TOKEN}"}`, `limits: {read_timeout: "a${TOKEN}"}`,
		`log: {level: "${TOKEN}"}`, `server: {listen: "${TOKEN}"}`, `server: {public_url: "${TOKEN}"}`, `tracing: {ratio: "${TOKEN}"}`,
		`tracing: {endpoint: "otlp://user:hunter2@host"}`, `tracing: {endpoint: "http://user:hunter2@host"}`,
		`engine: "${TOKEN}"`, `engine: {embedded: {builds: {visible: ["${TOKEN}"]}}}`, `engine: {embedded: {hosts: ["${TOKEN}!"]}}`,
		`engine: {embedded: {keys: [{id: "${TOKEN}!", secret: x}]}}`, `engine: {embedded: {projects: {p: {network: "${TOKEN}"}}}}`,
		`engine: {embedded: {projects: {p: {secrets: {s: {shared: "${TOKEN}"}}}}}}`, `engine: {embedded: {projects: {p: {secrets: {s: {value: abcd, variable: "${TOKEN}-"}}}}}}`,
		`state_machines: {a: {arn: "${TOKEN}"}}`, `sources: {github: {secrets: [x], provider: "${TOKEN}"}}`,
		`sources: {github: {app: {id: "${TOKEN}", private_key: x}}}`,
		`{state_machines: {a: {definition: none}}, routes: [{name: r, state_machine: "${TOKEN}"}]}`,
		`routes: [{name: r, state_machine: "a", on: "${TOKEN}"}]`,
		"sources:\n  github:\n    token: |hunter2\n      x\n", "sources:\n  github: {secrets: [hunter2\n    token: hunter2", "sources: {github: {token: @hunter2}}",
		"sources: {github: {token: `hunter2}}", "sources: {github: {token: \"hunter2}}", "sources: {github: {token: 'hunter2}}", "sources: {github: {token: \"\\hunter2\"}}",
		"a: hunter2\n b: hunter2\n- hunter2",
	} {
		_, err := Parse("switchyard.yaml", []byte(text), env("TOKEN=hunter2"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := Parse("switchyard.yaml", []byte(`limits: {starts: "${TOKEN}"}`), env("TOKEN=x"))
	if err == nil || !strings.Contains(err.Error(), `expected a whole number, got "${TOKEN}"`) {
		t.Errorf("the reference is not told: %v", err)
	}
}
