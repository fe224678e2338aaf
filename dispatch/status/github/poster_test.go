package github

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	gogithub "github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
	"switchyard/internal/githubtest"
)

const sha = "9fceb02d0ae598e95dc970b74767f19372d61af8"

func wantedSince(t time.Time) dispatch.Status {
	s := wanted()
	s.WantedAt = t
	return s
}

func TestRepositoryThatStaysUnknownIsGivenUp(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	p := newStand(t).poster(t, WithClock(func() time.Time { return now }))
	permanent := new(dispatch.PermanentError)
	post := func(since time.Time) error {
		w := wantedSince(since)
		w.Repository = "acme/gone"
		return p.Post(t.Context(), w, "")
	}
	if err := post(now.Add(-23 * time.Hour)); err == nil || errors.As(err, &permanent) {
		t.Errorf("after 23 hours: %v", err)
	}
	if err := post(now.Add(-25 * time.Hour)); !errors.As(err, &permanent) {
		t.Errorf("after 25 hours: %v", err)
	}
}

func wanted() dispatch.Status {
	return dispatch.Status{Source: "github", Repository: "acme/api", SHA: sha, Context: "switchyard/build", State: dispatch.StatusSuccess, Description: "succeeded in 12 s"}
}

// stand is the stand-in of GitHub with one commit, and statusesOf the path of its
// statuses.
type stand struct {
	*githubtest.Server
	repo *githubtest.Repo
	sha  string
}

const statusesOf = "/repos/acme/api/statuses/"

func newStand(t *testing.T) *stand {
	t.Helper()
	s := &stand{Server: githubtest.New(t)}
	s.repo = s.AddRepo("acme/api")
	s.sha = s.repo.Chain("main", 1)[0]
	return s
}

// wanted is a status of the stand-in's commit.
func (s *stand) wanted() dispatch.Status {
	w := wanted()
	w.SHA = s.sha
	return w
}

