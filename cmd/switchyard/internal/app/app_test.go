package app_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/dispatch/api"
)

const secret = "a secret of the test"

const machine = `{"StartAt": "Announce", "States": {
  "Announce": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:echo", "ResultPath": "$.echo", "Next": "Check"},
  "Check": {"Type": "Choice", "Choices": [{"Variable": "$.commit.message", "StringMatches": "break*", "Next": "Broken"}], "Default": "Done"},
  "Broken": {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"},
  "Done": {"Type": "Succeed"}
}}`

const settings = `
server: {listen: "127.0.0.1:0"}
data_dir: data
sources:
  github: {secrets: [%q]}
engine: {embedded: {listen: "127.0.0.1:0", functions: {echo: {exec: [cat]}}}}
state_machines: {test: {definition: test.asl.json}}
environments: {acceptance: {max_parallel: 1}}
routes:
  - {name: features, branches: ["feature/**"], state_machine: test, environment: "dev-{{ .Branch | slug }}"}
  - {name: acceptance, branches: ["hotfix/**"], state_machine: test, environment: acceptance}
`

// service is a running app and a client of it.
type service struct {
	*app.App
	client *api.Client
	cfg    *config.Config
	dir    string
	stop   func()
}

// start runs the app on dir until the test ends or stop is called.
func start(t *testing.T, dir string) *service {
	t.Helper()
	return startWith(t, dir, fmt.Sprintf(settings, secret), machine)
}

// load writes a config and its state machine to dir and reads them.
func load(t *testing.T, dir, settings, machine string) *config.Config {
	t.Helper()
	for name, text := range map[string]string{"switchyard.yaml": settings, "test.asl.json": machine} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "switchyard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func startWith(t *testing.T, dir, settings, machine string, opts ...app.Option) *service {
	t.Helper()
	cfg := load(t, dir, settings, machine)
	a, err := app.New(t.Context(), cfg, zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)), opts...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	s := &service{App: a, cfg: cfg, dir: dir, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(2 * time.Minute):
			t.Error("the service does not stop")
		}
	}}
	t.Cleanup(s.stop)
	tokens, err := app.APITokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.client = api.NewClient("http://"+a.Addr().String(), tokens[0])
	return s
}

func push(branch string, messages ...string) []byte {
	type m map[string]any
	var commits []m
	for i, text := range messages {
		sha := fmt.Sprintf("%x", sha256.Sum256([]byte(branch+text+fmt.Sprint(i))))[:40]
		commits = append(commits, m{"id": sha, "message": text, "distinct": true, "timestamp": "2026-11-20T10:00:00Z",
			"url": "https://git.example/c/" + sha, "author": m{"name": "Ada", "username": "ada"}, "added": []string{}, "removed": []string{}, "modified": []string{"a.go"}})
	}
	body, err := json.Marshal(m{"ref": "refs/heads/" + branch, "before": strings.Repeat("1", 40), "after": commits[len(commits)-1]["id"],
		"commits": commits, "head_commit": commits[len(commits)-1],
		"repository": m{"id": 1, "full_name": "acme/api", "name": "api", "clone_url": "https://git.example/acme/api.git", "owner": m{"login": "acme"}},
		"sender":     m{"login": "ada"}})
	if err != nil {
		panic(err)
	}
	return body
}

func (s *service) deliver(t *testing.T, id string, body []byte) (int, string) {
	t.Helper()
	return do(t, s.delivery(t, "push", id, body))
}

// delivery is the request that GitHub would make.
func (s *service) delivery(t *testing.T, kind, id string, body []byte) *http.Request {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr().String()+"/webhooks/github", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-GitHub-Event", kind)
	req.Header.Set("X-GitHub-Delivery", id)
	req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
	return req
}

func do(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (s *service) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, req)
}

// settled waits until n executions have ended and returns them, oldest first.
func (s *service) settled(t *testing.T, n int) []dispatch.Execution {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		page, err := s.client.Executions(ctx, dispatch.ExecutionFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		ended := 0
		for _, e := range page.Executions {
			if e.State.Finished() {
				ended++
			}
		}
		if ended == n {
			return page.Executions
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%d of %d executions ended: %+v", ended, n, page.Executions)
		case <-tick.C:
		}
	}
}

