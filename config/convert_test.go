package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/stepfn"
	"switchyard/internal/awsaccess"
	"switchyard/router"
)

func TestRouterConfigCarriesEveryKey(t *testing.T) {
	c := parseText(t, `
sources: {github: {secrets: x}}
state_machines: {deploy: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy:live"}}
components: {api: {paths: [api/**]}}
routes:
  - name: all
    on: [push, pull_request]
    sources: github
    repositories: acme/*
    branches: main
    tags: ["v*"]
    base_branches: [main]
    authors: ["!bot", "**"]
    paths: ["src/**"]
    actions: opened
    commits: distinct
    revisit: run
    state_machine: deploy
    environment: prod
    project: p
    override_shape: object
    input: {a: b}
    skip_markers: true
    forks: labeled
    fork_label: ok
    on_new_commit: cancel_superseded
  - {name: least, state_machine: deploy, on_new_commit: wait}
`)
	want := router.Config{
		Components: map[string]router.Component{"api": {Paths: []string{"api/**"}}},
		ForkBuilds: "without secrets, without network",
		Routes: []router.Route{{
			Name: "all", On: []string{"push", "pull_request"}, Sources: []string{"github"}, Repositories: []string{"acme/*"},
			Branches: []string{"main"}, Tags: []string{"v*"}, BaseBranches: []string{"main"}, Authors: []string{"!bot", "**"}, Paths: []string{"src/**"},
			Actions: []string{"opened"}, Commits: "distinct", Revisit: "run", StateMachine: "deploy", Environment: "prod", Project: "p",
			OverrideShape: "object", Input: map[string]any{"a": "b"}, SkipMarkers: true, Forks: "labeled", ForkLabel: "ok",
			OnNewCommit: "cancel_superseded",
		}, {Name: "least", StateMachine: "deploy"}},
	}
	if diff := cmp.Diff(want, c.RouterConfig()); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentLimitIsThatOfTheClosestPattern(t *testing.T) {
	limit := parseText(t, `
environments: {"**": {max_parallel: 9}, "dev-*": {max_parallel: 5}, dev-free: {}, "dev-b*": {max_parallel: 2}, acceptance: {max_parallel: 1}}
`).DispatchConfig().EnvironmentLimit
	for name, want := range map[string]int{"acceptance": 1, "dev-a": 5, "dev-blue": 2, "dev-free": 0, "dev-a/b": 9, "": 9} {
		if got := limit(name); got != want {
			t.Errorf("environment %q: got %d, want %d", name, got, want)
		}
	}
	if got := Default().DispatchConfig().EnvironmentLimit("any"); got != 0 {
		t.Errorf("without environments: got %d, want no limit", got)
	}
}

func TestStatusesNeedAWayToWriteThem(t *testing.T) {
	c := parseText(t, `
sources:
  github: {secrets: x, token: t, base_url: "https://ghe.example.com/api/v3"}
  mirror: {provider: github, secrets: x}
  apps: {provider: github, secrets: x, app: {id: 7, private_key: pem}}
  git: {secrets: x, repositories: {a/b: repos/b.git, c/d: /srv/d.git}}
  quiet: {provider: git, secrets: x}
`)
	statuses := c.DispatchConfig().Statuses
	for source, want := range map[string]bool{"github": true, "mirror": false, "apps": true, "git": true, "quiet": false, "unknown": false} {
		if got := statuses(source); got != want {
			t.Errorf("statuses of %s: got %v, want %v", source, got, want)
		}
	}
	if cfg, _ := c.GitHubStatus("github"); cfg.Limits.PerHour != 500 {
		t.Errorf("got %+v", cfg)
	}
	if cfg, _ := c.GitHubHost("github"); cfg.Token != "t" || cfg.BaseURL != "https://ghe.example.com/api/v3" {
		t.Errorf("got %+v", cfg)
	}
	if cfg, _ := c.GitHubHost("apps"); cfg.App == nil || cfg.App.ID != 7 || string(cfg.App.PrivateKey) != "pem" {
		t.Errorf("got %+v", cfg)
	}
	notes, _ := c.GitNotes("git")
	if diff := cmp.Diff(map[string]string{"a/b": "repos/b.git", "c/d": "/srv/d.git"}, notes.Repositories); diff != "" {
		t.Error(diff)
	}
}

func TestLimitsReachTheirPackages(t *testing.T) {
	c := parseText(t, `
limits: {body: 1MB, read_timeout: 5s, deliveries: 7, starts: 3}
retention: {journal: 5d}
engine: {aws: {region: eu-west-1, profile: p, role: "arn:aws:iam::123456789012:role/deploy", external_id: e, fips: true, endpoint: "http://127.0.0.1:4566", start_burst: 10, start_rate: 2.5}}
`)
	w := c.WebhookConfig()
	if w.MaxBody != 1<<20 || w.ReadTimeout != 5*time.Second || w.MaxInFlight != 7 {
		t.Errorf("webhook: got %+v", w)
	}
	d := c.DispatchConfig()
	if d.MaxStarts != 3 || d.Retention != 5*day {
		t.Errorf("dispatch: got %+v", d)
	}
	want := stepfn.Access{Endpoint: "http://127.0.0.1:4566", Settings: awsaccess.Settings{
		Region: "eu-west-1", Profile: "p", Role: "arn:aws:iam::123456789012:role/deploy", ExternalID: "e", FIPS: true, MaxConnections: 6,
	}}
	if a, ok := c.AWSAccess(); !ok || a != want {
		t.Errorf("aws: got %+v, %v, want %+v", a, ok, want)
	}
	if _, ok := Default().AWSAccess(); ok {
		t.Error("the default engine is not AWS")
	}
}

func TestQuotasFollowTheRegion(t *testing.T) {
	const machines = `
state_machines:
  ireland: {arn: "arn:aws:states:eu-west-1:111111111111:stateMachine:a"}
  alias: {arn: "arn:aws:states:eu-west-1:111111111111:stateMachine:b:live"}
  theirs: {arn: "arn:aws:states:eu-west-1:222222222222:stateMachine:a"}
  paris: {arn: "arn:aws:states:eu-west-3:111111111111:stateMachine:a"}
`
	byDefault := map[string]dispatch.Quota{
		"ireland": {Name: "eu-west-1:111111111111", Rate: 300, Burst: 1300}, "alias": {Name: "eu-west-1:111111111111", Rate: 300, Burst: 1300},
		"theirs": {Name: "eu-west-1:222222222222", Rate: 300, Burst: 1300}, "paris": {Name: "eu-west-3:111111111111", Rate: 150, Burst: 800},
	}
	check := func(engine string, want map[string]dispatch.Quota) {
		t.Helper()
		quota := parseText(t, engine+machines).DispatchConfig().Quota
		for name, want := range want {
			if got := quota(name); got != want {
				t.Errorf("%s: %s has %+v, want %+v", engine, name, got, want)
			}
		}
	}
	check("engine: aws", byDefault)
	check("engine: {aws: {start_burst: 10, start_rate: 2.5, regions: {eu-west-3: {start_rate: 7}}}}", map[string]dispatch.Quota{
		"ireland": {Name: "eu-west-1:111111111111", Rate: 2.5, Burst: 10}, "paris": {Name: "eu-west-3:111111111111", Rate: 7, Burst: 10},
	})
	if parseText(t, "engine: embedded").DispatchConfig().Quota != nil {
		t.Error("the embedded engine has no quotas")
	}
}

func TestWarningsComeFromTheRouter(t *testing.T) {
	c := parseText(t, strings.Replace(minimal, "name: all", "name: all, forks: allow", 1))
	if w := c.Warnings(); len(w) != 1 || !strings.Contains(w[0], "forks") {
		t.Errorf("got %q", w)
	}
}

func TestMergesNeedAHostThatTellsThem(t *testing.T) {
	route := "state_machines: {x: {arn: \"arn:aws:states:eu-west-1:111111111111:stateMachine:x\"}}\nengine: aws\nroutes: [{name: built, state_machine: x, on: [pull_request], checkout: merge%s}]\nsources:\n"
	for name, row := range map[string]struct{ route, sources, fails, warns string }{
		"GitHub with a token":     {"", "  hub: {provider: github, secrets: s, token: t}\n", "", ""},
		"as an App":               {"", "  hub: {provider: github, secrets: s, app: {id: 1, private_key: k}}\n", "", ""},
		"GitLab":                  {"", "  lab: {provider: gitlab, secrets: s, token: t}\n", "", ""},
		"none can":                {"", "  tea: {provider: gitea, secrets: s, token: t, base_url: \"https://tea.example.com\"}\n", "sources.tea is of provider: gitea", ""},
		"without a token":         {"", "  hub: {provider: github, secrets: s}\n", "sources.hub has no token", ""},
		"one of two":              {"", "  hub: {provider: github, secrets: s, token: t}\n  disk: {provider: git, secrets: s}\n", "", "sources.disk is of provider: git"},
		"the other is left out":   {", sources: [hub]", "  hub: {provider: github, secrets: s, token: t}\n  disk: {provider: git, secrets: s}\n", "", ""},
		"the one that could, too": {", sources: [disk]", "  hub: {provider: github, secrets: s, token: t}\n  disk: {provider: git, secrets: s}\n", "sources.disk is of provider: git", ""},
	} {
		c, err := Parse("switchyard.yaml", []byte(fmt.Sprintf(route, row.route)+row.sources), env())
		switch {
		case row.fails == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case row.fails != "" && (err == nil || !strings.Contains(err.Error(), "routes[0].checkout: merge ") || !strings.Contains(err.Error(), row.fails)):
			t.Errorf("%s: error %v", name, err)
		case err == nil && (row.warns == "") != (len(c.Warnings()) == 0), err == nil && row.warns != "" && !strings.Contains(c.Warnings()[0], row.warns):
			t.Errorf("%s: warnings %q", name, c.Warnings())
		}
	}
}