// poster posts with the token that may do everything.
func (s *stand) poster(t *testing.T, opts ...Option) *Poster {
	t.Helper()
	host, err := githost.New(githost.Config{BaseURL: githubtest.BaseURL, Token: githubtest.AnyToken}, githost.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(host, Config{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bodies are what statuses were made of.
func (s *stand) bodies(t *testing.T) (all []map[string]any) {
	t.Helper()
	for _, c := range s.Calls("POST " + statusesOf) {
		var body map[string]any
		if err := json.Unmarshal([]byte(c.Body), &body); err != nil {
			t.Fatal(err)
		}
		all = append(all, body)
	}
	return all
}

func TestPosterCreatesStatus(t *testing.T) {
	s := newStand(t)
	host, err := githost.New(githost.Config{BaseURL: githubtest.BaseURL + "api/v3", Token: githubtest.AnyToken}, githost.WithTransport(s.Transport()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(host, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(t.Context(), s.wanted(), "https://yard.example/executions/x"); err != nil {
		t.Fatal(err)
	}
	unlinked := s.wanted()
	unlinked.State = dispatch.StatusPending
	if err := p.Post(t.Context(), unlinked, ""); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"state": "success", "context": "switchyard/build", "description": "succeeded in 12 s", "target_url": "https://yard.example/executions/x"},
		{"state": "pending", "context": "switchyard/build", "description": "succeeded in 12 s"},
	}
	if diff := cmp.Diff(want, s.bodies(t)); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if got := s.repo.Statuses(s.sha)["switchyard/build"]; got.State != "pending" {
		t.Errorf("the commit shows %+v", got)
	}
}

func TestPosterDefusesDescription(t *testing.T) {
	fake := newStand(t)
	p := fake.poster(t)
	for _, text := range []string{strings.Repeat("日", 500), "\x1b[31mred\nsecond line", "a\xffb", "<script>&\"'", strings.Repeat("x", 1<<20)} {
		s := fake.wanted()
		s.Description = text
		if err := p.Post(t.Context(), s, ""); err != nil {
			t.Fatal(err)
		}
	}
	posted := fake.bodies(t)
	for _, body := range posted {
		got := body["description"].(string)
		if n := utf8.RuneCountInString(got); n > 140 || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("description of %d characters: %.200q", n, got)
		}
	}
	if got := posted[0]["description"]; got != strings.Repeat("日", 139)+"…" {
		t.Errorf("cut description = %q", got)
	}
}

func TestPosterRefusesWithoutCalling(t *testing.T) {
	fake := newStand(t)
	p := fake.poster(t)
	rows := []struct{ name, repository, sha, want string }{
		{"no owner", "api", sha, "is not owner/name"},
		{"climbs", "../..", sha, "is not owner/name"},
		{"climbs from a repository", "acme/..", sha, "is not owner/name"},
		{"too many parts", "acme/api/../../user", sha, "is not owner/name"},
		{"query", "acme/api?x=", sha, "is not owner/name"},
		{"line break", "acme/api\n", sha, "is not owner/name"},
		{"escapes", "acme/%2e%2e", sha, "is not owner/name"},
		{"branch", "acme/api", "main", "is not a commit ID"},
		{"zeros and more", "acme/api", sha + "/../x", "is not a commit ID"},
		{"empty", "acme/api", "", "is not a commit ID"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := wanted()
			s.Repository, s.SHA = row.repository, row.sha
			err := p.Post(t.Context(), s, "")
			var permanent *dispatch.PermanentError
			if !errors.As(err, &permanent) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want a PermanentError with %q", err, row.want)
			}
		})
	}
	if got := fake.Calls(""); len(got) != 0 {
		t.Errorf("requests: %v", got)
	}
}

func TestPosterErrorsCarryVerdict(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	reset := strconv.FormatInt(now.Add(7*time.Minute).Unix(), 10)
	secondary := `{"message":"You have exceeded a secondary rate limit","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`
	rows := []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   string // permanent, refused, unauthorized, throttled or retryable
		after  time.Duration
	}{
		{"unknown commit", 422, nil, `{"message":"No commit found for SHA: ` + sha + `"}`, "permanent", 0},
		{"too many statuses", 422, nil, `{"message":"Validation Failed","errors":[{"message":"This SHA and context has reached the maximum number of statuses."}]}`, "permanent", 0},
		{"unknown repository, or one the token may not see", 404, nil, `{"message":"Not Found"}`, "refused", 0},
		{"gone", 410, nil, `{}`, "permanent", 0},
		{"not understood", 400, nil, `{"message":"Problems parsing JSON"}`, "permanent", 0},
		{"primary limit", 403, map[string]string{"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, `{"message":"API rate limit exceeded"}`, "throttled", 7*time.Minute + time.Second},
		{"primary limit as 429", 429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}, `{}`, "throttled", 7*time.Minute + time.Second},
		{"secondary limit", 403, map[string]string{"Retry-After": "61"}, secondary, "throttled", 61 * time.Second},
		{"secondary limit, no time", 403, nil, secondary, "throttled", 0},
		{"secondary limit by header alone", 403, map[string]string{"Retry-After": "30"}, `{"message":"slow down"}`, "throttled", 30 * time.Second},
		{"too many requests", 429, map[string]string{"Retry-After": "5"}, `{}`, "throttled", 5 * time.Second},
		{"too many requests, no time", 429, nil, `<html>`, "throttled", 0},
		{"maintenance with a time", 503, map[string]string{"Retry-After": "120"}, `{}`, "throttled", 2 * time.Minute},
		{"maintenance with a date", 503, map[string]string{"Retry-After": now.Add(time.Minute).UTC().Format(http.TimeFormat)}, `{}`, "throttled", time.Minute + time.Second},
		{"not allowed", 405, nil, `{}`, "refused", 0},
		{"unavailable", 503, nil, `<html>`, "retryable", 0},
		{"bad gateway", 502, nil, `<html>`, "retryable", 0},
		{"bad credentials", 401, nil, `{"message":"Bad credentials"}`, "unauthorized", 0},
		{"no permission", 403, nil, `{"message":"Resource not accessible by integration"}`, "refused", 0},
		{"accepted only", 202, nil, ``, "retryable", 0},
		{"not JSON", 201, nil, `<html>`, "retryable", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			fake := newStand(t)
			header := map[string]string{"Date": now.UTC().Format(http.TimeFormat)}
			maps.Copy(header, row.header)
			fake.Intercept(func(githubtest.Call) *githubtest.Answer {
				return &githubtest.Answer{Status: row.status, Header: header, Body: row.body}
			})
			// Our clock is an hour behind GitHub's.
			ours := now.Add(-time.Hour)
			p := fake.poster(t, WithClock(func() time.Time { return ours }))
			err := p.Post(t.Context(), wantedSince(ours), "")
			if err == nil {
				t.Fatal("no error")
			}
			var permanent *dispatch.PermanentError
			var throttled *dispatch.ThrottledError
			got, after := "retryable", time.Duration(0)
			switch {
			case errors.As(err, &permanent):
				got = "permanent"
			case errors.As(err, new(*status.RefusedError)):
				got = "refused"
			case errors.As(err, new(*status.UnauthorizedError)):
				got = "unauthorized"
			case errors.As(err, &throttled):
				got, after = "throttled", throttled.After
			}
			if got != row.want || after != row.after {
				t.Errorf("%v is %s after %v, want %s after %v", err, got, after, row.want, row.after)
			}
			if !strings.Contains(err.Error(), sha) || !strings.Contains(err.Error(), "acme/api") {
				t.Errorf("error %q does not say of what", err)
			}
			var leak *gogithub.ErrorResponse
			if errors.As(err, &leak) {
				t.Error("go-github's types leak")
			}
		})
	}
}

func TestPosterUnreachableHostIsRetryable(t *testing.T) {
	fake := newStand(t)
	fake.Intercept(func(githubtest.Call) *githubtest.Answer { return &githubtest.Answer{} })
	err := fake.poster(t).Post(t.Context(), fake.wanted(), "")
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) || strings.Contains(err.Error(), githubtest.AnyToken) {
		t.Errorf("error = %v, want a retryable one without the token", err)
	}
}