func TestEveryCommitOfAPushGetsItsExecution(t *testing.T) {
	s := start(t, t.TempDir())
	status, text := s.deliver(t, "d1", push("feature/a", "one", "break two", "three"))
	if status != http.StatusAccepted {
		t.Fatalf("%d %s", status, text)
	}
	var answer struct{ Executions []string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || len(answer.Executions) != 3 {
		t.Fatalf("%s %v", text, err)
	}
	states := map[dispatch.State]int{}
	for _, e := range s.settled(t, 3) {
		states[e.State]++
		if e.Environment != "dev-feature-a-951d42d" {
			t.Errorf("environment %q", e.Environment)
		}
		whole, err := s.client.Execution(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Echo struct{ Commit struct{ SHA string } }
		}
		if e.State == dispatch.StateSucceeded && (json.Unmarshal(whole.Output, &out) != nil || out.Echo.Commit.SHA != e.SHA) {
			t.Errorf("output %s does not carry the commit through the function", whole.Output)
		}
	}
	if states[dispatch.StateSucceeded] != 2 || states[dispatch.StateFailed] != 1 {
		t.Errorf("states %v", states)
	}
	again, text2 := s.deliver(t, "d1", push("feature/a", "one", "break two", "three"))
	if again != http.StatusAccepted || text2 != strings.Replace(text, `"new":3`, `"new":0`, 1) {
		t.Errorf("the same delivery answers %d %s, first %s", again, text2, text)
	}
	if n := len(s.settled(t, 3)); n != 3 {
		t.Errorf("%d executions after a redelivery", n)
	}
}

func TestExecutionsSurviveARestartAndNamesAreNotReused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.deliver(t, "d1", push("hotfix/a", "one", "two"))
	s.stop()
	s = start(t, dir)
	if n := len(s.settled(t, 2)); n != 2 {
		t.Fatalf("%d executions", n)
	}
	status, text := s.deliver(t, "d2", push("hotfix/a", "one", "two"))
	if status != http.StatusAccepted {
		t.Errorf("the same commits in another delivery: %d %s", status, text)
	}
	if n := len(s.settled(t, 2)); n != 2 {
		t.Errorf("%d executions, the commits ran twice", n)
	}
}

