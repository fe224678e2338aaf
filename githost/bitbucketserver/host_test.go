package bitbucketserver_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/bitbucketserver"
	"switchyard/internal/bitbuckettest"
	"switchyard/internal/event"
	"switchyard/internal/gittest"
)

func client(t *testing.T, s *bitbuckettest.Server) *bitbucketserver.Client {
	t.Helper()
	c, err := bitbucketserver.New(bitbucketserver.Config{Source: "bitbucket", BaseURL: bitbuckettest.DataCenterWeb, Token: bitbuckettest.Token}, bitbucketserver.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start has a repository with three commits on main, told.
func start(t *testing.T) (*bitbuckettest.Server, *bitbuckettest.Repo, *bitbucketserver.Client, []string) {
	s := bitbuckettest.NewDataCenter(t)
	s.PageSize = 2
	r := s.AddRepo("ACME/app")
	main := r.Chain("main", 3)
	return s, r, client(t, s), main
}

func shas(all []event.Commit) (ids []string) {
	for _, c := range all {
		ids = append(ids, c.SHA)
	}
	return ids
}

func same(t *testing.T, what string, want, got []string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func push(ref, before, after string, listed ...string) *event.Event {
	ev := &event.Event{Kind: event.Push, Repository: event.Repository{FullName: "ACME/app"}, Ref: "refs/heads/" + ref, Before: before, After: after, Truncated: true}
	for _, sha := range listed {
		ev.Commits = append(ev.Commits, event.Commit{SHA: sha})
	}
	return ev
}

func TestCommitsOfPushes(t *testing.T) {
	_, r, c, main := start(t)
	ask := func(ev *event.Event) ([]string, error) {
		found, err := c.Commits(t.Context(), ev)
		return shas(found), err
	}
	got, err := ask(push("main", "", main[2]))
	same(t, "the first push", main, got, err)
	more := r.Chain("main", 7)
	got, err = ask(push("main", main[2], more[6]))
	same(t, "seven, in pages of two", more, got, err)
	topic := r.Add("topic", gittest.Commit{Message: "one", Parents: []string{main[0]}, Files: map[string]string{"a": "1"}}, gittest.Commit{Message: "two", Files: map[string]string{"a": "2"}})
	got, err = ask(push("topic", "", topic[1]))
	same(t, "a new branch", topic, got, err)
	merge := r.Commit("main", "merge", map[string]string{"m": "1"}, more[6], topic[1])
	got, err = ask(push("main", more[6], merge))
	same(t, "a merge", append(slices.Clone(topic), merge), got, err)
	// Main has the new branch's commits by now.
	_, err = ask(push("topic", "", topic[1], topic...))
	if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "by now") {
		t.Error(err)
	}
	forced := r.Commit("topic", "other", map[string]string{"a": "3"}, main[0])
	got, err = ask(push("topic", topic[1], forced))
	same(t, "forced", []string{forced}, got, err)
	// One that the host no longer has tells nothing.
	_, err = ask(push("topic", strings.Repeat("ab", 20), forced))
	if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "abababababab") {
		t.Error(err)
	}
	for _, bad := range []*event.Event{push("main", "", "HEAD"), push("main", "--all", main[0])} {
		if _, err := ask(bad); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Error(err)
		}
	}
}

func TestCommitIsWhole(t *testing.T) {
	_, r, c, _ := start(t)
	root := r.Commit("other", "root", map[string]string{"src/main-1.txt": "1", "src/main-2.txt": "2"})
	second := r.Commit("other", "Rename\n\nand more ü", map[string]string{"src/main-1.txt": "", "docs/ü b.txt": "1", "src/main-2.txt": "changed"})
	got, err := c.Commit(t.Context(), "bitbucket", "ACME/app", second)
	if err != nil || got.SHA != second || !strings.HasPrefix(got.Message, "Rename\n\nand more ü") || got.Author != "ada" || got.AuthorEmail != gittest.AuthorEmail || !got.PathsKnown || got.URL != "https://bitbucket.example.test/projects/ACME/repos/app/commits/"+second {
		t.Errorf("%+v %v", got, err)
	}
	same(t, "paths", []string{"docs/ü b.txt", "src/main-1.txt", "src/main-2.txt"}, slices.Sorted(slices.Values(got.Paths)), nil)
	if root, err := c.Commit(t.Context(), "", "ACME/app", root); err != nil || len(root.Paths) != 2 {
		t.Error(root, err)
	}
}

