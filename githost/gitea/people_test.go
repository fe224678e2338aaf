package gitea_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/giteatest"
)

func TestMayWrite(t *testing.T) {
	f := setUp(t)
	f.Allow("wendy", "write")
	f.Allow("rita", "read")
	f.Allow("adam", "admin")
	f.s.AddToken(giteatest.Token{Text: "x", Login: "nora", Scopes: []string{"read:repository"}})
	for login, want := range map[string]bool{
		"acme": true, "adam": true, "wendy": true, "rita": false, "nora": false, // a user without access
		"nobody": false, "": false, "..": false, "a/b": false, "wendy?x": false,
	} {
		if got, err := f.c.MayWrite(t.Context(), name, login); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", login, got, err, want)
		}
	}
	// A public repository can be read by all, and by no more.
	f.Private = false
	if got, err := f.c.MayWrite(t.Context(), name, "nora"); err != nil || got {
		t.Errorf("public: %v, %v", got, err)
	}
	var permanent *dispatch.PermanentError
	if got, err := f.c.MayWrite(t.Context(), "acme/other", "wendy"); got || !errors.As(err, &permanent) {
		t.Errorf("of a repository that is not there: %v, %v", got, err)
	}
	f.Allow("bot", "write")
	if got, err := f.c.MayWrite(t.Context(), name, "wendy"); got || !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "administer") {
		t.Errorf("asked by one who may not know: %v, %v", got, err)
	}
}

func TestComment(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	f.Chain("topic", 1)
	f.OpenPull(f.Repo, "topic", "main", "t", "ada")
	if err := f.c.Comment(t.Context(), name, 1, "**done**\n"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]giteatest.Comment{{Pull: 1, Login: "bot", Text: "**done**\n"}}, f.Comments()); diff != "" {
		t.Error(diff)
	}
	var permanent *dispatch.PermanentError
	if err := f.c.Comment(t.Context(), name, 7, "x"); !errors.As(err, &permanent) {
		t.Errorf("on one that is not there: %v", err)
	}
	f.s.AddToken(giteatest.Token{Text: token, Login: "bot", Scopes: []string{"write:repository"}})
	if err := f.c.Comment(t.Context(), name, 1, "x"); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "write:issue") {
		t.Errorf("without the scope: %v", err)
	}
}

func TestStanding(t *testing.T) {
	f := setUp(t)
	s, err := f.c.Standing(t.Context(), name)
	if err != nil || s.Login != "bot" || len(s.Missing) != 0 || s.Clock.IsZero() || s.Limit != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	f.Allow("bot", "read")
	f.s.AddToken(giteatest.Token{Text: token, Login: "bot", Scopes: []string{"read:repository"}})
	s, err = f.c.Standing(t.Context(), name)
	if err != nil || s.Login != "" || len(s.Missing) != 1 || !strings.Contains(s.Missing[0], "write access to acme/api") {
		t.Errorf("%+v, %v", s, err)
	}
	if calls := f.s.Calls("P"); len(calls) > 0 {
		t.Errorf("it changed something: %v", calls)
	}
}

