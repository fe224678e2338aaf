package gitlab_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"switchyard/internal/event"
	"switchyard/webhook/gitlab"
)

func FuzzDecode(f *testing.F) {
	for _, name := range payloads(f) {
		d := load(f, name)
		f.Add(d.Header.Get("X-Gitlab-Event"), d.Body)
	}
	f.Add("System Hook", read(f, "mr-ready.json"))
	f.Add("System Hook", read(f, "tag-annotated.json"))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, hook string, body []byte) {
		h := header("x")
		h["X-Gitlab-Event"] = []string{hook}
		evs, err := s.DecodeAll(h, body)
		if err != nil {
			return
		}
		ids := map[string]bool{}
		for i := range evs {
			ev := &evs[i]
			if ids[ev.DeliveryID] || ev.Branch() == "" && ev.Tag() == "" || ev.Repository.FullName == "" || len(ev.Commits) == 0 {
				t.Errorf("incomplete: %+v", ev)
			}
			ids[ev.DeliveryID] = true
			if ev.Kind != event.Delete && !slices.ContainsFunc(ev.Commits, func(c event.Commit) bool { return c.SHA == ev.After }) {
				t.Errorf("the head %s is not among the commits", ev.After)
			}
			if ev.Action == "labeled" && ev.PullRequest.Label == "" {
				t.Error("labeled with nothing")
			}
			text, err := json.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			var back event.Event
			if err := json.Unmarshal(text, &back); err != nil || back.Ref != ev.Ref {
				t.Errorf("%q does not survive the journal: %v", ev.Ref, err)
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
