package main

import (
	"slices"
	"strings"
	"testing"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/dispatch"
)

const protected = `
sources:
  github: {secrets: [s], token: t, repositories: {acme/api: {secrets: [own]}}}
  quiet: {provider: github, secrets: [s], repositories: {acme/quiet: {secrets: [own]}}}
engine: {aws: {region: eu-west-1}}
state_machines: {m: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}}
routes:
  - {name: tests, on: pull_request, base_branches: [main, "release/*"], forks: allow, state_machine: m}
  - {name: api, on: [push, pull_request], base_branches: main, paths: ["api/**"], state_machine: m}
  - {name: deploy, branches: [main], state_machine: m}
`

func TestProtect(t *testing.T) {
	host := &standIn{required: map[string][]string{"main": {"lint", "switchyard/gone", "switchyard/api"}}}
	hosts := map[string]app.OpenHost{"github": {Host: host}, "quiet": {Host: host}}
	args := []string{"protect", "--source", "github"}
	out, errOut, code := called(t, protected, hosts, args...)
	if code != exitDone || errOut != "" {
		t.Fatalf("%d: %s", code, errOut)
	}
	contains(t, "protect", out,
		"SOURCE REPOSITORY BRANCH STATUS REQUIRED NOTE",
		"github acme/api main switchyard/tests no",
		`github acme/api main switchyard/api yes WAITS FOR EVER where the newest commit changes nothing of paths: "api/**"; not for pull requests from forks (forks: never)`,
		`main switchyard/deploy no merges would wait for ever: it runs on pushes to "main" itself`,
		"main switchyard/gone yes WAITS FOR EVER: no route gives it",
		"main lint yes not of Switchyard",
		"release/2 switchyard/tests no",
		"Add what is missing with --apply.")
	if strings.Contains(out, "feature/x") {
		t.Errorf("no route names feature/x as a base:\n%s", out)
	}

	out, _, code = called(t, protected, hosts, append(args, "--apply", "--branch", "main")...)
	if code != exitDone || !slices.Equal(host.required["main"], []string{"lint", "switchyard/gone", "switchyard/api", "switchyard/tests"}) || host.required["release/2"] != nil {
		t.Errorf("--apply: %d, %q", code, host.required)
	}
	contains(t, "protect --apply", out, "main switchyard/tests added", "main switchyard/deploy no")
	if _, _, code = called(t, protected, hosts, append(args, "--apply", "--branch", "main")...); code != exitDone || len(host.required["main"]) != 4 {
		t.Errorf("again: %d, %q", code, host.required)
	}
	host.required["main"] = nil
	if _, _, code = called(t, protected, hosts, append(args, "--apply", "--branch", "main", "--route", "api", "--route", "deploy")...); code != exitDone || !slices.Equal(host.required["main"], []string{"switchyard/api"}) {
		t.Errorf("--route: %d, %q; what never comes is not required, whoever asks", code, host.required)
	}
}

func TestProtectSaysWhatIsMissing(t *testing.T) {
	host := &standIn{refuses: &dispatch.PermanentError{Err: errNoRepositories}}
	for name, c := range map[string]struct {
		hosts map[string]app.OpenHost
		args  []string
		code  int
		says  string
	}{
		"no statuses":    {map[string]app.OpenHost{"quiet": {Host: host}}, []string{"--source", "quiet"}, exitFailed, "no statuses are written to source quiet"},
		"which branch":   {map[string]app.OpenHost{"github": {Host: host}}, []string{"--repository", "github:acme/api", "--route", "nope"}, exitUsage, `the config has no route "nope"`},
		"no base":        {map[string]app.OpenHost{"github": {Unable: dispatch.ErrCannotAsk}}, []string{"--source", "github"}, exitDone, "not asked: github acme/api main: the host's API cannot be asked"},
		"apply to none":  {map[string]app.OpenHost{"github": {Host: struct{ dispatch.Host }{}}}, []string{"--source", "github", "--apply"}, exitFailed, "set it by hand"},
		"without a base": {map[string]app.OpenHost{"github": {Host: host}}, []string{"--repository", "github:acme/api", "--route", "deploy"}, exitFailed, "read what main requires"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, code := called(t, protected, c.hosts, append([]string{"protect"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut)
			}
			contains(t, "what it says", errOut, c.says)
		})
	}
	_, errOut, code := called(t, strings.ReplaceAll(protected, "base_branches", "authors"), map[string]app.OpenHost{"github": {Host: host}}, "protect", "--source", "github")
	if code != exitFailed {
		t.Errorf("no base branch: exit code %d", code)
	}
	contains(t, "no base branch", errOut, "say with --branch which branch is merged into")
}