func TestRequireAddsToTheProtection(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	f.Chain("release/1.0", 1)
	if got, err := f.c.Required(t.Context(), name, "release/1.0"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	// A branch without protection keeps its pushers.
	if err := f.c.Require(t.Context(), name, "release/1.0", []string{"switchyard/b", "switchyard/a"}); err != nil {
		t.Fatal(err)
	}
	rule := f.Rules()[0]
	if rule["rule_name"] != "release/1.0" || rule["enable_push"] != true || rule["required_approvals"] != 0.0 {
		t.Errorf("%v", rule)
	}
	// Another keeps all that it says.
	f.Protect(map[string]any{"rule_name": "main", "enable_push": false, "enable_status_check": true, "status_check_contexts": []any{"theirs"}, "required_approvals": 2.0})
	if err := f.c.Require(t.Context(), name, "main", []string{"switchyard/a"}); err != nil {
		t.Fatal(err)
	}
	rule = f.Rules()[1]
	if rule["enable_push"] != false || rule["required_approvals"] != 2.0 {
		t.Errorf("%v", rule)
	}
	for branch, want := range map[string][]string{"main": {"switchyard/a", "theirs"}, "release/1.0": {"switchyard/a", "switchyard/b"}} {
		if got, err := f.c.Required(t.Context(), name, branch); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", branch, got, err)
		}
	}
	// What is required already changes nothing.
	before := len(f.s.Calls("P"))
	if err := f.c.Require(t.Context(), name, "main", []string{"theirs"}); err != nil || len(f.s.Calls("P")) != before {
		t.Errorf("%v, %v", err, f.s.Calls("P"))
	}
	var permanent *dispatch.PermanentError
	if err := f.c.Require(t.Context(), name, "nope", []string{"a"}); !errors.As(err, &permanent) {
		t.Errorf("%v", err)
	}
}

func TestHooks(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 1)
	got := make(chan *http.Request, 1)
	f.s.Receiver = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r })
	made, err := f.c.CreateHook(t.Context(), name, githost.Hook{URL: "https://switchyard.example.com/webhooks/forge", Secret: "s"})
	want := githost.Hook{ID: made.ID, URL: "https://switchyard.example.com/webhooks/forge", Events: f.c.HookEvents(), Active: true}
	if diff := cmp.Diff(want, made); diff != "" || err != nil || made.ID == "" {
		t.Fatal(err, diff)
	}
	if list, err := f.c.Hooks(t.Context(), name); err != nil || !cmp.Equal([]githost.Hook{want}, list) {
		t.Errorf("%+v, %v", list, err)
	}
	if err := f.c.TestHook(t.Context(), name, made.ID); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.Header.Get("X-Gitea-Event") != "push" || r.URL.Path != "/webhooks/forge" || len(ids) != 1 {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	var permanent *dispatch.PermanentError
	for _, id := range []string{"", "x", "-1", "1/../2"} {
		if err := f.c.RemoveHook(t.Context(), name, id); !errors.As(err, &permanent) {
			t.Errorf("%q: %v", id, err)
		}
	}
	for what, err := range map[string]error{"test": f.c.TestHook(t.Context(), name, "999"), "remove": f.c.RemoveHook(t.Context(), name, "999")} {
		if !errors.As(err, &permanent) {
			t.Errorf("%s of one that is not there: %v", what, err)
		}
	}
	if err := f.c.RemoveHook(t.Context(), name, made.ID); err != nil {
		t.Error(err)
	}
	if list, err := f.c.Hooks(t.Context(), name); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := f.c.CreateHook(t.Context(), name, githost.Hook{URL: "https://h"}); err == nil {
		t.Error("a webhook without a secret is made")
	}
	f.Allow("bot", "write")
	if _, err := f.c.Hooks(t.Context(), name); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "administer") {
		t.Errorf("asked by one who may not: %v", err)
	}
}

func TestUnlabel(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	f.Chain("topic", 1)
	pr := f.OpenPull(f.Repo, "topic", "main", "t", "ada")
	pr.Label("safe to/test")
	pr.Label("other")
	for range 2 { // the second time it is not there
		if err := f.c.Unlabel(t.Context(), name, 1, "safe to/test"); err != nil || !slices.Equal(pr.Labels(), []string{"other"}) {
			t.Errorf("%v, %v", err, pr.Labels())
		}
	}
	var permanent *dispatch.PermanentError
	if err := f.c.Unlabel(t.Context(), name, 7, "other"); !errors.As(err, &permanent) {
		t.Errorf("of one that is not there: %v", err)
	}
	f.s.AddToken(giteatest.Token{Text: token, Login: "bot", Scopes: []string{"write:repository"}})
	if err := f.c.Unlabel(t.Context(), name, 1, "other"); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "write:issue") {
		t.Errorf("without the scope: %v", err)
	}
}
