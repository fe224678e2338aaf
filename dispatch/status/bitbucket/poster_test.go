package bitbucket_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	"switchyard/dispatch/status/bitbucket"
	githost "switchyard/githost/bitbucket"
	"switchyard/internal/bitbuckettest"
)

// start has a stand-in, which enforces what the API takes, with a commit.
func start(t *testing.T, opts ...bitbucket.Option) (*bitbuckettest.Server, *bitbuckettest.Repo, *bitbucket.Poster, dispatch.Status) {
	t.Helper()
	s := bitbuckettest.NewCloud(t)
	r := s.AddRepo("acme/app")
	host, err := githost.New(githost.Config{Source: "bb", Token: bitbuckettest.Token}, githost.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := bitbucket.New(host, bitbucket.Config{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s, r, p, dispatch.Status{
		Source: "bb", Repository: "acme/app", SHA: r.Chain("main", 1)[0], Context: "switchyard/build", State: dispatch.StatusPending,
		Description: "Running", Ref: "refs/heads/main", WantedAt: time.Now(),
	}
}

func TestStatusTakesTheOthersPlace(t *testing.T) {
	_, r, p, s := start(t)
	for state, word := range map[dispatch.StatusState]string{dispatch.StatusPending: "INPROGRESS", dispatch.StatusSuccess: "SUCCESSFUL", dispatch.StatusFailure: "FAILED", dispatch.StatusError: "FAILED"} {
		s.State = state
		if err := p.Post(t.Context(), s, "https://yard.example.test/executions/x"); err != nil {
			t.Fatal(err)
		}
		want := []map[string]any{{"key": "switchyard/build", "name": "switchyard/build", "state": word, "description": "Running", "url": "https://yard.example.test/executions/x"}}
		if diff := cmp.Diff(want, r.Statuses(s.SHA)); diff != "" {
			t.Error(diff)
		}
	}
	// Without a page of ours, and with one that is none, it leads to the commit's.
	for _, target := range []string{"", "javascript:alert(1)", "https://yard.example.test/" + strings.Repeat("x", 1024)} {
		if err := p.Post(t.Context(), s, target); err != nil || r.Statuses(s.SHA)[0]["url"] != "https://bitbucket.org/acme/app/commits/"+s.SHA {
			t.Error(r.Statuses(s.SHA), err)
		}
	}
}

func TestLongContextsKeepTheirOwnKeys(t *testing.T) {
	_, r, p, s := start(t)
	for _, env := range []string{"dev-feature-a-very-long-name-one", "dev-feature-a-very-long-name-two"} {
		for range 2 {
			s.Context = dispatch.StatusContext("branches", env)
			s.Description = strings.Repeat("é\n", 300)
			if err := p.Post(t.Context(), s, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := r.Statuses(s.SHA)
	if len(all) != 2 || all[0]["key"] == all[1]["key"] || all[1]["name"] != s.Context {
		t.Error(all)
	}
}

func TestVerdicts(t *testing.T) {
	for name, row := range map[string]struct {
		status    int
		age       time.Duration
		permanent bool
		refused   bool
		unknown   bool
		throttled bool
	}{
		"invalid":        {status: 400, permanent: true},
		"unknown token":  {status: 401, unknown: true},
		"not allowed":    {status: 403, refused: true},
		"not there yet":  {status: 404, refused: true},
		"never there":    {status: 404, age: 25 * time.Hour, permanent: true},
		"another's":      {status: 409, refused: true},
		"too many":       {status: 429, throttled: true},
		"not well":       {status: 502},
		"not available":  {status: 503},
		"gone":           {status: 410, permanent: true},
		"no such method": {status: 405, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, _, p, wanted := start(t)
			wanted.WantedAt = wanted.WantedAt.Add(-row.age)
			s.Intercept(func(bitbuckettest.Call) *bitbuckettest.AnswerError {
				return &bitbuckettest.AnswerError{Status: row.status, Message: "no\x1b[31m"}
			})
			err := p.Post(t.Context(), wanted, "")
			if errors.As(err, new(*dispatch.PermanentError)) != row.permanent || errors.As(err, new(*status.RefusedError)) != row.refused ||
				errors.As(err, new(*status.UnauthorizedError)) != row.unknown || errors.As(err, new(*dispatch.ThrottledError)) != row.throttled {
				t.Errorf("%T %v", err, err)
			}
			if err == nil || strings.Contains(err.Error(), "\x1b") {
				t.Error(err)
			}
		})
	}
	_, _, p, wanted := start(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Post(ended, wanted, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wanted.Repository = "../x"
	if err := p.Post(t.Context(), wanted, ""); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	wanted.Repository, wanted.SHA = "acme/app", "930cbdc6323f"
	if err := p.Post(t.Context(), wanted, ""); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
}

// A commit that the repository does not have, such as a fork's, holds up no other.
func TestCommitThatIsNotThereIsGivenUp(t *testing.T) {
	_, _, p, s := start(t)
	s.SHA = strings.Repeat("ab", 20)
	if err := p.Post(t.Context(), s, ""); !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "fork") {
		t.Error(err)
	}
	s.Repository = strings.Replace(s.Repository, "app", "gone", 1)
	if err := p.Post(t.Context(), s, ""); !errors.As(err, new(*status.RefusedError)) {
		t.Error(err)
	}
}

func TestNewRefusesBadLimits(t *testing.T) {
	if _, err := bitbucket.New(nil, bitbucket.Config{}); err == nil {
		t.Error("no host passed")
	}
	_, _, p, _ := start(t)
	if p.Limits() != (status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}) {
		t.Error(p.Limits())
	}
	host, err := githost.New(githost.Config{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bitbucket.New(host, bitbucket.Config{Limits: status.Limits{PerHour: -1}}); err == nil {
		t.Error("negative limits passed")
	}
}