func TestPosterHangingHostEndsWithContext(t *testing.T) {
	fake := newStand(t)
	base := fake.Start()
	arrived, release := make(chan struct{}), make(chan struct{})
	fake.Intercept(func(githubtest.Call) *githubtest.Answer {
		close(arrived)
		<-release
		return &githubtest.Answer{}
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if err := overTheNetwork(t, base).Post(ctx, fake.wanted(), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

// overTheNetwork posts to a stand-in that listens on a port.
func overTheNetwork(t *testing.T, base string) *Poster {
	t.Helper()
	host, err := githost.New(githost.Config{BaseURL: base, Token: githubtest.AnyToken})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(host, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPosterKeepsTokenFromOtherHosts(t *testing.T) {
	fake, other := newStand(t), newStand(t)
	there := other.Start()
	fake.Intercept(func(c githubtest.Call) *githubtest.Answer {
		return &githubtest.Answer{Status: http.StatusTemporaryRedirect, Header: map[string]string{"Location": strings.TrimSuffix(there, "/") + c.Path}}
	})
	err := overTheNetwork(t, fake.Start()).Post(t.Context(), fake.wanted(), "")
	if got := other.Calls("POST"); err == nil || len(got) != 1 || got[0].Token != "" {
		t.Errorf("the other host was sent %+v, want no authorisation; %v", got, err)
	}
}

func TestPosterFollowsRenamedRepository(t *testing.T) {
	fake := newStand(t)
	fake.repo.Rename("acme/service")
	if err := fake.poster(t).Post(t.Context(), fake.wanted(), ""); err != nil {
		t.Fatal(err)
	}
	if got := fake.repo.Statuses(fake.sha)["switchyard/build"]; got.State != "success" {
		t.Errorf("the commit shows %+v", got)
	}
}

func TestPosterLimits(t *testing.T) {
	host, err := githost.New(githost.Config{Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	own := status.Limits{PerMinute: 10}
	for _, row := range []struct{ set, want status.Limits }{{status.Limits{}, status.Limits{PerMinute: 80, PerHour: 500, Concurrent: 4}}, {own, own}} {
		p, err := New(host, Config{Limits: row.set})
		if err != nil || p.Limits() != row.want {
			t.Errorf("limits = %+v, %v, want %+v", p.Limits(), err, row.want)
		}
	}
	if _, err := New(host, Config{Limits: status.Limits{PerHour: -1}}); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("New = %v", err)
	}
}
