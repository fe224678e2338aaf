package gitrefs_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchyard/dispatch"
	"switchyard/githost/gitrefs"
)

// git runs git in a folder and returns what it says.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// server serves the repositories below a folder as git's own server does, to
// those who know the password.
func server(t *testing.T, root string, env ...string) *httptest.Server {
	t.Helper()
	path := git(t, root, "--exec-path")
	backend := &cgi.Handler{Path: filepath.Join(path, "git-http-backend"), Env: append([]string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "REMOTE_USER=u"}, env...), InheritEnv: []string{"PATH"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestListIsWhatGitLists(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			root := t.TempDir()
			repo := filepath.Join(root, "team", "app.git")
			git(t, root, "init", "-q", "--bare", "--object-format="+format, repo)
			s := server(t, root)
			url := s.URL + "/team/app.git"
			none, err := gitrefs.List(t.Context(), s.Client().Transport, url, "u", "p")
			if err != nil || len(none) != 0 {
				t.Fatalf("empty repository: %v, %v", none, err)
			}
			tree := git(t, repo, "hash-object", "-t", "tree", "-w", "/dev/null")
			commits := []string{git(t, repo, "commit-tree", tree, "-m", "one"), git(t, repo, "commit-tree", tree, "-m", "two")}
			want := map[string]string{}
			var updates strings.Builder
			for i := range 300 {
				commit, ref := commits[i%2], fmt.Sprintf("refs/heads/feature/%d", i)
				want[ref] = commit
				fmt.Fprintf(&updates, "create %s %s\ncreate refs/tags/t%d %s\ncreate refs/pull/%d/head %s\n", ref, commit, i, commit, i, commit)
			}
			cmd := exec.CommandContext(t.Context(), "git", "update-ref", "--stdin")
			cmd.Dir, cmd.Stdin = repo, strings.NewReader(updates.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got, err := gitrefs.List(t.Context(), s.Client().Transport, url, "u", "p")
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%d refs, expected %d: %v", len(got), len(want), err)
			}
		})
	}
}

// A server that knows nothing of version 2 lists all refs at once.
func TestListOfOldServers(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	lines := func(lines ...string) string {
		var all strings.Builder
		for _, l := range lines {
			if l == "" {
				all.WriteString("0000")
				continue
			}
			fmt.Fprintf(&all, "%04x%s", len(l)+4, l)
		}
		return all.String()
	}
	service := "# service=git-upload-pack\n"
	for name, c := range map[string]struct {
		answer string
		want   map[string]string
		err    string
	}{
		"version 0":       {answer: lines(service, "", a+" HEAD\x00multi_ack symref=HEAD:refs/heads/main\n", a+" refs/heads/main\n", b+" refs/tags/x\n", b+" refs/tags/x^{}\n", ""), want: map[string]string{"refs/heads/main": a}},
		"version 1":       {answer: lines(service, "", "version 1\n", b+" refs/heads/x\x00multi_ack\n", ""), want: map[string]string{"refs/heads/x": b}},
		"empty version 0": {answer: lines(service, "", strings.Repeat("0", 40)+" capabilities^{}\x00multi_ack\n", ""), want: map[string]string{}},
		"nothing":         {answer: lines(service, "", ""), want: map[string]string{}},
		"error":           {answer: lines(service, "", "ERR access denied\x1b[31m\n"), err: "access denied"},
		"cut off":         {answer: lines(service, "", a+" refs/heads/main\x00\n"), err: "too early"},
		"web page":        {answer: "<html>", err: "not git's"},
		"no commit":       {answer: lines(service, "", "zzz refs/heads/main\n", ""), err: "in the place of a ref"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
				fmt.Fprint(w, c.answer)
			}))
			defer s.Close()
			got, err := gitrefs.List(t.Context(), http.DefaultTransport, s.URL+"/x", "", "")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "\x1b") {
					t.Errorf("error %v, expected one with %q", err, c.err)
				}
				return
			}
			if err != nil || !maps.Equal(got, c.want) {
				t.Errorf("%v, %v, expected %v", got, err, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was asked, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/secret/"):
			w.WriteHeader(http.StatusForbidden)
		case strings.HasPrefix(r.URL.Path, "/gone/"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(r.URL.Path, "/busy/"):
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case strings.HasPrefix(r.URL.Path, "/elsewhere/"):
			http.Redirect(w, r, other.URL+"/x/info/refs", http.StatusMovedPermanently)
		case strings.HasPrefix(r.URL.Path, "/page/"):
			fmt.Fprint(w, "<html>")
		}
	}))
	defer s.Close()
	list := func(path string) error {
		_, err := gitrefs.List(t.Context(), http.DefaultTransport, s.URL+path, "u", "p")
		if err == nil {
			t.Fatalf("%s: no error", path)
		}
		return err
	}
	if err := list("/secret"); !errors.Is(err, dispatch.ErrCannotAsk) {
		t.Error(err)
	}
	if err := list("/gone"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	var throttled *dispatch.ThrottledError
	if err := list("/busy"); !errors.As(err, &throttled) || throttled.After.Seconds() != 7 {
		t.Error(err)
	}
	if err := list("/elsewhere"); !strings.Contains(err.Error(), "another host") {
		t.Error(err)
	}
	if err := list("/page"); !errors.As(err, new(*dispatch.PermanentError)) {
		t.Error(err)
	}
	for _, url := range []string{"ssh://git@example.com/x", "/srv/git/x", "https://u:p@example.com/x", "https://example.com/x?y"} {
		if _, err := gitrefs.List(t.Context(), http.DefaultTransport, url, "", ""); !errors.As(err, new(*dispatch.PermanentError)) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestListFollowsARepositoryThatMovedOnItsHost(t *testing.T) {
	root := t.TempDir()
	git(t, root, "init", "-q", "--bare", filepath.Join(root, "new.git"))
	repo := filepath.Join(root, "new.git")
	commit := git(t, repo, "commit-tree", git(t, repo, "hash-object", "-t", "tree", "-w", "/dev/null"), "-m", "x")
	git(t, repo, "update-ref", "refs/heads/main", commit)
	s := server(t, root)
	inner := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, old := strings.CutPrefix(r.URL.Path, "/old.git"); old {
			http.Redirect(w, r, "/new.git"+rest+"?"+r.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		inner.ServeHTTP(w, r)
	})
	got, err := gitrefs.List(t.Context(), http.DefaultTransport, s.URL+"/old.git", "u", "p")
	if err != nil || got["refs/heads/main"] != commit {
		t.Errorf("%v, %v", got, err)
	}
}

// A password without a user is a token, which goes as a bearer.
func TestTokenAlone(t *testing.T) {
	var got []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNotFound)
	}))
	defer s.Close()
	for _, c := range [][2]string{{"", "token"}, {"ada", "token"}, {"", ""}} {
		if _, err := gitrefs.List(t.Context(), http.DefaultTransport, s.URL+"/x.git", c[0], c[1]); err == nil {
			t.Error("a repository that is not there has branches")
		}
	}
	if want := []string{"Bearer token", "Basic YWRhOnRva2Vu", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
