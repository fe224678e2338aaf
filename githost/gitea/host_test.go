package gitea_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/gittest"
)

// pushed is a push of which a delivery lists the given commits.
func pushed(branch, before, after string, listed ...string) *event.Event {
	ev := &event.Event{Kind: event.Push, Ref: "refs/heads/" + branch, Before: before, After: after, Truncated: true,
		Repository: event.Repository{FullName: name, DefaultBranch: "main"}}
	for _, sha := range append(listed, after) {
		ev.Commits = append(ev.Commits, event.Commit{SHA: sha})
	}
	return ev
}

func TestCommitsOfAPush(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 120) // more than two pages
	got, err := f.c.Commits(t.Context(), pushed("main", ids[3], ids[119]))
	equal(t, got, err, ids[4:]...)
	if c := got[0]; c.Message != "commit 5 of main\n" || !c.MessageKnown || c.Author != "ada" || c.AuthorEmail != "ada@example.test" ||
		!c.Distinct || !c.PathsKnown || len(c.Paths) != 1 || !strings.HasSuffix(c.Paths[0], "5.txt") || c.URL != f.s.URL+"/acme/api/commit/"+ids[4] {
		t.Errorf("%+v", c)
	}
	if calls := f.s.Calls("GET"); len(calls) != 3 {
		t.Errorf("%d calls: %v", len(calls), calls)
	}
	// The first push to a repository brings all that it has.
	got, err = f.c.Commits(t.Context(), pushed("main", "", ids[119]))
	equal(t, got, err, ids...)
}

func TestCommitsOfAMergeComeParentsFirst(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 2)
	f.Git("branch", "side", base[0])
	side := f.Chain("side", 3)
	merge := f.Commit("main", "merge", map[string]string{"src/side-1.txt": "1", "x": "y"}, base[1], side[2])
	got, err := f.c.Commits(t.Context(), pushed("main", base[1], merge))
	equal(t, got, err, append(slices.Clone(side), merge)...)
	if paths := got[3].Paths; !slices.Equal(paths, []string{"src/side-1.txt", "x"}) {
		t.Errorf("a merge changes %q against its first parent", paths)
	}
}

func TestCommitsAfterAForcedPush(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 2)
	f.Git("branch", "topic", base[1])
	old := f.Chain("topic", 2)
	f.Git("update-ref", "refs/heads/topic", base[1])
	next := f.Add("topic", gittest.Commit{Message: "a"}, gittest.Commit{Message: "b"})
	got, err := f.c.Commits(t.Context(), pushed("topic", old[1], next[1]))
	equal(t, got, err, next...) // what was left behind is still there
	// Moved back, a branch has gained nothing.
	got, err = f.c.Commits(t.Context(), pushed("topic", next[1], base[1]))
	equal(t, got, err)
	// Once what was left behind is gone, the branch has what others have not.
	gone := strings.Repeat("d", 40)
	got, err = f.c.Commits(t.Context(), pushed("topic", gone, next[1]))
	equal(t, got, err, next...)
	// Of the default branch nobody can tell then.
	var permanent *dispatch.PermanentError
	if got, err = f.c.Commits(t.Context(), pushed("main", gone, base[1])); !errors.As(err, &permanent) || !strings.Contains(err.Error(), gone[:12]) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCommitsOfANewBranch(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 3)
	f.Git("branch", "feature/a", base[1])
	own := f.Chain("feature/a", 60)
	got, err := f.c.Commits(t.Context(), pushed("feature/a", "", own[59], own[55:59]...))
	equal(t, got, err, own...)
	// One on top of it brings what it has beyond.
	f.Git("branch", "on-top", own[59])
	top := f.Chain("on-top", 2)
	got, err = f.c.Commits(t.Context(), pushed("on-top", "", top[1]))
	equal(t, got, err, top...)
	// Two that came with the same push have the same commits.
	f.Git("branch", "twin", top[1])
	for _, branch := range []string{"on-top", "twin"} {
		got, err = f.c.Commits(t.Context(), pushed(branch, "", top[1]))
		equal(t, got, err, top...)
	}
	// What a delivery lists is never left out, whoever else has it.
	got, err = f.c.Commits(t.Context(), pushed("on-top", "", top[1], own[59], top[0]))
	equal(t, got, err, append(slices.Clone(own), top...)...)
	// One on a commit of the default branch brings nothing.
	f.Git("branch", "release", base[2])
	got, err = f.c.Commits(t.Context(), pushed("release", "", base[2]))
	equal(t, got, err)
	// A history of its own is all new.
	orphan := f.Add("unrelated", gittest.Commit{Message: "root"}, gittest.Commit{Message: "next"})
	got, err = f.c.Commits(t.Context(), pushed("unrelated", "", orphan[1]))
	equal(t, got, err, orphan...)
	// The host is asked for the default branch where the delivery is silent.
	ev := pushed("on-top", "", top[1])
	ev.Repository.DefaultBranch = ""
	got, err = f.c.Commits(t.Context(), ev)
	equal(t, got, err, top...)
}

