package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/githost"
)

// standIn is a git host with what a test gives it, by repository.
type standIn struct {
	dispatch.Host
	hooks    map[string][]githost.Hook
	refuses  error
	made     int
	secrets  []string
	required map[string][]string // by branch
}

func (s *standIn) HookEvents() []string { return []string{"pull_request", "push"} }

func (s *standIn) Hooks(_ context.Context, repository string) ([]githost.Hook, error) {
	return slices.Clone(s.hooks[repository]), s.refuses
}

func (s *standIn) CreateHook(_ context.Context, repository string, h githost.Hook) (githost.Hook, error) {
	s.made++
	s.secrets = append(s.secrets, h.Secret)
	h.ID, h.Secret = strconv.Itoa(s.made), ""
	s.hooks[repository] = append(s.hooks[repository], h)
	return h, nil
}

func (s *standIn) RemoveHook(_ context.Context, repository, id string) error {
	s.hooks[repository] = slices.DeleteFunc(s.hooks[repository], func(h githost.Hook) bool { return h.ID == id })
	return nil
}

func (s *standIn) TestHook(context.Context, string, string) error { return nil }

func (s *standIn) Refs(context.Context, string) (map[string]string, error) {
	return map[string]string{"refs/heads/main": "", "refs/heads/release/2": "", "refs/heads/feature/x": ""}, nil
}

func (s *standIn) Required(_ context.Context, _, branch string) ([]string, error) {
	return s.required[branch], s.refuses
}

func (s *standIn) Require(_ context.Context, _, branch string, contexts []string) error {
	s.required[branch] = append(s.required[branch], contexts...)
	return nil
}

// called runs a command in this process with stand-ins of hosts, by source.
func called(t *testing.T, text string, hosts map[string]app.OpenHost, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "switchyard.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return calledWith(t, path, func(*config.Config) (map[string]app.OpenHost, error) { return hosts, nil }, args...)
}

// calledWith runs a command in this process with a config, in an environment that
// has nothing else.
func calledWith(t *testing.T, path string, openHosts func(*config.Config) (map[string]app.OpenHost, error), args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	c := newCLI(strings.NewReader(""), &out, &errOut, func(name string) (string, bool) {
		if name == "SWITCHYARD_CONFIG" {
			return path, true
		}
		return "", false
	})
	c.openHosts = openHosts
	code = c.run(t.Context(), args)
	return out.String(), errOut.String(), code
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("%s lacks %q:\n%s", what, want, text)
		}
	}
}

const twoHosts = `
server: {public_url: "https://ci.example.com/"}
sources:
  github: {secrets: [newest-secret, old-secret], token: t, repositories: {acme/own: {secrets: [own-secret]}}}
  mirror: {provider: git, secrets: [s]}
engine: {aws: {region: eu-west-1}}
state_machines: {m: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:m"}}
routes: [{name: r, sources: [github], repositories: [acme/api, "acme/x-*"], state_machine: m}]
`

func twoStandIns() (*standIn, map[string]app.OpenHost) {
	s := &standIn{hooks: map[string][]githost.Hook{}}
	return s, map[string]app.OpenHost{
		"github": {Host: s},
		"mirror": {Unable: dispatch.ErrCannotAsk},
	}
}

