package codecommit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/githost"
	"switchyard/internal/awsaccess"
	"switchyard/internal/codecommittest"
	"switchyard/internal/event"
)

// toServer takes what is asked of CodeCommit's git host to a stand-in.
type toServer struct{ url string }

func (s toServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" || r.URL.Host != codecommittest.GitHost {
		return nil, fmt.Errorf("asked %s", r.URL)
	}
	there := r.Clone(r.Context())
	there.URL.Scheme, there.URL.Host, _ = strings.Cut(s.url, "://")
	response, err := http.DefaultTransport.RoundTrip(there)
	if err == nil {
		response.Request = r
	}
	return response, err
}

func TestRefsAreTheBranches(t *testing.T) {
	server := codecommittest.New(t)
	repo := codecommittest.NewRepo(t, "api")
	server.Add(repo)
	main := repo.Chain("main", 3)
	repo.Git("branch", "feature/x", main[1])
	repo.Git("tag", "v1", main[0])
	c := withKeys(t, "", WithGitTransport(toServer{server.URL}))
	got, err := c.Refs(t.Context(), "api")
	if err != nil || len(got) != 2 || got["refs/heads/main"] != main[2] || got["refs/heads/feature/x"] != main[1] {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.Refs(t.Context(), "other"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	if _, err := c.Refs(t.Context(), "../x"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	china, err := New(t.Context(), Config{Source: "cn", Settings: awsaccess.Settings{Region: "cn-north-1"}}, WithGitTransport(toServer{server.URL}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := china.Refs(t.Context(), "api"); err == nil || !strings.Contains(err.Error(), "git-codecommit.cn-north-1.amazonaws.com.cn") {
		t.Error(err)
	}
}

func TestPullRequestsAreThoseThatAreOpen(t *testing.T) {
	h := newHost(t, Config{})
	main := h.repo.Chain("main", 2)
	h.repo.Git("branch", "topic", main[0])
	topic := h.repo.Chain("topic", 3)
	id := h.server.OpenPullRequest(h.repo, "topic", "main")
	closed := h.server.OpenPullRequest(h.repo, "main", "topic")
	h.server.ClosePullRequest(closed)
	open, mark, err := h.PullRequests(t.Context(), "api", "")
	if err != nil || len(open) != 1 || mark == "" {
		t.Fatalf("%+v, %q, %v", open, mark, err)
	}
	ev := &open[0]
	if fmt.Sprint(ev.PullRequest.Number) != id || ev.PullRequest.Base != "main" || ev.Ref != "refs/heads/topic" || ev.After != topic[2] || ev.PullRequest.BaseSHA != main[1] || ev.Kind != event.PullRequest {
		t.Errorf("%+v %+v", ev, ev.PullRequest)
	}
	if got := h.shas(t, ev); !slices.Equal(got, topic) {
		t.Errorf("commits %v, expected %v", got, topic)
	}
	if _, _, err := h.PullRequests(t.Context(), "api", mark); !errors.Is(err, githost.ErrUnchanged) {
		t.Error(err)
	}
	h.repo.Chain("topic", 1)
	if open, _, err = h.PullRequests(t.Context(), "api", mark); err != nil || len(open) != 1 || open[0].After == topic[2] {
		t.Errorf("%+v, %v", open, err)
	}
}

func TestBranchOfAPullRequest(t *testing.T) {
	for reference, want := range map[string]string{
		"refs/heads/feature/x": "feature/x", "feature/x": "feature/x", "refs/heads/refs/odd": "refs/odd",
		"refs/tags/v1": "", "refs/heads/": "", "": "",
	} {
		name, ok := branch(&reference)
		if ok != (want != "") || ok && name != want {
			t.Errorf("%q: %q, %v; expected %q", reference, name, ok, want)
		}
	}
	if _, ok := branch(nil); ok {
		t.Error("no reference is a branch")
	}
}
