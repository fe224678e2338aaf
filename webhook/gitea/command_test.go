package gitea_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
)

func TestCommandInAComment(t *testing.T) {
	said := func(text string, change func(object)) []byte {
		return mutate(t, "42-pr-comment.pull_request_comment", func(m object) {
			m["comment"].(object)["body"] = text
			if change != nil {
				change(m)
			}
		})
	}
	ev, err := newSource(t).Decode(header("issue_comment"), said("please\n\n/switchyard rerun deploy\n", nil))
	want := &event.Order{Verb: event.Rerun, Route: "deploy", PullRequest: 1, Comment: "30"}
	if diff := cmp.Diff(want, ev.Command); diff != "" || err != nil || ev.Kind != event.Command || ev.Sender != "ada" || ev.Repository.FullName != "ada/app" {
		t.Errorf("%v, %+v, %s", err, ev, diff)
	}
	for name, row := range map[string]struct {
		text   string
		change func(object)
		want   string // of an error that is none of being ignored, where it begins with !
	}{
		"no command":      {"thank you", nil, "without a command"},
		"quoted":          {"> /switchyard rerun", nil, "without a command"},
		"an issue":        {"/switchyard rerun", func(m object) { m["is_pull"] = false }, "commands are for pull requests"},
		"edited":          {"/switchyard rerun", func(m object) { m["action"] = "edited" }, "only a new one"},
		"no action":       {"/switchyard rerun", func(m object) { delete(m, "action") }, "!action"},
		"no number":       {"/switchyard rerun", func(m object) { m["issue"] = object{} }, "!issue.number"},
		"no comment's ID": {"/switchyard rerun", func(m object) { delete(m["comment"].(object), "id") }, "!comment.id"},
		"another's":       {"/switchyard rerun", func(m object) { m["sender"] = object{"login": "eve"} }, "!sender.login"},
		"no repository":   {"/switchyard rerun", func(m object) { m["repository"] = nil }, "!repository.full_name"},
	} {
		_, err := newSource(t).Decode(header("issue_comment"), said(row.text, row.change))
		part, wrong := strings.CutPrefix(row.want, "!")
		var ignored *webhook.Ignored
		if err == nil || errors.As(err, &ignored) == wrong || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
}