func TestCommitsOfPullRequests(t *testing.T) {
	s, r, c, main := start(t)
	fork := s.AddRepo("~BEN/app")
	fork.Git("fetch", "-q", r.Dir, "refs/heads/main:refs/heads/main")
	topic := r.Add("topic", gittest.Commit{Message: "1", Parents: []string{main[0]}, Files: map[string]string{"a": "1"}}, gittest.Commit{Message: "2", Files: map[string]string{"a": "2"}})
	p := r.OpenPull(nil, "topic", "main", "Topic")
	ask := func(number int, head string) ([]string, error) {
		ev := &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "ACME/app"}, After: head, Truncated: true, PullRequest: &event.PullReq{Number: number, Base: "main"}}
		found, err := c.Commits(t.Context(), ev)
		return shas(found), err
	}
	got, err := ask(1, topic[1])
	same(t, "opened", topic, got, err)
	more := r.Chain("topic", 3)
	p.Update()
	got, err = ask(1, topic[1])
	same(t, "of an earlier head", topic, got, err)
	got, err = ask(1, more[2])
	same(t, "pushed", append(slices.Clone(topic), more...), got, err)
	forced := r.Commit("topic", "forced", map[string]string{"a": "4"}, main[1])
	p.Update()
	got, err = ask(1, forced)
	same(t, "forced", []string{forced}, got, err)
	got, err = ask(1, more[2])
	same(t, "a head that was left", append(slices.Clone(topic), more...), got, err)
	p.Merge()
	got, err = ask(1, forced)
	same(t, "merged", []string{forced}, got, err)
	theirs := fork.Chain("fix", 2)
	r.OpenPull(fork, "fix", "main", "Fix")
	got, err = ask(2, theirs[1])
	same(t, "from a fork", theirs, got, err)
	if _, err = ask(2, strings.Repeat("ab", 20)); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	if _, err = ask(9, strings.Repeat("ab", 20)); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

func TestAPullRequestOfAForkIsBounded(t *testing.T) {
	s, r, c, _ := start(t)
	s.PageSize = 100
	fork := s.AddRepo("~BEN/app")
	fork.Git("fetch", "-q", r.Dir, "refs/heads/main:refs/heads/main")
	theirs := fork.Chain("main", 251)
	r.OpenPull(fork, "main", "main", "Many")
	ask := func(head string, fork bool) ([]event.Commit, error) {
		return c.Commits(t.Context(), &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "ACME/app"}, After: head, Truncated: true, PullRequest: &event.PullReq{Number: 1, Base: "main", Fork: fork}})
	}
	if got, err := ask(theirs[250], false); err != nil || len(got) != 251 {
		t.Errorf("%d commits, %v", len(got), err)
	}
	if got, err := ask(theirs[250], true); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "more than 250 commits") {
		t.Errorf("%d commits, %v", len(got), err)
	}
	fork.Git("update-ref", "refs/heads/fewer", theirs[249])
	r.OpenPull(fork, "fewer", "main", "Fewer")
	got, err := c.Commits(t.Context(), &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "ACME/app"}, After: theirs[249], Truncated: true, PullRequest: &event.PullReq{Number: 2, Base: "main", Fork: true}})
	same(t, "as many as may be", theirs[:250], shas(got), err)
}

func TestPullRequestsAreAsTheyAre(t *testing.T) {
	s, r, c, main := start(t)
	s.PageSize = 1
	first := r.Commit("one", "1", map[string]string{"a": "1"}, main[0])
	second := r.Commit("two", "2", map[string]string{"a": "2"}, main[0])
	one := r.OpenPull(nil, "one", "main", "One")
	r.OpenPull(nil, "two", "main", "Two")
	open, mark, err := c.PullRequests(t.Context(), "ACME/app", "")
	if err != nil || len(open) != 2 || mark == "" {
		t.Fatal(open, mark, err)
	}
	heads := map[string]string{}
	for _, ev := range open {
		heads[ev.Branch()] = ev.After
		if ev.Kind != event.PullRequest || ev.Action != "synchronize" || ev.PullRequest.Fork || ev.PullRequest.Base != "main" || len(ev.Commits) != 1 {
			t.Errorf("%+v", ev)
		}
	}
	if !maps.Equal(heads, map[string]string{"one": first, "two": second}) {
		t.Error(heads)
	}
	before := len(s.Calls(""))
	if _, next, err := c.PullRequests(t.Context(), "ACME/app", mark); !errors.Is(err, githost.ErrUnchanged) || next != mark || len(s.Calls("")) != before+2 {
		t.Error(next, err, s.Calls("")[before:])
	}
	moved := r.Commit("one", "3", map[string]string{"a": "3"})
	one.Update()
	open, _, err = c.PullRequests(t.Context(), "ACME/app", mark)
	if err != nil || len(open) != 2 || open[0].After != moved {
		t.Error(open, err)
	}
	if ev, err := c.PullRequest(t.Context(), "ACME/app", one.Number); err != nil || ev.After != moved || ev.PullRequest.Number != one.Number {
		t.Error(ev, err)
	}
	one.Decline()
	for _, number := range []int{one.Number, 9} {
		if _, err := c.PullRequest(t.Context(), "ACME/app", number); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Error(number, err)
		}
	}
	if open, _, err = c.PullRequests(t.Context(), "ACME/app", mark); err != nil || len(open) != 1 {
		t.Error(open, err)
	}
}

