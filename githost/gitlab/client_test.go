package gitlab_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/githost/gitlab"
	"switchyard/internal/gitlabtest"
)

func TestNewChecksItsConfig(t *testing.T) {
	for _, base := range []string{"ftp://h", "gitlab.example.com", "https://u:p@h", "https://h?x=1", "https://h#f", "://"} {
		if _, err := gitlab.New(gitlab.Config{BaseURL: base, Token: "t"}); err == nil {
			t.Errorf("base URL %s is taken", base)
		}
	}
	if _, err := gitlab.New(gitlab.Config{}); err == nil {
		t.Error("no token is taken")
	}
	for base, want := range map[string]string{
		"":                             "https://gitlab.com/api/v4/",
		"https://git.example.com/lab/": "https://git.example.com/lab/api/v4/",
		"https://h/api/v4":             "https://h/api/v4/",
	} {
		c, err := gitlab.New(gitlab.Config{BaseURL: base, Token: "t"})
		if err != nil || c.API().BaseURL().String() != want {
			t.Errorf("%s: %v, %v", base, c.API().BaseURL(), err)
		}
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	r := newRig(t)
	sha := r.Chain("main", 1)[0]
	ask := func() error {
		_, err := r.client.Commit(soon(t), "gitlab", name, sha)
		return err
	}
	r.Role = gitlabtest.Guest
	if err := ask(); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "sources.gitlab.token may not read commit") || !strings.Contains(err.Error(), "role Reporter") {
		t.Errorf("without the role: %v", err)
	}
	r.Role, r.server.Token.Scopes = gitlabtest.Developer, []string{"read_user"}
	if err := ask(); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "scope read_api") {
		t.Errorf("without the scope: %v", err)
	}
	r.server.Token.Expires = time.Now().Add(-time.Hour)
	if err := ask(); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "run out or been revoked") {
		t.Errorf("with a token that has run out: %v", err)
	}
	r.server.Close()
	var permanent *dispatch.PermanentError
	if err := ask(); err == nil || errors.As(err, &permanent) || errors.Is(err, dispatch.ErrCannotAsk) {
		t.Errorf("of a host that is down: %v", err)
	}
}

// Once GitLab says that no calls are left, none is made until there are more.
func TestBudgetIsKept(t *testing.T) {
	now := time.Date(2026, 11, 26, 8, 0, 10, 0, time.UTC)
	clock := func() time.Time { return now }
	r := newRig(t, gitlab.WithClock(clock))
	r.server.Now, r.server.Limit = clock, 3
	sha := r.Chain("main", 2)[1]
	ask := func() error {
		_, err := r.client.Commit(soon(t), "gitlab", name, sha)
		return err
	}
	if err := ask(); err != nil { // two calls
		t.Fatal(err)
	}
	var throttled *dispatch.ThrottledError
	if err := ask(); !errors.As(err, &throttled) || throttled.After != 51*time.Second {
		t.Fatalf("error %v, after %v", err, throttled.After)
	}
	made := len(r.server.Calls())
	if err := ask(); !errors.As(err, &throttled) || len(r.server.Calls()) != made {
		t.Errorf("error %v, and %d more calls", err, len(r.server.Calls())-made)
	}
	now = now.Add(52 * time.Second)
	if err := ask(); err != nil {
		t.Error(err)
	}
}

// What GitLab answers once a limit is passed, in the words of its Rack::Attack.
func TestTooManyRequests(t *testing.T) {
	for kind, row := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"Retry-After":     {map[string]string{"Retry-After": "30"}, 30 * time.Second},
		"RateLimit-Reset": {map[string]string{"RateLimit-Reset": "1764144060", "Date": "Wed, 26 Nov 2025 08:00:00 GMT"}, 61 * time.Second},
		"neither":         {nil, 0},
		"nonsense":        {map[string]string{"Retry-After": "-1", "RateLimit-Reset": "soon"}, 0},
	} {
		t.Run(kind, func(t *testing.T) {
			r := newRig(t)
			r.server.Intercept(func(string, string) *gitlabtest.Answer {
				return &gitlabtest.Answer{Status: http.StatusTooManyRequests, Header: row.header, Body: "Retry later"}
			})
			var throttled *dispatch.ThrottledError
			if _, err := r.client.Commit(soon(t), "", name, strings.Repeat("a", 40)); !errors.As(err, &throttled) || throttled.After != row.want {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A token goes to nobody else, and what is written to nowhere else.
func TestRedirects(t *testing.T) {
	r, stranger := newRig(t), gitlabtest.New(t)
	head := r.Chain("main", 1)[0]
	to := func(url string) {
		r.server.Intercept(func(_, path string) *gitlabtest.Answer {
			return &gitlabtest.Answer{Status: http.StatusMovedPermanently, Header: map[string]string{"Location": url + strings.Replace(path, "api%2F", "moved%2F", 1)}}
		})
	}
	to(stranger.URL)
	if _, err := r.client.CommitsSince(soon(t), name, head, time.Time{}); err == nil || !strings.Contains(err.Error(), "another host") {
		t.Errorf("error %v", err)
	}
	if calls := stranger.Calls(); len(calls) > 0 {
		t.Errorf("another host is called: %q", calls)
	}
	to("")
	if err := r.client.Comment(soon(t), name, 1, "x"); err == nil || !strings.Contains(err.Error(), "moved or renamed") {
		t.Errorf("error %v", err)
	}
	if calls := r.server.Calls(); len(calls) == 0 || !strings.HasPrefix(calls[len(calls)-1], "POST") {
		t.Errorf("the redirect of what writes was followed: %q", calls)
	}
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{name, "a/b", "a", "../a", "a/./b", "a//b", "a/b?x", "a/%2e%2e", "a/b\n", "é/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if gitlab.CheckName(s) == nil && (strings.ContainsAny(s, "?#%\\ \n\x00") || strings.Contains("/"+s+"/", "/../") || strings.Contains(s, "//") || !strings.Contains(s, "/")) {
			t.Errorf("%q passes for a project's name", s)
		}
	})
}
