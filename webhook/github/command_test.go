package github_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
)

const commandSHA = "00c8fe45069caac2a3d114c619322bd2a14fdf6a"

// commentOn is what GitHub sends of a new comment on pull request 12, cut down.
func commentOn(t testing.TB, text string, change func(m object)) []byte {
	t.Helper()
	m := object{
		"action":     "created",
		"issue":      object{"number": 12, "state": "open", "pull_request": object{"url": "https://api.github.com/repos/acme/api-v2/pulls/12"}},
		"comment":    object{"id": 1234567890123, "body": text, "user": object{"login": "ada", "type": "User"}, "author_association": "MEMBER"},
		"repository": object{"id": 4711, "full_name": "acme/api-v2", "clone_url": "https://github.com/acme/api-v2.git", "html_url": "https://github.com/acme/api-v2", "default_branch": "main"},
		"sender":     object{"login": "ada", "type": "User"},
	}
	if change != nil {
		change(m)
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func wantCommand(o event.Order) event.Event {
	return event.Event{
		DeliveryID: "72d3162e-cc78-11e3-81ab-4c9367dc0958", Kind: event.Command, Sender: "ada", Command: &o,
		Repository: event.Repository{FullName: "acme/api-v2", CloneURL: "https://github.com/acme/api-v2.git", HTMLURL: "https://github.com/acme/api-v2", DefaultBranch: "main"},
	}
}

func TestCommentsHoldCommands(t *testing.T) {
	s := newSource(t)
	for text, o := range map[string]event.Order{
		"/switchyard rerun":                         {Verb: event.Rerun},
		"Flaky.\r\n/switchyard stop deploy api\r\n": {Verb: event.Stop, Route: "deploy api"},
		"/switchyard allow " + commandSHA:           {Verb: event.Allow, SHA: commandSHA},
		"/switchyard explain everything":            {Verb: event.Explain, Wrong: "explain is about all routes, and takes no name"},
	} {
		o.PullRequest, o.Comment = 12, "1234567890123"
		got, err := s.Decode(header("issue_comment"), commentOn(t, text, nil))
		if d := cmp.Diff(wantCommand(o), got); err != nil || d != "" {
			t.Errorf("%q: %v\n%s", text, err, d)
		}
	}
}

func TestCommentsThatAskForNothing(t *testing.T) {
	s := newSource(t)
	for name, row := range map[string]struct {
		text   string
		change func(m object)
		reason string
	}{
		"no command":        {"nice!", nil, "without a command"},
		"quoted":            {"> /switchyard rerun", nil, "without a command"},
		"code":              {"```\n/switchyard rerun\n```", nil, "without a command"},
		"edited":            {"/switchyard rerun", func(m object) { m["action"] = "edited" }, "comment edited: only a new one"},
		"deleted":           {"/switchyard rerun", func(m object) { m["action"] = "deleted" }, "comment deleted: only a new one"},
		"an issue":          {"/switchyard rerun", func(m object) { delete(m["issue"].(object), "pull_request") }, "a comment on an issue"},
		"null":              {"/switchyard rerun", func(m object) { m["issue"].(object)["pull_request"] = nil }, "a comment on an issue"},
		"a bot":             {"/switchyard rerun", func(m object) { m["comment"].(object)["user"] = object{"login": "x[bot]", "type": "Bot"} }, "a comment of a bot"},
		"sent by a bot":     {"/switchyard rerun", func(m object) { m["sender"].(object)["type"] = "Bot" }, "a comment of a bot"},
		"an unknown action": {"/switchyard rerun", func(m object) { m["action"] = "pinned\x1b[31m" }, `comment pinned\x1b[31m: only a new one`},
	} {
		ev, err := s.Decode(header("issue_comment"), commentOn(t, row.text, row.change))
		var ignored *webhook.Ignored
		if !errors.As(err, &ignored) || !strings.Contains(ignored.Reason, row.reason) || ev.DeliveryID == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommentsThatAreRefused(t *testing.T) {
	s := newSource(t)
	for name, row := range map[string]struct {
		change func(m object)
		says   string
	}{
		"no action":       {func(m object) { delete(m, "action") }, "action"},
		"no number":       {func(m object) { m["issue"].(object)["number"] = 0 }, "issue.number"},
		"no comment ID":   {func(m object) { m["comment"].(object)["id"] = -1 }, "comment.id"},
		"another's words": {func(m object) { m["sender"].(object)["login"] = "eve" }, "sender.login"},
		"nobody":          {func(m object) { m["comment"].(object)["user"], m["sender"] = object{}, object{} }, "sender.login"},
		"no repository":   {func(m object) { delete(m, "repository") }, "repository.full_name"},
		"a body of lists": {func(m object) { m["comment"].(object)["body"] = []any{} }, "comment.body"},
	} {
		_, err := s.Decode(header("issue_comment"), commentOn(t, "/switchyard rerun", row.change))
		if err == nil || errors.As(err, new(*webhook.Ignored)) || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func checkOf(t testing.TB, action string, change func(m object)) []byte {
	t.Helper()
	return commentOn(t, "", func(m object) {
		delete(m, "issue")
		delete(m, "comment")
		m["action"] = action
		m["check_run"] = object{"id": 1, "external_id": "acme-api-v2-00c8fe45069c-deploy-0011", "head_sha": strings.ToUpper(commandSHA), "name": "switchyard/deploy"}
		if change != nil {
			change(m)
		}
	})
}

func TestButtonsOfChecks(t *testing.T) {
	s := newSource(t)
	const id = "acme-api-v2-00c8fe45069c-deploy-0011"
	for name, row := range map[string]struct {
		kind, action string
		change       func(m object)
		want         event.Order
	}{
		"again":           {"check_run", "rerequested", nil, event.Order{Verb: event.Rerun, Execution: id, SHA: commandSHA}},
		"a button":        {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "stop"} }, event.Order{Verb: event.Stop, Execution: id, SHA: commandSHA}},
		"a decision":      {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "approve:0a1b2c3d4e5f"} }, event.Order{Verb: event.Approve, Approval: "0a1b2c3d4e5f", Execution: id, SHA: commandSHA}},
		"an older button": {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "reject"} }, event.Order{Verb: event.Reject, Execution: id, SHA: commandSHA}},
		"all of a commit": {"check_suite", "rerequested", func(m object) { m["check_suite"] = object{"head_sha": commandSHA} }, event.Order{Verb: event.Rerun, SHA: commandSHA}},
	} {
		got, err := s.Decode(header(row.kind), checkOf(t, row.action, row.change))
		if d := cmp.Diff(wantCommand(row.want), got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
	for name, row := range map[string]struct {
		kind, action string
		change       func(m object)
	}{
		"created":            {"check_run", "created", nil},
		"a suite completed":  {"check_suite", "completed", nil},
		"another's button":   {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "fix_lint"} }},
		"not one of ours":    {"check_run", "rerequested", func(m object) { m["check_run"].(object)["external_id"] = "" }},
		"of no approval":     {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "approve:../x"} }},
		"a bound rerun":      {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "rerun:0a1b2c3d4e5f"} }},
		"allow by a button":  {"check_run", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "allow"} }},
		"a button of suites": {"check_suite", "requested_action", func(m object) { m["requested_action"] = object{"identifier": "stop"} }},
	} {
		if _, err := s.Decode(header(row.kind), checkOf(t, row.action, row.change)); !errors.As(err, new(*webhook.Ignored)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(m object){
		"no commit": func(m object) { m["check_run"].(object)["head_sha"] = "main" },
		"nobody":    func(m object) { m["sender"] = object{} },
	} {
		if _, err := s.Decode(header("check_run"), checkOf(t, "rerequested", change)); err == nil || errors.As(err, new(*webhook.Ignored)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func groupOf(t testing.TB, action string, change func(m, group object)) []byte {
	t.Helper()
	return commentOn(t, "", func(m object) {
		delete(m, "issue")
		delete(m, "comment")
		group := object{
			"head_sha": commandSHA, "head_ref": "refs/heads/gh-readonly-queue/main/pr-12-51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d",
			"base_sha": "51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d", "base_ref": "refs/heads/main",
			"head_commit": object{"id": commandSHA, "message": "Merge pull request #12", "author": object{"name": "Ada", "email": "ada@example.com"}},
		}
		m["action"], m["merge_group"] = action, group
		if change != nil {
			change(m, group)
		}
	})
}

func TestMergeGroups(t *testing.T) {
	s := newSource(t)
	want := wantCommand(event.Order{})
	want.Kind, want.Command, want.Action = event.MergeGroup, nil, "checks_requested"
	want.Ref, want.After = "refs/heads/gh-readonly-queue/main/pr-12-51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d", commandSHA
	want.MergeGroup = &event.Group{Base: "main", BaseSHA: "51de2b835bd35a67eb32dbcd3d77d4b96e5aa39d"}
	want.Commits = []event.Commit{{SHA: commandSHA, Message: "Merge pull request #12", MessageKnown: true, Author: "Ada", AuthorEmail: "ada@example.com",
		URL: "https://github.com/acme/api-v2/commit/" + commandSHA, Distinct: true}}
	got, err := s.Decode(header("merge_group"), groupOf(t, "checks_requested", nil))
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	for reason, gone := range map[string]string{"merged": "merged", "invalidated": "invalidated", "dequeued": "dequeued", "": "gone", "<b>": "gone"} {
		got, err := s.Decode(header("merge_group"), groupOf(t, "destroyed", func(m, _ object) { m["reason"] = reason }))
		if err != nil || got.Action != "destroyed" || got.MergeGroup.Gone != gone {
			t.Errorf("%s: %+v, %v", reason, got.MergeGroup, err)
		}
	}
	// Another commit's words are not this one's.
	got, err = s.Decode(header("merge_group"), groupOf(t, "checks_requested", func(_, g object) { g["head_commit"].(object)["id"] = strings.Repeat("a", 40) }))
	if err != nil || got.Commits[0].KnowsMessage() || got.Commits[0].Author != "" {
		t.Errorf("%+v, %v", got.Commits, err)
	}
	if _, err := s.Decode(header("merge_group"), groupOf(t, "updated", nil)); !errors.As(err, new(*webhook.Ignored)) {
		t.Error(err)
	}
	for name, change := range map[string]func(m, g object){
		"no action": func(m, _ object) { delete(m, "action") },
		"no head":   func(_, g object) { g["head_sha"] = "" },
		"a tag":     func(_, g object) { g["head_ref"] = "refs/tags/v1" },
		"no ref":    func(_, g object) { g["head_ref"] = "main" },
		"no base":   func(_, g object) { g["base_ref"] = "" },
		"base SHA":  func(_, g object) { g["base_sha"] = "--help" },
	} {
		if _, err := s.Decode(header("merge_group"), groupOf(t, "checks_requested", change)); err == nil || errors.As(err, new(*webhook.Ignored)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
