package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/githubtest"
	"switchyard/internal/gittest"
)

// As the stand-in of GitHub answers, whose answers are checked by GitHub's own
// description.
func TestPullRequestOfTheStandIn(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 3)
	f.chain("topic", 4, 6, 2)
	n := f.repo.OpenPull("topic", "main")
	f.repo.Draft(n, true)
	got, err := f.client().PullRequest(t.Context(), "acme/api", n)
	if err != nil {
		t.Fatal(err)
	}
	if pr := got.PullRequest; got.After != f.shas[6] || got.Ref != "refs/heads/topic" || pr.Base != "main" || pr.BaseSHA != f.shas[3] || pr.Number != n || !pr.Draft || pr.Fork || got.Repository.FullName != "acme/api" {
		t.Errorf("%+v, %+v", got, got.PullRequest)
	}
	if all, err := f.client().Commits(t.Context(), &got); err != nil || len(all) != 3 || all[2].SHA != f.shas[6] {
		t.Errorf("%+v, %v", all, err)
	}
	f.repo.ClosePull(n)
	if _, err := f.client().PullRequest(t.Context(), "acme/api", n); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

func TestPullRequest(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 3)
	fork := f.AddRepo("ben/api")
	f.repo.Git("push", "-q", fork.Dir, "main")
	fork.Chain("topic", 3)
	head, err := fork.Tip("topic")
	if err != nil {
		t.Fatal(err)
	}
	n := f.repo.OpenForkPull(fork, "topic", "main")
	f.repo.Draft(n, true)
	f.repo.Label(n, "x")
	got, err := f.client().PullRequest(t.Context(), "acme/api", n)
	if err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/topic", After: head, Total: 3, Truncated: true, Sender: "ben",
		Repository: event.Repository{FullName: "acme/api", DefaultBranch: "main"},
		Commits:    []event.Commit{{SHA: head, Author: "ben", URL: githubtest.WebURL + "/ben/api/commit/" + head, Distinct: true}},
		PullRequest: &event.PullReq{
			Number: n, Base: "main", BaseSHA: f.shas[3], Title: "Merge topic", Author: "ben", Labels: []string{"x"}, Draft: true, Fork: true, HeadRepo: "ben/api"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	refused := func(name string, number int) {
		if _, err := f.client().PullRequest(t.Context(), "acme/api", number); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("unknown", 99)
	f.repo.ClosePull(n)
	refused("closed", n)
	f.Intercept(func(githubtest.Call) *githubtest.Answer {
		return &githubtest.Answer{Status: http.StatusOK, Body: `{"number":7,"state":"open"}`}
	})
	refused("no head", n)
}

func TestUnlabel(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 1)
	f.chain("topic", 2, 2, 1)
	n := f.repo.OpenPull("topic", "main")
	f.repo.Label(n, "docs", "safe to/test")
	c := f.client()
	for _, what := range []string{"taken off", "was not there"} {
		if err := c.Unlabel(t.Context(), name, n, "safe to/test"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if d := cmp.Diff([]string{"docs"}, f.repo.Labels(n)); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	if err := c.Unlabel(t.Context(), name, 99, "docs"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("no such pull request, or no access: %v", err)
	}
	f.Intercept(func(githubtest.Call) *githubtest.Answer { return &githubtest.Answer{Status: http.StatusBadGateway} })
	if err := c.Unlabel(t.Context(), name, n, "docs"); err == nil {
		t.Error("an error of the host is none")
	}
}

func TestMerge(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 3)
	f.add("topic", 4, gittest.Commit{Message: "4", Parents: []string{f.shas[2]}, Files: map[string]string{"topic": "4"}})
	n := f.repo.OpenPull("topic", "main")
	c := f.client()
	ask := func(name, head, want, conflict, failed string) {
		t.Helper()
		sha, why, err := c.Merge(t.Context(), &event.Event{After: head, Repository: event.Repository{FullName: "acme/api"}, PullRequest: &event.PullReq{Number: n}})
		if sha != want || why != conflict || (failed != "") != (err != nil) || err != nil && !strings.Contains(err.Error(), failed) {
			t.Errorf("%s: %q, %q, %v", name, sha, why, err)
		}
	}
	ask("not tried yet", f.shas[4], "", "", "has not tried yet")
	merge := f.repo.TryMerge(n)
	if merge == "" {
		t.Fatal("it conflicts")
	}
	ask("merged", f.shas[4], merge, "", "")
	f.add("topic", 5, gittest.Commit{Message: "5", Parents: []string{f.shas[4]}, Files: map[string]string{"topic": "5"}})
	ask("pushed since", f.shas[4], "", fmt.Sprintf("its head has moved on to %.12s, of which another delivery tells", f.shas[5]), "")
	ask("an older merge", f.shas[5], "", "", "another head")
	f.add("topic", 6, gittest.Commit{Message: "6", Parents: []string{f.shas[5]}, Files: map[string]string{"src/file3": "another"}})
	if f.repo.TryMerge(n) != "" {
		t.Fatal("it does not conflict")
	}
	ask("a conflict", f.shas[6], "", "it conflicts with its base main", "")
	f.repo.ClosePull(n)
	ask("closed", f.shas[6], "", "it is not open any more", "")
	f.Intercept(func(githubtest.Call) *githubtest.Answer {
		return &githubtest.Answer{Status: http.StatusOK, Body: `{"number":1,"state":"open","head":{"sha":"` + f.shas[6] + `"},"mergeable":true,"merge_commit_sha":"main"}`}
	})
	ask("no name", f.shas[6], "", "", "names no commit")
}
