package github_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook"
)

func FuzzDecode(f *testing.F) {
	for _, name := range []string{
		"push-created.json", "push-deleted.json", "push-no-commits.json", "push-hostile.json",
		"push-gitea-12-commits.json", "push-gitea-created-shared.json", "push-gitea-tag-annotated.json", "push-gitea-tag-deleted.json",
	} {
		f.Add("push", "application/json", false, read(f, name))
		f.Add("push", "application/json", true, read(f, name))
	}
	f.Add("delete", "", true, read(f, "delete-gitea-branch.json"))
	f.Add("pull_request", "application/json", false, read(f, "pull_request-fork-deleted.json"))
	f.Add("pull_request", "application/json", true, read(f, "pull_request-gitea-retargeted.json"))
	f.Add("pull_request", "application/json", true, read(f, "pull_request-gitea-branch-deleted.json"))
	f.Add("push", "application/x-www-form-urlencoded", false, []byte("payload=%7B%22ref%22%3A1%7D"))
	f.Add("push", "application/json", false, []byte(`{"ref":"refs/heads/a","repository":{"full_name":"a/b"},"commits":[`+
		`{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","parents":["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]},`+
		`{"id":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","parents":[{"sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]}]}`))
	f.Add("ping", "", false, []byte("{}"))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, kind, contentType string, gitea bool, body []byte) {
		h := http.Header{"X-Github-Event": {kind}, "X-Github-Delivery": {"d"}, "Content-Type": {contentType}}
		if gitea {
			h["X-Gitea-Event"] = []string{kind}
		}
		ev, err := s.Decode(h, body)
		if err != nil {
			return
		}
		if ev.DeliveryID != "d" || ev.Branch() == "" && ev.Tag() == "" || ev.Repository.FullName == "" || len(ev.Commits) == 0 && ev.Kind != event.Delete {
			t.Errorf("incomplete: %+v", ev)
		}
		for _, c := range ev.Commits {
			if len(c.SHA) != 40 && len(c.SHA) != 64 {
				t.Errorf("commit %q", c.SHA)
			}
		}
		if ev.Kind == event.Push && !holds(ev.Commits, ev.After) {
			t.Errorf("the head %s is not among the commits", ev.After)
		}
		text, err := json.Marshal(ev)
		if err != nil {
			t.Fatal(err)
		}
		var back event.Event
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if back.Ref != ev.Ref || len(ev.Commits) > 0 && back.Commits[0].Message != ev.Commits[0].Message {
			t.Errorf("%q does not survive the journal", ev.Ref)
		}
	})
}

func holds(commits []event.Commit, sha string) bool {
	for i := range commits {
		if commits[i].SHA == sha {
			return true
		}
	}
	return false
}

// Whatever the body, a signature over something else never passes, and the
// payload of a form is read as the standard library reads it.
func FuzzVerifyForm(f *testing.F) {
	f.Add([]byte("payload=%7B%7D"))
	f.Add([]byte("a=b&payload=x+y%2B&c"))
	f.Add([]byte("payload=a&payload=b"))
	f.Add([]byte("p%61yload=%zz"))
	f.Add([]byte(`{"x":"&payload=%7B%7D&"}`))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		h := header("push")
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("X-Hub-Signature-256", webhook.Sign("a secret of nobody", body))
		if s.Verify(h, body) == nil {
			t.Error("a stranger's signature passes")
		}
		values, err := url.ParseQuery(string(body))
		if err != nil || len(values["payload"]) != 1 || strings.HasPrefix(string(body), "{") || strings.HasPrefix(string(body), "[") {
			return
		}
		h.Set("X-Hub-Signature-256", webhook.Sign(secret, []byte(values["payload"][0])))
		if err := s.Verify(h, body); err != nil {
			t.Errorf("signed over %q: %v", values["payload"][0], err)
		}
	})
}