func TestHooksCommands(t *testing.T) {
	host, hosts := twoStandIns()
	host.hooks["acme/api"] = []githost.Hook{{ID: "x", URL: "https://other.example.com/", Events: []string{"push"}, Active: true}}
	out, errOut, code := called(t, twoHosts, hosts, "hooks", "create")
	if code != exitDone || errOut != "" {
		t.Fatalf("create ends with %d: %s", code, errOut)
	}
	contains(t, "create", out, "SOURCE REPOSITORY WEBHOOK URL", "github acme/api created https://ci.example.com/webhooks/github", "github acme/own created")
	if want := []string{"newest-secret", "own-secret"}; !slices.Equal(host.secrets, want) {
		t.Errorf("the webhooks have %q, want %q", host.secrets, want)
	}
	out, _, code = called(t, twoHosts, hosts, "hooks", "create")
	if code != exitDone || host.made != 2 {
		t.Errorf("creating again ends with %d, and %d were made in all", code, host.made)
	}
	contains(t, "create again", out, "acme/api unchanged", "acme/own unchanged")
	if _, _, code = called(t, twoHosts, hosts, "hooks", "create", "--new-secret", "--repository", "acme/own"); code != exitDone || host.secrets[len(host.secrets)-1] != "own-secret" || len(host.hooks["acme/own"]) != 1 {
		t.Errorf("--new-secret: %d, %q, %+v", code, host.secrets, host.hooks["acme/own"])
	}

	host.hooks["acme/api"][0].Trouble = "it was answered 500\x1b[2J"
	out, _, code = called(t, twoHosts, hosts, "hooks", "list", "--source", "github")
	if code != exitDone {
		t.Error(code)
	}
	contains(t, "list", out, "github acme/api no https://other.example.com/ push yes it was answered 500\\x1b[2J",
		"github acme/api yes https://ci.example.com/webhooks/github pull_request, push yes")
	out, _, _ = called(t, twoHosts, hosts, "hooks", "list", "--json", "--repository", "github:acme/none")
	contains(t, "list as JSON", out, `"note": "it has no webhook"`)

	out, _, code = called(t, twoHosts, hosts, "hooks", "remove", "--repository", "acme/api")
	if code != exitDone || len(host.hooks["acme/api"]) != 1 || host.hooks["acme/api"][0].ID != "x" {
		t.Errorf("remove ends with %d and leaves %+v", code, host.hooks["acme/api"])
	}
	contains(t, "remove", out, "acme/api removed https://ci.example.com/webhooks/github")
}

func TestHooksCommandsSayWhatIsMissing(t *testing.T) {
	_, hosts := twoStandIns()
	refusing := &standIn{refuses: &dispatch.PermanentError{Err: errors.New("403 Resource not accessible")}}
	for name, c := range map[string]struct {
		config string
		hosts  map[string]app.OpenHost
		args   []string
		code   int
		says   string
	}{
		"no public_url":     {strings.Replace(twoHosts, `public_url: "https://ci.example.com/"`, "", 1), hosts, []string{"create"}, exitFailed, "server.public_url is not set"},
		"cannot be asked":   {twoHosts, hosts, []string{"create", "--repository", "mirror:a"}, exitFailed, "mirror a: the host's API cannot be asked"},
		"not by API":        {twoHosts, map[string]app.OpenHost{"github": {Host: struct{ dispatch.Host }{}}}, []string{"create"}, exitFailed, "set them up by hand"},
		"permission":        {twoHosts, map[string]app.OpenHost{"github": {Host: refusing}}, []string{"list"}, exitFailed, `failed: github acme/api: list the webhooks: 403 Resource not accessible`},
		"unknown source":    {twoHosts, hosts, []string{"list", "--source", "gitlab"}, exitFailed, "it has github, mirror"},
		"which source":      {twoHosts, hosts, []string{"list", "--repository", "acme/unknown"}, exitUsage, "write it as SOURCE:acme/unknown"},
		"no repository":     {twoHosts, hosts, []string{"list", "--source", "mirror"}, exitFailed, "the config names no repository"},
		"remove of nothing": {twoHosts, hosts, []string{"remove"}, exitUsage, "--repository NAME, or --all"},
		"two sources":       {twoHosts, hosts, []string{"list", "--source", "mirror", "--repository", "github:acme/api"}, exitUsage, "is not of --source mirror"},
		"all without one":   {twoHosts, hosts, []string{"list", "--all"}, exitFailed, "--all asks the service"},
	} {
		t.Run(name, func(t *testing.T) {
			_, errOut, code := called(t, c.config, c.hosts, append([]string{"hooks"}, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			contains(t, "what it says", errOut, c.says)
		})
	}
}
