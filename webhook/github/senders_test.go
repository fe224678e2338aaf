package github_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
	"switchyard/webhook/github"
)

// form is a body of the other content type that a webhook can have.
func form(text []byte) []byte { return []byte(url.Values{"payload": {string(text)}}.Encode()) }

func formHeader(kind string) http.Header {
	h := giteaHeader(kind)
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return h
}

func TestFormIsSignedAsAWholeOrByItsPayload(t *testing.T) {
	s := newSource(t)
	text := read(t, "push-created.json")
	body := form(text)
	bare := func(signature string) string { return strings.TrimPrefix(signature, "sha256=") }
	for name, row := range map[string]struct {
		header, signature string
		ok                bool
	}{
		"GitHub, the raw form":       {"X-Hub-Signature-256", webhook.Sign(secret, body), true},
		"Gitea, the JSON":            {"X-Hub-Signature-256", webhook.Sign(secret, text), true},
		"Gitea's own header":         {"X-Gitea-Signature", bare(webhook.Sign(secret, text)), true},
		"Gogs' own header, raw":      {"X-Gogs-Signature", bare(webhook.Sign(secret, body)), true},
		"Forgejo, the older secret":  {"X-Forgejo-Signature", bare(webhook.Sign("an older secret", text)), true},
		"another secret":             {"X-Hub-Signature-256", webhook.Sign("another", text), false},
		"the escaped JSON":           {"X-Hub-Signature-256", webhook.Sign(secret, body[len("payload="):]), false},
		"another JSON":               {"X-Hub-Signature-256", webhook.Sign(secret, append([]byte(" "), text...)), false},
		"nothing":                    {"X-Hub-Signature-256", webhook.Sign(secret, nil), false},
		"no secret at the host":      {"X-Hub-Signature-256", "sha256=", false},
		"an HMAC with an empty key":  {"X-Hub-Signature-256", webhook.Sign("", text), false},
		"a prefix where none may be": {"X-Gitea-Signature", webhook.Sign(secret, text), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := formHeader("push")
			h.Set(row.header, row.signature)
			if err := s.Verify(h, body); (err == nil) != row.ok {
				t.Errorf("error %v, want accepted: %v", err, row.ok)
			}
		})
	}
	want, err := s.Decode(giteaHeader("push"), text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Decode(formHeader("push"), body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// The content type is not signed. A form can therefore not be made out of a
// genuine JSON delivery whose commit message holds a payload of its own.
func TestJSONDoesNotPassAsAForm(t *testing.T) {
	s := newSource(t)
	body := []byte(`{"message":"&payload=` + url.QueryEscape(string(read(t, "push-created.json"))) + `&"}`)
	h := formHeader("push")
	h.Set("X-Hub-Signature-256", webhook.Sign(secret, body))
	if _, err := s.Decode(h, body); err == nil || !strings.Contains(err.Error(), "application/json") {
		t.Errorf("error %v, want one that says how to repair it", err)
	}
	// Nor does the signature of a JSON body that is signed count for a form
	// around it with a second payload.
	text := read(t, "push-created.json")
	h.Set("X-Hub-Signature-256", webhook.Sign(secret, text))
	for _, body := range []string{string(form(text)) + "&payload=%7B%7D", "payload=%7B%7D&" + string(form(text)), string(form(text)) + ";"} {
		if s.Verify(h, []byte(body)) == nil {
			t.Errorf("%.60s… passes", body)
		}
	}
}

func TestOnlySHA1IsToldWhatToChange(t *testing.T) {
	s := newSource(t)
	h := header("push")
	h.Set("X-Hub-Signature", "sha1=0123456789abcdef0123456789abcdef01234567")
	for name, err := range map[string]error{"Precheck": s.Precheck(h), "Verify": s.Verify(h, []byte("{}"))} {
		if !errors.Is(err, webhook.ErrSignatureMissing) || !strings.Contains(err.Error(), "SHA-1") || !strings.Contains(err.Error(), "X-Hub-Signature-256") || strings.Contains(err.Error(), "01234567") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A webhook without a secret sends the header too, with nothing in it.
	h.Set("X-Hub-Signature", "sha1=")
	h.Set("X-Hub-Signature-256", "sha256=")
	if err := s.Precheck(h); !errors.Is(err, webhook.ErrSignatureMissing) || strings.Contains(err.Error(), "SHA-1") || !strings.Contains(err.Error(), "no secret") {
		t.Errorf("without a secret: %v", err)
	}
}

// Some senders and relays set their own headers only.
func TestHeadersOfOtherHosts(t *testing.T) {
	for _, host := range []string{"Gitea", "Forgejo", "Gogs"} {
		h := http.Header{}
		h.Set("X-"+host+"-Event", "push")
		h.Set("X-"+host+"-Delivery", "d-"+host)
		ev, err := newSource(t).Decode(h, read(t, "push-gitea-12-commits.json"))
		if err != nil || ev.DeliveryID != "d-"+host || ev.Ref != "refs/heads/main" {
			t.Errorf("%s: %+v, %v", host, ev, err)
		}
	}
}

func TestMembersThatRelaysLeaveOut(t *testing.T) {
	sha256 := strings.Repeat("ab", 32)
	for name, row := range map[string]struct {
		change func(object)
		want   func(*event.Event) bool
	}{
		"distinct": {func(m object) {
			for _, c := range m["commits"].([]any) {
				delete(c.(object), "distinct")
			}
		}, func(ev *event.Event) bool { return ev.Commits[0].Distinct && ev.Commits[19].Distinct }},
		"head_commit, created, deleted, forced": {func(m object) {
			for _, k := range []string{"head_commit", "created", "deleted", "forced"} {
				delete(m, k)
			}
		}, func(ev *event.Event) bool { return ev.Kind == event.Push && len(ev.Commits) == 20 && !ev.Truncated }},
		"before": {func(m object) { delete(m, "before") }, func(ev *event.Event) bool { return ev.Before == "" && len(ev.Commits) == 20 }},
		"clone_url": {func(m object) { delete(m["repository"].(object), "clone_url") }, func(ev *event.Event) bool {
			return ev.Repository.CloneURL == ev.Repository.HTMLURL+".git" && ev.Repository.HTMLURL != ""
		}},
		"sender": {func(m object) { delete(m, "sender"); m["pusher"] = object{"username": "ada"} }, func(ev *event.Event) bool { return ev.Sender == "ada" }},
		"paths, message": {func(m object) {
			c := m["commits"].([]any)[0].(object)
			for _, k := range []string{"added", "removed", "modified", "message"} {
				delete(c, k)
			}
		}, func(ev *event.Event) bool {
			return !ev.Commits[0].PathsKnown && !ev.Commits[0].KnowsMessage() && ev.Commits[1].PathsKnown && ev.Commits[1].MessageKnown
		}},
		"an empty message is known": {func(m object) { m["commits"].([]any)[0].(object)["message"] = "" },
			func(ev *event.Event) bool { return ev.Commits[0].KnowsMessage() }},
		"IDs of SHA-256": {func(m object) {
			m["after"], m["before"] = sha256, strings.Repeat("0", 64)
			m["commits"] = []any{object{"id": strings.ToUpper(sha256), "message": "m"}}
			delete(m, "head_commit")
		}, func(ev *event.Event) bool {
			return ev.Before == "" && ev.After == sha256 && len(ev.Commits) == 1 && ev.Commits[0].SHA == sha256 && !ev.Truncated
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ev, err := newSource(t).Decode(header("push"), mutate(t, "push.json", row.change))
			if err != nil || !row.want(&ev) {
				t.Errorf("%v, %+v", err, ev)
			}
		})
	}
}

func TestTestsOfAWebhookPushNothing(t *testing.T) {
	zeros := strings.Repeat("0", 40)
	same := mutate(t, "push-gitea-12-commits.json", func(m object) { m["before"] = m["after"]; m["commits"] = m["commits"].([]any)[:1] })
	fake := mutate(t, "push-gitea-12-commits.json", func(m object) {
		m["before"], m["after"] = zeros, zeros
		m["commits"] = []any{object{"id": zeros, "message": "This is a fake commit", "added": nil, "removed": nil, "modified": nil}}
	})
	for name, body := range map[string][]byte{"through the API": same, "the button": fake} {
		_, err := newSource(t).Decode(giteaHeader("push"), body)
		var ignored *webhook.Ignored
		if !errors.As(err, &ignored) || !strings.Contains(ignored.Reason, "test of the webhook") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTagsAreDecoded(t *testing.T) {
	s := newSource(t)
	ev, err := s.Decode(header("push"), mutate(t, "push.json", func(m object) { m["ref"] = "refs/tags/v1"; m["commits"] = []any{} }))
	if err != nil {
		t.Fatal(err)
	}
	if ev.Kind != event.Push || ev.Tag() != "v1" || len(ev.Commits) != 1 || ev.Commits[0].SHA != ev.After || !ev.Commits[0].MessageKnown || ev.Truncated {
		t.Errorf("a tag: %+v", ev)
	}
	// Of an annotated tag "after" is the tag; without head_commit it is all
	// that is known.
	tag := strings.Repeat("7", 40)
	for name, row := range map[string]struct {
		change func(object)
		after  string
	}{
		"annotated":              {func(m object) {}, ev.After},
		"annotated, no commit":   {func(m object) { delete(m, "head_commit") }, tag},
		"annotated, commit null": {func(m object) { m["head_commit"] = nil }, tag},
	} {
		got, err := s.Decode(header("push"), mutate(t, "push.json", func(m object) {
			m["ref"], m["after"], m["commits"] = "refs/tags/v1", tag, []any{}
			row.change(m)
		}))
		if err != nil || got.After != row.after || len(got.Commits) != 1 || got.Commits[0].SHA != row.after {
			t.Errorf("%s: %v %+v", name, err, got)
		}
	}
	gone, err := s.Decode(header("push"), mutate(t, "push-deleted.json", func(m object) { m["ref"] = "refs/tags/v1" }))
	if err != nil || gone.Kind != event.Delete || gone.Ref != "refs/tags/v1" || gone.After != "" || gone.Commits[0].SHA != gone.Before {
		t.Errorf("a deleted tag: %v %+v", err, gone)
	}
}

func TestDeleteOfOtherThingsThanBranches(t *testing.T) {
	for name, row := range map[string]struct {
		header http.Header
		change func(object)
	}{
		"GitHub":     {header("delete"), func(object) {}},
		"a tag":      {giteaHeader("delete"), func(m object) { m["ref_type"] = "tag" }},
		"not a type": {giteaHeader("delete"), func(m object) { delete(m, "ref_type") }},
	} {
		_, err := newSource(t).Decode(row.header, mutate(t, "delete-gitea-branch.json", row.change))
		var ignored *webhook.Ignored
		if !errors.As(err, &ignored) {
			t.Errorf("%s: %v, want it ignored", name, err)
		}
	}
}

func TestPullRequestActions(t *testing.T) {
	title := func(from string) object { return object{"title": object{"from": from}} }
	labels := func(names ...string) object {
		var added []any
		for _, n := range names {
			added = append(added, object{"id": 1, "name": n})
		}
		return object{"added_labels": added}
	}
	for name, row := range map[string]struct {
		gitea   bool
		action  string
		changes object
		draft   bool
		label   string
		want    string // the action, or a part of the reason
		oldBase string
	}{
		"synchronized":              {action: "synchronized", want: "synchronize"},
		"labeled":                   {action: "labeled", label: "safe to test", want: "labeled"},
		"label_updated with label":  {action: "label_updated", label: "safe to test", want: "labeled"},
		"label_updated, one given":  {action: "label_updated", changes: labels("safe to test"), want: "labeled"},
		"label_updated, two given":  {action: "label_updated", changes: labels("a", "safe to test"), want: "ignored: pull request label_updated: several"},
		"label_updated, not said":   {action: "label_updated", want: "ignored: pull request label_updated: the sender does not say"},
		"label_updated, none given": {action: "label_updated", changes: labels(), want: "ignored: pull request label_updated: the sender does not say"},
		"retargeted":                {action: "edited", changes: object{"base": object{"ref": object{"from": "dev"}, "sha": object{"from": strings.Repeat("a", 40)}}}, want: "edited", oldBase: "dev"},
		"retargeted, Gitea":         {gitea: true, action: "edited", changes: object{"ref": object{"from": "main"}}, want: "edited"},
		"retargeted, and titled":    {action: "edited", changes: object{"title": object{"from": "x"}, "base": object{"ref": object{"from": "dev"}}}, want: "edited", oldBase: "dev"},
		"titled":                    {action: "edited", changes: title("x"), want: "ignored: pull request edited: its base"},
		"titled, WIP at GitHub":     {action: "edited", changes: title("WIP: x"), want: "ignored: pull request edited: its base"},
		"edited, nothing said":      {action: "edited", want: "ignored: pull request edited: its base"},
		"ready, Gitea":              {gitea: true, action: "edited", changes: title("[wip] x"), want: "ready_for_review"},
		"still a draft, Gitea":      {gitea: true, action: "edited", changes: title("WIP: x"), draft: true, want: "ignored: pull request edited: its base"},
		"titled, Gitea":             {gitea: true, action: "edited", changes: title("wipe it"), want: "ignored: pull request edited: its base"},
		"converted_to_draft":        {action: "converted_to_draft", want: "ignored: pull request converted_to_draft"},
	} {
		t.Run(name, func(t *testing.T) {
			body := mutate(t, "pull_request-opened.json", func(m object) {
				m["action"] = row.action
				pr := m["pull_request"].(object)
				pr["draft"] = row.draft
				pr["base"].(object)["ref"] = "main"
				if row.changes != nil {
					m["changes"] = row.changes
				}
				if row.label != "" {
					m["label"] = object{"id": 1, "name": row.label}
				}
			})
			h := header("pull_request")
			if row.gitea {
				h = giteaHeader("pull_request")
			}
			ev, err := newSource(t).Decode(h, body)
			if reason, ok := strings.CutPrefix(row.want, "ignored: "); ok {
				var ignored *webhook.Ignored
				if !errors.As(err, &ignored) || !strings.HasPrefix(ignored.Reason, reason) {
					t.Errorf("%v, want it ignored: %s", err, reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			label := ""
			if row.want == "labeled" {
				label = "safe to test"
			}
			if ev.Action != row.want || ev.PullRequest.OldBase != row.oldBase || ev.PullRequest.Label != label {
				t.Errorf("action %q, old base %q, label %q", ev.Action, ev.PullRequest.OldBase, ev.PullRequest.Label)
			}
		})
	}
}

func TestHeadBranchOfAPullRequest(t *testing.T) {
	for name, row := range map[string]struct{ ref, label, want string }{
		"GitHub":                    {"topic", "acme:topic", "topic"},
		"Gitea, deleted":            {"refs/pull/4/head", "draft", "draft"},
		"deleted, with an owner":    {"refs/pull/4/head", "acme:draft", "draft"},
		"never was a branch":        {"refs/pull/5/head", "", "refs/pull/5/head"},
		"a branch of an odd name":   {"refs/heads/x", "acme:refs/heads/x", "refs/heads/x"},
		"another odd name in a ref": {"feature/refs/x", "y", "feature/refs/x"},
	} {
		ev, err := newSource(t).Decode(header("pull_request"), mutate(t, "pull_request-opened.json", func(m object) {
			head := m["pull_request"].(object)["head"].(object)
			head["ref"], head["label"] = row.ref, row.label
		}))
		if err != nil || ev.Branch() != row.want {
			t.Errorf("%s: %q, %v", name, ev.Branch(), err)
		}
	}
}

var _ webhook.Prechecker = (*github.Source)(nil)
