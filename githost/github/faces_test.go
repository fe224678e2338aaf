package github

import (
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/githubtest"
	"switchyard/internal/gittest"
)

const name = "acme/api"

func TestRefsInOneAnswer(t *testing.T) {
	f := newFixture(t)
	main := f.repo.Chain("main", 2)
	f.repo.Branch("feature/größe", main[0])
	f.repo.Git("tag", "v1", main[0])
	app := f.AddApp(readContents)
	app.Install("acme")
	want := map[string]string{"refs/heads/main": main[1], "refs/heads/feature/größe": main[0]}
	for kind, c := range map[string]*Client{"token": f.client(), "app": f.asApp(app)} {
		c.cloneBase = githubtest.WebURL
		got, err := c.Refs(t.Context(), name)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", kind, err, diff)
		}
		if _, err := c.Refs(t.Context(), "../etc"); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: error %v", kind, err)
		}
	}
}

func TestClonesAreWhereTheAPISays(t *testing.T) {
	for api, want := range map[string]string{
		"https://api.github.com/": "https://github.com", "https://ghe.example/api/v3/": "https://ghe.example",
		"https://api.corp.ghe.com": "https://corp.ghe.com", "http://127.0.0.1:80/x/api/v3": "http://127.0.0.1:80/x",
	} {
		u, err := url.Parse(api)
		if err != nil {
			t.Fatal(err)
		}
		if got := cloneBase(u); got != want {
			t.Errorf("%s: %s, want %s", api, got, want)
		}
	}
}

func TestCommitsSince(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 150)
	got, err := f.client().CommitsSince(t.Context(), name, f.shas[150], gittest.Epoch.Add(29*time.Minute))
	if err != nil || !slices.Equal(f.numbers(got), between(30, 150)) {
		t.Errorf("%v, %v", f.numbers(got), err)
	}
}

func TestOpenPullRequestsAndTheirMark(t *testing.T) {
	f := newFixture(t)
	c := f.client()
	f.chain("main", 1, 2)
	open, mark, err := c.PullRequests(t.Context(), name, "")
	if err != nil || len(open) != 0 || mark == "" {
		t.Fatalf("%v %q %v", open, mark, err)
	}
	f.chain("topic", 11, 12, 1)
	fork := f.AddRepo("ben/api")
	fork.Git("fetch", "-q", f.repo.Dir, "main:main")
	patch := fork.Chain("patch", 1)
	f.repo.OpenPull("topic", "main")
	f.repo.OpenForkPull(fork, "patch", "main")
	f.repo.Draft(1, true)
	open, mark, err = c.PullRequests(t.Context(), name, mark)
	if err != nil {
		t.Fatal(err)
	}
	of := func(ref, sha string, pr event.PullReq) event.Event {
		pr.Base, pr.BaseSHA = "main", f.shas[2]
		return event.Event{
			Kind: event.PullRequest, Action: "synchronize", Ref: ref, After: sha, Truncated: true, Repository: event.Repository{FullName: name, DefaultBranch: "main"},
			Commits: []event.Commit{{SHA: sha, Distinct: true}}, PullRequest: &pr,
		}
	}
	want := []event.Event{
		of("refs/heads/topic", f.shas[12], event.PullReq{Number: 1, Title: "Merge topic", Author: "ada", Draft: true, HeadRepo: name}),
		of("refs/heads/patch", patch[0], event.PullReq{Number: 2, Title: "Merge patch", Author: "ben", Fork: true, HeadRepo: "ben/api"}),
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Error(diff)
	}
	unchanged := func(mark string, costs int) {
		t.Helper()
		before, calls := c.remaining(t, f), len(f.Calls(""))
		if _, _, err := c.PullRequests(t.Context(), name, mark); !errors.Is(err, githost.ErrUnchanged) {
			t.Errorf("%v", err)
		}
		if n, cost := len(f.Calls(""))-calls, before-c.remaining(t, f); n != 1 || cost != costs {
			t.Errorf("%d calls, which cost %d", n, cost)
		}
	}
	unchanged(mark, 0)
	// The ETag is another with another token of an App; what changed is not.
	_, digest, _ := strings.Cut(mark, " ")
	unchanged(`W/"other" `+digest, 1)
	// What becomes of a pull request that no page of open ones shows is seen too.
	for change, f := range map[string]func(){"closed": func() { f.repo.ClosePull(2) }, "pushed to": func() { f.chain("topic", 21, 21, 12) }} {
		f()
		var now string
		if open, now, err = c.PullRequests(t.Context(), name, mark); err != nil || now == mark {
			t.Errorf("%s: %v", change, err)
		}
		mark = now
	}
	if len(open) != 1 || open[0].PullRequest.Number != 1 {
		t.Errorf("%v", open)
	}
}

