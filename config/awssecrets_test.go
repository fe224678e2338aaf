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

	"switchyard/internal/awssecret"
)

// everywhere has a secret in AWS wherever a secret may stand.
const everywhere = `
server: {api_tokens: "aws-secret:all#api"}
sources:
  github:
    secrets: ["aws-secret:${STAGE}/hook", plain]
    token: aws-ssm:/token
    repositories:
      acme/api: {secrets: [ 'aws-secret:all#own' ]}
  other:
    provider: github
    secrets: aws-secret:prod/hook
    app: {id: 1, private_key: "aws-secret:arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf"}
engine:
  embedded:
    listen: 127.0.0.1:0
    keys: [{id: AKID, secret: "aws-secret:all#engine"}]
    functions: {f: {http: "https://x.example", headers: {Authorization: aws-ssm:/header}}}
    secrets: {npm: "aws-secret:all#npm"}
    projects:
      p:
        secrets:
          a: {shared: npm}
          b: {value: "aws-ssm:/b"}
          c: {command: [get], environment: {T: aws-ssm:/c}}
aws_secrets: {region: eu-west-1, refresh: 10m}
`

// answering gives each reference its own text, and a version before, save those
// in wrong.
func answering(asked *[][]awssecret.Wanted, wrong map[string]error) Option {
	return WithAWSSecrets(func(s awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
		*asked = append(*asked, wanted)
		all := map[awssecret.Ref]awssecret.Answer{}
		for _, w := range wanted {
			a := awssecret.Answer{Text: "text of " + w.String(), Err: wrong[w.String()]}
			if w.Previous {
				a.Previous = "before " + w.String()
			}
			all[w.Ref] = a
		}
		if s.Region != "eu-west-1" || s.Refresh != 10*time.Minute {
			panic(fmt.Sprintf("%+v", s))
		}
		return all
	})
}

