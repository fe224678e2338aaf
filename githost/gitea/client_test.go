package gitea_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"switchyard/dispatch"
	"switchyard/githost/gitea"
	"switchyard/internal/event"
	"switchyard/internal/giteatest"
)

const (
	token = "token-of-the-bot"
	name  = "acme/api"
)

// fixture is a host with one repository, and a client of a user who may write to
// it.
type fixture struct {
	*giteatest.Repo
	s *giteatest.Server
	c *gitea.Client
}

func setUp(t *testing.T, scopes ...string) *fixture {
	t.Helper()
	s := giteatest.New(t)
	if scopes == nil {
		scopes = []string{"write:repository", "write:issue", "read:user"}
	}
	s.AddToken(giteatest.Token{Text: token, Login: "bot", Scopes: scopes})
	repo := s.AddRepo(name)
	repo.Private = true
	repo.Allow("bot", "admin")
	return &fixture{repo, s, client(t, s.URL, token)}
}

func client(t *testing.T, address, token string) *gitea.Client {
	t.Helper()
	c, err := gitea.New(gitea.Config{Source: "forge", BaseURL: address, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewChecks(t *testing.T) {
	for _, cfg := range []gitea.Config{
		{BaseURL: "", Token: "t"}, {BaseURL: "https://", Token: "t"}, {BaseURL: "ftp://h", Token: "t"}, {BaseURL: "https://u:p@h", Token: "t"},
		{BaseURL: "https://h?x=1", Token: "t"}, {BaseURL: "https://h"},
	} {
		if _, err := gitea.New(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestBaseURLMayBeThatOfTheAPI(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 1)
	for _, address := range []string{f.s.URL + "/", f.s.URL + "/api/v1", f.s.URL + "/api/v1/"} {
		c := client(t, address, token)
		if got, err := c.Commit(t.Context(), "forge", name, ids[0]); err != nil || got.SHA != ids[0] {
			t.Errorf("%s: %+v, %v", address, got, err)
		}
		if refs, err := c.Refs(t.Context(), name); err != nil || refs["refs/heads/main"] != ids[0] {
			t.Errorf("%s: %v, %v", address, refs, err)
		}
	}
}

// Wherever the host sends us on to, the token stays.
func TestTokenGoesToNoOtherHost(t *testing.T) {
	var mu sync.Mutex
	var got []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Method+" "+r.Header.Get("Authorization"))
	}))
	defer other.Close()
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			t.Errorf("%s %s without the token", r.Method, r.URL)
		}
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusMovedPermanently)
	}))
	defer host.Close()
	c := client(t, host.URL, token)
	_, err := c.Commit(t.Context(), "forge", name, strings.Repeat("a", 40))
	if err == nil || !strings.Contains(err.Error(), "base_url") {
		t.Errorf("%v, want one that names base_url", err)
	}
	_, refsErr := c.Refs(t.Context(), name)
	for what, err := range map[string]error{"comment": c.Comment(t.Context(), name, 1, "x"), "hook": c.TestHook(t.Context(), name, "1"), "refs": refsErr} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if len(got) > 0 {
		t.Errorf("the other host was asked: %q", got)
	}
}

// A repository that was renamed is found by its former name, also by what changes
// something.
func TestRenamedRepositoryIsFollowed(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 1)
	f.Chain("topic", 1)
	f.OpenPull(f.Repo, "topic", "main", "t", "ada")
	f.Rename("acme/service")
	if c, err := f.c.Commit(t.Context(), "forge", name, ids[0]); err != nil || c.SHA != ids[0] {
		t.Errorf("%+v, %v", c, err)
	}
	if refs, err := f.c.Refs(t.Context(), name); err != nil || refs["refs/heads/main"] != ids[0] {
		t.Errorf("%v, %v", refs, err)
	}
	if err := f.c.Comment(t.Context(), name, 1, "hello"); err != nil || len(f.Comments()) != 1 {
		t.Errorf("%v, %v", err, f.Comments())
	}
}

func TestNamesLeadNowhereElse(t *testing.T) {
	f := setUp(t)
	f.Chain("main", 1)
	for _, bad := range []string{"", "acme", "acme/api/x", "../api", "acme/..", "acme/a?b", "acme/%2e%2e", "acme/api#x", "a b/c"} {
		_, err := f.c.Commit(t.Context(), "forge", bad, strings.Repeat("a", 40))
		var permanent *dispatch.PermanentError
		if !errors.As(err, &permanent) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err = f.c.Refs(t.Context(), bad); !errors.As(err, &permanent) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "main", "HEAD", "--all", "../x", strings.Repeat("A", 40)} {
		_, err := f.c.Commit(t.Context(), "forge", name, bad)
		var permanent *dispatch.PermanentError
		if !errors.As(err, &permanent) {
			t.Errorf("commit %q: %v", bad, err)
		}
	}
	if calls := f.s.Calls(""); len(calls) > 0 {
		t.Errorf("the host was asked: %v", calls)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	sha := strings.Repeat("a", 40)
	ask := func(c *gitea.Client) error {
		_, err := c.Commit(t.Context(), "forge", name, sha)
		return err
	}
	var permanent *dispatch.PermanentError
	var throttled *dispatch.ThrottledError
	f := setUp(t)
	f.Chain("main", 1)
	if err := ask(client(t, f.s.URL, "another")); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "sources.forge.token") {
		t.Errorf("a token that is none: %v", err)
	}
	if err := ask(setUp(t, "read:issue").c); !errors.Is(err, dispatch.ErrCannotAsk) || !strings.Contains(err.Error(), "read:repository") {
		t.Errorf("a token without the scope: %v", err)
	}
	if err := ask(f.c); !errors.As(err, &permanent) {
		t.Errorf("no such commit: %v", err)
	}
	for status, kind := range map[int]string{429: "throttled", 500: "again", 502: "again", 503: "again", 422: "permanent", 451: "permanent"} {
		f.s.Fail(func(string) int { return status })
		err := ask(f.c)
		got := "again"
		switch {
		case errors.As(err, &permanent):
			got = "permanent"
		case errors.As(err, &throttled):
			got = "throttled"
		}
		if err == nil || got != kind {
			t.Errorf("%d: %v, want %s", status, err, kind)
		}
		if strings.Contains(err.Error(), token) {
			t.Errorf("%d: the error tells the token", status)
		}
	}
}

// Many callers do not make many calls at once.
func TestCallsAtOnceAreBounded(t *testing.T) {
	f := setUp(t)
	ids := f.Chain("main", 12)
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() {
			if _, err := f.c.Commit(t.Context(), "forge", name, id); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most := f.s.MostAtOnce(); most > 4 {
		t.Errorf("%d calls at once", most)
	}
}

func shas(commits []event.Commit) (all []string) {
	for _, c := range commits {
		all = append(all, c.SHA)
	}
	return all
}

func equal(t *testing.T, got []event.Commit, err error, want ...string) {
	t.Helper()
	if err != nil || !slices.Equal(shas(got), want) {
		t.Errorf("%d commits %v, %v; want %d %v", len(got), shas(got), err, len(want), want)
	}
}
