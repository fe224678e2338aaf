package gitlab_test

import (
	"net/http"
	"strings"
	"testing"

	"switchyard/webhook/gitlab"
	"switchyard/webhook/sourcetest"
)

func FuzzDecode(f *testing.F) {
	for _, name := range payloads(f) {
		d := load(f, name)
		f.Add(d.Header.Get("X-Gitlab-Event"), d.Body)
	}
	f.Add("System Hook", read(f, "mr-ready.json"))
	f.Add("System Hook", read(f, "tag-annotated.json"))
	f.Add("Note Hook", []byte(strings.Replace(string(read(f, "note")), "/test please", "/switchyard allow "+strings.Repeat("a", 40), 1)))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, hook string, body []byte) {
		h := header("x")
		h["X-Gitlab-Event"] = []string{hook}
		evs, err := s.DecodeAll(h, body)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for _, ev := range evs {
			sourcetest.Sound(t, ev)
			if ids[ev.DeliveryID] {
				t.Errorf("the delivery ID %s stands for two", ev.DeliveryID)
			}
			ids[ev.DeliveryID] = true
			if (ev.Action == "labeled" || ev.Action == "unlabeled") && ev.PullRequest.Label == "" {
				t.Errorf("%s with nothing", ev.Action)
			}
		}
	})
}

// Whatever the headers and the body, nobody passes who does not know a secret.
func FuzzVerify(f *testing.F) {
	f.Add(vectorID, "1767607200", vectorSignature, "", []byte(vectorBody))
	f.Add("", "", "v1, v1,", "whsec_", []byte("{}"))
	f.Add("a.b", "-1", "v1,AAAA v1a,BBBB", "former", []byte(""))
	s, err := gitlab.New(gitlab.Config{Secrets: []string{signingToken("a key that nobody else knows"), "a secret that nobody else knows"}}, clock(0))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, at, signature, token string, body []byte) {
		h := http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {at}, "X-Gitlab-Token": {token}}
		if signature != "" {
			h["Webhook-Signature"] = []string{signature}
		}
		if s.Verify(h, body) == nil {
			t.Error("a stranger passes")
		}
	})
}
