package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch/status"
	statuscodecommit "switchyard/dispatch/status/codecommit"
	"switchyard/internal/awsaccess"
	"switchyard/webhook"
	"switchyard/webhook/codecommit"
	"switchyard/webhook/eventbridge"
	"switchyard/webhook/sns"
	"switchyard/webhook/sqs"
)

const codeCommitSource = `
sources:
  codecommit:
    region: eu-west-1
    account: "012345678901"
    repositories: [api, web]
    profile: ci
    role: arn:aws:iam::012345678901:role/switchyard
    external_id: e
    endpoint: https://vpce.example.com
    eventbridge: {api_keys: [old, new], header: X-Key, basic: [{username: ada, password: pass}]}
    sns: {topics: "arn:aws:sns:eu-west-1:012345678901:switchyard", max_age: 2h}
    sqs: {queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard", receivers: 4, visibility: 5m}
`

func TestCodeCommitSource(t *testing.T) {
	c := parseText(t, codeCommitSource)
	got, ok := c.CodeCommit("codecommit")
	if diff := cmp.Diff(codecommit.Config{Region: "eu-west-1", Account: "012345678901", Repositories: []string{"api", "web"}}, got); diff != "" || !ok {
		t.Error(ok, diff)
	}
	access, endpoint, ok := c.CodeCommitAccess("codecommit")
	want := awsaccess.Settings{Region: "eu-west-1", Profile: "ci", Role: "arn:aws:iam::012345678901:role/switchyard", ExternalID: "e"}
	if diff := cmp.Diff(want, access); diff != "" || endpoint != "https://vpce.example.com" || !ok {
		t.Error(ok, endpoint, diff)
	}
	door := c.Sources["codecommit"].EventBridge.Door()
	if diff := cmp.Diff(eventbridge.Config{Header: "X-Key", APIKeys: []string{"old", "new"}, Basic: []eventbridge.Login{{Username: "ada", Password: "pass"}}}, door); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(sns.Config{Topics: []string{"arn:aws:sns:eu-west-1:012345678901:switchyard"}, MaxAge: 2 * time.Hour}, c.Sources["codecommit"].SNS.Door()); diff != "" {
		t.Error(diff)
	}
	c = parseText(t, codeCommitSource+`engine: {aws: {profile: p, status_events: {sqs: {queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/states"}}}}`+"\n")
	queues := []Queue{
		{Key: "sources.codecommit.sqs", Source: "codecommit", Access: want, Config: sqs.Config{Queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard", Receivers: 4, Visibility: 5 * time.Minute}},
		{Key: "engine.aws.status_events.sqs", Source: "eventbridge", StatusEvents: true, Access: awsaccess.Settings{Profile: "p"}, Config: sqs.Config{Queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/states"}},
	}
	if diff := cmp.Diff(queues, c.Queues()); diff != "" {
		t.Error(diff)
	}
	o := c.Origin("codecommit")
	if diff := cmp.Diff(webhook.Origin{Base: "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos", Bare: true, Key: "sources.codecommit"}, o); diff != "" {
		t.Error(diff)
	}
	c = parseText(t, strings.Replace(codeCommitSource, "profile: ci", "clone_base: https://vpce.example.com/v1/repos", 1))
	if o := c.Origin("codecommit"); o.Base != "https://vpce.example.com/v1/repos" || !o.Bare {
		t.Errorf("%+v", o)
	}
}

func TestCodeCommitComments(t *testing.T) {
	c := parseText(t, strings.Replace(codeCommitSource, "profile: ci", "comments: [pull_requests, commits]\n    approve: [build]", 1)+route)
	got, ok := c.CodeCommitStatus("codecommit")
	want := statuscodecommit.Config{PullRequests: true, Commits: true, Approve: []string{"switchyard/build"}, Limits: status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}}
	if diff := cmp.Diff(want, got); diff != "" || !ok || !c.DispatchConfig().Statuses("codecommit") {
		t.Errorf("%v %s", ok, diff)
	}
	c = parseText(t, codeCommitSource)
	if _, ok := c.CodeCommitStatus("codecommit"); ok || c.DispatchConfig().Statuses("codecommit") {
		t.Error("comments are written that nobody asked for")
	}
}

const route = `
state_machines: {m: {arn: "arn:aws:states:eu-west-1:012345678901:stateMachine:m"}}
engine: {aws: {region: eu-west-1}}
routes: [{name: build, state_machine: m}]
`

func TestCodeCommitSourceIsChecked(t *testing.T) {
	change := func(old, new string) string {
		changed := strings.Replace(codeCommitSource, old, new, 1)
		if changed == codeCommitSource {
			t.Fatalf("%q is not in the text", old)
		}
		return changed
	}
	for name, row := range map[string]struct{ text, want string }{
		"no region":          {change("region: eu-west-1", ""), "5:5: sources.codecommit: region is missing"},
		"a bad region":       {change("eu-west-1", "Ireland"), `4:5: sources.codecommit: region: "Ireland" is not a region, such as eu-west-1`},
		"a number":           {change(`"012345678901"`, "12345"), `4:5: sources.codecommit: account: "12345" is not an account ID of 12 digits; put it in quotes`},
		"a path":             {change("[api, web]", "[acme/api]"), `repositories: "acme/api" is not a CodeCommit repository's name`},
		"twice":              {change("[api, web]", "[api, api]"), "6:25: sources.codecommit.repositories[1]: api is listed twice"},
		"a repository's own": {change("[api, web]", "{api: {secrets: x}}"), "6:25: sources.codecommit.repositories.api: a codecommit source's repositories have nothing of their own; list their names"},
		"secrets":            {change("profile: ci", "secrets: x"), "7:14: sources.codecommit.secrets: a codecommit source has none"},
		"a token":            {change("profile: ci", "token: x"), "7:12: sources.codecommit.token: a codecommit source has none"},
		"no topics":          {change(`topics: "arn:aws:sns:eu-west-1:012345678901:switchyard", `, ""), "12:10: sources.codecommit.sns: topics is missing"},
		"empty topics":       {change(`topics: "arn:aws:sns:eu-west-1:012345678901:switchyard", `, "topics: [], "), "sources.codecommit.sns.topics: is empty"},
		"a topic's name":     {change(`"arn:aws:sns:eu-west-1:012345678901:switchyard"`, "switchyard"), `12:19: sources.codecommit.sns.topics: "switchyard" is not the ARN of a topic`},
		"no queue":           {change(`queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard", `, ""), "13:10: sources.codecommit.sqs: queue is missing"},
		"a queue's name":     {change(`"https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard"`, "switchyard"), `13:18: sources.codecommit.sqs.queue: "switchyard" is not a queue's URL`},
		"a long visibility":  {change("5m", "1d"), "sources.codecommit.sqs.visibility: must be from 1s to 12h"},
		"no receivers":       {change("receivers: 4", "receivers: 0"), "sources.codecommit.sqs.receivers: must be at least 1"},
		"one queue for two":  {codeCommitSource + `  other: {provider: codecommit, region: eu-west-1, account: "210987654321", sqs: {queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard"}}` + "\n", "sources.other.sqs.queue: is sources.codecommit.sqs.queue too"},
		"a queue for both":   {codeCommitSource + `engine: {aws: {status_events: {sqs: {queue: "https://sqs.eu-west-1.amazonaws.com/012345678901/switchyard"}}}}` + "\n", "engine.aws.status_events.sqs.queue: is sources.codecommit.sqs.queue too, through which events about executions are taken anyway"},
		"no door":            {codeCommitSource[:strings.Index(codeCommitSource, "    eventbridge:")], "sources.codecommit: has no door through which events could come"},
		"an empty door":      {change("{api_keys: [old, new], header: X-Key, basic: [{username: ada, password: pass}]}", "{}"), "11:18: sources.codecommit.eventbridge: api_keys is missing, and so is basic"},
		"no role":            {change("role: arn:aws:iam::012345678901:role/switchyard", ""), "sources.codecommit.external_id: is for a role"},
		"a header":           {change("X-Key", "Authorization"), `sources.codecommit.eventbridge.header: "Authorization" cannot hold an API key`},
		"approve alone":      {change("profile: ci", "approve: [build]") + route, "7:14: sources.codecommit.approve: needs comments: [pull_requests]"},
		"comments nowhere":   {change("profile: ci", "comments: [pull_requests, statuses]"), `7:31: sources.codecommit.comments[1]: unknown value "statuses"`},
		"no such route":      {change("profile: ci", "comments: pull_requests\n    approve: [build, tests]") + route, `8:22: sources.codecommit.approve[1]: routes has no "tests"`},
		"no such one route":  {change("profile: ci", "comments: pull_requests\n    approve: tests") + route, `sources.codecommit.approve`},
		"another provider":   {"sources: {github: {secrets: x, region: eu-west-1}}\n", "1:40: sources.github.region: only a source with provider: codecommit has it"},
		"github by a list":   {"sources: {github: {secrets: x, repositories: [acme/api]}}\n", `1:47: sources.github.repositories["acme/api"]: secrets is missing`},
		"a status door's path": {strings.Replace(codeCommitSource, "  codecommit:", "  eventbridge: {provider: github, secrets: x}\n  codecommit:", 1) +
			"engine: {aws: {status_events: {eventbridge: {api_keys: k}}}}\n", "is that of a source; give sources.eventbridge another name"},
		"a status door without a key": {"engine: {aws: {status_events: {eventbridge: {}}}}\n", "1:45: engine.aws.status_events.eventbridge: api_keys is missing"},
		"an empty status door":        {"engine: {aws: {status_events: {}}}\n", "1:31: engine.aws.status_events: is empty; set sqs or eventbridge"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("switchyard.yaml", []byte(row.text), env())
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %s", err, row.want)
			}
		})
	}
}

// explain reads a config whose secrets are not at hand.
func TestCodeCommitSourceOffline(t *testing.T) {
	text := strings.Replace(codeCommitSource, "[old, new]", "${KEYS}", 1)
	text = strings.Replace(text, `"012345678901"`, "${ACCOUNT}", 1)
	if _, err := Parse("switchyard.yaml", []byte(text), env(), Offline()); err != nil {
		t.Error(err)
	}
}
