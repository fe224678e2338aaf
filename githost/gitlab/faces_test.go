package gitlab_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/event"
	"switchyard/internal/gitlabtest"
	"switchyard/internal/gittest"
)

func TestRefsInOneAnswer(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 2)
	r.Git("update-ref", "refs/heads/feature/größe", main[0])
	r.Git("tag", "v1", main[0])
	got, err := r.client.Refs(soon(t), name)
	want := map[string]string{"refs/heads/main": main[1], "refs/heads/feature/größe": main[0]}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := r.client.Refs(soon(t), "../etc"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}

func TestOpenPullRequestsAndTheirMark(t *testing.T) {
	r := newRig(t)
	if open, mark, err := r.client.PullRequests(soon(t), name, ""); err != nil || len(open) != 0 || mark == "" {
		t.Fatalf("%v %q %v", open, mark, err)
	}
	main := r.Chain("main", 1)
	topic := r.Add("topic", gittest.Commit{Message: "t1", Parents: main})
	fork := r.server.Project("ben/api")
	fork.Git("fetch", "--quiet", r.Dir, "main:main")
	patch := fork.Add("patch", gittest.Commit{Message: "p1", Parents: main})
	one := r.Open(r.Project, "topic", "main", "Topic")
	two := r.Open(fork, "patch", "main", "Patch")
	one.Touch(func(m *gitlabtest.MergeRequest) { m.Labels, m.Draft = []string{"a", "b"}, true })
	open, mark, err := r.client.PullRequests(soon(t), name, "none")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(open, func(a, b event.Event) int { return a.PullRequest.Number - b.PullRequest.Number })
	of := func(ref, sha string, pr event.PullReq) event.Event {
		pr.Base, pr.Author = "main", r.server.Bot.Username
		return event.Event{
			Kind: event.PullRequest, Action: "synchronize", Ref: ref, After: sha, Repository: event.Repository{FullName: name},
			Commits: []event.Commit{{SHA: sha, Distinct: true}}, PullRequest: &pr,
		}
	}
	want := []event.Event{
		of("refs/heads/topic", topic[0], event.PullReq{Number: 1, Title: "Topic", Draft: true, Labels: []string{"a", "b"}, HeadRepo: name}),
		of("refs/heads/patch", patch[0], event.PullReq{Number: 2, Title: "Patch", Fork: true, HeadRepo: "ben/api", Labels: []string{}}),
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Error(diff)
	}
	before := len(r.server.Calls())
	if _, _, err := r.client.PullRequests(soon(t), name, mark); !errors.Is(err, githost.ErrUnchanged) || len(r.server.Calls()) != before+1 {
		t.Errorf("error %v after %d calls", err, len(r.server.Calls())-before)
	}
	// Whatever changes, the mark does: pushed code, and the end of one.
	r.Chain("topic", 1)
	r.Push()
	open, next, err := r.client.PullRequests(soon(t), name, mark)
	if err != nil || len(open) != 2 || next == mark {
		t.Errorf("%d open, mark %q, %v", len(open), next, err)
	}
	two.Change(func(m *gitlabtest.MergeRequest) { m.State = "closed" }, nil)
	if open, _, err = r.client.PullRequests(soon(t), name, next); err != nil || len(open) != 1 {
		t.Errorf("%d open, %v", len(open), err)
	}
	// A fork that we may not see has no name.
	fork.Role = 0
	two.Touch(func(m *gitlabtest.MergeRequest) { m.State = "opened" })
	other := newClient(t, r.server)
	if open, _, err = other.PullRequests(soon(t), name, ""); err != nil || len(open) != 2 || open[0].PullRequest.HeadRepo != "" || !open[0].PullRequest.Fork {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestOnePullRequest(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 1)
	topic := r.Add("topic", gittest.Commit{Message: "t1", Parents: main})
	m := r.Open(r.Project, "topic", "main", "Topic")
	m.Touch(func(m *gitlabtest.MergeRequest) { m.Labels = []string{"safe to test", "other"} })
	got, err := r.client.PullRequest(soon(t), name, 1)
	want := event.Event{
		Kind: event.PullRequest, Action: "synchronize", Ref: "refs/heads/topic", After: topic[0], Repository: event.Repository{FullName: name},
		Commits: []event.Commit{{SHA: topic[0], Distinct: true}}, Truncated: true, Sender: r.server.Bot.Username,
		PullRequest: &event.PullReq{Number: 1, Base: "main", Title: "Topic", Author: r.server.Bot.Username, HeadRepo: name, Labels: []string{"safe to test", "other"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for range 2 { // the second time it is not there
		if err := r.client.Unlabel(soon(t), name, 1, "safe to test"); err != nil || !slices.Equal(m.Labels, []string{"other"}) {
			t.Errorf("%v, %q", err, m.Labels)
		}
	}
	m.Touch(func(m *gitlabtest.MergeRequest) { m.State = "closed" })
	for _, number := range []int{1, 2, -1} {
		if _, err := r.client.PullRequest(soon(t), name, number); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%d: error %v", number, err)
		}
	}
}

func TestWhatAMergeRequestWouldBeMergedTo(t *testing.T) {
	r := newRig(t)
	main := r.Chain("main", 2)
	topic := r.Add("topic", gittest.Commit{Message: "t1", Parents: main[:1], Files: map[string]string{"t.txt": "t"}})
	m := r.Open(r.Project, "topic", "main", "Topic")
	ev := pulled(m)
	sha, conflict, err := r.client.Merge(soon(t), ev)
	if err != nil || conflict != "" {
		t.Fatal(conflict, err)
	}
	if got := r.Git("log", "-1", "--format=%P", sha); got != main[1]+" "+topic[0]+"\n" {
		t.Errorf("parents %s", got)
	}
	r.Commit("main", "in the way", map[string]string{"t.txt": "other"})
	if sha, conflict, err = r.client.Merge(soon(t), ev); err != nil || sha != "" || !strings.Contains(conflict, "conflicts with its target main") {
		t.Errorf("%s, %q, %v", sha, conflict, err)
	}
	r.Chain("topic", 1)
	r.Push()
	if sha, conflict, err = r.client.Merge(soon(t), ev); err != nil || sha != "" || !strings.Contains(conflict, "moved on") {
		t.Errorf("%s, %q, %v", sha, conflict, err)
	}
	m.Touch(func(m *gitlabtest.MergeRequest) { m.State = "closed" })
	if sha, conflict, err = r.client.Merge(soon(t), ev); err != nil || sha != "" || !strings.Contains(conflict, "not open") {
		t.Errorf("%s, %q, %v", sha, conflict, err)
	}
	ev.PullRequest = nil
	if _, _, err = r.client.Merge(soon(t), ev); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}

func TestMayWrite(t *testing.T) {
	r := newRig(t)
	may := func(login string) bool {
		t.Helper()
		ok, err := r.client.MayWrite(soon(t), name, login)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	for login, row := range map[string]struct {
		level   int
		expires time.Time
		want    bool
	}{
		"guest": {level: gitlabtest.Guest}, "reporter": {level: gitlabtest.Reporter}, "developer": {level: gitlabtest.Developer, want: true},
		"maintainer": {level: gitlabtest.Maintainer, want: true},
		"former":     {level: gitlabtest.Developer, expires: time.Now().Add(-48 * time.Hour)},
		"still":      {level: gitlabtest.Developer, expires: time.Now().Add(48 * time.Hour), want: true},
	} {
		r.Member(r.server.User(login), row.level, row.expires)
		if got := may(login); got != row.want {
			t.Errorf("%s may write: %v", login, got)
		}
	}
	r.server.User("stranger")
	for _, login := range []string{"stranger", "nobody", "", "a b", "../users", "developer&username=maintainer"} {
		if may(login) {
			t.Errorf("%q may write", login)
		}
	}
	if !may("DEVELOPER") {
		t.Error("GitLab's user names know no capitals")
	}
}

// The stand-in fails the test where a line is taken for a quick action.
func TestCommentIsNoQuickAction(t *testing.T) {
	r := newRig(t)
	r.Chain("main", 1)
	r.Chain("topic", 1)
	m := r.Open(r.Project, "topic", "main", "Topic")
	text := "**Deployed** a/b\n/merge\n  /close\n> /approve\nsee /etc\n"
	if err := r.client.Comment(soon(t), name, m.IID, text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"**Deployed** a/b\n\\/merge\n  \\/close\n> \\/approve\nsee /etc\n"}, r.Comments()); diff != "" {
		t.Error(diff)
	}
	if err := r.client.Comment(soon(t), name, 99, "x"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}

func TestHooks(t *testing.T) {
	r := newRig(t)
	r.Chain("main", 3)
	const url = "https://switchyard.example.test/webhooks/gitlab"
	made, err := r.client.CreateHook(soon(t), name, githost.Hook{URL: url, Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	want := githost.Hook{ID: made.ID, URL: url, Events: r.client.HookEvents(), Active: true}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	other := r.Hook("https://elsewhere.example.test/", "s")
	other.Disabled = true
	all, err := r.client.Hooks(soon(t), name)
	if err != nil || len(all) != 2 || all[1].Active || !strings.Contains(all[1].Trouble, "disabled") {
		t.Errorf("%+v, %v", all, err)
	}
	if r.Hooks()[0].Secret != "s" {
		t.Error("the secret token did not arrive")
	}
	if err := r.client.RemoveHook(soon(t), name, made.ID); err != nil || len(r.Hooks()) != 1 {
		t.Errorf("%v, %d hooks", err, len(r.Hooks()))
	}
	for _, id := range []string{made.ID, "0", "x", "1/../2"} {
		if err := r.client.RemoveHook(soon(t), name, id); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("remove %q: %v", id, err)
		}
	}
	for _, secret := range []string{"", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="} {
		if _, err := r.client.CreateHook(soon(t), name, githost.Hook{URL: url, Secret: secret}); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("secret %q: %v", secret, err)
		}
	}
	r.Role = gitlabtest.Developer
	if _, err := r.client.Hooks(soon(t), name); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "role Maintainer") {
		t.Errorf("error %v", err)
	}
}

func TestStanding(t *testing.T) {
	r := newRig(t)
	r.Chain("main", 1)
	ends := time.Now().Add(72 * time.Hour).UTC().Truncate(24 * time.Hour)
	r.server.Token, r.server.Limit = gitlabtest.Token{Expires: ends}, 60
	got, err := r.client.Standing(soon(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Login != r.server.Bot.Username || len(got.Missing) != 0 || got.Limit != 60 || got.Left != 59 || !got.Expires.Equal(ends) || got.Clock.IsZero() || !got.Reset.After(time.Now().Add(-time.Minute)) {
		t.Errorf("%+v", got)
	}
	for kind, row := range map[string]struct {
		token gitlabtest.Token
		role  int
		want  []string
	}{
		"read only":    {gitlabtest.Token{Scopes: []string{"read_api"}}, gitlabtest.Maintainer, []string{"scope api"}},
		"a reporter":   {gitlabtest.Token{}, gitlabtest.Reporter, []string{"role Developer, to write commit statuses"}},
		"not a member": {gitlabtest.Token{}, 0, []string{"access to the project, with the role Developer"}},
		"OAuth":        {gitlabtest.Token{OAuth: true}, gitlabtest.Developer, nil},
		"fine-grained": {gitlabtest.Token{Scopes: []string{"granular", "read_api"}}, gitlabtest.Developer, nil},
	} {
		r.server.Token, r.Role = row.token, row.role
		if got, err = r.client.Standing(soon(t), name); err != nil || cmp.Diff(row.want, got.Missing) != "" {
			t.Errorf("%s: %q, %v", kind, got.Missing, err)
		}
	}
}

func TestPipelinesMustSucceed(t *testing.T) {
	r := newRig(t)
	head := r.Chain("main", 1)[0]
	if got, err := r.client.Required(soon(t), name, "main"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if err := r.client.Require(soon(t), name, "main", []string{"switchyard/b"}); err != nil || !r.MustSucceed {
		t.Fatalf("%v, %v", r.MustSucceed, err)
	}
	for _, context := range []string{"switchyard/b", "switchyard/a"} {
		post(t, r, head, context)
	}
	if got, err := r.client.Required(soon(t), name, "main"); err != nil || !slices.Equal(got, []string{"switchyard/a", "switchyard/b"}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := r.client.Required(soon(t), name, "no/such"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Errorf("error %v", err)
	}
}
