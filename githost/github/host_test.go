package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

func newClient(t *testing.T, f *fakeHost, opts ...Option) *Client {
	t.Helper()
	c, err := New(Config{Source: "work", BaseURL: f.URL, Token: "t0ken"}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushed is a push of which the delivery lists the commits from first to last.
func pushed(branch string, before, after, first, last int) *event.Event {
	ev := &event.Event{Source: "work", Kind: event.Push, Ref: "refs/heads/" + branch, After: id(after), Truncated: true,
		Repository: event.Repository{FullName: "acme/api", DefaultBranch: "main"}}
	if before > 0 {
		ev.Before = id(before)
	}
	for n := first; n <= last; n++ {
		ev.Commits = append(ev.Commits, event.Commit{SHA: id(n)})
	}
	return ev
}

func between(first, last int) (all []int) {
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

func TestCommitsOfAPush(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(*fakeHost)
		push *event.Event
		want []int
	}{
		"one page":           {push: pushed("main", 10, 15, 15, 15), want: between(11, 15)},
		"several pages":      {push: pushed("main", 10, 260, 256, 260), want: between(11, 260)},
		"exactly two pages":  {push: pushed("main", 10, 210, 210, 210), want: between(11, 210)},
		"one":                {push: pushed("main", 10, 11, 11, 11), want: []int{11}},
		"Gitea's order":      {set: func(f *fakeHost) { f.newestFirst = true }, push: pushed("main", 10, 260, 256, 260), want: between(11, 260)},
		"back to an older":   {push: pushed("main", 20, 10, 10, 10), want: nil},
		"forced elsewhere":   {set: func(f *fakeHost) { f.chain("main", 501, 503, 8) }, push: pushed("main", 10, 503, 503, 503), want: []int{501, 502, 503}},
		"a merge":            {set: func(f *fakeHost) { f.chain("x", 501, 502, 5); f.chain("main", 503, 503, 20, 502) }, push: pushed("main", 20, 503, 503, 503), want: []int{501, 502, 503}},
		"a branch":           {set: func(f *fakeHost) { f.chain("topic/x", 501, 640, 300) }, push: pushed("topic/x", 0, 640, 636, 640), want: between(501, 640)},
		"a branch, no word":  {set: func(f *fakeHost) { f.chain("x", 501, 503, 300) }, push: withoutDefault(pushed("x", 0, 503, 503, 503)), want: between(501, 503)},
		"an orphaned branch": {set: func(f *fakeHost) { f.chain("pages", 501, 503) }, push: pushed("pages", 0, 503, 503, 503), want: between(501, 503)},
		"the first push":     {push: pushed("main", 0, 300, 296, 300), want: between(1, 300)},
		// Rewritten, and what was there before is gone; the delivery is as full
		// as can be and lacks the newest.
		"forced, full": {set: func(f *fakeHost) { f.chain("main", 1001, 3200, 8) }, push: full(pushed("main", 999, 3200, 1001, 3048)), want: between(1001, 3200)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost(t)
			f.chain("main", 1, 300)
			if row.set != nil {
				row.set(f)
			}
			got, err := newClient(t, f).Commits(t.Context(), row.push)
			if err != nil {
				t.Fatal(err)
			}
			var numbers []int
			for _, c := range got {
				n, _ := strconv.ParseInt(c.SHA, 16, 64)
				numbers = append(numbers, int(n))
				if want := (event.Commit{SHA: c.SHA, Message: fmt.Sprint("commit ", n), MessageKnown: true, Author: "ada", AuthorEmail: "ada@example.test", URL: "https://host/c/" + c.SHA, Distinct: true}); !cmp.Equal(c, want) {
					t.Fatalf("%+v, want %+v", c, want)
				}
			}
			if !slices.Equal(numbers, row.want) {
				t.Errorf("%v, want %v", numbers, row.want)
			}
		})
	}
}

func withoutDefault(ev *event.Event) *event.Event {
	ev.Repository.DefaultBranch = ""
	return ev
}

func full(ev *event.Event) *event.Event {
	ev.Commits = append(ev.Commits, event.Commit{SHA: ev.After})
	return ev
}

func TestCommitsThatCannotBeTold(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(*fakeHost)
		push *event.Event
		want string
	}{
		"the commit before is gone": {push: pushed("main", 999, 300, 300, 300), want: "no longer has commit"},
		"merged meanwhile":          {push: pushed("topic", 0, 200, 199, 200), want: "main has the commits of refs/heads/topic by now"},
		"no such repository":        {push: named(pushed("main", 10, 300, 300, 300), "acme/other"), want: "sources.work.token"},
		"no such repository, new":   {push: named(pushed("x", 0, 300, 300, 300), "acme/other"), want: "sources.work.token"},
		"head is gone":              {push: pushed("main", 10, 999, 999, 999), want: "no such repository or commit"},
		"too many":                  {set: func(f *fakeHost) { f.chain("main", 301, 10_400, 300) }, push: pushed("main", 300, 10_400, 10_400, 10_400), want: "more than 10000"},
		"too many at first":         {set: func(f *fakeHost) { f.chain("main", 301, 10_200, 300) }, push: pushed("main", 0, 10_200, 10_200, 10_200), want: "more than 10000"},
		"not a repository":          {push: named(pushed("main", 10, 300, 300, 300), "../admin"), want: "owner/name"},
		"not a repository, dots":    {push: named(pushed("main", 10, 300, 300, 300), "acme/.."), want: "owner/name"},
		"not a commit":              {push: headless(pushed("main", 10, 300, 300, 300)), want: "not a commit ID"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost(t)
			f.chain("main", 1, 300)
			if row.set != nil {
				row.set(f)
			}
			_, err := newClient(t, f).Commits(t.Context(), row.push)
			if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want a permanent error with %q", err, row.want)
			}
		})
	}
}

