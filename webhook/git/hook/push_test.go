package hook_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook/git/hook"
)

func one(t *testing.T, evs []event.Event) event.Event {
	t.Helper()
	if len(evs) != 1 {
		t.Fatalf("%d deliveries, want 1: %+v", len(evs), evs)
	}
	return evs[0]
}

func TestPushReportsEveryCommitOfANewBranch(t *testing.T) {
	r := newRepo(t)
	a := r.commit("first\n\nwith a body", "a.txt")
	b := r.commit("second", "api/v1/b.go", "c.txt")
	said := r.push("main")
	got := one(t, r.server.take())
	if got.DeliveryID == "" {
		t.Error("no delivery ID")
	}
	got.DeliveryID = ""
	want := event.Event{
		Source: "git", Kind: event.Push, Ref: "refs/heads/main", After: b, Sender: "ada",
		Repository: event.Repository{FullName: "acme/api-v2", CloneURL: r.bare, DefaultBranch: "main"},
		Commits: []event.Commit{
			{SHA: a, Message: "first\n\nwith a body", MessageKnown: true, Author: "Ada Lovett", AuthorEmail: "ada@acme.example", Distinct: true, Paths: []string{"a.txt"}, PathsKnown: true},
			{SHA: b, Message: "second", MessageKnown: true, Author: "Ada Lovett", AuthorEmail: "ada@acme.example", Distinct: true, Paths: []string{"api/v1/b.go", "c.txt"}, PathsKnown: true},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, line := range []string{"switchyard: main: 2 commits, 2 executions", "switchyard:   api-" + a[:12], "switchyard:   api-" + b[:12]} {
		if !strings.Contains(said, line) {
			t.Errorf("the pusher did not see %q:\n%s", line, said)
		}
	}
	if spooled, failed := r.waiting(); spooled+failed != 0 {
		t.Errorf("%d spooled, %d failed after a success", spooled, failed)
	}
}

func TestPushListsKnownCommitsOfAnUpdatedBranchAsNotDistinct(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	r.git(r.work, "checkout", "-q", "-b", "feature/a")
	a := r.commit("a", "a")
	r.push("feature/a")
	r.git(r.work, "checkout", "-q", "main")
	m := r.commit("m", "m")
	r.git(r.work, "merge", "-q", "--no-ff", "-m", "merge", "feature/a")
	merge := r.git(r.work, "rev-parse", "HEAD")
	r.server.take()
	r.push("main")
	got := one(t, r.server.take())
	if got.Before != base || got.After != merge || got.Forced {
		t.Errorf("before %s after %s forced %v", got.Before, got.After, got.Forced)
	}
	list := shas(got)
	if len(list) != 3 || list[2] != merge || !strings.Contains(strings.Join(list, " "), "-"+a) || !strings.Contains(" "+strings.Join(list, " "), " "+m) {
		t.Errorf("commits %v, want %s, known %s, then the merge %s", list, m, a, merge)
	}
	// A merge's paths are what it brought to the branch.
	if diff := cmp.Diff([]string{"a"}, got.Commits[2].Paths); diff != "" {
		t.Error(diff)
	}
}

func TestPushOfABranchOnAKnownCommitReportsItsHead(t *testing.T) {
	r := newRepo(t)
	head := r.commit("base", "base")
	r.push("main")
	r.server.take()
	r.push("main:feature/copy")
	got := one(t, r.server.take())
	if diff := cmp.Diff([]string{"-" + head}, shas(got)); diff != "" || got.Before != "" {
		t.Errorf("before %q, %s", got.Before, diff)
	}
}

func TestForcedPushReportsOnlyWhatIsNew(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	old := r.commit("old", "a")
	r.push("main")
	r.git(r.work, "reset", "-q", "--hard", base)
	x := r.commit("x", "x")
	y := r.commit("y", "y")
	r.server.take()
	r.push("--force", "main")
	got := one(t, r.server.take())
	if diff := cmp.Diff([]string{x, y}, shas(got)); diff != "" || !got.Forced || got.Before != old {
		t.Errorf("forced %v, before %s, want %s; %s", got.Forced, got.Before, old, diff)
	}
	// Back to where it was: nothing is new, the head alone is reported.
	r.push("--force", base+":main")
	got = one(t, r.server.take())
	if diff := cmp.Diff([]string{"-" + base}, shas(got)); diff != "" || !got.Forced {
		t.Errorf("forced %v %s", got.Forced, diff)
	}
}

func TestPushOfSeveralRefsIsOneDeliveryEach(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.git(r.work, "checkout", "-q", "-b", "feature/a")
	shared := r.commit("shared", "s")
	a := r.commit("a", "a")
	r.git(r.work, "checkout", "-q", "-b", "feature/b", shared)
	b := r.commit("b", "b")
	r.git(r.work, "tag", "v1")
	r.server.take()
	r.push("feature/a", "feature/b", "v1")
	got := map[string][]string{}
	for _, ev := range r.server.take() {
		got[ev.Ref] = shas(ev)
	}
	want := map[string][]string{"refs/heads/feature/a": {shared, a}, "refs/heads/feature/b": {shared, b}, "refs/tags/v1": {b}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeletedBranchIsReportedWithItsLastCommit(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.git(r.work, "checkout", "-q", "-b", "feature/a")
	a := r.commit("a", "a")
	r.push("feature/a")
	r.server.take()
	said := r.push("--delete", "feature/a")
	got := one(t, r.server.take())
	if got.Kind != event.Delete || got.Before != a || got.After != "" || got.Ref != "refs/heads/feature/a" {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(said, "switchyard: feature/a deleted: 1 execution") {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestHostileNamesAndMessagesArriveAsTheyAre(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	branches := []string{
		"feature/$(touch${IFS}x)", "feature/<script>alert(1)</script>", "feature/日本語-é",
		"feature/" + strings.Repeat("n", 200), "feature/--upload-pack=x", "feature/a;b|c&d'\"`",
	}
	for i, branch := range branches {
		r.git(r.work, "checkout", "-q", "--detach", "main")
		message := "\x1b[31mred\x1b[0m \u202e \"quoted\" " + fmt.Sprint(i)
		// A path that looks like a commit, and one that is hard to print.
		sha := r.commit(message, strings.Repeat("a", 40), "dir with space/é\n\"x\"")
		r.server.take()
		said := r.push("HEAD:refs/heads/" + branch)
		got := one(t, r.server.take())
		if got.Branch() != branch {
			t.Errorf("branch %q, want %q", got.Branch(), branch)
		}
		want := event.Commit{SHA: sha, Message: message, MessageKnown: true, Author: "Ada Lovett", AuthorEmail: "ada@acme.example", Distinct: true,
			Paths: []string{strings.Repeat("a", 40), "dir with space/é\n\"x\""}, PathsKnown: true}
		if diff := cmp.Diff([]event.Commit{want}, got.Commits); diff != "" {
			t.Errorf("%s: %s", branch, diff)
		}
		if strings.Contains(said, "\x1b[31m") {
			t.Errorf("an escape sequence reached the pusher: %q", said)
		}
	}
	for _, dir := range []string{r.bare, r.work, filepath.Dir(r.bare)} {
		if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
			t.Errorf("something ran touch in %s", dir)
		}
	}
}

func TestMessageThatIsNotUTF8IsRepaired(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.server.take()
	// Git's own commands would convert it; an old client did not.
	text := fmt.Sprintf("tree %s\nparent %s\nauthor Ada \xe9 <a@b> 1700000000 +0000\ncommitter A <a@b> 1700000000 +0000\n\ncaf\xe9\n",
		r.git(r.work, "rev-parse", "HEAD^{tree}"), r.git(r.work, "rev-parse", "HEAD"))
	cmd := exec.Command("git", "hash-object", "-t", "commit", "-w", "--stdin")
	cmd.Dir, cmd.Stdin = r.work, strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	r.push(string(bytes.TrimSpace(out)) + ":refs/heads/main")
	if got := one(t, r.server.take()); got.Commits[0].Message != "caf\uFFFD" || got.Commits[0].Author != "Ada \uFFFD" || len(got.Commits[0].Paths) != 0 || !got.Commits[0].PathsKnown {
		t.Errorf("%+v", got.Commits[0])
	}
}

func TestPushOf2048CommitsIsOneDelivery(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	r.server.take()
	want := r.linear("feature/big", base, 2048)
	said := r.push("feature/big")
	got := one(t, r.server.take())
	if diff := cmp.Diff(want, shas(got)); diff != "" {
		t.Error(diff)
	}
	for i, c := range got.Commits {
		if diff := cmp.Diff([]string{fmt.Sprintf("files/%d", i%50)}, c.Paths); diff != "" {
			t.Fatalf("commit %d: %s", i, diff)
		}
	}
	if !strings.Contains(said, "2048 commits, 2048 executions") || !strings.Contains(said, "… and 2043 more") || strings.Count(said, "\n") > 15 {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestLargePushIsSplitAndNotCut(t *testing.T) {
	for name, limits := range map[string]hook.Option{
		"by commits": hook.WithLimits(10, 1<<20),
		"by bytes":   hook.WithLimits(1000, 10*290),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			if err := os.Chmod(filepath.Join(r.bare, "hooks", "post-receive"), 0o644); err != nil {
				t.Fatal(err)
			}
			want := r.linear("main", "", 25)
			r.push("main")
			line := fmt.Sprintf("%040d %s refs/heads/main\n", 0, want[24])
			if err := r.hook(limits).Run(t.Context(), strings.NewReader(line), io.Discard); err != nil {
				t.Fatal(err)
			}
			var got []string
			before := ""
			evs := r.server.take()
			for _, ev := range evs {
				// Each leads on from where the one before ended.
				if ev.Before != before || ev.After != ev.Commits[len(ev.Commits)-1].SHA || ev.Truncated || ev.Forced {
					t.Errorf("%q → %q, want it from %q", ev.Before, ev.After, before)
				}
				before = ev.After
				got = append(got, shas(ev)...)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(evs) != 3 {
				t.Errorf("%d deliveries, want 3; %s", len(evs), diff)
			}
		})
	}
}
