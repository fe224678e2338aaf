//go:build unix

package app_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/deploy/lambda"
	"switchyard/internal/awsaccess"
	"switchyard/internal/awssecret"
	"switchyard/internal/awstest"
)

// secretsOfAWS is moto's Secrets Manager, which can be made to fail.
type secretsOfAWS struct {
	*secretsmanager.Client
	down atomic.Bool
}

func newSecretsOfAWS(t *testing.T) *secretsOfAWS {
	t.Helper()
	target, err := url.Parse(awstest.Moto(t))
	if err != nil {
		t.Fatal(err)
	}
	awstest.Isolate(t)
	s := &secretsOfAWS{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type":"AccessDeniedException","Message":"the role is gone"}`)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	t.Setenv("AWS_ENDPOINT_URL", front.URL)
	t.Setenv("AWS_REGION", "eu-west-1")
	loaded, err := awsaccess.Load(t.Context(), awsaccess.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s.Client = secretsmanager.NewFromConfig(loaded)
	return s
}

func (s *secretsOfAWS) create(t *testing.T, name, text string) {
	t.Helper()
	if _, err := s.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &text}); err != nil {
		t.Fatal(err)
	}
}

func (s *secretsOfAWS) rotate(t *testing.T, name, text string) {
	t.Helper()
	if _, err := s.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &text}); err != nil {
		t.Fatal(err)
	}
}

const inAWS = `
server: {listen: "127.0.0.1:0", api_tokens: "aws-secret:api"}
data_dir: data
sources:
  github: {secrets: ["aws-secret:hook#github"], clone_base: "https://git.example"}
engine:
  embedded:
    functions: {f: {http: "http://127.0.0.1:1/", headers: {Authorization: "aws-secret:header"}}}
    projects: {p: {secrets: {npm: "aws-secret:npm"}}}
state_machines: {test: {definition: test.asl.json}}
routes: [{name: all, state_machine: test}]
`