func TestRefsAndHistory(t *testing.T) {
	_, r, c, main := start(t)
	topic := r.Commit("topic/a", "1", map[string]string{"a": "1"}, main[0])
	got, err := c.Refs(t.Context(), "ACME/app")
	if diff := cmp.Diff(map[string]string{"refs/heads/main": main[2], "refs/heads/topic/a": topic}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	since, err := c.CommitsSince(t.Context(), "ACME/app", main[2], gittest.Epoch.Add(time.Minute))
	same(t, "since", main[1:], shas(since), err)
}

// A tag's delivery has the ID of the tag itself where it is annotated, and does not
// say that.
func TestCommitOfATag(t *testing.T) {
	_, r, c, main := start(t)
	r.Git("tag", "light", main[1])
	r.Git("tag", "-a", "-m", "Release", "v1/annotated", main[2])
	own := strings.TrimSpace(r.Git("rev-parse", "refs/tags/v1/annotated"))
	ask := func(tag, head, after string) ([]string, error) {
		found, err := c.Commits(t.Context(), &event.Event{Kind: event.Push, Repository: event.Repository{FullName: "ACME/app"}, Ref: "refs/tags/" + tag, Head: head, After: after, Truncated: true})
		return shas(found), err
	}
	got, err := ask("light", main[1], "")
	same(t, "lightweight", main[1:2], got, err)
	got, err = ask("v1/annotated", own, "")
	same(t, "annotated", main[2:], got, err)
	got, err = ask("light", "", main[1])
	same(t, "told", main[1:2], got, err)
	for tag, head := range map[string]string{"light": main[0], "v1/annotated": main[1], "gone": main[0]} {
		if _, err := ask(tag, head, ""); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", tag, err)
		}
	}
}

func TestPeople(t *testing.T) {
	s, r, c, main := start(t)
	s.PageSize = 1
	r.Writer("ada", "write")
	r.Writer("adam", "write")
	r.Writer("eve", "read")
	for login, want := range map[string]bool{"ada": true, "ADA": false, "adam": true, "ad": false, "eve": false, "": false, "a&permission.1=REPO_READ": false} {
		if got, err := c.MayWrite(t.Context(), "ACME/app", login); err != nil || got != want {
			t.Errorf("%q: %v %v", login, got, err)
		}
	}
	r.Commit("topic", "1", map[string]string{"a": "1"}, main[0])
	p := r.OpenPull(nil, "topic", "main", "Topic")
	if err := c.Comment(t.Context(), "ACME/app", p.Number, "done"); err != nil || !slices.Equal(r.Comments(), []string{"done"}) {
		t.Error(r.Comments(), err)
	}
}

func TestHooks(t *testing.T) {
	s, r, c, main := start(t)
	ctx := t.Context()
	var got []string
	s.Receiver = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		got = append(got, q.Header.Get("X-Event-Key"))
		if q.Header.Get("X-Event-Key") != "diagnostics:ping" {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	made, err := c.CreateHook(ctx, "ACME/app", githost.Hook{URL: "https://ci.example.test/webhooks/bitbucket", Secret: "s"})
	if err != nil || made.ID == "" || !made.Active || !slices.Equal(made.Events, c.HookEvents()) {
		t.Fatal(made, err)
	}
	if _, err := c.CreateHook(ctx, "ACME/app", githost.Hook{URL: "https://ci.example.test"}); err == nil {
		t.Error("a webhook without a secret was made")
	}
	all, err := c.Hooks(ctx, "ACME/app")
	if diff := cmp.Diff([]githost.Hook{made}, all); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := c.TestHook(ctx, "ACME/app", made.ID); err != nil || !slices.Equal(got, []string{"diagnostics:ping"}) {
		t.Error(got, err)
	}
	r.Push("main")
	if all, err = c.Hooks(ctx, "ACME/app"); err != nil || all[0].Trouble != "FAILURE: 502" {
		t.Error(all, err)
	}
	for _, id := range []string{"../../x", "0", ""} {
		if err := errors.Join(c.RemoveHook(ctx, "ACME/app", id), c.TestHook(ctx, "ACME/app", id)); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Error(err)
		}
	}
	if err := c.RemoveHook(ctx, "ACME/app", made.ID); err != nil {
		t.Error(err)
	}
	if all, err := c.Hooks(ctx, "ACME/app"); err != nil || len(all) > 0 {
		t.Error(all, err)
	}
	_ = main
}