// remaining is what is left of the hour's calls.
func (c *Client) remaining(t *testing.T, f *fixture) int {
	t.Helper()
	limits, _, err := c.byToken.RateLimit.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return limits.Core.Remaining
}

func TestManyOpenPullRequestsAreAllListed(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	f.chain("topic", 11, 11, 1)
	for range 101 {
		f.repo.OpenPull("topic", "main")
	}
	open, _, err := f.client().PullRequests(t.Context(), name, "")
	if err != nil || len(open) != 101 || open[100].PullRequest.Number != 101 {
		t.Errorf("%d, %v", len(open), err)
	}
}

func TestWhoMayWrite(t *testing.T) {
	f := newFixture(t)
	c := f.client()
	for login, permission := range map[string]string{"eve": "read", "tom": "triage", "wil": "write", "max": "maintain", "root": "admin"} {
		f.repo.Allow(login, permission)
	}
	for login, want := range map[string]bool{
		"root": true, "max": true, "wil": true, "tom": false, "eve": false, "stranger": false, "nobody": false,
		"": false, "../admin": false, "a b": false, "[bot]": false, strings.Repeat("x", 200): false,
	} {
		if got, err := c.MayWrite(t.Context(), name, login); got != want || err != nil {
			t.Errorf("%q: %v, %v", login, got, err)
		}
	}
	if _, err := c.MayWrite(t.Context(), "acme/gone", "root"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("%v", err)
	}
}

func TestNamesOfPeople(t *testing.T) {
	f := newFixture(t)
	f.Show("grace", githubtest.Profile{Name: "Grace Hopper", Email: "grace@navy.example"})
	c := f.client()
	for login, want := range map[string][]string{"grace": {"Grace Hopper", "grace@navy.example"}, "ada": nil, "nobody": nil, "../user": nil} {
		got, err := c.Names(t.Context(), name, login)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%q: %v\n%s", login, err, d)
		}
	}
}

func TestComments(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	f.chain("topic", 11, 11, 1)
	n := f.repo.OpenPull("topic", "main")
	c := f.client()
	for _, text := range []string{"**done**", strings.Repeat("ü", 70_000)} {
		if err := c.Comment(t.Context(), name, n, text); err != nil {
			t.Error(err)
		}
	}
	if got := f.repo.Comments(n); len(got) != 2 || got[0] != "**done**" || !strings.HasPrefix(got[1], "üüü") {
		t.Errorf("%d comments", len(got))
	}
	if err := c.Comment(t.Context(), name, 99, "x"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("%v", err)
	}
}

