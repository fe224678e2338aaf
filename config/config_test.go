package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// minimal is the least that a route needs.
const minimal = `
sources:
  github: {secrets: [s3cret]}
state_machines:
  deploy: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"}
routes:
  - {name: all, state_machine: deploy}
`

func env(pairs ...string) Env {
	m := map[string]string{}
	for _, p := range pairs {
		k, v, _ := strings.Cut(p, "=")
		m[k] = v
	}
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func parseText(t *testing.T, text string, pairs ...string) *Config {
	t.Helper()
	c, err := Parse("switchyard.yaml", []byte(text), env(pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseFillsInDefaults(t *testing.T) {
	got := parseText(t, "")
	if diff := cmp.Diff(Default(), got, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
	if got.Engine.Embedded == nil || got.Server.Listen != "127.0.0.1:8080" {
		t.Errorf("the defaults do not serve: %+v", got)
	}
}

func TestDefinitionsInYAMLGetTheirSubstitutions(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "d.asl.yaml")
	write(t, file, "StartAt: W\nStates:\n  W: {Type: Wait, Seconds: ${Secs}, End: true, Comment: in ${Zone}}\n")
	const head = "state_machines: {d: {definition: d.asl.yaml, substitutions: "
	c, err := Parse(filepath.Join(dir, "switchyard.yaml"), []byte(head+"{Secs: 45, Zone: \"${STAGE}\"}}}\n"), env("STAGE=test"))
	if err != nil || len(c.Warnings()) > 0 {
		t.Fatal(err, c.Warnings())
	}
	got, err := c.Definition("d")
	if want := `{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":45,"End":true,"Comment":"in test"}}}`; err != nil || strings.Join(strings.Fields(got), "") != strings.Join(strings.Fields(want), "") {
		t.Errorf("definition %s, %v", got, err)
	}
	_, err = Parse(filepath.Join(dir, "switchyard.yaml"), []byte(head+"{Zone: a}}}\n"), env())
	if err == nil || !strings.Contains(err.Error(), file+`:3:28: state "W": Expected value of type Integer: ${Secs} is a placeholder that has no value`) {
		t.Errorf("without a value: %v", err)
	}
	write(t, file, "StartAt: [\n")
	if _, err := c.Definition("d"); err == nil || !strings.Contains(err.Error(), "state_machines.d.definition: "+file+":1:10: no valid YAML") {
		t.Errorf("broken since: %v", err)
	}
}

func TestParseReadsTheDesignsExample(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "deploy.asl.json"), `{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}`)
	text := `
sources:
  github:
    secrets: [${GITHUB_WEBHOOK_SECRET}]          # several while one is rotated out
    token: ${GITHUB_TOKEN}
engine: embedded
state_machines:
  deploy: {definition: deploy.asl.json}
environments:
  acceptance: {max_parallel: 1}
  "dev-*":    {}
components:
  api_v1: {paths: ["api/v1/**"]}
routes:
  - name: branches
    on: [push, pull_request]
    repositories: [acme/api-v2]
    branches: ["feature/**", "hotfix/**"]
    commits: every
    state_machine: deploy
    environment: "dev-{{ .Branch | slug }}"
    project: project-api-v2
    input: {skip_console_v1: true, note: "${NOT_A_REFERENCE}", n: 12345678901234, f: 0.5, l: [1, ~]}
`
	c, err := Parse(filepath.Join(dir, "switchyard.yaml"), []byte(text), env("GITHUB_WEBHOOK_SECRET=one", "GITHUB_TOKEN=two"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Sources = map[string]Source{"github": {Provider: "github", Secrets: Secrets{NewSecret("one")}, Token: NewSecret("two")}}
	want.StateMachines = map[string]StateMachine{"deploy": {Definition: "deploy.asl.json"}}
	want.Environments = map[string]Environment{"acceptance": {MaxParallel: 1}, "dev-*": {}}
	want.Components = map[string]Component{"api_v1": {Paths: Strings{"api/v1/**"}}}
	want.Routes = []Route{{
		Name: "branches", On: Strings{"push", "pull_request"}, Repositories: Strings{"acme/api-v2"},
		Branches: Strings{"feature/**", "hotfix/**"}, Commits: "every", StateMachine: "deploy",
		Environment: "dev-{{ .Branch | slug }}", Project: "project-api-v2",
		Input: map[string]any{"skip_console_v1": true, "note": "${NOT_A_REFERENCE}", "n": uint64(12345678901234), "f": 0.5, "l": []any{uint64(1), nil}},
	}}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(Config{})); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "deploy.asl.json")}, c.read.names); diff != "" {
		t.Error(diff)
	}
}