// A secret that is rotated in AWS is used without a restart, and the one before
// still is; what cannot be read again stays.
func TestServiceFollowsARotationInAWS(t *testing.T) {
	manager := newSecretsOfAWS(t)
	manager.create(t, "hook", `{"github":"first hook secret"}`)
	manager.create(t, "api", "first-api-token-of-the-service")
	manager.create(t, "header", "Bearer first")
	manager.create(t, "npm", "first npm token")

	dir := t.TempDir()
	for name, text := range map[string]string{"switchyard.yaml": inAWS, "test.asl.json": machine} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	core, logs := observer.New(zap.InfoLevel)
	logger := zap.New(core)
	secrets := awssecret.New()
	secrets.LogTo(logger)
	from := config.WithAWSSecrets(func(s awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
		return secrets.Resolve(t.Context(), s, wanted)
	})
	cfg, err := config.Load(filepath.Join(dir, "switchyard.yaml"), from)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, logger, app.WithSecretStats(secrets.Stats))
	if err != nil {
		t.Fatal(err)
	}
	applied := make(chan error, 1)
	watcher, err := config.NewWatcher(cfg, func(ctx context.Context, cfg *config.Config) error {
		err := a.Reload(ctx, cfg)
		applied <- err
		return err
	}, logger, from)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- a.Run(ctx) }()
	go func() { done <- watcher.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	n := 0
	deliver := func(secret string) int {
		t.Helper()
		n++
		body := push("main", fmt.Sprintf("change %d", n))
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Addr().String()+"/webhooks/github", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-GitHub-Event", "push")
		req.Header.Set("X-GitHub-Delivery", fmt.Sprint("d-", n))
		req.Header.Set("X-Hub-Signature-256", fmt.Sprintf("sha256=%x", mac.Sum(nil)))
		status, _ := do(t, req)
		return status
	}
	check := func(when string, want map[string]int) {
		t.Helper()
		for secret, status := range want {
			if got := deliver(secret); got != status {
				t.Errorf("%s: signed with the %s: %d, want %d", when, secret, got, status)
			}
		}
	}
	check("at first", map[string]int{"first hook secret": 202, "second hook secret": 401})

	manager.rotate(t, "hook", `{"github":"second hook secret"}`)
	manager.rotate(t, "header", "Bearer second")
	manager.rotate(t, "npm", "second npm token")
	if !secrets.Refresh(t.Context()) {
		t.Fatal("the rotation was not seen")
	}
	watcher.Reload()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	check("after the rotation", map[string]int{"first hook secret": 202, "second hook secret": 202, "third hook secret": 401})
	restart := logs.FilterMessageSnippet("restart it to use the new one").All()
	if len(restart) != 1 || restart[0].ContextMap()["key"] != "engine.embedded.functions.f.headers.Authorization" {
		t.Errorf("a restart is asked for %v", restart)
	}

	// AWS fails: what was read last stays, over a refresh and over a reload.
	manager.rotate(t, "hook", `{"github":"third hook secret"}`)
	manager.down.Store(true)
	if secrets.Refresh(t.Context()) {
		t.Error("a failed refresh changed something")
	}
	watcher.Reload()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	check("while AWS fails", map[string]int{"first hook secret": 202, "second hook secret": 202, "third hook secret": 401})
	metrics := func(want string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr().String()+"/metrics", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if _, text := do(t, req); !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	metrics(`(?m)^switchyard_aws_secrets_failing 4$`)
	metrics(`(?m)^switchyard_aws_secrets_age_seconds [0-9.e-]+$`)
	if failures := logs.FilterMessageSnippet("its last good value stays").All(); len(failures) != 1 || !strings.Contains(failures[0].ContextMap()["error"].(string), "AccessDeniedException") {
		t.Errorf("logged %v", failures)
	}

	manager.down.Store(false)
	if !secrets.Refresh(t.Context()) {
		t.Error("the second rotation was not seen")
	}
	watcher.Reload()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	check("after the second", map[string]int{"first hook secret": 401, "second hook secret": 202, "third hook secret": 202})
	metrics(`(?m)^switchyard_aws_secrets_failing 0$`)
	for _, l := range logs.All() {
		if text := fmt.Sprint(l.Message, l.ContextMap()); regexp.MustCompile(`(first|second|third) (hook|npm)|Bearer|first-api`).MatchString(text) {
			t.Errorf("a log line shows a secret: %s", text)
		}
	}
}

// An invocation reads the secrets again when they are due, at most once in that
// time, and goes on with the last good ones when AWS fails.
func TestFunctionFollowsARotationInAWS(t *testing.T) {
	manager := newSecretsOfAWS(t)
	manager.create(t, "hook", "first")
	path := filepath.Join(t.TempDir(), "switchyard.yaml")
	if err := os.WriteFile(path, []byte(`
sources: {github: {secrets: ["aws-secret:hook"], clone_base: "https://git.example"}}
engine: aws
serverless: {queue: "https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard"}
state_machines: {deploy: {arn: "arn:aws:states:eu-west-1:123456789012:stateMachine:deploy"}}
routes: [{name: all, branches: [release], state_machine: deploy}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets, loads := awssecret.New(), 0
	load := func(ctx context.Context) (*config.Config, error) {
		loads++
		return config.Load(path, config.WithAWSSecrets(func(s awssecret.Settings, wanted []awssecret.Wanted) map[awssecret.Ref]awssecret.Answer {
			return secrets.Resolve(ctx, s, wanted)
		}))
	}
	again := func(ctx context.Context) (*lambda.Function, error) {
		cfg, err := load(ctx)
		if err != nil {
			return nil, err
		}
		return app.NewFunction(ctx, cfg, lambda.NewMetrics(io.Discard, "", time.Now), zap.NewNop())
	}
	first, err := again(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := app.NewRotatingFunction(first, secrets, again, zap.NewNop())
	now := time.Now()
	app.SetClock(f, func() time.Time { return now })
	n := 0
	deliver := func(secret string) string {
		t.Helper()
		n++
		const body = `{"zen":"Keep it logically awesome.","hook_id":1}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		out, err := f.Invoke(t.Context(), fmt.Appendf(nil, `{"version":"2.0","rawPath":"/webhooks/github","headers":{"content-type":"application/json","x-github-event":"ping","x-github-delivery":"d-%d","x-hub-signature-256":"sha256=%x"},"requestContext":{"http":{"method":"POST","path":"/webhooks/github","sourceIp":"192.0.2.1"}},"body":%q}`, n, mac.Sum(nil), body))
		if err != nil {
			t.Fatal(err)
		}
		return regexp.MustCompile(`"statusCode":(\d+)`).FindStringSubmatch(string(out))[1]
	}
	check := func(when, first, second, third string) {
		t.Helper()
		for secret, want := range map[string]string{"first": first, "second": second, "third": third} {
			if got := deliver(secret); got != want {
				t.Errorf("%s: signed with the %s: %s, want %s", when, secret, got, want)
			}
		}
	}
	check("at first", "200", "401", "401")
	manager.rotate(t, "hook", "second")
	now = now.Add(4*time.Minute + 50*time.Second)
	check("before it is due", "200", "401", "401")
	now = now.Add(10 * time.Second)
	check("when it is due", "200", "200", "401")
	manager.rotate(t, "hook", "third")
	manager.down.Store(true)
	now = now.Add(5 * time.Minute)
	check("while AWS fails", "200", "200", "401")
	manager.down.Store(false)
	check("before it is due again", "200", "200", "401")
	now = now.Add(5 * time.Minute)
	check("when AWS is back", "401", "200", "200")
	if loads != 3 {
		t.Errorf("the config was read %d times for two rotations", loads)
	}
}
