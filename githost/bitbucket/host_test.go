package bitbucket_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/githost/bitbucket"
	"switchyard/internal/bitbuckettest"
	"switchyard/internal/event"
	"switchyard/internal/gittest"
)

func client(t *testing.T, s *bitbuckettest.Server) *bitbucket.Client {
	t.Helper()
	c, err := bitbucket.New(bitbucket.Config{Source: "bitbucket", Token: bitbuckettest.Token}, bitbucket.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start has a repository with three commits on main, told.
func start(t *testing.T) (*bitbuckettest.Server, *bitbuckettest.Repo, *bitbucket.Client, []string) {
	s := bitbuckettest.NewCloud(t)
	s.PageSize = 2
	r := s.AddRepo("acme/app")
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
	ev := &event.Event{Kind: event.Push, Repository: event.Repository{FullName: "acme/app"}, Ref: "refs/heads/" + ref, Before: before, After: after, Truncated: true}
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
	got, err := c.Commit(t.Context(), "bitbucket", "acme/app", second)
	if err != nil || got.SHA != second || !strings.HasPrefix(got.Message, "Rename\n\nand more ü") || got.Author != "ada" || got.AuthorEmail != gittest.AuthorEmail || !got.PathsKnown || got.URL != "https://bitbucket.org/acme/app/commits/"+second {
		t.Errorf("%+v %v", got, err)
	}
	same(t, "paths", []string{"docs/ü b.txt", "src/main-1.txt", "src/main-2.txt"}, slices.Sorted(slices.Values(got.Paths)), nil)
	if root, err := c.Commit(t.Context(), "", "acme/app", root); err != nil || len(root.Paths) != 2 {
		t.Error(root, err)
	}
}

// A pull request's delivery has the first 12 digits of its head.
func TestCommitsOfPullRequests(t *testing.T) {
	s, r, c, main := start(t)
	fork := s.AddRepo("ben/app")
	fork.Git("fetch", "-q", r.Dir, "refs/heads/main:refs/heads/main")
	topic := r.Add("topic", gittest.Commit{Message: "1", Parents: []string{main[0]}, Files: map[string]string{"a": "1"}}, gittest.Commit{Message: "2", Files: map[string]string{"a": "2"}})
	p := r.OpenPull(nil, "topic", "main", "Topic")
	ask := func(number int, head string) ([]string, error) {
		ev := &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "acme/app"}, Head: head, Truncated: true, PullRequest: &event.PullReq{Number: number, Base: "main"}}
		found, err := c.Commits(t.Context(), ev)
		return shas(found), err
	}
	got, err := ask(1, topic[1][:12])
	same(t, "opened", topic, got, err)
	more := r.Chain("topic", 3)
	p.Update()
	got, err = ask(1, topic[1][:12])
	same(t, "of an earlier head", topic, got, err)
	got, err = ask(1, more[2][:12])
	same(t, "pushed", append(slices.Clone(topic), more...), got, err)
	got, err = ask(1, "")
	same(t, "of a head that is not told", append(slices.Clone(topic), more...), got, err)
	forced := r.Commit("topic", "forced", map[string]string{"a": "4"}, main[1])
	p.Update()
	got, err = ask(1, forced[:12])
	same(t, "forced", []string{forced}, got, err)
	got, err = ask(1, more[2][:12])
	same(t, "a head that was left", append(slices.Clone(topic), more...), got, err)
	p.Merge()
	got, err = ask(1, forced[:12])
	same(t, "merged", []string{forced}, got, err)
	theirs := fork.Chain("fix", 2)
	r.OpenPull(fork, "fix", "main", "Fix")
	got, err = ask(2, theirs[1][:12])
	same(t, "from a fork", theirs, got, err)
	if _, err = ask(2, "0123456789ab"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	if _, err = ask(9, "0123456789ab"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

func TestAPullRequestOfAForkIsBounded(t *testing.T) {
	s, r, c, _ := start(t)
	s.PageSize = 100
	fork := s.AddRepo("ben/app")
	fork.Git("fetch", "-q", r.Dir, "refs/heads/main:refs/heads/main")
	theirs := fork.Chain("main", 251)
	r.OpenPull(fork, "main", "main", "Many")
	ask := func(head string, fork bool) ([]event.Commit, error) {
		return c.Commits(t.Context(), &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "acme/app"}, Head: head[:12], Truncated: true, PullRequest: &event.PullReq{Number: 1, Base: "main", Fork: fork}})
	}
	if got, err := ask(theirs[250], false); err != nil || len(got) != 251 {
		t.Errorf("%d commits, %v", len(got), err)
	}
	if got, err := ask(theirs[250], true); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "more than 250 commits") {
		t.Errorf("%d commits, %v", len(got), err)
	}
	fork.Git("update-ref", "refs/heads/fewer", theirs[249])
	r.OpenPull(fork, "fewer", "main", "Fewer")
	got, err := c.Commits(t.Context(), &event.Event{Kind: event.PullRequest, Repository: event.Repository{FullName: "acme/app"}, Head: theirs[249][:12], Truncated: true, PullRequest: &event.PullReq{Number: 2, Base: "main", Fork: true}})
	same(t, "as many as may be", theirs[:250], shas(got), err)
}