func TestParseReadsEveryFormOfEngine(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		want Engine
	}{
		"name":            {"engine: embedded", Engine{Embedded: &Embedded{}}},
		"aws by name":     {"engine: aws", Engine{AWS: &AWS{}}},
		"reference":       {"engine: ${ENGINE}", Engine{AWS: &AWS{}}},
		"empty settings":  {"engine:\n  embedded:\n", Engine{Embedded: &Embedded{}}},
		"settings":        {"engine: {embedded: {listen: 127.0.0.1:8083, max_builds: 3}}", Engine{Embedded: &Embedded{Listen: "127.0.0.1:8083", MaxBuilds: 3}}},
		"aws settings":    {"engine: {aws: {region: eu-west-1, start_rate: 1e3}}", Engine{AWS: &AWS{Region: "eu-west-1", StartRate: 1000}}},
		"alias":           {"engine: &e {embedded: {max_builds: 1}}", Engine{Embedded: &Embedded{MaxBuilds: 1}}},
		"exec and http":   {"engine: {embedded: {functions: {a: {exec: run}, b: {http: \"http://127.0.0.1/\", timeout: 2m}}}}", Engine{Embedded: &Embedded{Functions: map[string]Function{"a": {Exec: Strings{"run"}}, "b": {HTTP: "http://127.0.0.1/", Timeout: Duration(2 * time.Minute)}}}}},
		"headers":         {"engine: {embedded: {functions: {f: {http: \"https://h/\", headers: {Authorization: \"Bearer ${N}\"}}}}}", Engine{Embedded: &Embedded{Functions: map[string]Function{"f": {HTTP: "https://h/", Headers: map[string]Secret{"Authorization": NewSecret("Bearer 7")}}}}}},
		"number as text":  {"engine: {embedded: {projects: {p: {environment: {PORT: 8080}}}}}", Engine{Embedded: &Embedded{Projects: map[string]Project{"p": {Environment: map[string]string{"PORT": "8080"}}}}}},
		"number from env": {"engine: {embedded: {max_builds: ${N}}}", Engine{Embedded: &Embedded{MaxBuilds: 7}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseText(t, row.text, "ENGINE=aws", "N=7")
			if diff := cmp.Diff(row.want, got.Engine); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseExpandsReferencesInText(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"whole":                {"data_dir: ${A}", "one"},
		"inside":               {"data_dir: /x/${A}/${B}", "/x/one/two"},
		"default unused":       {"data_dir: ${A:-other}", "one"},
		"default used":         {"data_dir: ${UNSET:-other}", "other"},
		"default when empty":   {"data_dir: ${EMPTY:-other}", "other"},
		"default with a slash": {"data_dir: ${UNSET:-/var/lib/x}", "/var/lib/x"},
		"escaped":              {"data_dir: $${A}", "${A}"},
		"dollar alone":         {"data_dir: a$b", "a$b"},
		"quoted":               {`data_dir: "${A}"`, "one"},
		"block":                {"data_dir: |-\n  ${A}", "one"},
		"no second round":      {"data_dir: ${NESTED}", "${A}"},
		"no structure":         {"data_dir: ${YAML}", "{a: b}"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseText(t, row.text, "A=one", "B=two", "EMPTY=", "NESTED=${A}", "YAML={a: b}").DataDir; got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestParseReadsSecretsFromFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "hook"), "from a file\r\n")
	text := "sources:\n  github:\n    secrets: [file:hook, \"file:${DIR}/hook\", inline]\n"
	c, err := Parse(filepath.Join(dir, "switchyard.yaml"), []byte(text), env("DIR="+dir))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"from a file", "from a file", "inline"}, c.Sources["github"].Secrets.Reveal()); diff != "" {
		t.Error(diff)
	}
}

