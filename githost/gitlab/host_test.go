package gitlab_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/gitlabtest"
	"switchyard/internal/gittest"
)

func TestCommitsOfAPush(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 3)
	// More than a page, and a merge of what another branch had.
	side := r.Add("side", gittest.Commit{Message: "side 1", Parents: main[1:2]}, gittest.Commit{Message: "side 2"})
	long := r.Chain("main", 130)
	merge := r.Commit("main", "merge side", nil, long[129], side[1])
	feature := r.Add("feature/a", gittest.Commit{Message: "f1", Parents: main[:1]}, gittest.Commit{Message: "f2"})
	forced := r.Add("feature/b", gittest.Commit{Message: "b1", Parents: main[:1]})
	r.Git("tag", "v1", main[2])
	for name, row := range map[string]struct {
		ev   *event.Event
		want []string
	}{
		"a push":                {pushed("refs/heads/main", main[0], main[2]), main[1:]},
		"more than a page":      {pushed("refs/heads/main", main[2], long[129]), long},
		"the first push":        {pushed("refs/heads/main", "", main[2]), main},
		"a new branch":          {pushed("refs/heads/feature/a", "", feature[1], feature[1]), feature},
		"a forced push":         {pushed("refs/heads/feature/a", feature[1], forced[0]), forced},
		"moved back":            {pushed("refs/heads/main", main[2], main[0]), []string{}},
		"a branch without more": {pushed("refs/heads/release", "", main[1]), []string{}},
		"a tag":                 {pushed("refs/tags/v1", "", main[2]), main[2:3]},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.client.Commits(soon(t), row.ev)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, shas(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a merge", func(t *testing.T) {
		got, err := r.client.Commits(soon(t), pushed("refs/heads/main", long[129], merge))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(concat(side, []string{merge}), shas(got)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the project says what its default branch is", func(t *testing.T) {
		ev := pushed("refs/heads/feature/a", "", feature[1])
		ev.Repository.DefaultBranch = ""
		got, err := r.client.Commits(soon(t), ev)
		if diff := cmp.Diff(feature, shas(got)); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
	})
}

func TestCommitsThatCannotBeTold(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 2)
	gone := strings.Repeat("ab", 20)
	unknown := pushed("refs/heads/main", "", main[1])
	unknown.BeforeUnknown = true
	unknown.Ref = "refs/heads/x"
	elsewhere := pushed("refs/heads/main", main[0], main[1])
	elsewhere.Repository.FullName = "acme/../other"
	other := pushed("refs/heads/main", main[0], main[1])
	other.Repository.FullName = "acme/other"
	for name, row := range map[string]struct {
		ev   *event.Event
		want string
	}{
		"the commit before is gone": {pushed("refs/heads/main", gone, main[1]), "no longer has commit abababababab"},
		"the head is gone":          {pushed("refs/heads/main", main[0], gone), "no such project or commit"},
		"merged by now":             {pushed("refs/heads/x", "", main[1], main[1]), "by now"},
		"nobody knows the base":     {unknown, "cannot be told"},
		"not a name":                {elsewhere, "not the full name of a project"},
		"not a commit":              {pushed("refs/heads/main", "--all", main[1]), "is not a commit ID"},
		"no such project":           {other, "no such project or commit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := r.client.Commits(soon(t), row.ev)
			var permanent *dispatch.PermanentError
			if !errors.As(err, &permanent) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it, permanent", err, row.want)
			}
		})
	}
}

func TestCommitsOfAMergeRequest(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 2)
	topic := r.Add("topic", gittest.Commit{Message: "t1", Parents: main[:1]}, gittest.Commit{Message: "t2"}, gittest.Commit{Message: "t3"})
	m := r.Open(r.Project, "topic", "main", "Topic")
	got, err := r.client.Commits(soon(t), pulled(m))
	if diff := cmp.Diff(topic, shas(got)); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	// What was merged into it from its target is not its own.
	merge := r.Commit("topic", "merge main", nil, topic[2], main[1])
	r.Push()
	if got, err = r.client.Commits(soon(t), pulled(m)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(concat(topic, []string{merge}), shas(got)); diff != "" {
		t.Error(diff)
	}
	// The event was of an older head.
	old := pulled(m)
	old.After = topic[1]
	if got, err = r.client.Commits(soon(t), old); err != nil || !slices.Equal(shas(got), topic[:2]) {
		t.Errorf("%v, %v", shas(got), err)
	}
}