func TestPullRequestsAreAsTheyAre(t *testing.T) {
	s, r, c, main := start(t)
	s.PageSize = 1
	first := r.Commit("one", "1", map[string]string{"a": "1"}, main[0])
	second := r.Commit("two", "2", map[string]string{"a": "2"}, main[0])
	one := r.OpenPull(nil, "one", "main", "One")
	r.OpenPull(nil, "two", "main", "Two")
	open, mark, err := c.PullRequests(t.Context(), "acme/app", "")
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
	if _, next, err := c.PullRequests(t.Context(), "acme/app", mark); !errors.Is(err, githost.ErrUnchanged) || next != mark || len(s.Calls("")) != before+1 {
		t.Error(next, err, s.Calls("")[before:])
	}
	moved := r.Commit("one", "3", map[string]string{"a": "3"})
	one.Update()
	open, _, err = c.PullRequests(t.Context(), "acme/app", mark)
	if err != nil || open[0].After != moved {
		t.Error(open, err)
	}
	if ev, err := c.PullRequest(t.Context(), "acme/app", one.Number); err != nil || ev.After != moved || ev.PullRequest.Number != one.Number {
		t.Error(ev, err)
	}
	one.Decline()
	for _, number := range []int{one.Number, 9} {
		if _, err := c.PullRequest(t.Context(), "acme/app", number); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Error(number, err)
		}
	}
	if open, _, err = c.PullRequests(t.Context(), "acme/app", mark); err != nil || len(open) != 1 {
		t.Error(open, err)
	}
}

