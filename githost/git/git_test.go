package git_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/githost/git"
	"switchyard/internal/event"
	"switchyard/internal/gittest"
)

func shas(commits []event.Commit) []string {
	all := make([]string, len(commits))
	for i := range commits {
		all[i] = commits[i].SHA
	}
	return all
}

func TestCommitsOfPushes(t *testing.T) {
	repo := gittest.New(t)
	main := repo.Chain("main", 4)
	repo.Git("branch", "feature/ü", main[1])
	feature := repo.Chain("feature/ü", 2)
	merge := repo.Commit("main", "Merge", map[string]string{"m": "m"}, main[3], feature[1])
	host := git.New(git.Config{Source: "git", Repositories: map[string]string{"app": repo.Dir}})
	refs, err := host.Refs(t.Context(), "app")
	if err != nil || len(refs) != 2 || refs["refs/heads/main"] != merge || refs["refs/heads/feature/ü"] != feature[1] {
		t.Errorf("refs %v, %v", refs, err)
	}
	gone := "1234567890123456789012345678901234567890"
	for name, c := range map[string]struct {
		push event.Event
		want []string
	}{
		"push":        {event.Event{Ref: "refs/heads/main", Before: main[1], After: main[3]}, main[2:]},
		"merge":       {event.Event{Ref: "refs/heads/main", Before: main[3], After: merge}, append(slices.Clone(feature), merge)},
		"new branch":  {event.Event{Ref: "refs/heads/other", After: feature[1]}, nil},
		"forced":      {event.Event{Ref: "refs/heads/feature/ü", Before: gone, After: feature[0]}, nil},
		"forced back": {event.Event{Ref: "refs/heads/main", Before: merge, After: main[0]}, nil},
	} {
		c.push.Repository.FullName = "app"
		got, err := host.Commits(t.Context(), &c.push)
		if err != nil || !slices.Equal(shas(got), c.want) && len(got)+len(c.want) > 0 {
			t.Errorf("%s: %v, %v, expected %v", name, shas(got), err, c.want)
		}
	}
	unknown := event.Event{Ref: "refs/heads/main", After: gone, Repository: event.Repository{FullName: "app"}}
	if _, err := host.Commits(t.Context(), &unknown); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	since, err := host.CommitsSince(t.Context(), "app", main[3], gittest.Epoch.Add(2*time.Minute))
	if err != nil || !slices.Equal(shas(since), main[2:]) {
		t.Errorf("since: %v, %v, expected %v", shas(since), err, main[2:])
	}
}

func TestCommitSaysWhatItChanged(t *testing.T) {
	repo := gittest.New(t)
	first := repo.Commit("main", "First\n\nwith a body\x1f", map[string]string{"a b/ü.txt": "1", "c": "1"})
	second := repo.Commit("main", "Second", map[string]string{"c": "2"}, first)
	host := git.New(git.Config{Source: "git", Repositories: map[string]string{"app": repo.Dir}})
	got, err := host.Commit(t.Context(), "git", "app", first)
	if err != nil || got.Message != "First\n\nwith a body\x1f" || !got.PathsKnown || !slices.Equal(got.Paths, []string{"a b/ü.txt", "c"}) || got.Author != gittest.AuthorName {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = host.Commit(t.Context(), "git", "app", second); err != nil || !slices.Equal(got.Paths, []string{"c"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	host := git.New(git.Config{Source: "git", Repositories: map[string]string{"app": t.TempDir()}})
	for _, name := range []string{"app", "other"} {
		if _, err := host.Refs(t.Context(), name); !errors.Is(err, dispatch.ErrCannotAsk) {
			t.Errorf("%s: %v", name, err)
		}
	}
	repo := gittest.New(t)
	host = git.New(git.Config{Source: "git", Repositories: map[string]string{"app": repo.Dir}})
	for _, sha := range []string{"--output=x", "HEAD", "main", ""} {
		if _, err := host.Commit(t.Context(), "git", "app", sha); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%q: %v", sha, err)
		}
	}
}