func named(ev *event.Event, repository string) *event.Event {
	ev.Repository.FullName = repository
	return ev
}

func headless(ev *event.Event) *event.Event {
	ev.After = "main"
	return ev
}

// A host that does not page comparisons, as before GitHub Enterprise Server 3.1,
// lists 250 commits.
func TestComparisonThatEndsEarly(t *testing.T) {
	f := newFakeHost(t)
	f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `{"total_commits":400,"commits":[{"sha":%q}]}`, id(11))
		return true
	}
	_, err := newClient(t, f).Commits(t.Context(), pushed("main", 10, 300, 300, 300))
	if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "400 commits, of which the host lists 1") {
		t.Errorf("%v", err)
	}
}

func TestCommit(t *testing.T) {
	files := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("src/file%04d.go", i))
		}
		return all
	}
	for name, row := range map[string]struct {
		files []string
		login string
		paths []string
		known bool
	}{
		"some files":        {files: []string{"a.go", "b/c.go"}, login: "ada", paths: []string{"a.go", "b/c.go"}, known: true},
		"renamed":           {files: []string{"old.go => new.go"}, login: "ada", paths: []string{"old.go", "new.go"}, known: true},
		"no file":           {login: "ada", known: true},
		"nobody's login":    {files: []string{"a.go"}, paths: []string{"a.go"}, known: true},
		"a page and one":    {files: files(301), login: "ada", paths: files(301), known: true},
		"as many as can be": {files: files(2999), login: "ada", paths: files(2999), known: true},
		"3,000":             {files: files(3000), login: "ada"},
		"more than 3,000":   {files: files(4000), login: "ada"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost(t)
			f.chain("main", 1, 1)
			f.commits[id(1)].files, f.commits[id(1)].login = row.files, row.login
			got, err := newClient(t, f).Commit(t.Context(), "work", "acme/api", id(1))
			if err != nil {
				t.Fatal(err)
			}
			want := event.Commit{SHA: id(1), Message: "commit 1", MessageKnown: true, Author: row.login, AuthorEmail: "ada@example.test",
				URL: "https://host/c/" + id(1), Distinct: true, Paths: row.paths, PathsKnown: row.known}
			if row.login == "" {
				want.Author = "Ada L."
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	status := func(code int, message string, headers ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			return json.NewEncoder(w).Encode(object{"message": message}) == nil
		}
	}
	type verdict struct {
		cannotAsk, permanent, throttled bool
		after                           time.Duration
	}
	for name, row := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		want   verdict
		text   string
	}{
		"401":                    {status(401, "Bad credentials"), verdict{cannotAsk: true}, "sources.work.token"},
		"403":                    {status(403, "Resource not accessible by personal access token"), verdict{cannotAsk: true}, `"Contents: read"`},
		"404":                    {status(404, "Not Found"), verdict{permanent: true}, "may not see it"},
		"409":                    {status(409, "Git Repository is empty."), verdict{permanent: true}, "empty"},
		"451":                    {status(451, "Repository access blocked"), verdict{permanent: true}, "blocked"},
		"429":                    {status(429, "slow down", "Retry-After", "17"), verdict{throttled: true, after: 17 * time.Second}, "slow down"},
		"403 with Retry-After":   {status(403, "secondary rate limit", "Retry-After", "60"), verdict{throttled: true, after: time.Minute}, "secondary"},
		"403 of the rate limit":  {status(403, "API rate limit exceeded", "X-RateLimit-Remaining", "0", "X-RateLimit-Limit", "5000", "X-RateLimit-Reset", fmt.Sprint(now.Unix()+30), "Date", now.UTC().Format(http.TimeFormat)), verdict{throttled: true, after: 31 * time.Second}, "rate limit"},
		"500":                    {status(500, "oops"), verdict{}, "oops"},
		"503":                    {status(503, "maintenance"), verdict{}, "maintenance"},
		"503 with Retry-After":   {status(503, "maintenance", "Retry-After", "5"), verdict{throttled: true, after: 5 * time.Second}, "maintenance"},
		"not JSON":               {func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }, verdict{}, "invalid"},
		"a hostile message":      {status(500, "\x1b[2J"+strings.Repeat("x", 5000)), verdict{}, `\x1b[2J`},
		"the connection is lost": {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, verdict{}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost(t)
			f.answer = row.answer
			c := newClient(t, f, WithClock(func() time.Time { return now }))
			_, err := c.Commit(t.Context(), "work", "acme/api", id(1))
			if err == nil || !strings.Contains(err.Error(), row.text) || strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 2000 {
				t.Errorf("%v, want %q in it", err, row.text)
			}
			var throttled *dispatch.ThrottledError
			got := verdict{cannotAsk: errors.Is(err, dispatch.ErrCannotAsk), permanent: errors.As(err, new(*dispatch.PermanentError)), throttled: errors.As(err, &throttled)}
			if throttled != nil {
				got.after = throttled.After
			}
			if got != row.want {
				t.Errorf("%+v, want %+v: %v", got, row.want, err)
			}
		})
	}
}

