package github_test

import (
	"net/http"
	"testing"

	"switchyard/webhook/sourcetest"
)

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"push-created.json", "push-deleted.json", "push-no-commits.json", "push-hostile.json"} {
		f.Add("push", "application/json", read(f, name))
	}
	f.Add("pull_request", "application/json", read(f, "pull_request-fork-deleted.json"))
	f.Add("push", "application/x-www-form-urlencoded", []byte("payload=%7B%22ref%22%3A1%7D"))
	f.Add("push", "application/json", []byte(`{"ref":"refs/heads/a","repository":{"full_name":"a/b"},"commits":[`+
		`{"id":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","parents":["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]},`+
		`{"id":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","parents":[{"sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}]}]}`))
	f.Add("issue_comment", "application/json", commentOn(f, "> q\n\n/switchyard rerun a\x00`b`\n```", nil))
	f.Add("issue_comment", "application/json", commentOn(f, "/switchyard allow "+commandSHA, nil))
	f.Add("check_run", "application/json", checkOf(f, "rerequested", nil))
	f.Add("check_suite", "application/json", checkOf(f, "rerequested", func(m object) { m["check_suite"] = object{"head_sha": commandSHA} }))
	f.Add("merge_group", "application/json", groupOf(f, "destroyed", func(m, _ object) { m["reason"] = "dequeued" }))
	f.Add("ping", "", []byte("{}"))
	s := newSource(f)
	f.Fuzz(func(t *testing.T, kind, contentType string, body []byte) {
		h := http.Header{"X-Github-Event": {kind}, "X-Github-Delivery": {"d"}, "Content-Type": {contentType}}
		if ev, err := s.Decode(h, body); err == nil {
			sourcetest.Sound(t, ev)
		}
	})
}
