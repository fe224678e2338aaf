package gitea_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/gittest"
)

func TestRefsAreAllBranches(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 2)
	want := map[string]string{"refs/heads/main": ids[1]}
	var refs strings.Builder
	for i := range 120 { // more than a page of the API
		branch := fmt.Sprintf("b/%d-日本", i)
		fmt.Fprintf(&refs, "create refs/heads/%s %s\n", branch, ids[i%2])
		want["refs/heads/"+branch] = ids[i%2]
	}
	f.Feed(refs.String(), "update-ref", "--stdin")
	f.Git("tag", "v1", ids[0])
	got, err := f.c.Refs(t.Context(), name)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if _, err := client(t, f.s.URL, "another").Refs(t.Context(), name); !errors.Is(err, dispatch.ErrCannotAsk) {
		t.Errorf("with a token that is none: %v", err)
	}
}

func TestCommitsSince(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 120) // a minute apart
	got, err := f.c.CommitsSince(t.Context(), name, ids[119], gittest.Epoch.Add(90*60e9))
	equal(t, got, err, ids[90:]...)
	all, err := f.c.CommitsSince(t.Context(), name, ids[119], gittest.Epoch)
	equal(t, all, err, ids...)
}

func TestPullRequestsAreListedOnlyWhenSomethingChanged(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 1)
	if open, mark, err := f.c.PullRequests(t.Context(), name, ""); err != nil || len(open) != 0 || mark == "" {
		t.Fatalf("%v, %q, %v", open, mark, err)
	}
	f.Git("branch", "topic", base[0])
	own := f.Chain("topic", 2)
	pr := f.OpenPull(f.Repo, "topic", "main", "A topic", "ada")
	fork := f.s.AddRepo("eve/api")
	fork.Git("fetch", "-q", f.Dir, "refs/heads/main:refs/heads/main")
	theirs := fork.Chain("patch", 1)
	f.OpenPull(fork, "patch", "main", "A patch", "eve")
	open, mark, err := f.c.PullRequests(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/topic", After: own[1], Truncated: true, Sender: "ada",
		Repository: event.Repository{FullName: name, CloneURL: f.s.URL + "/acme/api.git", HTMLURL: f.s.URL + "/acme/api", DefaultBranch: "main"},
		Commits:    []event.Commit{{SHA: own[1], Author: "ada", Distinct: true, URL: f.s.URL + "/acme/api/commit/" + own[1]}},
		PullRequest: &event.PullReq{
			Number: 1, Base: "main", BaseSHA: base[0], Title: "A topic", Author: "ada", HeadRepo: name,
		},
	}
	at := slices.IndexFunc(open, func(ev event.Event) bool { return ev.PullRequest.Number == 1 })
	if len(open) != 2 || at < 0 {
		t.Fatalf("%+v", open)
	}
	if diff := cmp.Diff(want, open[at]); diff != "" {
		t.Error(diff)
	}
	if ev := open[1-at]; !ev.PullRequest.Fork || ev.PullRequest.HeadRepo != "eve/api" || ev.After != theirs[0] || ev.Ref != "refs/heads/patch" {
		t.Errorf("from a fork: %+v", ev)
	}
	before := len(f.s.Calls("GET"))
	if _, next, err := f.c.PullRequests(t.Context(), name, mark); !errors.Is(err, githost.ErrUnchanged) || next != mark || len(f.s.Calls("GET")) != before+1 {
		t.Errorf("unchanged: %q, %v, %d calls", next, err, len(f.s.Calls("GET"))-before)
	}
	for what, change := range map[string]func(){
		"a commit":  func() { f.Chain("topic", 1); pr.Sync() },
		"a closing": pr.Close,
	} {
		change()
		open, next, err := f.c.PullRequests(t.Context(), name, mark)
		if err != nil || next == mark {
			t.Errorf("after %s: %v, %v", what, open, err)
		}
		mark = next
	}
}

// However many there are, each is there once.
func TestPullRequestsOfManyPages(t *testing.T) {
	f := setUp(t)
	base := f.Chain("main", 1)
	for i := range 52 {
		branch := fmt.Sprint("topic-", i)
		f.Git("branch", branch, base[0])
		f.OpenPull(f.Repo, branch, "main", branch, "ada")
	}
	open, _, err := f.c.PullRequests(t.Context(), name, "")
	numbers := map[int]bool{}
	for _, ev := range open {
		numbers[ev.PullRequest.Number] = true
	}
	if err != nil || len(open) != 52 || len(numbers) != 52 {
		t.Errorf("%d of them, %d different, %v", len(open), len(numbers), err)
	}
}

// Once its fork is deleted, a pull request is still of a fork.
func TestPullRequestWhoseForkIsGone(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	fork := f.s.AddRepo("eve/api")
	fork.Git("fetch", "-q", f.Dir, "refs/heads/main:refs/heads/main")
	fork.Chain("patch", 1)
	f.OpenPull(fork, "patch", "main", "A patch", "eve").DeleteFork()
	open, _, err := f.c.PullRequests(t.Context(), name, "")
	if err != nil || len(open) != 1 || !open[0].PullRequest.Fork || open[0].PullRequest.HeadRepo != "" || open[0].Branch() != "patch" {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestPullRequest(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	own := f.Chain("topic", 2)
	pr := f.OpenPull(f.Repo, "topic", "main", "A topic", "ada")
	pr.Label("x")
	got, err := f.c.PullRequest(t.Context(), name, 1)
	if err != nil || got.After != own[1] || got.PullRequest.Number != 1 || got.PullRequest.Fork || !slices.Equal(got.PullRequest.Labels, []string{"x"}) {
		t.Errorf("%+v, %v", got, err)
	}
	pr.Close()
	var permanent *dispatch.PermanentError
	for _, number := range []int{1, 2, 0, -1} { // closed, or not there
		if got, err := f.c.PullRequest(t.Context(), name, number); !errors.As(err, &permanent) {
			t.Errorf("%d: %+v, %v", number, got, err)
		}
	}
}