func TestCallsEndWithTheContext(t *testing.T) {
	f := newFakeHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	f.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		cancel()
		<-r.Context().Done()
		return true
	}
	if _, err := newClient(t, f).Commits(ctx, pushed("main", 1, 2, 2, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, row := range map[string]struct {
		cfg  Config
		want string
	}{
		"nothing":     {Config{}, "token or an app"},
		"both":        {Config{Token: "t", App: &App{ID: 1}}, "not both"},
		"no URL":      {Config{Token: "t", BaseURL: "host"}, "base URL"},
		"a user":      {Config{Token: "t", BaseURL: "https://me:secret@host/"}, "base URL"},
		"app, no key": {Config{App: &App{ID: 1, PrivateKey: []byte("x")}}, "private_key"},
		"app, no ID":  {Config{App: &App{PrivateKey: testKey(t)}}, "app id"},
	} {
		if _, err := New(row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q in it", name, err, row.want)
		}
	}
}

// The token goes to the API and to no other host that a redirect names.
func TestTokenStaysWithTheHost(t *testing.T) {
	other := newFakeHost(t)
	other.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if a := r.Header.Get("Authorization"); a != "" {
			t.Errorf("the other host got %q", a)
		}
		fmt.Fprintf(w, `{"sha":%q}`, id(1))
		return true
	}
	f := newFakeHost(t)
	f.answer = func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusMovedPermanently)
		return true
	}
	if _, err := newClient(t, f).Commit(t.Context(), "work", "acme/api", id(1)); err != nil {
		t.Error(err)
	}
}
