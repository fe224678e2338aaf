package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/dispatch"
	"switchyard/githost"
)

// now is the time in these tests.
var now = time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)

func setup(t *testing.T, text string) *Setup {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "switchyard.yaml"), []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return &Setup{Config: cfg, HTTP: http.DefaultClient, Now: func() time.Time { return now }}
}

// say writes results one a line, for tables.
func say(found []Result) string {
	var b strings.Builder
	for _, r := range found {
		fmt.Fprintf(&b, "%s %s: %s", r.Status, r.Check, r.Found)
		if r.Fix != "" {
			b.WriteString(" -> " + r.Fix)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func expect(t *testing.T, found []Result, wants ...string) {
	t.Helper()
	got := say(found)
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	for _, r := range found {
		if (r.Status == Failed || r.Status == Warning) && r.Fix == "" {
			t.Errorf("%s says nothing of what to do: %s", r.Check, r.Found)
		}
	}
}

const withToken = "sources: {github: {secrets: [s], token: t}, app: {provider: github, secrets: [s], app: {id: 1, private_key: k}}}\n"

func TestStanding(t *testing.T) {
	s := setup(t, withToken)
	hints := app.Hints{Token: "PAGE"}
	for name, c := range map[string]struct {
		source string
		got    githost.Standing
		want   []string
	}{
		"all is well": {"github", githost.Standing{Login: "ada", Limit: 5000, Left: 4999, Reset: now.Add(time.Hour), Clock: now.Add(-time.Second), Expires: now.Add(90 * 24 * time.Hour)},
			[]string{"ok token: accepted, as ada\n", "ok expiry: it ends on 2027-02-24", "ok rate: 4999 of 5000 calls are left until 09:00 UTC", "ok clock: it is the host's, within 1s"}},
		"nothing is said": {"github", githost.Standing{}, []string{"ok token: accepted\n"}},
		"soon":            {"github", githost.Standing{Expires: now.Add(50 * time.Hour)}, []string{"warning expiry: it ends on 2026-11-28, in 2 days -> make a new one at PAGE, and set sources.github.token"}},
		"over":            {"github", githost.Standing{Expires: now}, []string{"failed expiry: it ended on 2026-11-26"}},
		"used up":         {"github", githost.Standing{Limit: 5000, Left: 499, Reset: now}, []string{"warning rate: 499 of 5000 calls", "the same token"}},
		"ahead":           {"app", githost.Standing{Clock: now.Add(-time.Minute)}, []string{"failed clock: our clock is 1m0s ahead of the host's, and an App's sign-in"}},
		"nearly":          {"app", githost.Standing{Clock: now.Add(31 * time.Second)}, []string{"warning clock: our clock is 31s behind the host's"}},
		"no matter":       {"github", githost.Standing{Clock: now.Add(2 * time.Minute)}, []string{"ok clock: it is the host's, within 2m0s"}},
		"much":            {"github", githost.Standing{Clock: now.Add(5 * time.Minute)}, []string{"warning clock: our clock is 5m0s behind"}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, s.standing(c.source, hints, &c.got), c.want...) })
	}
	expect(t, []Result{s.permissions("app", hints, nil)}, "ok permissions")
	expect(t, []Result{s.permissions("app", hints, []string{"Contents: read", "Checks: write"})}, "failed permissions: missing: Contents: read; Checks: write -> give sources.app.app that at PAGE")
}

func TestRefused(t *testing.T) {
	s := setup(t, withToken)
	for want, err := range map[string]error{
		"failed token: the host's API cannot be asked: revoked -> make or change it at PAGE, and set sources.github.token": fmt.Errorf("%w: revoked", dispatch.ErrCannotAsk),
		"warning token: slow -> wait 1m30s":                            &dispatch.ThrottledError{After: 90 * time.Second, Err: errors.New("slow")},
		"failed token: no such thing -> look at the repository's name": &dispatch.PermanentError{Err: errors.New("no such thing")},
		"failed token: dial tcp -> look at the network":                errors.New("dial tcp"),
	} {
		expect(t, []Result{s.refused("token", "github", app.Hints{Token: "PAGE"}, err)}, want)
	}
}

type pushes struct{}

func (pushes) HookEvents() []string { return []string{"pull_request", "push"} }

func TestHookResults(t *testing.T) {
	const to = "https://ci.example.com/webhooks/github"
	ours := func(active bool, trouble string, events ...string) githost.Hook {
		return githost.Hook{URL: to + "/", Active: active, Trouble: trouble, Events: events}
	}
	for name, c := range map[string]struct {
		all       []githost.Hook
		delivered bool
		want      []string
	}{
		"right":       {[]githost.Hook{ours(true, "", "push", "pull_request", "more")}, false, []string{"ok webhook: it leads to " + to + " and tells of push, pull_request, more"}},
		"none":        {nil, false, []string{"failed webhook: none leads to " + to + " -> switchyard hooks create --repository github:acme/api, or correct"}},
		"elsewhere":   {[]githost.Hook{{URL: "https://old.example.com/webhooks/github"}}, false, []string{"failed webhook: none leads to " + to + "; one leads to https://old.example.com/webhooks/github"}},
		"another way": {nil, true, []string{"ok webhook: none leads to " + to + ", but deliveries arrive"}},
		"off":         {[]githost.Hook{ours(false, "disabled after failures", "*")}, false, []string{"failed webhook: it is switched off: disabled after failures -> switchyard hooks create"}},
		"off, silent": {[]githost.Hook{ours(false, "", "*")}, false, []string{"failed webhook: it is switched off -> "}},
		"too little":  {[]githost.Hook{ours(true, "", "push")}, true, []string{"failed webhook: it does not tell of pull_request"}},
		"trouble":     {[]githost.Hook{ours(true, "it was answered 401", "*")}, false, []string{"warning webhook: its last delivery: it was answered 401 -> see its deliveries at PAGE; 401 is another secret"}},
		"twice":       {[]githost.Hook{ours(true, "", "*"), ours(true, "", "*")}, false, []string{"warning webhook: 2 lead to " + to}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, hookResults(pushes{}, c.all, to, "github", "acme/api", "PAGE", c.delivered), c.want...)
		})
	}
}