func TestParseReportsEverythingAtItsPlace(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "broken.json"), "{\n  \"StartAt\": \"A\",\n}")
	for name, row := range map[string]struct {
		text string
		want []string
	}{
		"unknown key": {"sevrer: {}\n", []string{"1:1: sevrer: unknown key; did you mean server?"}},
		"unknown key, nothing near": {"log: {colour: yes}\n", []string{
			"1:7: log.colour: unknown key; known are format, level"}},
		"camel case":   {"dataDir: x\n", []string{"1:1: dataDir: unknown key; did you mean data_dir?"}},
		"repeated key": {"data_dir: a\nlog: {}\ndata_dir: b\n", []string{"3:1: data_dir: the key stands here twice; the first is in line 1"}},
		"repeated key in input": {strings.Replace(minimal, "state_machine: deploy}", "state_machine: deploy, input: {a: {b: 1, b: 2}}}", 1), []string{
			"7:58: routes[0].input.a.b: the key stands here twice; the first is in line 7"}},
		"several at once": {"log:\n  level: loud\n  format: xml\nserver: {listen: here}\nlimits: {starts: 0, body: big, read_timeout: soon}\n", []string{
			`2:10: log.level: unknown value "loud"; known are debug, info, warn, error`,
			`3:11: log.format: unknown value "xml"; known are auto, json, console`,
			`4:18: server.listen: "here" is not an address to listen on; write host:port, such as 127.0.0.1:8080`,
			`5:18: limits.starts: must be at least 1`,
			`5:27: limits.body: "big" is not a size; write it like 512KB or 25MB`,
			`5:46: limits.read_timeout: "soon" is not a duration; write it like 90s, 10m, 12h or 30d`,
		}},
		"wrong types": {"log: [1]\nroutes: {}\ndata_dir: {a: b}\nenvironments: {a: {max_parallel: many}}\nsources: text\n", []string{
			"1:6: log: expected keys with values, got a list",
			"2:9: routes: expected a list, got keys with values",
			"3:11: data_dir: expected a text, got keys with values",
			`4:34: environments.a.max_parallel: expected a whole number, got "many"`,
			"5:10: sources: expected keys with values, got a single value",
		}},
		"colon in a list": {"sources: {git: {secrets: [file:secret]}}\n", []string{
			"1:27: sources.git.secrets[0]: expected a text, got keys with values; a text with a colon needs quotes here"}},
		"empty value": {"data_dir:\n", []string{"1:11: data_dir: expected a text, got nothing"}},
		"unset variable": {"data_dir: ${NOWHERE}\n", []string{
			"1:11: data_dir: environment variable NOWHERE is not set; set it, or write ${NAME:-default}"}},
		"unset variable of a secret": {"sources: {github: {secrets: \"${NOWHERE}\"}}\n", []string{
			"1:29: sources.github.secrets: environment variable NOWHERE is not set; set it, or write file:PATH"}},
		"malformed reference": {"data_dir: ${not a name}\n", []string{
			"1:11: data_dir: ${ starts a reference such as ${NAME} or ${NAME:-default}; write $${ for the characters themselves"}},
		"no secrets":    {"sources: {github: {}}\n", []string{"1:19: sources.github: secrets is missing: without one no delivery could be verified"}},
		"empty secrets": {"sources: {github: {secrets: []}}\n", []string{"1:19: sources.github: secrets is missing: without one no delivery could be verified"}},
		"empty secret":  {"sources: {github: {secrets: [\"\"]}}\n", []string{"1:30: sources.github.secrets[0]: the secret is empty; an empty secret would let anyone in"}},
		"empty secret from a variable": {"sources: {github: {secrets: ${EMPTY}}}\n", []string{
			"1:29: sources.github.secrets: the secret is empty; an empty secret would let anyone in"}},
		"empty secret file": {"sources: {github: {secrets: file:empty}}\n", []string{
			"1:29: sources.github.secrets: the secret is empty: file DIR/empty holds nothing"}},
		"missing secret file": {"sources: {github: {secrets: file:/no/such}}\n", []string{
			"1:29: sources.github.secrets: read secret: /no/such: no such file or directory"}},
		"secret from a device": {"sources: {github: {secrets: file:/dev/zero}}\n", []string{
			"1:29: sources.github.secrets: read secret: /dev/zero is not a regular file"}},
		"unknown provider": {"sources: {forge: {secrets: x}}\n", []string{
			`1:18: sources.forge: provider is missing: the name "forge" is none; set provider: bitbucket, bitbucket-server, codecommit, git, gitea, github or gitlab`}},
		"misspelt provider": {"sources: {forge: {provider: gihub, secrets: x}}\n", []string{
			`1:29: sources.forge.provider: unknown value "gihub"; did you mean github?`}},
		"token and app": {"sources:\n  github: {secrets: x, token: t, app: {id: 1, private_key: k}}\n", []string{
			"2:11: sources.github: token and app exclude each other; keep one"}},
		"half an app": {"sources:\n  github: {secrets: x, app: {id: 1}}\n", []string{
			"2:29: sources.github.app: private_key is missing"}},
		"github with paths": {"sources: {github: {secrets: x, repositories: {a: /b}}}\n", []string{
			"1:50: sources.github.repositories.a: only a git source has repositories on this machine; a github source's have secrets"}},
		"a repository without anything": {"sources: {github: {secrets: x, repositories: {a/b: {}}}}\n", []string{
			"1:52: sources.github.repositories[\"a/b\"]: secrets is missing"}},
		"a repository with an empty secret": {"sources: {github: {repositories: {a/b: {secrets: [\"\"]}}}}\n", []string{
			"1:51: sources.github.repositories[\"a/b\"].secrets[0]: the secret is empty; an empty secret would let anyone in"}},
		"a repository with no secret": {"sources: {git: {secrets: x, repositories: {a/b: {path: /b, secrets: []}}}}\n", []string{
			"1:69: sources.git.repositories[\"a/b\"].secrets: is empty: without a secret no delivery could be verified"}},
		"a repository twice": {"sources: {github: {repositories: {a/b: {secrets: x}, A/B: {secrets: y}}}}\n", []string{
			"1:40: sources.github.repositories[\"a/b\"]: A/B is the same repository: hosts take small and capital letters for the same"}},
		"a path and a misspelt key": {"sources: {git: {secrets: x, repositories: {a/b: {paht: /b}}}}\n", []string{
			"1:50: sources.git.repositories[\"a/b\"].paht: unknown key; did you mean path?"}},
		"git with a token":            {"sources: {git: {secrets: x, token: t}}\n", []string{"1:36: sources.git.token: a git source has no API; its statuses are git notes"}},
		"bitbucket with a user alone": {"sources: {bitbucket: {secrets: x, user: ada}}\n", []string{`1:41: sources.bitbucket.user: is whose API token or app password token holds; set token too, or leave it out`}},
		"bitbucket with a password":   {"sources: {bitbucket: {secrets: x, token: t, user: \"a:b\"}}\n", []string{`1:51: sources.bitbucket.user: holds a colon; give the e-mail address or the user name alone, and the password as token`}},
		"data center without address": {"sources: {bitbucket-server: {secrets: x}}\n", []string{`1:29: sources.bitbucket-server: base_url is missing: set it to the address of your Bitbucket Data Center, for example https://bitbucket.example.com`}},
		"data center with a query":    {"sources: {bitbucket-server: {secrets: x, base_url: \"https://h?x\"}}\n", []string{`1:52: sources.bitbucket-server.base_url: holds a ? or #; give the address alone, for example https://bitbucket.example.com`}},
		"user of another host":        {"sources: {github: {secrets: x, user: ada}}\n", []string{`1:38: sources.github.user: only a source with provider: bitbucket or bitbucket-server has it`}},
		"gitea without address":       {"sources: {gitea: {secrets: x}}\n", []string{`1:18: sources.gitea: base_url is missing: set it to the address of your Gitea or Forgejo, for example https://git.example.com`}},
		"gitea with an app":           {"sources: {gitea: {secrets: x, base_url: \"https://h\", app: {id: 1, private_key: x}}}\n", []string{`1:59: sources.gitea.app: only a source with provider: github has it`}},
		"gitea with a query":          {"sources: {gitea: {secrets: x, base_url: \"https://h?x\"}}\n", []string{`1:41: sources.gitea.base_url: holds a ? or #; give the address alone, for example https://git.example.com`}},
		"source name in URL":          {"sources: {Git Hub: {provider: github, secrets: x}}\n", []string{`1:20: sources["Git Hub"]: a source's name is 1 to 63 of a-z, 0-9, _ and -: it stands in the URL /webhooks/Git%20Hub`}},
		"both engines":                {"engine: {embedded: {}, aws: {}}\n", []string{"1:9: engine: embedded and aws exclude each other; keep one"}},
		"no engine":                   {"engine: {}\n", []string{"1:9: engine: says neither embedded nor aws"}},
		"unknown engine":              {"engine: lambda\n", []string{`1:9: engine: expected embedded or aws, got "lambda"`}},
		"function of nothing":         {"engine: {embedded: {functions: {f: {}}}}\n", []string{"1:36: engine.embedded.functions.f: needs either exec or http"}},
		"headers of a program":        {"engine: {embedded: {functions: {f: {exec: x, headers: {a: b}}}}}\n", []string{"1:55: engine.embedded.functions.f.headers: only an http function has headers"}},
		"environment of a URL":        {"engine: {embedded: {functions: {f: {http: \"http://h\", environment: {a: b}}}}}\n", []string{"1:68: engine.embedded.functions.f.environment: only an exec function has an environment"}},
		"unknown state machine": {strings.Replace(minimal, "state_machine: deploy", "state_machine: deplyo", 1), []string{
			`7:32: routes[0].state_machine: state_machines has no "deplyo"; did you mean deploy?`}},
		"unknown source": {strings.Replace(minimal, "state_machine: deploy", "state_machine: deploy, sources: forge", 1), []string{
			`7:49: routes[0].sources: sources has no "forge"; it has github`}},
		"route without name": {strings.Replace(minimal, "name: all, ", "", 1), []string{"7:5: routes[0]: name is missing"}},
		"route named twice":  {minimal + "  - {name: all, state_machine: deploy}\n", []string{`8:12: routes[1].name: "all" is the name of routes[0] too`}},
		"unknown event": {strings.Replace(minimal, "state_machine: deploy", "state_machine: deploy, on: [push, pull-request]", 1), []string{
			`7:51: routes[0].on[1]: unknown value "pull-request"; did you mean pull_request?`}},
		"no definition":    {"state_machines: {a: {}}\n", []string{"1:21: state_machines.a: needs either definition or arn"}},
		"both definitions": {"state_machines: {a: {definition: x, arn: y}}\n", []string{"1:21: state_machines.a: definition and arn exclude each other; keep one"}},
		"serverless needs": {"serverless: {queue: deploys, bucket: A}\nenvironments: {prod: {max_parallel: 1}}\nroutes: [{name: a, state_machine: m, on_new_commit: cancel_superseded, revisit: run}]\nstate_machines: {m: {arn: \"arn:aws:states:eu-west-1:123456789012:stateMachine:m\"}}\n", []string{
			`1:13: serverless: is for engine: aws; the embedded engine needs a machine of its own`,
			`1:21: serverless.queue: "deploys" is not the URL of a queue, such as https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard`,
			`1:38: serverless.bucket: "A" is not the name of a bucket`,
			`2:37: environments.prod.max_parallel: without a server nobody counts what runs; have the state machine wait for a semaphore, and leave it out`,
			`3:53: routes[0].on_new_commit: without a server nobody knows what runs; leave it out`,
			`3:81: routes[0].revisit: without a server nobody knows where a branch has been; leave it out`,
		}},
		"bad region":              {"engine: {aws: {regions: {Ireland: {start_rate: 1}}}}\n", []string{`1:35: engine.aws.regions.Ireland: "Ireland" is not the name of a region, such as eu-west-1`}},
		"bad role":                {"engine: {aws: {role: admin}}\n", []string{`1:22: engine.aws.role: "admin" is not the ARN of a role, such as arn:aws:iam::123456789012:role/switchyard`}},
		"services without a role": {"engine: {embedded: {aws: {external_id: x}}}\n", []string{`1:40: engine.embedded.aws.external_id: is for a role; set engine.embedded.aws.role too`}},
		"services of no region":   {"engine: {embedded: {aws: {region: Ireland}}}\n", []string{`1:35: engine.embedded.aws.region: "Ireland" is not the name of a region, such as eu-west-1`}},
		"services at no URL":      {"engine: {embedded: {aws: {endpoint: localhost}}}\n", []string{`1:37: engine.embedded.aws.endpoint: "localhost" is not an http or https URL`}},
		"external id alone":       {"engine: {aws: {external_id: x}}\n", []string{`1:29: engine.aws.external_id: is for a role; set engine.aws.role too`}},
		"role on embedded":        {"state_machines: {a: {arn: \"arn:aws:states:eu-west-1:123456789012:stateMachine:a\", role: \"arn:aws:iam::123456789012:role/x\"}}\n", []string{`1:89: state_machines.a.role: is for engine aws; the embedded engine runs on this machine`}},
		"bad arn":                 {"state_machines: {a: {arn: \"arn:aws:lambda:x\"}}\n", []string{`1:27: state_machines.a.arn: "arn:aws:lambda:x" is not the ARN of a state machine, a version or an alias`}},
		"definition on aws":       {"engine: aws\nstate_machines: {a: {definition: x}}\n", []string{"2:34: state_machines.a.definition: engine aws starts what is deployed there; give the arn"}},
		"substitutions without a definition": {"state_machines: {a: {arn: x, substitutions: {A: b}}}\n", []string{
			`1:27: state_machines.a.arn: "x" is not the ARN of a state machine, a version or an alias`, "1:45: state_machines.a.substitutions: are for the placeholders of a definition; give it, or leave them out"}},
		"missing definition": {"state_machines: {a: {definition: nowhere.json}}\n", []string{
			"1:34: state_machines.a.definition: read definition: DIR/nowhere.json: no such file or directory"}},
		"environment glob":  {"environments: {\"dev-[\": {}}\n", []string{`1:25: environments["dev-["]: no environment name or glob: "[" without its "]"; write "\[" for the character`}},
		"negative limit":    {"environments: {a: {max_parallel: -1}}\n", []string{"1:34: environments.a.max_parallel: must be at least 0"}},
		"component of none": {"components: {a: {paths: []}}\n", []string{"1:25: components.a: paths: none given, so it could never be skipped; list the patterns of its files"}},
		"bad branch pattern": {minimal + "  - {name: two, state_machine: deploy, branches: [main, \"[\"]}\n", []string{
			`8:57: routes[1] "two": branches[1] "[": "[" without its "]"; write "\[" for the character`}},
		"bad template": {strings.Replace(minimal, "name: all", "name: all, environment: \"{{ .Nope }}\"", 1), []string{
			`7:30: routes[0] "all": environment: "{{ .Nope }}": .Nope is not a field; fields are .Author, .BaseBranch, .Branch, .Event, .Name, .Owner, .PullRequest, .Repository, .Route, .SHA, .ShortSHA, .Tag`}},
		"source of starts by hand": {"sources: {manual: {provider: git, secrets: [s]}}\n", []string{"1:19: sources.manual: this name is taken by executions started by hand; choose another"}},
		"long source name":         {"sources: {" + strings.Repeat("a", 64) + ": {provider: git, secrets: [s]}}\n", []string{"1:77: sources." + strings.Repeat("a", 64) + ": a source's name is 1 to 63 of a-z, 0-9, _ and -: it stands in the URL /webhooks/" + strings.Repeat("a", 64)}},
		"short retention":          {"retention: {journal: 1h}\n", []string{"1:22: retention.journal: 1h0m0s is too short: GitHub redelivers for 3 days, and a delivery that is forgotten runs again; keep at least 4d"}},
		"nothing kept or read": {"retention: {executions: 0s}\nlimits: {read_timeout: 0s, body: 0}\ndata_dir: \"\"\n", []string{
			"1:25: retention.executions: 0s is too short: a start that a crash left unrecorded is recognised by the engine's record of it, so that it does not run again; keep at least 4d",
			"2:24: limits.read_timeout: must be longer than nothing",
			"2:34: limits.body: must be larger than 0",
			"3:11: data_dir: is empty"}},
		"neither true nor false": {strings.Replace(minimal, "name: all", "name: all, skip_markers: maybe", 1), []string{
			`7:31: routes[0].skip_markers: expected true or false, got "maybe"`}},
		"no URL":             {"server: {public_url: example.com}\n", []string{`1:22: server.public_url: "example.com" is not an http or https URL`}},
		"URL with password":  {"tracing: {endpoint: \"http://u:p@h:4318\"}\n", []string{"1:21: tracing.endpoint: holds a user or password; a URL is shown and logged"}},
		"not YAML":           {"a: [b\n", []string{"1:4: no valid YAML: sequence end token ']' not found"}},
		"tab":                {"log:\n\tlevel: info\n", []string{"2:1: no valid YAML: found character '\t' that cannot start any token"}},
		"list":               {"- a\n", []string{"1:1: expected keys with values, got a list"}},
		"two documents":      {"data_dir: a\n---\ndata_dir: b\n", []string{"3:1: only one document is read; remove the second"}},
		"merge key":          {"log: &l {level: info}\nstatus:\n  <<: *l\n", []string{"3:3: status: merge keys (<<) are not supported; write the keys out"}},
		"tag":                {"data_dir: !!str 5\n", []string{"1:11: data_dir: tags such as !!str are not supported; leave it out, or quote the value"}},
		"unknown alias":      {"data_dir: *x\n", []string{"1:11: data_dir: there is no anchor &x"}},
		"not UTF-8":          {"data_dir: \xff\n", []string{" the file is not UTF-8"}},
		"hostile key":        {"\"a\\eb\\nc\": 1\n", []string{`1:1: ["a\x1bb\nc"]: unknown key; known are server, data_dir, sources, engine, state_machines, environments, components, routes, limits, retention, audit, approvals, status, aws_secrets, log, serverless, tracing`}},
		"deeply nested":      {strings.Repeat("[", 100_000), []string{" the file is nested deeper than 64"}},
		"deeply nested list": {strings.Repeat("- ", 100_000) + "\n", []string{" the file is nested deeper than 64"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, "switchyard.yaml")
			_, err := Parse(file, []byte(row.text), env("EMPTY="))
			var got []string
			if err != nil {
				for line := range strings.SplitSeq(err.Error(), "\n") {
					got = append(got, strings.ReplaceAll(strings.TrimPrefix(line, file+":"), dir, "DIR"))
				}
			}
			want := make([]string, len(row.want))
			for i := range row.want {
				want[i] = strings.ReplaceAll(row.want[i], "\t", `\t`)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAliasesCannotGrowWithoutBound(t *testing.T) {
	var b strings.Builder
	b.WriteString("routes:\n  - name: a\n    state_machine: x\n    input:\n      a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "      a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 8), i-1)
	}
	_, err := Parse("c.yaml", []byte(b.String()), env())
	if err == nil || !strings.Contains(err.Error(), "too large after aliases are filled in") {
		t.Errorf("got %v", err)
	}
}

// The YAML parser recurses: what would take it long, or overflow its stack, is
// refused before.
func TestParseEndsOnWhateverIsLarge(t *testing.T) {
	for name, unit := range map[string]string{
		"brackets": "[", "braces": "{a: ", "entries": "- ", "keys": "? ", "values": ": ", "tags": "!a ", "anchors": "&a ",
		"pairs": "a: ", "quotes": "'", "lines": "a:\n", "comments": "#\n", "spaces": " ", "documents": "---\n", "blocks": "|\n", "commas": ",",
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := Parse("c.yaml", []byte(strings.Repeat(unit, 30_000)), env())
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("took %v, ended with %.100v", took, err)
			}
		})
	}
}