func TestCommitsOfAMergeRequestFromAFork(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 2)
	fork := r.server.Project("ben/api")
	fork.Git("fetch", "--quiet", r.Dir, "main:main")
	own := fork.Add("patch", gittest.Commit{Message: "p1", Parents: main[1:2]}, gittest.Commit{Message: "p2"})
	m := r.Open(fork, "patch", "main", "Patch")
	got, err := r.client.Commits(soon(t), pulled(m))
	if diff := cmp.Diff(own, shas(got)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestCommitsOfAMergeRequestThatWasMerged(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 1)
	topic := r.Add("topic", gittest.Commit{Message: "t1", Parents: main})
	m := r.Open(r.Project, "topic", "main", "Topic")
	ev := pulled(m)
	r.Git("update-ref", "refs/heads/main", topic[0])
	m.Change(func(m *gitlabtest.MergeRequest) { m.State = "merged" }, nil)
	got, err := r.client.Commits(soon(t), ev)
	if diff := cmp.Diff(topic, shas(got)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	// Of a head that it has no longer, nobody tells.
	ev.After = main[0]
	var permanent *dispatch.PermanentError
	if _, err = r.client.Commits(soon(t), ev); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "another head by now") {
		t.Errorf("error %v", err)
	}
}

func TestAMergeRequestIsBounded(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 1)
	r.Git("update-ref", "refs/heads/topic", main[0])
	r.Chain("topic", 251)
	m := r.Open(r.Project, "topic", "main", "Topic")
	var permanent *dispatch.PermanentError
	ev := pulled(m)
	if got, err := r.client.Commits(soon(t), ev); err != nil || len(got) != 251 {
		t.Errorf("%d commits, %v", len(got), err)
	}
	ev.PullRequest.Fork = true // which anybody can offer
	if _, err := r.client.Commits(soon(t), ev); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "more than 250 commits") {
		t.Errorf("error %v", err)
	}
}

func TestCommitWithItsPaths(t *testing.T) {
	r := newRig(t)
	first := r.Add("main", gittest.Commit{Message: "first\n\nwith a body", Name: "Zoë", Email: "zoe@example.test",
		Files: map[string]string{"a.txt": "a\nb\nc\nd\n", "dir/größe.txt": "x", "dir/sub/c.txt": "y"}})[0]
	second := r.Commit("main", "second", map[string]string{"a.txt": "", "b.txt": "a\nb\nc\nd\n", "dir/größe.txt": "", "new.txt": "n"})
	side := r.Commit("side", "side", map[string]string{"side.txt": "s"}, first)
	merge := r.Commit("main", "merge", map[string]string{"side.txt": "s"}, second, side)
	empty := r.Commit("main", "empty", nil)
	for kind, row := range map[string]struct {
		sha  string
		want []string
	}{
		"the first":         {first, []string{"a.txt", "dir/größe.txt", "dir/sub/c.txt"}},
		"with a rename":     {second, []string{"a.txt", "b.txt", "dir/größe.txt", "new.txt"}},
		"a merge":           {merge, []string{"side.txt"}},
		"one without files": {empty, nil},
	} {
		t.Run(kind, func(t *testing.T) {
			got, err := r.client.Commit(soon(t), "gitlab", name, row.sha)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got.Paths)
			if diff := cmp.Diff(row.want, got.Paths); diff != "" || !got.PathsKnown {
				t.Errorf("known %v: %s", got.PathsKnown, diff)
			}
		})
	}
	got, err := r.client.Commit(soon(t), "gitlab", name, first)
	want := event.Commit{
		SHA: first, Message: "first\n\nwith a body\n", MessageKnown: true, Author: "Zoë", AuthorEmail: "zoe@example.test", Distinct: true,
		URL: r.URL() + "/-/commit/" + first, PathsKnown: true, Paths: got.Paths,
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := r.client.Commit(soon(t), "gitlab", name, strings.Repeat("cd", 20)); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}

// Beyond GitLab's limits a comparison is cut, and the paths are not known.
func TestPathsThatGitLabCutsAreUnknown(t *testing.T) {
	r := newRig(t)
	r.Chain("main", 1)
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("f%02d.txt", i)] = "x"
	}
	sha := r.Commit("main", "many", files)
	r.DiffFiles = 29
	if got, err := r.client.Commit(soon(t), "gitlab", name, sha); err != nil || got.PathsKnown || got.Paths != nil {
		t.Errorf("%+v, %v", got, err)
	}
	r.DiffFiles = 30
	if got, err := r.client.Commit(soon(t), "gitlab", name, sha); err != nil || !got.PathsKnown || len(got.Paths) != 30 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCommitsSince(t *testing.T) {
	r := newRig(t)
	ids := r.Chain("main", 5) // a minute apart
	got, err := r.client.CommitsSince(soon(t), name, ids[4], gittest.Epoch.Add(2*time.Minute))
	if diff := cmp.Diff(ids[2:], shas(got)); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}
