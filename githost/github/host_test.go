package github

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/dispatch"
	"switchyard/internal/event"
	"switchyard/internal/githubtest"
	"switchyard/internal/gittest"
)

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
		set  func(*fixture)
		push *event.Event
		want []int
	}{
		"one page":           {push: pushed("main", 10, 15, 15, 15), want: between(11, 15)},
		"several pages":      {push: pushed("main", 10, 260, 256, 260), want: between(11, 260)},
		"exactly two pages":  {push: pushed("main", 10, 210, 210, 210), want: between(11, 210)},
		"one":                {push: pushed("main", 10, 11, 11, 11), want: []int{11}},
		"Gitea's order":      {set: func(f *fixture) { f.NewestFirst = true }, push: pushed("main", 10, 260, 256, 260), want: between(11, 260)},
		"back to an older":   {push: pushed("main", 20, 10, 10, 10), want: nil},
		"forced elsewhere":   {set: func(f *fixture) { f.chain("main", 501, 503, 8) }, push: pushed("main", 10, 503, 503, 503), want: []int{501, 502, 503}},
		"a merge":            {set: func(f *fixture) { f.chain("x", 501, 502, 5); f.chain("main", 503, 503, 20, 502) }, push: pushed("main", 20, 503, 503, 503), want: []int{501, 502, 503}},
		"a branch":           {set: func(f *fixture) { f.chain("topic/x", 501, 640, 300) }, push: pushed("topic/x", 0, 640, 636, 640), want: between(501, 640)},
		"a branch, no word":  {set: func(f *fixture) { f.chain("x", 501, 503, 300) }, push: withoutDefault(pushed("x", 0, 503, 503, 503)), want: between(501, 503)},
		"an orphaned branch": {set: func(f *fixture) { f.chain("pages", 501, 503) }, push: pushed("pages", 0, 503, 503, 503), want: between(501, 503)},
		"the first push":     {push: pushed("main", 0, 300, 296, 300), want: between(1, 300)},
		// Rewritten, and what was there before is gone; the delivery is as full
		// as can be and lacks the newest.
		"forced, full": {set: func(f *fixture) { f.chain("main", 1001, 3200, 8) }, push: full(pushed("main", 999, 3200, 1001, 3048)), want: between(1001, 3200)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.chain("main", 1, 300)
			if row.set != nil {
				row.set(f)
			}
			got, err := f.client().Commits(t.Context(), f.real(row.push))
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range got {
				if want := (event.Commit{SHA: c.SHA, Message: fmt.Sprint("commit ", f.nums[c.SHA]), MessageKnown: true, Author: "ada", AuthorEmail: "ada@example.test", URL: githubtest.WebURL + "/acme/api/commit/" + c.SHA, Distinct: true}); !cmp.Equal(c, want) {
					t.Fatalf("%+v, want %+v", c, want)
				}
			}
			if numbers := f.numbers(got); !slices.Equal(numbers, row.want) {
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
		set  func(*fixture)
		push *event.Event
		want string
	}{
		"the commit before is gone": {push: pushed("main", 999, 300, 300, 300), want: "no longer has commit"},
		"merged meanwhile":          {push: pushed("topic", 0, 200, 199, 200), want: "main has the commits of refs/heads/topic by now"},
		"no such repository":        {push: named(pushed("main", 10, 300, 300, 300), "acme/other"), want: "sources.work.token"},
		"no such repository, new":   {push: named(pushed("x", 0, 300, 300, 300), "acme/other"), want: "sources.work.token"},
		"head is gone":              {push: pushed("main", 10, 999, 999, 999), want: "No commit found"},
		"too many":                  {set: func(f *fixture) { f.chain("main", 301, 1402, 300) }, push: pushed("main", 300, 1402, 1402, 1402), want: "more than 1100 commits"},
		"too many at first":         {set: func(f *fixture) { f.chain("main", 301, 1201, 300) }, push: pushed("main", 0, 1201, 1201, 1201), want: "more than 1100 commits"},
		"not a repository":          {push: named(pushed("main", 10, 300, 300, 300), "../admin"), want: "owner/name"},
		"not a repository, dots":    {push: named(pushed("main", 10, 300, 300, 300), "acme/.."), want: "owner/name"},
		"not a commit":              {push: headless(pushed("main", 10, 300, 300, 300)), want: "not a commit ID"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.chain("main", 1, 300)
			if row.set != nil {
				row.set(f)
			}
			c := f.client()
			c.most = 1100
			_, err := c.Commits(t.Context(), f.real(row.push))
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
	f := newFixture(t)
	f.chain("main", 1, 2)
	f.Intercept(func(githubtest.Call) *githubtest.Answer {
		return &githubtest.Answer{Status: http.StatusOK, Body: `{"total_commits":400,"commits":[{"sha":"` + id(11) + `"}]}`}
	})
	_, err := f.client().Commits(t.Context(), f.real(pushed("main", 1, 2, 2, 2)))
	if !errors.As(err, new(*dispatch.PermanentError)) || !strings.Contains(err.Error(), "400 commits, of which the host lists 1") {
		t.Errorf("%v", err)
	}
}

func TestCommit(t *testing.T) {
	files := func(n int) map[string]string {
		all := map[string]string{}
		for i := range n {
			all[fmt.Sprintf("src/file%04d.go", i)] = "x"
		}
		return all
	}
	names := func(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }
	for name, row := range map[string]struct {
		before, files map[string]string
		stranger      bool
		paths         []string
		known         bool
	}{
		"some files":        {files: map[string]string{"a.go": "1", "b/c.go": "2"}, paths: []string{"a.go", "b/c.go"}, known: true},
		"renamed":           {before: map[string]string{"old.go": "text\n"}, files: map[string]string{"old.go": "", "new.go": "text\n"}, paths: []string{"old.go", "new.go"}, known: true},
		"removed":           {before: map[string]string{"old.go": "text\n"}, files: map[string]string{"old.go": ""}, paths: []string{"old.go"}, known: true},
		"no file":           {known: true},
		"nobody's login":    {files: map[string]string{"a.go": "1"}, stranger: true, paths: []string{"a.go"}, known: true},
		"a page and one":    {files: files(301), paths: names(files(301)), known: true},
		"as many as can be": {files: files(2999), paths: names(files(2999)), known: true},
		"more than 3,000":   {files: files(3100)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if row.stranger {
				f.repo.Login(gittest.AuthorEmail, "")
			}
			f.add("main", 1, gittest.Commit{Message: "first", Files: row.before}, gittest.Commit{Message: "second\n\nand why", Files: row.files})
			sha := f.shas[2]
			got, err := f.client().Commit(t.Context(), "work", "acme/api", sha)
			if err != nil {
				t.Fatal(err)
			}
			want := event.Commit{SHA: sha, Message: "second\n\nand why", MessageKnown: true, Author: "ada", AuthorEmail: gittest.AuthorEmail,
				URL: githubtest.WebURL + "/acme/api/commit/" + sha, Distinct: true, Paths: row.paths, PathsKnown: row.known}
			if row.stranger {
				want.Author = gittest.AuthorName
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	status := func(code int, message string, headers ...string) *githubtest.Answer {
		a := &githubtest.Answer{Status: code, Header: map[string]string{}, Body: fmt.Sprintf(`{"message":%q}`, message)}
		for i := 0; i < len(headers); i += 2 {
			a.Header[headers[i]] = headers[i+1]
		}
		return a
	}
	type verdict struct {
		cannotAsk, permanent, throttled bool
		after                           time.Duration
	}
	for name, row := range map[string]struct {
		answer *githubtest.Answer
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
		"not JSON":               {&githubtest.Answer{Status: 200, Body: "<html>"}, verdict{}, "invalid"},
		"a hostile message":      {&githubtest.Answer{Status: 500, Body: `{"message":"\u001b[2J` + strings.Repeat("x", 5000) + `"}`}, verdict{}, `\x1b[2J`},
		"the connection is lost": {&githubtest.Answer{}, verdict{}, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.Intercept(func(githubtest.Call) *githubtest.Answer { return row.answer })
			c := f.client(WithClock(func() time.Time { return now }))
			_, err := c.Commit(t.Context(), "work", "acme/api", id(1))
			if err == nil || !strings.Contains(err.Error(), row.text) || strings.Contains(err.Error(), githubtest.AnyToken) || strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 2000 {
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
	server := githubtest.New(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	server.Intercept(func(githubtest.Call) *githubtest.Answer {
		close(arrived)
		<-release
		return &githubtest.Answer{}
	})
	defer close(release)
	c, err := New(Config{Token: githubtest.AnyToken, BaseURL: server.Start()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Commits(ctx, pushed("main", 1, 2, 2, 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	key := githubtest.New(t).AddApp(nil).PrivateKey
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(elliptic256)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		cfg  Config
		want string
	}{
		"nothing":           {Config{}, "token or an app"},
		"both":              {Config{Token: "t", App: &App{ID: 1}}, "not both"},
		"no URL":            {Config{Token: "t", BaseURL: "host"}, "base URL"},
		"a user":            {Config{Token: "t", BaseURL: "https://me:secret@host/"}, "base URL"},
		"app, no key":       {Config{App: &App{ID: 1, PrivateKey: []byte("x")}}, "private_key"},
		"app, no ID":        {Config{App: &App{PrivateKey: key}}, "app id"},
		"app, another key":  {Config{App: &App{ID: 1, PrivateKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: other})}}, "RSA"},
		"app, a broken key": {Config{App: &App{ID: 1, PrivateKey: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}}, "RSA"},
	} {
		if _, err := New(row.cfg); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q in it", name, err, row.want)
		}
	}
}

// A repository that was renamed is found by its former name, also by what changes
// something.
func TestRenamedRepositoryIsFollowed(t *testing.T) {
	f := newFixture(t)
	f.chain("main", 1, 2)
	f.chain("topic", 3, 3, 2)
	n := f.repo.OpenPull("topic", "main")
	f.repo.Rename("acme/service")
	c := f.client()
	if got, err := c.Commit(t.Context(), "work", name, f.shas[2]); err != nil || got.SHA != f.shas[2] {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Comment(t.Context(), name, n, "hello"); err != nil || len(f.repo.Comments(n)) != 1 {
		t.Errorf("%v, %q", err, f.repo.Comments(n))
	}
}

// The token goes to the API and to no other host that a redirect names, nor
// does an App sign in there.
func TestTokenStaysWithTheHost(t *testing.T) {
	other, api := githubtest.New(t), githubtest.New(t)
	other.AddRepo("acme/api")
	app := api.AddApp(nil)
	there := strings.TrimSuffix(other.Start(), "/")
	api.Intercept(func(c githubtest.Call) *githubtest.Answer {
		return &githubtest.Answer{Status: http.StatusMovedPermanently, Header: map[string]string{"Location": there + c.Path}}
	})
	for name, cfg := range map[string]Config{"token": {Token: githubtest.AnyToken}, "app": {App: &App{ID: app.ID, PrivateKey: app.PrivateKey}}} {
		cfg.BaseURL = api.Start()
		c, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		before := len(other.Calls(""))
		_, err = c.Commit(t.Context(), "work", "acme/api", id(1))
		got := other.Calls("")[before:]
		if len(got) == 0 || err == nil {
			t.Errorf("%s: the redirect was not followed: %v", name, err)
		}
		for _, call := range got {
			if call.Token != "" {
				t.Errorf("%s: the other host got %q", name, call.Token)
			}
		}
	}
}
