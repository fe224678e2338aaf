package gitea_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/gitea"
	githost "switchyard/githost/gitea"
	"switchyard/internal/giteatest"
)

const (
	token = "token-of-the-bot"
	name  = "acme/api"
)

var now = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func setUp(t *testing.T) (*giteatest.Server, *giteatest.Repo, *gitea.Poster, dispatch.Status) {
	t.Helper()
	s := giteatest.New(t)
	s.AddToken(giteatest.Token{Text: token, Login: "bot", Scopes: []string{"write:repository"}})
	repo := s.AddRepo(name)
	repo.Allow("bot", "write")
	wanted := dispatch.Status{Source: "forge", Repository: name, SHA: repo.Chain("main", 2)[0], Context: "switchyard/build", State: dispatch.StatusSuccess, Description: "succeeded in 12 s", WantedAt: now}
	return s, repo, poster(t, s.URL, token), wanted
}

func poster(t *testing.T, address, token string) *gitea.Poster {
	t.Helper()
	host, err := githost.New(githost.Config{Source: "forge", BaseURL: address, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	p, err := gitea.New(host, gitea.Config{}, gitea.WithClock(func() time.Time { return now }))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPostCreatesAStatus(t *testing.T) {
	_, repo, p, wanted := setUp(t)
	want := []giteatest.Status{}
	for _, state := range []struct {
		is     dispatch.StatusState
		target string
	}{{dispatch.StatusPending, "https://yard.example/x"}, {dispatch.StatusFailure, ""}, {dispatch.StatusError, ""}, {dispatch.StatusSuccess, "https://yard.example/x"}} {
		wanted.State = state.is
		if err := p.Post(t.Context(), wanted, state.target); err != nil {
			t.Fatal(err)
		}
		want = append(want, giteatest.Status{SHA: wanted.SHA, State: string(state.is), Context: "switchyard/build", Description: "succeeded in 12 s", TargetURL: state.target})
	}
	if diff := cmp.Diff(want, repo.Statuses()); diff != "" {
		t.Error(diff)
	}
}

func TestDescriptionIsOneShortLine(t *testing.T) {
	_, repo, p, wanted := setUp(t)
	wanted.Description = "a\n\x1b[2J" + strings.Repeat("é", 600)
	if err := p.Post(t.Context(), wanted, ""); err != nil {
		t.Fatal(err)
	}
	if got := repo.Statuses()[0].Description; len([]rune(got)) != 140 || strings.ContainsAny(got, "\n\x1b") {
		t.Errorf("%q", got)
	}
}

// The host would take a branch for a commit, and any word for a state.
func TestOnlyStatesOfCommitsAreSent(t *testing.T) {
	s, _, p, wanted := setUp(t)
	for name, change := range map[string]func(*dispatch.Status){
		"a branch":      func(w *dispatch.Status) { w.SHA = "main" },
		"a short ID":    func(w *dispatch.Status) { w.SHA = w.SHA[:10] },
		"a state":       func(w *dispatch.Status) { w.State = "cancelled" },
		"no state":      func(w *dispatch.Status) { w.State = "" },
		"another place": func(w *dispatch.Status) { w.Repository = "acme/.." },
	} {
		odd := wanted
		change(&odd)
		var permanent *dispatch.PermanentError
		if err := p.Post(t.Context(), odd, ""); !errors.As(err, &permanent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if calls := s.Calls(""); len(calls) > 0 {
		t.Errorf("the host was asked: %v", calls)
	}
}

func TestVerdicts(t *testing.T) {
	verdict := func(err error) string {
		switch {
		case err == nil:
			return "posted"
		case errors.As(err, new(*dispatch.PermanentError)):
			return "permanent"
		case errors.As(err, new(*status.RefusedError)):
			return "refused"
		case errors.As(err, new(*status.UnauthorizedError)):
			return "unauthorized"
		case errors.As(err, new(*dispatch.ThrottledError)):
			return "throttled"
		}
		return "again"
	}
	s, repo, p, wanted := setUp(t)
	with := func(change func(*dispatch.Status)) dispatch.Status {
		other := wanted
		change(&other)
		return other
	}
	unknown := with(func(w *dispatch.Status) { w.SHA = strings.Repeat("d", 40) })
	elsewhere := with(func(w *dispatch.Status) { w.Repository = "acme/other" })
	for name, row := range map[string]struct {
		p      *gitea.Poster
		wanted dispatch.Status
		want   string
	}{
		"good":                        {p, wanted, "posted"},
		"a token that is none":        {poster(t, s.URL, "another"), wanted, "unauthorized"},
		"no such commit":              {p, unknown, "permanent"},
		"no such repository yet":      {p, elsewhere, "refused"},
		"no such repository for long": {p, with(func(w *dispatch.Status) { w.Repository, w.WantedAt = "acme/other", now.Add(-25*time.Hour) }), "permanent"},
		"a host that is not there":    {poster(t, "http://127.0.0.1:1", token), wanted, "again"},
	} {
		if err := row.p.Post(t.Context(), row.wanted, ""); verdict(err) != row.want {
			t.Errorf("%s: %v, want %s", name, err, row.want)
		}
	}
	repo.Allow("bot", "read")
	if err := p.Post(t.Context(), wanted, ""); verdict(err) != "refused" || !strings.Contains(err.Error(), "write:repository") {
		t.Errorf("without write access: %v", err)
	}
	for code, want := range map[int]string{500: "again", 502: "again", 429: "throttled", 422: "permanent", 405: "refused"} {
		s.Fail(func(call string) int {
			if strings.HasPrefix(call, "POST") {
				return code
			}
			return 0
		})
		if err := p.Post(t.Context(), wanted, ""); verdict(err) != want {
			t.Errorf("%d: %v, want %s", code, err, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Post(ended, wanted, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// Statuses of a repository that was renamed reach it.
func TestRenamedRepositoryGetsItsStatuses(t *testing.T) {
	_, repo, p, wanted := setUp(t)
	repo.Rename("acme/service")
	if err := p.Post(t.Context(), wanted, ""); err != nil || len(repo.Statuses()) != 1 {
		t.Errorf("%v, %v", err, repo.Statuses())
	}
}

func TestLimits(t *testing.T) {
	if _, err := gitea.New(nil, gitea.Config{Limits: status.Limits{PerMinute: -1}}); err == nil {
		t.Error("limits below zero are taken")
	}
	own := status.Limits{PerHour: 7}
	for set, want := range map[status.Limits]status.Limits{{}: gitea.DefaultLimits, own: own} {
		if p, err := gitea.New(nil, gitea.Config{Limits: set}); err != nil || p.Limits() != want {
			t.Errorf("%+v: %v", set, err)
		}
	}
}