func TestSecretsOfAWSStandWhereverSecretsDo(t *testing.T) {
	var asked [][]awssecret.Wanted
	c, err := Parse("switchyard.yaml", []byte(everywhere), env("STAGE=prod"), answering(&asked, nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(asked) != 1 || len(asked[0]) != 11 {
		t.Errorf("asked for %v", asked)
	}
	e, s := c.Engine.Embedded, c.Sources["github"]
	for _, got := range [][2]string{
		{strings.Join(c.Server.APITokens.Reveal(), ","), "text of aws-secret:all#api,before aws-secret:all#api"},
		{strings.Join(s.Secrets.Reveal(), ","), "text of aws-secret:prod/hook,plain,before aws-secret:prod/hook"},
		{s.Token.Reveal(), "text of aws-ssm:/token"},
		{strings.Join(s.RepositorySecrets()["acme/api"], ","), "text of aws-secret:all#own,before aws-secret:all#own"},
		{c.Sources["other"].App.PrivateKey.Reveal(), "text of aws-secret:arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-AbCdEf"},
		{e.Keys[0].Secret.Reveal(), "text of aws-secret:all#engine"},
		{e.Functions["f"].Headers["Authorization"].Reveal(), "text of aws-ssm:/header"},
		{c.BuildSecrets("p")["a"].Value, "text of aws-secret:all#npm"},
		{c.BuildSecrets("p")["b"].Value, "text of aws-ssm:/b"},
		{c.BuildSecrets("p")["c"].Env["T"], "text of aws-ssm:/c"},
	} {
		if got[0] != got[1] {
			t.Errorf("got %q, want %q", got[0], got[1])
		}
	}
	if v := c.Variables(); len(v) != 1 || v["STAGE"] {
		t.Errorf("variables %v: a part of a name is no secret", v)
	}
	text, err := json.Marshal(c)
	if dump := fmt.Sprintf("%s %+v %#v", text, *c, *c); err != nil || strings.Contains(dump, "text of") || strings.Contains(dump, "before aws") {
		t.Errorf("a dump shows a secret: %v", err)
	}
}

// Whoever reads a config without saying what is to become of such secrets gets an
// error, and no empty secret.
func TestSecretsOfAWSAreNotJustLeftOut(t *testing.T) {
	_, err := Parse("switchyard.yaml", []byte(everywhere), env("STAGE=prod"))
	if err == nil || !strings.Contains(err.Error(), "switchyard.yaml:5:15: sources.github.secrets[0]: aws-secret:prod/hook is kept in AWS") {
		t.Error(err)
	}
	for name, o := range map[string]Option{"form": WithoutAWSSecrets(), "offline": Offline()} {
		c, err := Parse("switchyard.yaml", []byte(everywhere), env("STAGE=prod"), o)
		if err != nil || len(c.Warnings()) != 0 {
			t.Errorf("%s: %v %v", name, err, c)
		}
	}
}

func TestErrorsOfAWSNameThePlace(t *testing.T) {
	var asked [][]awssecret.Wanted
	_, err := Parse("switchyard.yaml", []byte(everywhere), env("STAGE=prod"), answering(&asked, map[string]error{
		"aws-secret:all#npm": errors.New("aws-secret:all#npm: no"), "aws-ssm:/token": errors.New("aws-ssm:/token: AccessDeniedException"),
	}))
	const want = `switchyard.yaml:6:12: sources.github.token: read secret: aws-ssm:/token: AccessDeniedException
switchyard.yaml:18:20: engine.embedded.secrets.npm: read secret: aws-secret:all#npm: no`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// AWS is not asked for a config that is wrong anyway.
	asked = nil
	_, err = Parse("switchyard.yaml", []byte(everywhere+"routes: [{name: r, state_machine: none}]\n"), env("STAGE=prod"), answering(&asked, nil))
	if err == nil || len(asked) != 0 || strings.Count(err.Error(), "\n") != 0 {
		t.Errorf("asked %v: %v", asked, err)
	}
}

func TestNearMissesOfReferences(t *testing.T) {
	for text, want := range map[string]string{
		"aws-secret:": "write aws-secret:NAME", "aws-ssm:token": "lacks the slash", "aws-secret:a#b#c": "two #",
		"aws-secrets:a": "is written aws-secret:NAME", "aws_secret:a": "is written", "AWS-Secret:a": "is written", "awsssm:/a": "is written",
		"ssm:/a": "is written", "secretsmanager:a": "is written", "aws-secrets-manager:a": "is written", "aws-sm:a": "is written",
		"aws-parameter-store:/a": "is written", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-AbCdEf": "is written",
	} {
		for _, o := range []Option{WithoutAWSSecrets(), Offline()} {
			_, err := Parse("switchyard.yaml", []byte(fmt.Sprintf("sources: {github: {secrets: %q}}", text)), env(), o)
			if err == nil || !strings.Contains(err.Error(), "switchyard.yaml:1:29: sources.github.secrets: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", text, err, want)
			}
		}
	}
	// As with file:, a secret that begins so comes by a reference.
	c := parseText(t, `sources: {github: {secrets: ["${A}", "${B:-aws-ssm:x}", "${C:-ssm:x}"]}}`, "A=aws-secret:literal")
	if got := c.Sources["github"].Secrets.Reveal(); strings.Join(got, " ") != "aws-secret:literal aws-ssm:x ssm:x" {
		t.Errorf("got %q", got)
	}
}

func TestAWSSecretsSettings(t *testing.T) {
	for text, want := range map[string]string{
		"aws_secrets: {refresh: 5s}":     "1:24: aws_secrets.refresh: 5s is too short",
		"aws_secrets: {region: Ireland}": `1:23: aws_secrets.region: "Ireland" is not the name of a region`,
		"aws_secrets: {role: x}":         `1:21: aws_secrets.role: "x" is not the ARN of a role`,
		"aws_secrets: {external_id: x}":  "1:28: aws_secrets.external_id: is for a role",
	} {
		if _, err := Parse("switchyard.yaml", []byte(text), env()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	parseText(t, "aws_secrets: {refresh: 0s}")
}

// A rotation in AWS is no change of the engine, which would need a restart;
// anything else is.
func TestEngineChanged(t *testing.T) {
	read := func(text, version string) *Config {
		c, err := Parse("switchyard.yaml", []byte(text), env("STAGE=prod"), WithAWSSecrets(func(_ awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
			all := map[awssecret.Ref]awssecret.Answer{}
			for _, w := range wanted {
				all[w.Ref] = awssecret.Answer{Text: w.String() + version}
				if w.Previous && version == "2" {
					all[w.Ref] = awssecret.Answer{Text: w.String() + version, Previous: "1"}
				}
			}
			return all
		}))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	changed, rotated := read(everywhere, "2").EngineChanged(read(everywhere, "1"))
	want := `engine.embedded.functions.f.headers.Authorization engine.embedded.keys[0].secret engine.embedded.projects.p.secrets.b.value engine.embedded.projects.p.secrets.c.environment.T engine.embedded.secrets.npm.value`
	if changed || strings.Join(rotated, " ") != want {
		t.Errorf("changed %v, rotated %s", changed, strings.Join(rotated, " "))
	}
	if changed, rotated := read(everywhere, "1").EngineChanged(read(everywhere, "1")); changed || len(rotated) > 0 {
		t.Errorf("changed %v, rotated %q", changed, rotated)
	}
	for from, to := range map[string]string{
		"aws-ssm:/header":         "aws-ssm:/other",
		"aws-ssm:/b":              "b-as-it-is",
		`"aws-secret:all#engine"`: "engine-secret-as-it-is",
		"id: AKID":                "id: AKID2",
		"https://x.example":       "https://y.example",
		"shared: npm":             "shared: npm, variable: NPM",
		"command: [get]":          "command: [get, it]",
		"listen: 127.0.0.1:0":     "listen: 127.0.0.1:1",
		"      p:\n":              "      q: {}\n      p:\n",
	} {
		text := strings.Replace(everywhere, from, to, 1)
		for _, pair := range [][2]string{{everywhere, text}, {text, everywhere}} {
			if changed, _ := read(pair[1], "1").EngineChanged(read(pair[0], "1")); !changed || text == everywhere {
				t.Errorf("%q to %q is not seen", from, to)
			}
		}
	}
	const events = "engine: {aws: {status_events: {eventbridge: {api_keys: aws-secret:bridge}}}}"
	if changed, rotated := read(events, "2").EngineChanged(read(events, "1")); changed || len(rotated) != 1 {
		t.Errorf("status events: changed %v, rotated %v", changed, rotated)
	}
}

func TestAReloadAsksAWSAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "switchyard.yaml")
	if err := os.WriteFile(path, []byte(everywhere), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked [][]awssecret.Wanted
	opts := []Option{WithEnv(env("STAGE=prod")), answering(&asked, nil)}
	for range 2 {
		if _, err := Load(path, opts...); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked %d times", len(asked))
	}
}
