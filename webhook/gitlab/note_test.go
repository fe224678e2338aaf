package gitlab_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// note is a comment on merge request 1.
func note(t *testing.T, text string, change func(m, attributes object)) []byte {
	return mutate(t, "note", func(m object) {
		a := m["object_attributes"].(object)
		a["note"] = text
		if change != nil {
			change(m, a)
		}
	})
}

func TestCommandInAComment(t *testing.T) {
	ev, err := newSource(t).Decode(header("Note Hook"), note(t, "Once more, please.\n\n/switchyard rerun deploy\n", nil))
	want := event.Event{
		DeliveryID: "618fca37-1c51-5220-bd0f-5837a50f7aaa", Kind: event.Command, Sender: "ada", SenderNames: []string{"Ada Example"}, Repository: ev.Repository,
		Command: &event.Order{Verb: event.Rerun, Route: "deploy", PullRequest: 1, Comment: "1244"},
	}
	if diff := cmp.Diff(want, ev); err != nil || diff != "" || ev.Repository.FullName != "acme/app" {
		t.Errorf("%v %s", err, diff)
	}
	// A system hook tells the same; an older GitLab leaves out the action.
	ev, err = newSource(t).Decode(header("System Hook"), note(t, "/switchyard explain", func(_, a object) { delete(a, "action") }))
	if err != nil || ev.Command == nil || ev.Command.Verb != event.Explain {
		t.Errorf("%+v, %v", ev, err)
	}
}

func TestCommentsWithoutACommand(t *testing.T) {
	const command = "/switchyard rerun"
	for name, body := range map[string][]byte{
		"words":            note(t, "/test please", nil),
		"a quotation":      note(t, "> "+command, nil),
		"edited":           note(t, command, func(_, a object) { a["action"] = "update" }),
		"on a commit":      note(t, command, func(m, a object) { a["noteable_type"] = "Commit"; delete(m, "merge_request") }),
		"of GitLab itself": note(t, command, func(_, a object) { a["system"] = true }),
		"of a project bot": note(t, command, func(m, _ object) { m["user"].(object)["username"] = "project_15_bot_4ffca233d8298ea1" }),
		"of a group bot":   note(t, command, func(m, _ object) { m["user"].(object)["username"] = "group_7_bot" }),
	} {
		ev, err := newSource(t).Decode(header("Note Hook"), body)
		var ignored *webhook.Ignored
		if !errors.As(err, &ignored) || ev.Repository.FullName != "acme/app" {
			t.Errorf("%s: %+v, %v", name, ev, err)
		}
	}
}

func TestCommentsThatAreWrong(t *testing.T) {
	const command = "/switchyard stop"
	for want, body := range map[string][]byte{
		"merge_request.iid":     note(t, command, func(m, _ object) { delete(m, "merge_request") }),
		"object_attributes.id":  note(t, command, func(_, a object) { a["id"] = 0 }),
		"who wrote the comment": note(t, command, func(m, _ object) { m["user"].(object)["id"] = 99 }),
		"path_with_namespace":   note(t, command, func(m, _ object) { m["project"] = object{} }),
	} {
		_, err := newSource(t).Decode(header("Note Hook"), body)
		if err == nil || errors.As(err, new(*webhook.Ignored)) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}