func TestModes(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o600: "ok secret: FILE is closed to others (0600)", 0o400: "ok secret", 0o440: "ok secret",
		0o644: "warning secret: FILE: everybody on this machine may read it -> chmod 600 FILE",
		0o666: "its group may change it and everybody on this machine may read it and everybody on this machine may change it",
		0o660: "its group may change it",
	} {
		expect(t, []Result{modeOf("secret", "FILE", mode)}, want)
	}
}

func TestConfigResults(t *testing.T) {
	s := setup(t, "sources: {github: {secrets: [s]}}")
	expect(t, Config("c.yaml", s.Config, nil), "ok reads: c.yaml: 1 source, 0 state machines, 0 routes")
	_, err := config.Parse("c.yaml", []byte("nonsense: 1\nsources: {github: {}}"), func(string) (string, bool) { return "", false })
	found := Config("c.yaml", nil, err)
	expect(t, found, "failed reads: c.yaml:1:1: nonsense", "secrets is missing", "config validate")
	if len(found) != 2 || Healthy(found) || found[0].Area != "config" {
		t.Errorf("%+v", found)
	}
	expect(t, Config("c.yaml", nil, errors.New("read config: no such file")), "failed reads: read config: no such file -> name the file")
}

func TestStores(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	expect(t, []Result{
		store(t.Context(), "none", filepath.Join(dir, "none")), store(t.Context(), "empty", write("empty", "")),
		store(t.Context(), "odd", write("o#d?d%", strings.Repeat("not a database ", 100))),
	}, "ok none: it is not there yet", "failed empty: it is empty", "failed odd: it cannot be opened: ")
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("looking made a database")
	}
}

const metricsText = `# TYPE switchyard_audits_total counter
switchyard_audits_total{outcome="whole",source="a"} 3
switchyard_audits_total{outcome="failed",source="b"} 2
switchyard_audits_total{outcome="whole",source="c"} 3
switchyard_audits_total{outcome="whole",source="d"} 3
# TYPE switchyard_audit_last_whole_timestamp_seconds gauge
switchyard_audit_last_whole_timestamp_seconds{source="a"} %d
switchyard_audit_last_whole_timestamp_seconds{source="c"} %d
switchyard_audit_last_whole_timestamp_seconds{source="d"} %d
# TYPE switchyard_audit_missing_total counter
switchyard_audit_missing_total{done="left",source="d"} 1
# TYPE switchyard_aws_secrets_failing gauge
switchyard_aws_secrets_failing 2
`

