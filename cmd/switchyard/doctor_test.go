package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/cmd/switchyard/internal/doctor"
	"switchyard/config"
	"switchyard/internal/githubtest"
)

// liveConfig has a service behind a proxy, with a stand-in of GitHub.
const liveConfig = `
server: {listen: "127.0.0.1:0", public_url: %q}
data_dir: data
sources: {github: {secrets: [%s], token: %s, base_url: %q}}
engine: {embedded: {builds: {isolation: none}}}
audit: {every: 0s}
state_machines: {m: {definition: m.asl.json}}
routes: [{name: tests, on: pull_request, repositories: [acme/api], base_branches: [main], state_machine: m}]
`

// live is a service that runs, behind a proxy under its public URL.
type live struct {
	dir, path, api, public string
	server                 string // its own address
	hub                    *githubtest.Server
}

func (l *live) write(t *testing.T, secret, token string) {
	t.Helper()
	if err := os.WriteFile(l.path, fmt.Appendf(nil, liveConfig, l.public, secret, token, l.api), 0o600); err != nil {
		t.Fatal(err)
	}
}

func startLive(t *testing.T) *live {
	t.Helper()
	l := &live{dir: t.TempDir(), hub: githubtest.New(t)}
	l.path, l.api = filepath.Join(l.dir, "switchyard.yaml"), l.hub.Start()
	l.hub.AddRepo("acme/api").Chain("main", 1)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", strings.TrimPrefix(l.server, "http://")
	}}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	l.public = front.URL
	l.write(t, "s3cret", githubtest.AnyToken)
	if err := os.WriteFile(filepath.Join(l.dir, "m.asl.json"), []byte(`{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(l.path)
	if err != nil {
		t.Fatal(err)
	}
	service, err := app.New(t.Context(), cfg, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	l.server = "http://" + service.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	t.Cleanup(func() {
		l.hub.Settle()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l
}

// run runs a command that finds the service by --server.
func (l *live) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return calledWith(t, l.path, app.OpenHosts, append(args, "--server", l.server)...)
}

// From a service that runs and a repository that knows nothing of it, by command,
// to one that delivers.
func TestSetUpByCommand(t *testing.T) {
	l := startLive(t)
	out, errOut, code := l.run(t, "doctor")
	if code != exitFailed || errOut != "" {
		t.Errorf("doctor ends with %d: %s", code, errOut)
	}
	contains(t, "doctor", out, "ok runs it answers at "+l.server, "ok ready", "ok API it takes the token", "ok public_url "+l.public+" leads here",
		"warning public_url it is http", "ok token accepted, as switchyard-bot", "ok rate 5000 of 5000 calls are left", "ok clock", "ok permissions none is missing",
		"failed webhook none leads to "+l.public+"/webhooks/github → switchyard hooks create --repository github:acme/api",
		"warning isolation engine.embedded.builds.isolation is none", "1 failed")

	if out, errOut, code = l.run(t, "hooks", "create"); code != exitDone {
		t.Fatalf("hooks create ends with %d: %s%s", code, out, errOut)
	}
	l.hub.Settle() // GitHub tells of the new webhook by a ping
	out, _, code = l.run(t, "doctor", "--deliver")
	if code != exitDone {
		t.Errorf("doctor --deliver ends with %d", code)
	}
	contains(t, "doctor --deliver", out, "ok webhook it leads to "+l.public+"/webhooks/github and tells of", "ok test delivery acme/api: it arrived, and its secret is right", " 0 failed")

	// The webhook gets a secret that the service does not have.
	l.write(t, "another", githubtest.AnyToken)
	if _, errOut, code = l.run(t, "hooks", "create", "--new-secret"); code != exitDone {
		t.Fatalf("hooks create --new-secret ends with %d: %s", code, errOut)
	}
	l.hub.Settle()
	out, _, code = l.run(t, "doctor", "--deliver")
	if code != exitFailed {
		t.Errorf("with another secret doctor ends with %d", code)
	}
	contains(t, "doctor with another secret", out, "warning webhook its last delivery: it was answered 401", "failed test delivery acme/api: it arrived with another secret than the config's → switchyard hooks create --new-secret --repository github:acme/api")

	// GitHub has the statuses of routes required where it requires some.
	if _, errOut, code = l.run(t, "protect", "--apply"); code != exitFailed {
		t.Errorf("protect ends with %d", code)
	}
	contains(t, "protect", errOut, "does not require statuses yet", "Require status checks to pass before merging")
}

func TestDoctorOfWhatIsWrong(t *testing.T) {
	l := startLive(t)
	l.hub.AddToken(githubtest.Token{Text: "weak", Login: "ada", Permissions: map[string]string{"metadata": "read", "contents": "read", "pull_requests": "read"}, Expires: time.Now().Add(3 * 24 * time.Hour)})
	l.write(t, "s3cret", "weak")
	out, _, code := l.run(t, "doctor", "--json")
	var report struct {
		OK     bool
		Checks []doctor.Result
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.OK || code != exitFailed {
		t.Fatalf("%d, %v: %s", code, err, out)
	}
	text := ""
	for _, r := range report.Checks {
		text += fmt.Sprintln(r.Area, r.Status, r.Check, r.Found, r.Fix)
	}
	contains(t, "doctor with a weak token", text, "repository github:acme/api failed permissions missing: Commit statuses: write give sources.github.token that at the token's page",
		`needs the permission "Webhooks: read" for acme/api`, "source github warning expiry it ends on")

	l.write(t, "s3cret", "revoked")
	out, _, _ = l.run(t, "doctor")
	contains(t, "doctor with a revoked token", out, "failed token the host's API cannot be asked: the host does not accept sources.github.token, which may have run out or been revoked")

	if err := os.WriteFile(l.path, []byte("sources: {github: {secrets: []}}\nrouts: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, code = l.run(t, "doctor")
	if code != exitFailed {
		t.Errorf("a wrong config ends with %d", code)
	}
	contains(t, "doctor with a wrong config", out, "failed reads", "routs", "0 ok, 0 not checked, 0 warnings, 2 failed")
	if out, errOut, code := l.run(t, "doctor", "extra"); code != exitUsage || out != "" {
		t.Errorf("an argument too many: %d, %s%s", code, out, errOut)
	}
}

// Without a service all else is looked at.
func TestDoctorWithoutAService(t *testing.T) {
	text := fmt.Sprintf(liveConfig, "https://ci.example.com", "s", "t", "http://127.0.0.1:1")
	dir := t.TempDir()
	path := filepath.Join(dir, "switchyard.yaml")
	for name, text := range map[string]string{path: text, filepath.Join(dir, "m.asl.json"): `{"StartAt":"Done","States":{"Done":{"Type":"Succeed"}}}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, errOut, code := calledWith(t, path, app.OpenHosts, "doctor", "--server", "http://127.0.0.1:1")
	if code != exitFailed || errOut != "" {
		t.Errorf("%d: %s", code, errOut)
	}
	contains(t, "doctor without a service", out, "warning runs nothing answers at http://127.0.0.1:1", "not checked public_url the service does not run", "failed token", "ok journal.db it is not there yet", "ok data_dir")
	if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
		t.Error("looking made the data folder")
	}
}
