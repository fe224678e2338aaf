package gitlab_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/gitlab"
	githost "switchyard/githost/gitlab"
	"switchyard/internal/gitlabtest"
)

const (
	project = "acme/platform/api"
	link    = "https://switchyard.example.test/executions/x"
)

type rig struct {
	*gitlabtest.Project
	server *gitlabtest.Server
	poster *gitlab.Poster
	sha    string
}

func newRig(t *testing.T, opts ...gitlab.Option) *rig {
	t.Helper()
	s := gitlabtest.New(t)
	r := &rig{Project: s.Project(project), server: s}
	r.sha = r.Chain("topic", 1)[0]
	r.again(t, opts...)
	return r
}

// again makes a poster that remembers nothing, as after a restart.
func (r *rig) again(t *testing.T, opts ...gitlab.Option) {
	t.Helper()
	r.poster = newPoster(t, r.server.URL, r.server.Secret, opts...)
}

func newPoster(t *testing.T, url, token string, opts ...gitlab.Option) *gitlab.Poster {
	t.Helper()
	host, err := githost.New(githost.Config{BaseURL: url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	p, err := gitlab.New(host, gitlab.Config{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *rig) status(state dispatch.StatusState, text string) dispatch.Status {
	return dispatch.Status{
		Source: "gitlab", Repository: project, SHA: r.sha, Context: "switchyard/all", State: state, Description: text,
		Ref: "refs/heads/topic", WantedAt: time.Now(),
	}
}

func (r *rig) post(t *testing.T, state dispatch.StatusState, text string) {
	t.Helper()
	if err := r.poster.Post(t.Context(), r.status(state, text), link); err != nil {
		t.Fatalf("%s: %v", state, err)
	}
}

// want holds what the project shows of the commit, but for the pipeline's number.
func (r *rig) want(t *testing.T, want ...gitlabtest.Shown) {
	t.Helper()
	got := r.Statuses(r.sha)
	for i := range want {
		want[i].SHA, want[i].Name, want[i].TargetURL = r.sha, "switchyard/all", link
		if i < len(got) && want[i].Pipeline == 0 {
			want[i].Pipeline = got[i].Pipeline
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStatesOfGitLab(t *testing.T) {
	for state, want := range map[dispatch.StatusState]string{
		dispatch.StatusPending: "running", dispatch.StatusSuccess: "success", dispatch.StatusFailure: "failed", dispatch.StatusError: "failed",
	} {
		r := newRig(t)
		r.post(t, state, "text")
		r.want(t, gitlabtest.Shown{Ref: "topic", State: want, Description: "text"})
	}
}

func TestAStatusMovesOn(t *testing.T) {
	r := newRig(t)
	r.post(t, dispatch.StatusPending, "Queued")
	made := len(r.server.Calls())
	r.post(t, dispatch.StatusSuccess, "Done")
	if n := len(r.server.Calls()) - made; n != 1 {
		t.Errorf("%d calls for the end of a status whose pipeline is known", n)
	}
	r.want(t, gitlabtest.Shown{Ref: "topic", State: "success", Description: "Done"})
	// Another attempt of the execution.
	r.post(t, dispatch.StatusPending, "Running again")
	r.post(t, dispatch.StatusFailure, "Failed")
	r.want(t, gitlabtest.Shown{Ref: "topic", State: "failed", Description: "Failed"})
}

// GitLab answers 400 to a status that is in the wanted state already.
func TestTheSameStateAgainIsDone(t *testing.T) {
	r := newRig(t)
	r.post(t, dispatch.StatusPending, "Queued")
	r.post(t, dispatch.StatusPending, "Running")
	r.want(t, gitlabtest.Shown{Ref: "topic", State: "running", Description: "Queued"})
	r.post(t, dispatch.StatusSuccess, "Done")
	// After a crash it is told again, and GitLab has it.
	r.again(t)
	made := len(r.server.Calls())
	r.post(t, dispatch.StatusSuccess, "Done")
	if n := len(r.server.Calls()) - made; n != 1 {
		t.Errorf("%d calls to find that GitLab has it", n)
	}
}

func TestTheEndGoesWhereTheBeginningIs(t *testing.T) {
	r := newRig(t)
	r.post(t, dispatch.StatusPending, "Running")
	began := r.Statuses(r.sha)[0].Pipeline
	r.again(t)
	r.Pipeline(r.sha, "topic") // a newer one, which would be taken
	r.post(t, dispatch.StatusSuccess, "Done")
	r.want(t, gitlabtest.Shown{Ref: "topic", State: "success", Description: "Done", Pipeline: began})
}

func TestTheMergeRequestShowsIt(t *testing.T) {
	r := newRig(t)
	r.Pipeline(r.sha, "elsewhere")
	branch := r.Pipeline(r.sha, "topic")
	r.post(t, dispatch.StatusPending, "Running")
	r.want(t, gitlabtest.Shown{Ref: "topic", State: "running", Description: "Running", Pipeline: branch})

	r = newRig(t)
	request := r.Pipeline(r.sha, "refs/merge-requests/1/head")
	r.Pipeline(r.sha, "topic")
	r.post(t, dispatch.StatusPending, "Running")
	r.want(t, gitlabtest.Shown{Ref: "refs/merge-requests/1/head", State: "running", Description: "Running", Pipeline: request})
}

func TestTextsAreCutToWhatGitLabTakes(t *testing.T) {
	r := newRig(t)
	s := r.status(dispatch.StatusSuccess, strings.Repeat("é", 300)+"\x1b[2J")
	s.Ref = "refs/heads/" + strings.Repeat("n", 300)
	if err := r.poster.Post(t.Context(), s, "https://h/"+strings.Repeat("x", 300)); err != nil {
		t.Fatal(err)
	}
	got := r.Statuses(r.sha)[0]
	if len([]rune(got.Description)) != 255 || got.TargetURL != "" || got.Ref != "topic" {
		t.Errorf("%+v", got)
	}
}

func TestVerdicts(t *testing.T) {
	var permanent *dispatch.PermanentError
	var refused *status.RefusedError
	var unauthorized *status.UnauthorizedError
	var throttled *dispatch.ThrottledError
	for name, row := range map[string]struct {
		change func(r *rig, s *dispatch.Status)
		want   any
	}{
		"a role too low":           {func(r *rig, _ *dispatch.Status) { r.Role = gitlabtest.Reporter }, &refused},
		"a scope too few":          {func(r *rig, _ *dispatch.Status) { r.server.Token.Scopes = []string{"read_api"} }, &refused},
		"a token that has run out": {func(r *rig, _ *dispatch.Status) { r.server.Token.Expires = time.Now().Add(-time.Hour) }, &unauthorized},
		"a project we may not see": {func(r *rig, _ *dispatch.Status) { r.Role = 0 }, &refused},
		"for longer than a day":    {func(r *rig, s *dispatch.Status) { r.Role = 0; s.WantedAt = time.Now().Add(-25 * time.Hour) }, &permanent},
		"a commit it has not":      {func(_ *rig, s *dispatch.Status) { s.SHA = strings.Repeat("ab", 20) }, &permanent},
		"not a commit":             {func(_ *rig, s *dispatch.Status) { s.SHA = "main" }, &permanent},
		"not a project":            {func(_ *rig, s *dispatch.Status) { s.Repository = "acme/../x" }, &permanent},
		"too many calls":           {func(r *rig, _ *dispatch.Status) { r.server.Limit = 1 }, &throttled},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			s := r.status(dispatch.StatusSuccess, "Done")
			row.change(r, &s)
			if err := r.poster.Post(t.Context(), s, link); !errors.As(err, row.want) {
				t.Errorf("error %T %v", err, err)
			}
		})
	}
	t.Run("our end", func(t *testing.T) {
		r := newRig(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.poster.Post(ctx, r.status(dispatch.StatusSuccess, ""), link); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// Answers that the stand-in has no cause for.
func TestVerdictsOnOtherAnswers(t *testing.T) {
	for code, want := range map[int]string{
		http.StatusConflict: "retry", http.StatusInternalServerError: "retry", http.StatusBadGateway: "retry",
		http.StatusUnprocessableEntity: "permanent", http.StatusBadRequest: "permanent", http.StatusTeapot: "refused",
	} {
		r := newRig(t)
		r.server.Intercept(func(method, _ string) *gitlabtest.Answer {
			if method == http.MethodGet {
				return nil
			}
			return &gitlabtest.Answer{Status: code, Body: `{"message": "no\u001b[2J"}`}
		})
		err := r.poster.Post(t.Context(), r.status(dispatch.StatusSuccess, "Done"), "")
		got := "retry"
		switch {
		case errors.As(err, new(*dispatch.PermanentError)):
			got = "permanent"
		case errors.As(err, new(*status.RefusedError)):
			got = "refused"
		}
		if err == nil || got != want || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: %s, %v, want %s", code, got, err, want)
		}
	}
}

func TestNewChecksItsConfig(t *testing.T) {
	host, err := githost.New(githost.Config{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gitlab.New(nil, gitlab.Config{}); err == nil {
		t.Error("no client is taken")
	}
	if _, err := gitlab.New(host, gitlab.Config{Limits: status.Limits{PerHour: -1}}); err == nil {
		t.Error("negative limits are taken")
	}
	p, err := gitlab.New(host, gitlab.Config{})
	if err != nil || p.Limits() != (status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}) {
		t.Errorf("%+v, %v", p.Limits(), err)
	}
}

// Two routes tell of one commit: each has a status of its own, in one pipeline.
func TestContextsShareAPipeline(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"switchyard/a", "switchyard/b"} {
		s := r.status(dispatch.StatusPending, "Running")
		s.Context = name
		if err := r.poster.Post(t.Context(), s, link); err != nil {
			t.Fatal(err)
		}
	}
	got := r.Statuses(r.sha)
	if len(got) != 2 || got[0].Pipeline != got[1].Pipeline || slices.ContainsFunc(got, func(s gitlabtest.Shown) bool { return s.State != "running" }) {
		t.Errorf("%+v", got)
	}
}