// What the default branch has by the time that we ask, nobody can tell apart any
// more; guessing would leave commits out in silence.
func TestNewBranchThatIsMergedMeanwhile(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 1)
	f.Git("branch", "topic", base[0])
	own := f.Chain("topic", 3)
	f.Git("update-ref", "refs/heads/main", own[2])
	var permanent *dispatch.PermanentError
	if got, err := f.c.Commits(t.Context(), pushed("topic", "", own[2], own[0], own[1])); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "main") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCommitsOfAPullRequest(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 3)
	f.Git("branch", "topic", base[0])
	own := f.Chain("topic", 2)
	pull := func(head, baseSHA string) *event.Event {
		return &event.Event{Kind: event.PullRequest, Ref: "refs/heads/topic", After: head, Truncated: true,
			Repository:  event.Repository{FullName: name},
			Commits:     []event.Commit{{SHA: head}},
			PullRequest: &event.PullReq{Number: 1, Base: "main", BaseSHA: baseSHA}}
	}
	got, err := f.c.Commits(t.Context(), pull(own[1], base[2]))
	equal(t, got, err, own...)
	// What is merged into it from its base is not its own.
	merge := f.Commit("topic", "merge main", nil, own[1], base[2])
	got, err = f.c.Commits(t.Context(), pull(merge, base[2]))
	equal(t, got, err, own[0], own[1], merge)
	// Once it is merged, or its base is gone, what the payload says of the base counts.
	f.Git("update-ref", "refs/heads/main", merge)
	got, err = f.c.Commits(t.Context(), pull(merge, base[2]))
	equal(t, got, err, own[0], own[1], merge)
	ev := pull(merge, base[2])
	ev.PullRequest.Base = "deleted"
	got, err = f.c.Commits(t.Context(), ev)
	equal(t, got, err, own[0], own[1], merge)
	// From a fork: the host has its commits below refs/pull.
	fork := f.s.AddRepo("eve/api")
	fork.Git("fetch", "-q", f.Dir, "refs/heads/main:refs/heads/main")
	theirs := fork.Chain("patch", 2)
	f.OpenPull(fork, "patch", "main", "a patch", "eve")
	fork.Git("fetch", "-q", f.Dir)
	got, err = f.c.Commits(t.Context(), pull(theirs[1], merge))
	equal(t, got, err, theirs...)
}

// Anybody can offer a pull request from a fork: it is not listed without end.
func TestPullRequestOfTooManyCommits(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 1)
	f.Git("branch", "topic", base[0])
	own := f.Chain("topic", 300)
	ev := &event.Event{Kind: event.PullRequest, After: own[299], Repository: event.Repository{FullName: name}, PullRequest: &event.PullReq{Number: 1, Base: "main", Fork: true}}
	var permanent *dispatch.PermanentError
	if got, err := f.c.Commits(t.Context(), ev); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "250") {
		t.Errorf("%d commits, %v", len(got), err)
	}
	if calls := f.s.Calls("GET"); len(calls) != 1 {
		t.Errorf("it took %d calls", len(calls))
	}
	ev.PullRequest.Fork = false
	if got, err := f.c.Commits(t.Context(), ev); err != nil || len(got) != 300 {
		t.Errorf("of the repository itself: %d commits, %v", len(got), err)
	}
}

func TestCommitHasItsPaths(t *testing.T) {
	f := setUp(t)
	first := f.Commit("main", "a\n\nb", map[string]string{"docs/a.txt": "one", "größe/日本.md": "two"})
	moved := f.Commit("main", "move", map[string]string{"docs/a.txt": "", "docs/b.txt": "one"})
	for sha, want := range map[string][]string{first: {"docs/a.txt", "größe/日本.md"}, moved: {"docs/a.txt", "docs/b.txt"}} {
		c, err := f.c.Commit(t.Context(), "forge", name, sha)
		if err != nil || !c.PathsKnown || !slices.Equal(slices.Sorted(slices.Values(c.Paths)), want) {
			t.Errorf("%+v, %v; want %q", c, err, want)
		}
	}
	if c, err := f.c.Commit(t.Context(), "forge", name, first); err != nil || !strings.HasPrefix(c.Message, "a\n\nb") || !c.MessageKnown {
		t.Errorf("%+v, %v", c, err)
	}
}

// A host that asks for fewer calls does not get more of them.
func TestThrottledListIsNotTriedInAnotherWay(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 2)
	f.s.Fail(func(string) int { return 429 })
	pull := &event.Event{Kind: event.PullRequest, After: ids[1], Repository: event.Repository{FullName: name}, PullRequest: &event.PullReq{Number: 1, Base: "main", BaseSHA: ids[0]}}
	for what, ev := range map[string]*event.Event{"a push": pushed("main", ids[0], ids[1]), "a pull request": pull} {
		before := len(f.s.Calls(""))
		_, err := f.c.Commits(t.Context(), ev)
		var throttled *dispatch.ThrottledError
		if calls := len(f.s.Calls("")) - before; !errors.As(err, &throttled) || calls != 1 {
			t.Errorf("%s: %v, %d calls", what, err, calls)
		}
	}
}

// A fault in the middle of a list is a fault, and no shorter list.
func TestFaultInAListIsNoEnd(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 120)
	f.s.Fail(func(call string) int {
		if strings.Contains(call, "page=2") {
			return 500
		}
		return 0
	})
	got, err := f.c.Commits(t.Context(), pushed("main", ids[0], ids[119]))
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) || got != nil {
		t.Errorf("%d commits, %v", len(got), err)
	}
}
