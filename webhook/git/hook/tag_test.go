package hook_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook/git/hook"
)

func TestTagIsReportedAsTheCommitThatItLeadsTo(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	b := r.commit("b", "b")
	r.push("main")
	r.git(r.work, "tag", "light", a)
	r.git(r.work, "tag", "-a", "-m", "release", "heavy", b)
	r.git(r.work, "tag", "-a", "-m", "twice", "nested", "heavy")
	r.server.take()
	said := r.push("--tags")
	for _, ev := range r.server.take() {
		want := map[string]string{"light": a, "heavy": b, "nested": b}[ev.Tag()]
		if ev.Kind != event.Push || ev.Before != "" || ev.After != want || ev.Forced || ev.Sender != "ada" {
			t.Errorf("%+v, want a push of %s", ev, want)
		}
		if diff := cmp.Diff([]string{want}, shas(ev)); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(said, "switchyard: tag "+ev.Tag()+": 1 commit, 1 execution") {
			t.Errorf("the pusher saw:\n%s", said)
		}
	}
	// Moved, and deleted.
	r.git(r.work, "tag", "-f", "heavy", a)
	r.push("--force", "heavy")
	if ev := one(t, r.server.take()); ev.Before != b || ev.After != a || !ev.Forced {
		t.Errorf("%+v", ev)
	}
	r.push("--delete", "nested")
	if ev := one(t, r.server.take()); ev.Kind != event.Delete || ev.Before != b || ev.Tag() != "nested" {
		t.Errorf("%+v", ev)
	}
}

func TestCommitThatOnlyATagHadBroughtIsStillNewToABranch(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	b := r.commit("b", "b")
	r.git(r.work, "tag", "v1")
	r.push("v1")
	r.push("--delete", "v1") // and one that is gone, too
	r.server.take()
	r.push("main")
	if diff := cmp.Diff([]string{a, b}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

func TestTagOfNoCommitIsNotedOnce(t *testing.T) {
	r := newRepo(t)
	r.commit("a", "a")
	r.git(r.work, "tag", "tree", "HEAD^{tree}")
	r.git(r.work, "tag", "-a", "-m", "of a blob", "blob", "HEAD:a")
	said := r.push("main", "tree", "blob")
	for _, name := range []string{"tree", "blob"} {
		if !strings.Contains(said, "tag "+name+" does not lead to a commit: nothing to report") {
			t.Errorf("the pusher saw:\n%s", said)
		}
	}
	one(t, r.server.take())
	var out bytes.Buffer
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil || out.Len() > 0 {
		t.Errorf("%v, %s", err, out.String())
	}
	if said := r.push("--delete", "tree"); !strings.Contains(said, "nothing to report") || len(r.server.take()) != 0 {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestFloodOfTagsIsCutAndSaid(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	commits := r.linear("topic", base, 30)
	var lines strings.Builder
	for i, c := range commits {
		// Named so that their order is not that of their age.
		r.git(r.work, "tag", fmt.Sprintf("v%02d", (i*7)%30), c)
		fmt.Fprintf(&lines, "%040d %s refs/tags/v%02d\n", 0, c, (i*7)%30)
	}
	r.withoutHook(func() { r.push("--tags") })
	r.server.take()
	var out bytes.Buffer
	if err := r.hook(hook.WithMaxTags(4)).Run(t.Context(), strings.NewReader(lines.String()), &out); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, ev := range r.server.take() {
		got[ev.After] = true
	}
	want := map[string]bool{}
	for _, c := range commits[26:] {
		want[c] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("not the newest: %s", diff)
	}
	leftOut := filepath.Join(r.bare, "switchyard", "left-out")
	if said := out.String(); !strings.Contains(said, "26 tags are too many for one push and not reported, the newest 4 are: see "+leftOut) {
		t.Errorf("the pusher saw:\n%s", said)
	}
	text, err := os.ReadFile(leftOut)
	if err != nil || strings.Count(string(text), "\n") != 26 || !strings.Contains(string(text), commits[0]+" refs/tags/v00\n") {
		t.Errorf("%v:\n%s", err, text)
	}
	// Left out for good, and nothing is caught up on.
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil || len(r.server.take()) != 0 {
		t.Errorf("%v: a flush reported them", err)
	}
}

// A ledger from before tags were reported.
func TestUpgradeReportsNoOldTags(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	r.git(r.work, "tag", "old")
	r.withoutHook(func() { r.push("main", "old") })
	ledger := filepath.Join(r.bare, "switchyard", "ledger")
	if err := os.WriteFile(ledger, []byte(a+" refs/heads/main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := r.commit("b", "b")
	r.git(r.work, "tag", "new")
	r.push("main", "new")
	want := map[string][]string{"refs/heads/main": {b}, "refs/tags/new": {b}}
	if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
}
