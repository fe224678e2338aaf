package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	gogithub "github.com/google/go-github/v60/github"

	"switchyard/dispatch"
	"switchyard/dispatch/status"
	githost "switchyard/githost/github"
)

const sha = "9fceb02d0ae598e95dc970b74767f19372d61af8"

func wantedSince(t time.Time) dispatch.Status {
	s := wanted()
	s.WantedAt = t
	return s
}

func TestRepositoryThatStaysUnknownIsGivenUp(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	fake := newFake(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"}, WithClock(func() time.Time { return now }))
	permanent := new(dispatch.PermanentError)
	if err := p.Post(t.Context(), wantedSince(now.Add(-23*time.Hour)), ""); err == nil || errors.As(err, &permanent) {
		t.Errorf("after 23 hours: %v", err)
	}
	if err := p.Post(t.Context(), wantedSince(now.Add(-25*time.Hour)), ""); !errors.As(err, &permanent) {
		t.Errorf("after 25 hours: %v", err)
	}
}

func wanted() dispatch.Status {
	return dispatch.Status{Source: "github", Repository: "acme/api", SHA: sha, Context: "switchyard/build", State: dispatch.StatusSuccess, Description: "succeeded in 12 s"}
}

// fakeGitHub keeps the requests it gets and lets a test answer them.
type fakeGitHub struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

type request struct {
	Method, Path, Authorization string
	Body                        map[string]any
}

func newFake(t *testing.T, answer http.HandlerFunc) *fakeGitHub {
	t.Helper()
	f := &fakeGitHub{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		got := request{Method: r.Method, Path: r.URL.EscapedPath(), Authorization: r.Header.Get("Authorization")}
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &got.Body); err != nil {
				t.Errorf("request body is not JSON: %v", err)
			}
		}
		f.mu.Lock()
		f.requests = append(f.requests, got)
		f.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeGitHub) seen() []request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

func created(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusCreated)
	fmt.Fprint(w, `{"id":1}`)
}

func newPoster(t *testing.T, cfg githost.Config, opts ...Option) *Poster {
	t.Helper()
	host, err := githost.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(host, Config{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPosterCreatesStatus(t *testing.T) {
	fake := newFake(t, created)
	p := newPoster(t, githost.Config{BaseURL: fake.URL + "/api/v3", Token: "t0ken"})
	if err := p.Post(t.Context(), wanted(), "https://yard.example/executions/x"); err != nil {
		t.Fatal(err)
	}
	unlinked := wanted()
	unlinked.State = dispatch.StatusPending
	if err := p.Post(t.Context(), unlinked, ""); err != nil {
		t.Fatal(err)
	}
	path := "/api/v3/repos/acme/api/statuses/" + sha
	want := []request{
		{"POST", path, "Bearer t0ken", map[string]any{"state": "success", "context": "switchyard/build", "description": "succeeded in 12 s", "target_url": "https://yard.example/executions/x"}},
		{"POST", path, "Bearer t0ken", map[string]any{"state": "pending", "context": "switchyard/build", "description": "succeeded in 12 s"}},
	}
	if diff := cmp.Diff(want, fake.seen()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestPosterDefusesDescription(t *testing.T) {
	fake := newFake(t, created)
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"})
	for _, text := range []string{strings.Repeat("日", 500), "\x1b[31mred\nsecond line", "a\xffb", "<script>&\"'", strings.Repeat("x", 1<<20)} {
		s := wanted()
		s.Description = text
		if err := p.Post(t.Context(), s, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range fake.seen() {
		got := r.Body["description"].(string)
		if n := utf8.RuneCountInString(got); n > 140 || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("description of %d characters: %.200q", n, got)
		}
	}
	if got := fake.seen()[0].Body["description"]; got != strings.Repeat("日", 139)+"…" {
		t.Errorf("cut description = %q", got)
	}
}

func TestPosterRefusesWithoutCalling(t *testing.T) {
	fake := newFake(t, created)
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"})
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
	if got := fake.seen(); len(got) != 0 {
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
			fake := newFake(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
				for k, v := range row.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(row.status)
				fmt.Fprint(w, row.body)
			})
			// Our clock is an hour behind GitHub's.
			ours := now.Add(-time.Hour)
			p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"}, WithClock(func() time.Time { return ours }))
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
	fake := newFake(t, created)
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "s3cret"})
	fake.Close()
	err := p.Post(t.Context(), wanted(), "")
	var permanent *dispatch.PermanentError
	if err == nil || errors.As(err, &permanent) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v, want a retryable one without the token", err)
	}
}

func TestPosterHangingHostEndsWithContext(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	fake := newFake(t, func(http.ResponseWriter, *http.Request) { close(arrived); <-release })
	defer close(release)
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if err := p.Post(ctx, wanted(), ""); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want the context's", err)
	}
}

func TestPosterKeepsTokenFromOtherHosts(t *testing.T) {
	other := newFake(t, created)
	fake := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "s3cret"})
	if err := p.Post(t.Context(), wanted(), ""); err != nil {
		t.Fatal(err)
	}
	if got := other.seen(); len(got) != 1 || got[0].Authorization != "" {
		t.Errorf("the other host was sent %+v, want no authorisation", got)
	}
}

func TestPosterFollowsRenamedRepository(t *testing.T) {
	fake := newFake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/repos/acme/") {
			http.Redirect(w, r, "/repositories/1/statuses/"+sha, http.StatusTemporaryRedirect)
			return
		}
		created(w, r)
	})
	p := newPoster(t, githost.Config{BaseURL: fake.URL, Token: "t"})
	if err := p.Post(t.Context(), wanted(), ""); err != nil {
		t.Fatal(err)
	}
	if got := fake.seen(); len(got) != 2 || got[1].Method != http.MethodPost || got[1].Authorization != "Bearer t" || got[1].Body["state"] != "success" {
		t.Errorf("requests: %+v", got)
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