func TestRefsAndHistory(t *testing.T) {
	_, r, c, main := start(t)
	topic := r.Commit("topic/a", "1", map[string]string{"a": "1"}, main[0])
	got, err := c.Refs(t.Context(), "acme/app")
	if diff := cmp.Diff(map[string]string{"refs/heads/main": main[2], "refs/heads/topic/a": topic}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	since, err := c.CommitsSince(t.Context(), "acme/app", main[2], gittest.Epoch.Add(time.Minute))
	same(t, "since", main[1:], shas(since), err)
}

func TestPeople(t *testing.T) {
	s, r, c, main := start(t)
	s.PageSize = 1
	const ada, ben, eve = "712020:c4e620c8-76bb-5b49-8907-d2c68a83b4c5", "712020:213016cb-1ab1-5356-996b-d98a6490295c", "712020:98533334-707c-5d14-930d-6cd66623a37a"
	r.Writer(ada, "write")
	r.Writer(eve, "read")
	r.Writer(ben, "admin")
	for login, want := range map[string]bool{ada: true, ben: true, eve: false, "somebody": false, "": false, "712020:00000000-0000-0000-0000-000000000000": false, "{../..}": false} {
		if got, err := c.MayWrite(t.Context(), "acme/app", login); err != nil || got != want {
			t.Errorf("%q: %v %v", login, got, err)
		}
	}
	r.Commit("topic", "1", map[string]string{"a": "1"}, main[0])
	p := r.OpenPull(nil, "topic", "main", "Topic")
	if err := c.Comment(t.Context(), "acme/app", p.Number, "done"); err != nil || !slices.Equal(r.Comments(), []string{"done"}) {
		t.Error(r.Comments(), err)
	}
	if err := c.Comment(t.Context(), "acme/app", 7, "done"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

func TestHooks(t *testing.T) {
	_, r, c, _ := start(t)
	ctx := t.Context()
	made, err := c.CreateHook(ctx, "acme/app", githost.Hook{URL: "https://ci.example.test/webhooks/bitbucket", Secret: "s"})
	if err != nil || made.ID == "" || !made.Active || !slices.Equal(made.Events, c.HookEvents()) {
		t.Fatal(made, err)
	}
	if _, err := c.CreateHook(ctx, "acme/app", githost.Hook{URL: "https://ci.example.test"}); err == nil {
		t.Error("a webhook without a secret was made")
	}
	all, err := c.Hooks(ctx, "acme/app")
	if diff := cmp.Diff([]githost.Hook{made}, all); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if err := c.TestHook(ctx, "acme/app", made.ID); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	if err := c.RemoveHook(ctx, "acme/app", "../../x"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	if err := c.RemoveHook(ctx, "acme/app", made.ID); err != nil {
		t.Error(err)
	}
	if all, err := c.Hooks(ctx, "acme/app"); err != nil || len(all) > 0 {
		t.Error(all, err)
	}
	_ = r
}

func TestStanding(t *testing.T) {
	s, _, c, _ := start(t)
	got, err := c.Standing(t.Context(), "acme/app")
	if err != nil || len(got.Missing) > 0 || got.Limit != 1000 {
		t.Error(got, err)
	}
	s.Intercept(func(bitbuckettest.Call) *bitbuckettest.AnswerError {
		return &bitbuckettest.AnswerError{Status: http.StatusOK, Header: map[string]string{"X-OAuth-Scopes": "repository:write"}}
	})
	if got, err = c.Standing(t.Context(), "acme/app"); err != nil || !slices.Equal(got.Missing, []string{"Pull requests: Read"}) {
		t.Error(got, err)
	}
}

func TestCredentials(t *testing.T) {
	s, _, _, main := start(t)
	for name, row := range map[string]struct {
		cfg        bitbucket.Config
		cloneUser  string
		understood bool
	}{
		"access token": {bitbucket.Config{Token: bitbuckettest.Token}, "x-token-auth", true},
		"API token":    {bitbucket.Config{User: bitbuckettest.User, Token: bitbuckettest.AppPassword}, "x-bitbucket-api-token-auth", true},
		"app password": {bitbucket.Config{User: "ada", Token: bitbuckettest.AppPassword}, "ada", false},
		"another":      {bitbucket.Config{Source: "bb", Token: "another"}, "x-token-auth", false},
	} {
		c, err := bitbucket.New(row.cfg, bitbucket.WithTransport(s.Transport()))
		if err != nil {
			t.Fatal(err)
		}
		if user, password := c.CloneCredentials(); user != row.cloneUser || password != row.cfg.Token {
			t.Error(name, user)
		}
		_, err = c.Commit(t.Context(), "", "acme/app", main[0])
		if (err == nil) != row.understood || err != nil && !errors.Is(err, dispatch.ErrCannotAsk) {
			t.Error(name, err)
		}
	}
	if _, err := bitbucket.New(bitbucket.Config{}); err == nil {
		t.Error("no token passed")
	}
}

func TestLimitsAndFaults(t *testing.T) {
	s, _, c, main := start(t)
	s.Allow(1)
	_, err := c.Commits(t.Context(), push("main", main[0], main[2]))
	_, err2 := c.Commits(t.Context(), push("main", main[0], main[2]))
	var throttled *dispatch.ThrottledError
	if err != nil || !errors.As(err2, &throttled) || throttled.After != time.Minute {
		t.Error(err, err2)
	}
	s.Allow(-1)
	for _, repository := range []string{"acme/gone", "acme/..", "../app", "acme", "acme/app/more", "acme/a%2Fb"} {
		if _, err := c.Commit(t.Context(), "", repository, main[0]); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", repository, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Commit(ended, "", "acme/app", main[0]); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The next page must be the API's own.
	s.Intercept(func(call bitbuckettest.Call) *bitbuckettest.AnswerError { return nil })
	other := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"values":[],"next":"https://evil.example/2.0/x"}`))
	})
	evil, err := bitbucket.New(bitbucket.Config{Token: "t"}, bitbucket.WithTransport(handler{other, t}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evil.Commits(t.Context(), push("main", main[0], main[2])); err == nil || !strings.Contains(err.Error(), "evil.example") {
		t.Error(err)
	}
}

type handler struct {
	http.Handler
	t *testing.T
}

func (h handler) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "api.bitbucket.org" {
		h.t.Errorf("%s is asked", r.URL)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), nil
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
