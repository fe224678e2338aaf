package gitea_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"switchyard/webhook"
	"switchyard/webhook/sourcetest"
)

func FuzzDecode(f *testing.F) {
	for _, name := range []string{
		"05-push-12-commits.push", "10-forced-push-back.push", "12-branch-delete.delete", "13-branch-on-existing-commit.push", "15-tag-annotated.push",
		"16-tag-delete.push", "20-paths-and-message-unicode.push.form", "29-pr-opened.pull_request", "32-pr-label-added.pull_request_label",
		"35-pr-retargeted.pull_request", "38-pr-draft-to-ready.pull_request", "42-pr-comment.pull_request_comment", "49-pr-head-branch-deleted.pull_request",
		"57-fork-pr-edited-after-fork-deleted.pull_request", "78-test-delivery-web.push",
	} {
		d := sourcetest.Load(f, "testdata/"+name+".json")
		f.Add(d.Header.Get("X-Gitea-Event"), d.Header.Get("Content-Type"), d.Body)
	}
	s := newSource(f)
	f.Fuzz(func(t *testing.T, kind, contentType string, body []byte) {
		h := http.Header{"X-Gitea-Event": {kind}, "X-Gitea-Delivery": {"d"}, "Content-Type": {contentType}}
		if ev, err := s.Decode(h, body); err == nil {
			sourcetest.Sound(t, ev)
		}
	})
}

// Whatever the body, a signature over something else never passes, and the
// payload of a form is read as the standard library reads it.
func FuzzVerifyForm(f *testing.F) {
	f.Add([]byte("payload=%7B%7D"))
	f.Add([]byte("a=b&payload=x+y%2B&c"))
	f.Add([]byte("payload=a&payload=b"))
	f.Add([]byte("p%61yload=%zz"))
	f.Add([]byte(`{"x":"&payload=%7B%7D&"}`))
	s := newSource(f, recordedSecret)
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
		h.Set("X-Hub-Signature-256", webhook.Sign(recordedSecret, []byte(values["payload"][0])))
		if err := s.Verify(h, body); err != nil {
			t.Errorf("signed over %q: %v", values["payload"][0], err)
		}
	})
}
