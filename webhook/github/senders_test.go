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
)

// form is a body of the other content type that a webhook can have.
func form(text []byte) []byte { return []byte(url.Values{"payload": {string(text)}}.Encode()) }

func formHeader(kind string) http.Header {
	h := header(kind)
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return h
}

func TestFormIsSignedAsAWhole(t *testing.T) {
	s := newSource(t)
	text := read(t, "push-created.json")
	body := form(text)
	for name, row := range map[string]struct {
		signature string
		ok        bool
	}{
		"the raw form":     {webhook.Sign(secret, body), true},
		"the older secret": {webhook.Sign("an older secret", body), true},
		"the JSON in it":   {webhook.Sign(secret, text), false},
		"another secret":   {webhook.Sign("another", body), false},
		"an empty key":     {webhook.Sign("", body), false},
	} {
		h := formHeader("push")
		h.Set("X-Hub-Signature-256", row.signature)
		if err := s.Verify(h, body); (err == nil) != row.ok {
			t.Errorf("%s: error %v, want accepted: %v", name, err, row.ok)
		}
	}
	want, err := s.Decode(header("push"), text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Decode(formHeader("push"), body)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
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

func TestPullRequestActions(t *testing.T) {
	title := object{"title": object{"from": "WIP: x"}}
	for name, row := range map[string]struct {
		action  string
		changes object
		label   string
		want    string // the action, or a part of the reason
		oldBase string
	}{
		"labeled":              {action: "labeled", label: "safe to test", want: "labeled"},
		"retargeted":           {action: "edited", changes: object{"base": object{"ref": object{"from": "dev"}, "sha": object{"from": strings.Repeat("a", 40)}}}, want: "edited", oldBase: "dev"},
		"retargeted, titled":   {action: "edited", changes: object{"title": object{"from": "x"}, "base": object{"ref": object{"from": "dev"}}}, want: "edited", oldBase: "dev"},
		"titled":               {action: "edited", changes: title, want: "ignored: pull request edited: its base"},
		"edited, nothing said": {action: "edited", want: "ignored: pull request edited: its base"},
		"converted_to_draft":   {action: "converted_to_draft", want: "ignored: pull request converted_to_draft"},
	} {
		t.Run(name, func(t *testing.T) {
			body := mutate(t, "pull_request-opened.json", func(m object) {
				m["action"] = row.action
				if row.changes != nil {
					m["changes"] = row.changes
				}
				if row.label != "" {
					m["label"] = object{"id": 1, "name": row.label}
				}
			})
			ev, err := newSource(t).Decode(header("pull_request"), body)
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
			if ev.Action != row.want || ev.PullRequest.OldBase != row.oldBase || ev.PullRequest.Label != row.label {
				t.Errorf("action %q, old base %q, label %q", ev.Action, ev.PullRequest.OldBase, ev.PullRequest.Label)
			}
		})
	}
}