func TestMetricsAreRead(t *testing.T) {
	text := fmt.Sprintf(metricsText, now.Add(-time.Minute).Unix(), now.Add(-3*time.Hour).Unix(), now.Unix())
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	defer server.Close()
	s := setup(t, "audit: {heal: false}")
	s.Server = server.URL
	expect(t, s.metrics(t.Context()), "ok audits: a was audited 1m0s ago", "failed audits: no repository of b could be audited since the service started (2 tries)",
		"failed audits: the last whole audit of c was 3h0m0s ago", "warning audits: audits of d found commits", "warning secrets: 2 secrets in AWS")
	never := setup(t, "audit: {every: 0s}")
	never.Server = server.URL
	expect(t, never.metrics(t.Context()), "warning audits: audit.every is 0")
	text = ""
	expect(t, s.metrics(t.Context()), "not checked audits: there was none")
	text = "switchyard_x{ 1"
	expect(t, s.metrics(t.Context()), "not checked audits: "+server.URL+"/metrics cannot be read")
	status = http.StatusForbidden
	expect(t, s.metrics(t.Context()), "not checked audits: "+server.URL+"/metrics answers 403")
}

// A service is ours only by what our data folder's key proves.
func TestWhoseServiceItIs(t *testing.T) {
	text := "ok\n"
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	defer server.Close()
	s := setup(t, `server: {public_url: "`+server.URL+`"}`)
	s.Server, s.Running = server.URL, true
	look := func() []Result { return append(s.publicURL().Run(t.Context()), s.runs(t.Context())) }
	expect(t, look(), "ok public_url: a Switchyard answers", "cannot be told from here")
	if err := os.MkdirAll(s.dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir(), "pages.key"), []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, look(), "failed public_url: another Switchyard answers at "+server.URL, "failed runs: another service than that of this data_dir")
	text = "ok\n" + strings.Repeat("0", 64)
	expect(t, look(), "failed public_url: another Switchyard")
	text = "<html>\x1b[2J"
	expect(t, look(), "failed public_url: from here: "+server.URL+"/healthz is not answered by Switchyard: 200")
	status = http.StatusBadGateway
	expect(t, look(), "is not answered by Switchyard: 502")
	s.Running = false
	expect(t, s.publicURL().Run(t.Context()), "not checked public_url: the service does not run")
	expect(t, setup(t, "{}").publicURL().Run(t.Context()), "warning public_url: server.public_url is not set")
}

func TestArrived(t *testing.T) {
	read := func(text string) counts {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }))
		defer server.Close()
		m, err := (&Setup{Server: server.URL, HTTP: http.DefaultClient}).counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	const line = "# TYPE switchyard_deliveries_total counter\nswitchyard_deliveries_total{outcome=%q,source=%q} %d\n"
	before := read(fmt.Sprintf(line, "ignored", "github", 1))
	for want, text := range map[string]string{
		"":                                       fmt.Sprintf(line, "ignored", "github", 1) + `switchyard_deliveries_total{outcome="accepted",source="gitlab"} 9` + "\n",
		"ok test delivery: acme/api: it arrived": fmt.Sprintf(line, "ignored", "github", 2),
		"another secret than the config's -> switchyard hooks create --new-secret --repository github:acme/api": fmt.Sprintf(line, "unsigned", "github", 1),
		"it arrived and was refused: busy": fmt.Sprintf(line, "busy", "github", 1),
	} {
		r, over := arrived(before, read(text), "github", "acme/api")
		if over != (want != "") {
			t.Errorf("%s: over is %v", text, over)
		}
		if over {
			expect(t, []Result{r}, want)
		}
	}
}

// A check that hangs is told as such, and the others go on.
func TestRunBoundsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := Check{Area: "a", Name: "hangs", Run: func(ctx context.Context) []Result {
			<-ctx.Done()
			return []Result{failed("hangs", ctx.Err().Error(), "x"), good("before", "this was quick")}
		}}
		patient := hangs
		patient.Area, patient.Limit = "c", time.Hour
		began := time.Now()
		found := Run(t.Context(), []Check{hangs, {Area: "b", Name: "quick", Run: func(context.Context) []Result { return []Result{good("quick", "yes")} }}, patient}, time.Minute)
		if took := time.Since(began); took != time.Hour {
			t.Errorf("it took %v", took)
		}
		expect(t, found, "ok before: this was quick\nnot checked hangs: it did not end within 1m0s\nok quick: yes\n", "not checked hangs: it did not end within 1h0m0s")
		if found[0].Area != "a" || found[2].Area != "b" || !Healthy(found) {
			t.Errorf("%+v", found)
		}
	})
}