func TestManualStartRerunAndStop(t *testing.T) {
	s := start(t, t.TempDir())
	ctx := t.Context()
	id, err := s.client.Start(ctx, "", []byte(`{"environment":"dev","commit":{"sha":"0123456789abcdef0123456789abcdef01234567","message":"x"},"override_branches":{"api_v1":"hotfix/x"}}`), "ada")
	if err != nil {
		t.Fatal(err)
	}
	s.settled(t, 1)
	again, err := s.client.Rerun(ctx, id, "ada")
	if err != nil || again != id+"-r2" {
		t.Fatalf("rerun: %q %v", again, err)
	}
	s.settled(t, 2)
	for name, input := range map[string]string{
		"not JSON":                 `{`,
		"not an object":            `[]`,
		"null":                     ` null`,
		"overrides without branch": `{"override_branches":[{"project":"a"}]}`,
		"overrides as text":        `{"override_branches":"a"}`,
	} {
		if _, err := s.client.Start(ctx, "test", []byte(input), "ada"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := s.client.Start(ctx, "nope", []byte(`{}`), "ada"); err == nil || !strings.Contains(err.Error(), "none of test") {
		t.Errorf("unknown state machine: %v", err)
	}
	if n := len(s.settled(t, 2)); n != 2 {
		t.Errorf("bad input changed something: %d executions", n)
	}
}

func TestFacesOfTheService(t *testing.T) {
	s := start(t, t.TempDir())
	s.deliver(t, "d1", push("feature/a", "one"))
	e := s.settled(t, 1)[0]
	for path, want := range map[string]string{
		"/healthz":                "ok",
		"/readyz":                 "ready\nbuilds: memory and processes are limited by ",
		"/":                       "Sign in · Switchyard", // and nothing else, to a stranger
		"/metrics":                `switchyard_deliveries_total{outcome="accepted",source="github"} 1`,
		"/executions/" + e.ID:     "Sign in · Switchyard",
		"/executions/no-such-one": "Sign in · Switchyard",
		"/api/v1/executions":      "server.api_tokens",
		"/webhooks/github":        "POST",
		"/webhooks/nothing-here":  "webhooks",
	} {
		if _, text := s.get(t, path); !strings.Contains(text, want) {
			t.Errorf("GET %s lacks %q:\n%.400s", path, want, text)
		}
	}
	eventually(t, "the metrics show the end", func() bool {
		_, text := s.get(t, "/metrics")
		return strings.Contains(text, `switchyard_executions_ended_total{state="succeeded"} 1`) &&
			strings.Contains(text, "switchyard_journal_append_commits_total 1") && strings.Contains(text, "switchyard_start_latency_seconds_count 1")
	})
}

func TestReloadAppliesAsAWholeOrNotAtAll(t *testing.T) {
	s := start(t, t.TempDir())
	file := filepath.Join(s.dir, "switchyard.yaml")
	reload := func(text string) error {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(file)
		if err != nil {
			return err
		}
		return s.Reload(t.Context(), cfg)
	}
	text := fmt.Sprintf(settings, secret)
	if err := reload(strings.Replace(text, "data_dir: data", "data_dir: other", 1)); err == nil || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("a change of data_dir: %v", err)
	}
	if status, _ := s.deliver(t, "d1", push("release/a", "one")); status != http.StatusOK {
		t.Errorf("a branch without a route answers %d", status)
	}
	if err := reload(strings.Replace(text, `"hotfix/**"`, `"hotfix/**", "release/**"`, 1)); err != nil {
		t.Fatal(err)
	}
	if status, answer := s.deliver(t, "d2", push("release/a", "one")); status != http.StatusAccepted {
		t.Errorf("after the reload: %d %s", status, answer)
	}
	if err := reload(strings.Replace(text, secret, "another secret", 1)); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.deliver(t, "d3", push("feature/a", "one")); status != http.StatusUnauthorized {
		t.Errorf("the old secret still answers %d", status)
	}
}

// A token that was replaced is revoked soon: builds must fetch with the new one.
func TestReloadGivesBuildsTheNewToken(t *testing.T) {
	text := strings.Replace(fmt.Sprintf(settings, secret), "github: {", "github: {token: old-token, ", 1)
	s := startWith(t, t.TempDir(), text, machine)
	const clone = "https://github.com/acme/api.git"
	if token := s.token(t, clone); token != "old-token" {
		t.Fatalf("before the reload: %q", token)
	}
	cfg := load(t, s.dir, strings.Replace(text, "old-token", "new-token", 1), machine)
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if token := s.token(t, clone); token != "new-token" {
		t.Errorf("after the reload: %q", token)
	}
}

// A service that was started with tokens of the config goes on with one of its
// own, as one that is started without does.
func TestReloadWithoutTokensMakesOne(t *testing.T) {
	text := fmt.Sprintf(settings, secret)
	s := startWith(t, t.TempDir(), strings.Replace(text, "server: {", "server: {api_tokens: [a-token-of-the-config], ", 1), machine)
	cfg := load(t, s.dir, text, machine)
	if err := s.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Executions(t.Context(), dispatch.ExecutionFilter{}); err == nil {
		t.Error("the old token still opens the API")
	}
	tokens, err := app.APITokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.NewClient("http://"+s.Addr().String(), tokens[0]).Executions(t.Context(), dispatch.ExecutionFilter{}); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

// What would be taken on in part, or not at all, is refused by name.
func TestReloadRefusesWhatNeedsARestart(t *testing.T) {
	s := start(t, t.TempDir())
	text := fmt.Sprintf(settings, secret)
	for key, more := range map[string]string{
		"log":                  "log: {level: debug}\n",
		"retention.executions": "retention: {executions: 30d}\n",
		"tracing":              "tracing: {endpoint: \"http://127.0.0.1:4318\"}\n",
	} {
		if err := s.Reload(t.Context(), load(t, s.dir, text+more, machine)); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("a change of %s: %v", key, err)
		}
	}
}

// A service that can no longer be reached must end, so that whoever supervises
// it starts it again.
func TestAServiceThatLosesItsPortEnds(t *testing.T) {
	cfg := load(t, t.TempDir(), fmt.Sprintf(settings, secret), machine)
	a, err := app.New(t.Context(), cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.CloseListener(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err = a.Run(ctx)
	if ctx.Err() != nil {
		t.Error("it went on without its port")
	}
	if err == nil || !strings.Contains(err.Error(), a.Addr().String()) {
		t.Errorf("the end says %v", err)
	}
}

func TestASecondServiceOnTheSameDataIsRefused(t *testing.T) {
	s := start(t, t.TempDir())
	a, err := app.New(t.Context(), s.cfg, zaptest.NewLogger(t))
	if err == nil {
		err = errors.Join(errors.New("it opened"), a.Close())
		t.Fatal(err)
	}
	if !strings.Contains(err.Error(), s.cfg.Resolve("data")) {
		t.Errorf("the error does not name the folder: %v", err)
	}
}
