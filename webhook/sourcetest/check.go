package sourcetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook"
)

// checkIgnored holds for what starts nothing.
func checkIgnored(t *testing.T, evs []event.Event, err error) {
	t.Helper()
	var ignored *webhook.Ignored
	switch {
	case !errors.As(err, &ignored):
		t.Fatalf("error %v and %d events, want it ignored with a reason: it must start nothing", err, len(evs))
	case ignored.Reason == "":
		t.Error("ignored without a reason")
	case len(evs) != 1 || evs[0].DeliveryID == "":
		t.Errorf("%d events, want one whose DeliveryID the answer can name", len(evs))
	}
}

// check holds an event against the truth.
func (h *Host) check(t *testing.T, c *kind, want *Truth, ev *event.Event) {
	t.Helper()
	if ev.DeliveryID == "" {
		t.Error("no delivery ID: a repeat could not be recognised")
	}
	kind := c.event
	if want.After == "" {
		kind = event.Delete // one of several refs
	}
	equal(t, "kind", string(kind), string(ev.Kind))
	equal(t, "repository", want.Repository, ev.Repository.FullName)
	equal(t, "ref", want.Ref, ev.Ref)
	if want.Head != "" {
		equal(t, "head", want.Head, ev.Head)
		if ev.After != "" || len(ev.Commits) > 0 || !ev.Truncated {
			t.Errorf("after %q, commits %q, truncated %v: want neither and Truncated, since the head's ID is not known", ev.After, shas(ev), ev.Truncated)
		}
	} else {
		equal(t, "after", want.After, ev.After)
		equal(t, "head", "", ev.Head)
	}
	switch kind {
	case event.Delete:
		h.checkDeletion(t, want, ev)
	case event.PullRequest:
		if c.action != "" {
			equal(t, "action", c.action, ev.Action)
		}
		checkPullRequest(t, want, ev)
		if ev.Action != "closed" { // which only ends something
			h.checkCommits(t, want, ev)
		}
	default:
		equal(t, "action", "", ev.Action)
		if !ev.BeforeUnknown || ev.Before != "" {
			equal(t, "before", want.Before, ev.Before)
		}
		h.checkForced(t, want, ev)
		h.checkCommits(t, want, ev)
	}
}

func (h *Host) checkDeletion(t *testing.T, want *Truth, ev *event.Event) {
	t.Helper()
	if h.NoLastCommit != "" && ev.Before == "" && ev.Branch() != "" {
		return
	}
	equal(t, "before", want.Before, ev.Before)
	if diff := cmp.Diff([]string{want.Before}, shas(ev)); diff != "" {
		t.Errorf("commits, want the ref's last (-want +got):\n%s", diff)
	}
}

func (h *Host) checkForced(t *testing.T, want *Truth, ev *event.Event) {
	t.Helper()
	switch {
	case h.NoForced == "" && ev.Forced != want.Forced:
		t.Errorf("forced: %v, want %v; if the host cannot tell, say so in NoForced", ev.Forced, want.Forced)
	case h.NoForced != "" && ev.Forced:
		t.Errorf("forced, while NoForced says that it cannot be told: %s", h.NoForced)
	}
}

func checkPullRequest(t *testing.T, want *Truth, ev *event.Event) {
	t.Helper()
	got := ev.PullRequest
	if got == nil {
		t.Fatal("no pull request in its event")
	}
	equal(t, "number", want.Number, got.Number)
	equal(t, "base", want.Base, got.Base)
	equal(t, "old base", want.OldBase, got.OldBase)
	equal(t, "label given", want.Label, got.Label)
	equal(t, "fork", want.Fork, got.Fork)
	equal(t, "draft", want.Draft, got.Draft)
	equal(t, "merged", want.Merged, got.Merged)
	if got.HeadRepo == "" && !want.Fork {
		t.Error("no head repository, which is the base's")
	}
}

// checkCommits holds the one rule of all events: real ones, in order, the head
// last, and all of them or Truncated.
func (h *Host) checkCommits(t *testing.T, want *Truth, ev *event.Event) {
	t.Helper()
	if want.Head != "" {
		return // held already: there are none
	}
	got, all := shas(ev), want.gained()
	if len(got) == 0 || got[len(got)-1] != want.After {
		t.Fatalf("commits %q: the last must be the head, %s", got, want.After)
	}
	// The head stands for a ref that gained nothing.
	if listed := slices.DeleteFunc(slices.Clone(got), func(s string) bool { return s == want.After && !slices.Contains(all, s) }); !inOrder(listed, all) {
		t.Errorf("commits are not among those that the ref gained, oldest first (-gained +listed):\n%s", cmp.Diff(all, listed))
	}
	var left []string
	for _, sha := range want.Commits {
		if !slices.Contains(got, sha) {
			left = append(left, sha)
		}
	}
	headOnly := h.HeadOnly != "" && ev.Kind == event.Push
	switch {
	case len(left) > 0 && !ev.Truncated:
		t.Errorf("%d of %d commits are left out, and the event is not Truncated: they would never run: %q", len(left), len(want.Commits), left)
	case want.tag() && ev.Truncated:
		t.Error("Truncated, where a tag stands for one commit")
	case headOnly && !want.tag() && !ev.Truncated:
		t.Errorf("not Truncated, while HeadOnly says that a push is never known to be whole: %s", h.HeadOnly)
	case len(left) == 0 && ev.Truncated && !headOnly && !want.Unproven:
		t.Error("Truncated, though all is listed: the host would be asked for nothing; if it cannot be known, set the truth's Unproven")
	}
	if ev.Total != 0 && ev.Total != len(all) || want.Total != 0 && ev.Total != want.Total {
		t.Errorf("total %d of %d commits; 0 is right where the host does not say or is wrong, and it says %d", ev.Total, len(all), want.Total)
	}
	h.checkPaths(t, want, ev)
}

func (h *Host) checkPaths(t *testing.T, want *Truth, ev *event.Event) {
	t.Helper()
	for i := range ev.Commits {
		c := &ev.Commits[i]
		paths, known := want.Paths[c.SHA]
		switch {
		case !c.PathsKnown && (h.NoPaths != "" || ev.Kind == event.PullRequest || !known):
		case !c.PathsKnown:
			t.Errorf("paths of %s are unknown; if the host does not tell, say so in NoPaths", c.SHA)
		case known:
			if diff := cmp.Diff(slices.Sorted(slices.Values(paths)), slices.Sorted(slices.Values(c.Paths))); diff != "" {
				t.Errorf("paths of %s (-want +got):\n%s", c.SHA, diff)
			}
		}
	}
}

// inOrder reports whether part is of whole, in its order, each once.
func inOrder(part, whole []string) bool {
	for _, s := range part {
		at := slices.Index(whole, s)
		if at < 0 {
			return false
		}
		whole = whole[at+1:]
	}
	return true
}

func shas(ev *event.Event) []string {
	var all []string
	for i := range ev.Commits {
		all = append(all, ev.Commits[i].SHA)
	}
	return all
}

func equal[T comparable](t *testing.T, what string, want, got T) {
	t.Helper()
	if want != got {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}