func TestLongLinesAreNotDeep(t *testing.T) {
	var b strings.Builder
	b.WriteString("{\"environments\": {")
	for i := range 500 {
		fmt.Fprintf(&b, "\"e%d\": {\"max_parallel\": 1}, ", i)
	}
	b.WriteString("}}")
	if c := parseText(t, b.String()); len(c.Environments) != 500 {
		t.Errorf("got %d environments", len(c.Environments))
	}
}

func TestGlobsOfSourcesNeedNoSource(t *testing.T) {
	parseText(t, strings.Replace(minimal, "name: all", "name: all, skip_markers: True, sources: [\"git*\", \"!github\"]", 1))
}

func TestErrorsAreFoundOneByOne(t *testing.T) {
	_, err := Parse("c.yaml", []byte("lgo: {}\n"), env())
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 || one.Column != 1 || one.Path != "lgo" {
		t.Errorf("got %#v", one)
	}
}

func TestOfflineNeedsNeitherVariablesNorFiles(t *testing.T) {
	text := `
server: {listen: "${LISTEN}", public_url: "${URL}", api_tokens: ["${TOKEN}"]}
sources:
  github: {secrets: ["${S}"], token: "file:/no/such"}
  git: {}
engine: {embedded: {max_builds: ${N}}}
state_machines:
  a: {definition: /no/such.json}
  b: {arn: "${ARN}"}
retention: {journal: "${KEEP}"}
routes:
  - {name: r, state_machine: a, branches: ["${B}", main]}
`
	c, err := Parse("c.yaml", []byte(text), env(), Offline())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Strings{"${B}", "main"}, c.Routes[0].Branches); diff != "" {
		t.Error(diff)
	}
	if s := c.Sources["github"].Secrets; len(s) != 1 || !s[0].IsZero() {
		t.Errorf("offline there are no secrets, got %v", s)
	}
	if _, err := Parse("c.yaml", []byte("stat_machines: {}"), env(), Offline()); err == nil {
		t.Error("offline, an unknown key must still be an error")
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	c := parseText(t, strings.Replace(minimal, "s3cret", "hunter2", 1))
	hidden := struct{ s Secret }{NewSecret("hunter2")}
	js, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(js), fmt.Sprint(hidden), fmt.Sprintf("%+v %#v", hidden, hidden)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, c), fmt.Sprintf(verb, c.Sources), fmt.Sprintf(verb, NewSecret("hunter2")))
	}
	for _, p := range printed {
		if strings.Contains(p, "hunter2") || strings.Contains(p, "68756e746572") {
			t.Errorf("a secret was printed: %s", p)
		}
	}
	if got := fmt.Sprint(c.Sources["github"].Secrets); got != "[***]" {
		t.Errorf("got %q, want [***]", got)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "nowhere.yaml"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "nowhere.yaml") {
		t.Errorf("got %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("got %v", err)
	}
}

func TestDurationAndSizeRoundTrip(t *testing.T) {
	for text, want := range map[string]string{"90s": "1m30s", "30d": "30d", "1d12h": "36h0m0s", "0s": "0s"} {
		d, err := parseDuration(text)
		if got := Duration(d).String(); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"25MB": "25MB", "512kb": "512KB", "1024": "1KB", "1 GB": "1GB", "7": "7B", "0": "0B"} {
		n, err := parseSize(text)
		if got := Size(n).String(); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1s", "d", "1", "99999d", "1d-1h", "9999999h"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, d)
		}
	}
	for _, text := range []string{"", "-1", "MB", "1TB", "99999999999GB", "1.5MB"} {
		if n, err := parseSize(text); err == nil {
			t.Errorf("%q was read as %v", text, n)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
