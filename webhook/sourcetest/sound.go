package sourcetest

import (
	"encoding/json"
	"slices"
	"testing"

	"switchyard/internal/event"
)

// Sound holds what is true of every event that a source decodes without an error,
// whatever it was made of: for fuzzing.
func Sound(t testing.TB, ev event.Event) {
	t.Helper()
	if ev.DeliveryID == "" || ev.Repository.FullName == "" || ev.Kind == event.Command && ev.Command == nil {
		t.Errorf("incomplete: %+v", ev)
	}
	if ev.Kind != event.Command && (ev.Branch() == "" && ev.Tag() == "" || len(ev.Commits) == 0 && ev.Kind != event.Delete && !ev.Unnamed()) {
		t.Errorf("incomplete: %+v", ev)
	}
	for _, c := range ev.Commits {
		if len(c.SHA) != 40 && len(c.SHA) != 64 {
			t.Errorf("commit %q", c.SHA)
		}
	}
	if ev.Kind == event.Push && !ev.Unnamed() && !slices.ContainsFunc(ev.Commits, func(c event.Commit) bool { return c.SHA == ev.After }) {
		t.Errorf("the head %s is not among the commits", ev.After)
	}
	if (ev.Kind == event.PullRequest) != (ev.PullRequest != nil) {
		t.Errorf("kind %s with the pull request %+v", ev.Kind, ev.PullRequest)
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
}