func TestHooks(t *testing.T) {
	f := newFixture(t)
	c := f.client()
	made, err := c.CreateHook(t.Context(), name, githost.Hook{URL: "https://yard.test/webhooks/github", Secret: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	f.Deliver(func(*githubtest.Delivery) githubtest.Fate { return githubtest.Lost })
	if err := c.TestHook(t.Context(), name, made.ID); err != nil {
		t.Error(err)
	}
	f.Settle()
	got, err := c.Hooks(t.Context(), name)
	want := []githost.Hook{{ID: made.ID, URL: "https://yard.test/webhooks/github", Events: c.HookEvents(), Active: true, Trouble: "failed to connect to host"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if body := f.Calls("POST /repos/acme/api/hooks")[0].Body; !strings.Contains(body, `"content_type":"json"`) || !strings.Contains(body, `"insecure_ssl":"0"`) || !strings.Contains(body, "s3cret") {
		t.Error(body)
	}
	if d := f.Deliveries("https://yard.test/webhooks/github"); len(d) == 0 || d[0].Event != "ping" {
		t.Errorf("%v", d)
	}
	if _, err := c.CreateHook(t.Context(), name, githost.Hook{URL: "https://yard.test/webhooks/github", Secret: "s3cret"}); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the same again: %v", err)
	}
	if _, err := c.CreateHook(t.Context(), name, githost.Hook{URL: "https://yard.test/2"}); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("without a secret: %v", err)
	}
	if err := c.RemoveHook(t.Context(), name, made.ID); err != nil {
		t.Error(err)
	}
	for _, id := range []string{made.ID, "../x", "0", ""} {
		if err := c.RemoveHook(t.Context(), name, id); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("removing %q: %v", id, err)
		}
	}
}

func TestStanding(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	end := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	fine := func(permissions map[string]string) githubtest.Token {
		return githubtest.Token{Login: "ada", Permissions: permissions, Expires: end}
	}
	for row, want := range map[string]struct {
		token   githubtest.Token
		missing []string
		expires bool
	}{
		"classic, all":      {githubtest.Token{Login: "ada", Scopes: []string{"repo", "read:org"}}, nil, false},
		"classic, too few":  {githubtest.Token{Login: "ada", Scopes: []string{"repo:status"}}, []string{"scope repo"}, false},
		"fine, all":         {fine(map[string]string{"contents": "read", "pull_requests": "read", "statuses": "write"}), nil, true},
		"fine, reads alone": {fine(map[string]string{"contents": "read", "statuses": "read"}), []string{toReadPulls, toWriteStatus}, true},
		"fine, another":     {githubtest.Token{Login: "ada", Permissions: map[string]string{"contents": "read"}, Repositories: []string{"acme/other"}}, []string{"access to the repository"}, false},
	} {
		want.token.Text = "tested"
		f.AddToken(want.token)
		c := f.client()
		c.byToken = c.connect(bearer{c.transport, "tested"})
		got, err := c.Standing(t.Context(), name)
		if err != nil || got.Login != "ada" || !slices.Equal(got.Missing, want.missing) || got.Limit != 5000 || got.Left <= 0 || got.Left > 5000 || got.Clock.IsZero() || got.Reset.IsZero() || !got.Expires.Equal(map[bool]time.Time{true: end}[want.expires]) {
			t.Errorf("%s: %+v, %v", row, got, err)
		}
	}
	if n := len(f.repo.Statuses(f.shas[1])) + len(f.repo.Statuses(noCommit)); n != 0 {
		t.Errorf("%d statuses were written", n)
	}
	app := f.AddApp(map[string]string{"contents": "read", "checks": "write"})
	app.Install("acme")
	got, err := f.asApp(app).Standing(t.Context(), name)
	if err != nil || got.Login != "switchyard[bot]" || !slices.Equal(got.Missing, []string{toReadPulls}) || !got.Expires.IsZero() {
		t.Errorf("app: %+v, %v", got, err)
	}
	app.Uninstall("acme")
	if _, err := f.asApp(app).Standing(t.Context(), name); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("not installed: %v", err)
	}
}

func TestRequire(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	for _, branch := range []string{"release/1", "open", "bare"} {
		f.repo.Branch(branch, f.shas[1])
	}
	f.repo.Protect("main", "legacy/build")
	f.repo.Protect("bare")
	f.repo.Protect("release/1", "switchyard/test")
	f.repo.RequireByRuleset("release/1", "switchyard/lint")
	c := f.client()
	if err := c.Require(t.Context(), name, "main", []string{"switchyard/test", "legacy/build"}); err != nil {
		t.Error(err)
	}
	if err := c.Require(t.Context(), name, "release/1", []string{"switchyard/test", "switchyard/lint"}); err != nil {
		t.Error(err)
	}
	for branch, want := range map[string][]string{"main": {"legacy/build", "switchyard/test"}, "release/1": {"switchyard/lint", "switchyard/test"}, "open": nil, "bare": nil} {
		if got, err := c.Required(t.Context(), name, branch); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", branch, got, err)
		}
	}
	if calls := f.Calls("POST "); len(calls) != 1 || calls[0].Body != `{"contexts":["switchyard/test"]}`+"\n" {
		t.Errorf("%v", calls)
	}
	for branch, want := range map[string]string{"open": "Branch not protected", "bare": "Require status checks to pass", "gone": "Branch not found"} {
		if err := c.Require(t.Context(), name, branch, []string{"x"}); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", branch, err)
		}
	}
	if calls := f.Calls("PUT "); len(calls) != 0 || len(f.Calls("PATCH ")) != 0 {
		t.Errorf("the rest of the protection is written: %v", calls)
	}
	f.AddToken(githubtest.Token{Text: "reads", Permissions: map[string]string{"contents": "read"}})
	c.byToken = c.connect(bearer{c.transport, "reads"})
	if err := c.Require(t.Context(), name, "main", []string{"more"}); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), toAdminister) {
		t.Errorf("%v", err)
	}
}

// What errors ask for is what the document explains.
func TestPermissionsAreInTheDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/sources/github.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{toRead, toReadPulls, toComment, toReadHooks, toWriteHooks, toSeePeople, toAdminister, toWriteStatus, toWriteChecks, toReadOrgHooks} {
		if !strings.Contains(string(doc), "| `"+p+"`") {
			t.Errorf("%q is not in the table", p)
		}
	}
}