func TestRequiredBuilds(t *testing.T) {
	s, _, c, _ := start(t)
	s.PageSize = 1
	ctx := t.Context()
	required := func(branch string) []string {
		got, err := c.Required(ctx, "ACME/app", branch)
		if err != nil {
			t.Error(err)
		}
		return got
	}
	if got := required("main"); len(got) > 0 {
		t.Error(got)
	}
	long := strings.Repeat("é", 300)
	for _, contexts := range [][]string{{"switchyard/build"}, {"switchyard/build", "switchyard/test"}, {"switchyard/test"}, {long}} {
		if err := c.Require(ctx, "ACME/app", "main", contexts); err != nil {
			t.Error(err)
		}
	}
	if err := c.Require(ctx, "ACME/app", "release/1", []string{"switchyard/build"}); err != nil {
		t.Error(err)
	}
	same(t, "main", []string{"switchyard/build", "switchyard/test", bitbucketserver.BuildKey(long)}, required("main"), nil)
	same(t, "release", []string{"switchyard/build"}, required("release/1"), nil)
	if posts, puts := s.Calls("POST"), s.Calls("PUT"); len(posts) != 2 || len(puts) != 2 {
		t.Errorf("%d made, %d changed", len(posts), len(puts))
	}
}

func TestBuildKey(t *testing.T) {
	a, b := strings.Repeat("n", 300), strings.Repeat("n", 299)+"m"
	ka, kb := bitbucketserver.BuildKey(a), bitbucketserver.BuildKey(b)
	if ka == kb || len([]rune(ka)) > 255 || ka != bitbucketserver.BuildKey(a) || bitbucketserver.BuildKey("switchyard/build (dev)") != "switchyard/build (dev)" {
		t.Error(ka, kb)
	}
}

func TestStanding(t *testing.T) {
	_, _, c, _ := start(t)
	if got, err := c.Standing(t.Context(), "ACME/app"); err != nil || got.Login != "switchyard" {
		t.Error(got, err)
	}
}

func TestLimitsAndFaults(t *testing.T) {
	s, _, c, main := start(t)
	s.Allow(0)
	_, err := c.Commits(t.Context(), push("main", main[0], main[2]))
	var throttled *dispatch.ThrottledError
	if !errors.As(err, &throttled) || throttled.After != time.Minute {
		t.Error(err)
	}
	s.Allow(-1)
	for _, repository := range []string{"ACME/gone", "ACME/..", "../app", "ACME", "ACME/app/more", "ACME/a%2Fb"} {
		if _, err := c.Commit(t.Context(), "", repository, main[0]); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", repository, err)
		}
	}
	s.Intercept(func(bitbuckettest.Call) *bitbuckettest.AnswerError {
		return &bitbuckettest.AnswerError{Status: http.StatusUnauthorized, Message: "You are not permitted to access this resource", Exception: "com.atlassian.bitbucket.AuthorisationException"}
	})
	if _, err := c.Commit(t.Context(), "", "ACME/app", main[0]); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "Repository read") {
		t.Error(err)
	}
	for _, cfg := range []bitbucketserver.Config{{Token: "t"}, {BaseURL: "https://x"}, {BaseURL: "ftp://x", Token: "t"}} {
		if _, err := bitbucketserver.New(cfg); err == nil {
			t.Errorf("%+v passed", cfg)
		}
	}
	if user, _ := c.CloneCredentials(); user != "" {
		t.Error(user)
	}
}

// A list that takes longer than a call may goes on where it was.
func TestLongListGoesOn(t *testing.T) {
	s, r, c, main := start(t)
	more := r.Chain("main", 9)
	for _, base := range []string{main[2], ""} {
		want := more
		if base == "" {
			want = append(slices.Clone(main), more...)
		}
		before, unfinished := len(s.Calls("")), 0
		for {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
			pages := 0
			slow := &ending{ctx, make(chan struct{})}
			s.Intercept(func(call bitbuckettest.Call) *bitbuckettest.AnswerError {
				if strings.HasSuffix(call.Path, "/commits") {
					if pages++; pages == 3 {
						close(slow.done)
					}
				}
				return nil
			})
			found, err := c.Commits(slow, push("main", base, more[8]))
			cancel()
			if errors.As(err, new(*dispatch.UnfinishedError)) && unfinished < 9 {
				unfinished++
				continue
			}
			same(t, "in pieces", want, shas(found), err)
			break
		}
		s.Intercept(nil)
		// A page that is asked for again is the one that did not arrive in time.
		if calls := len(s.Calls("")) - before; unfinished == 0 || calls > len(want)+2*unfinished+2 {
			t.Errorf("%d calls, %d times unfinished", calls, unfinished)
		}
	}
}

// ending is a context whose time is over when a test says so.
type ending struct {
	context.Context
	done chan struct{}
}

func (e *ending) Done() <-chan struct{} { return e.done }

func (e *ending) Err() error {
	select {
	case <-e.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
