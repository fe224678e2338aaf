//go:build unix

package build

import (
	"context"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// gitServer serves a repository's parent directory to who has the password.
func gitServer(t *testing.T, r *repo, password string) (url string) {
	t.Helper()
	backend := gitBackend(t, r)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, got, _ := req.BasicAuth(); got != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/app.git"
}

// gitBackend serves a repository's parent directory by git's own CGI.
func gitBackend(t *testing.T, r *repo) http.Handler {
	t.Helper()
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + filepath.Dir(r.bare), "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	}
	if _, err := os.Stat(backend.Path); err != nil {
		skipOnLaptop(t, "git-http-backend, which comes with git, is not installed")
	}
	return backend
}

func TestCredentialsReachGitOnly(t *testing.T) {
	const password = "pass word'$(x)"
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [env, cat .git/config, 'cat /proc/self/cmdline | tr \"\\0\" \" \"']}}\n")
	url := gitServer(t, r, password)
	access := &tokens{password: password}
	h := newHandler(t, Config{}, WithAccess(access))
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": url}))
	if b.err != nil {
		t.Fatalf("%s\n%s", b.messages(), b.log)
	}
	if want := []Fetch{{URL: url}}; !slices.Equal(access.asked, want) {
		t.Errorf("credentials were asked for %v, want %v", access.asked, want)
	}
	b.wantLog(t, "url = "+url)
	for _, word := range []string{password, masked} {
		if strings.Contains(b.log, word) {
			t.Errorf("the build saw %q:\n%s", word, b.log)
		}
	}
	wantNowhere(t, h.cfg.DataDir, password)

	// In the URL itself, as some configurations have it.
	withUser := strings.Replace(url, "http://", "http://git:"+"secret-in-url"+"@", 1)
	h = newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: withUser}}})
	b = run(t, h, newTask(t, "t", input{"SourceVersion": commit}))
	if b.err == nil || strings.Contains(b.err.Cause, "secret-in-url") {
		t.Errorf("wrong password: %v", b.err)
	}
	wantNowhere(t, h.cfg.DataDir, "secret-in-url")

	// Without credentials git must fail, not ask.
	b = run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": url}))
	if b.err == nil || !strings.Contains(b.messages(), "could not read Username") {
		t.Errorf("without credentials: %s", b.messages())
	}
}

// A token without a user goes in a header of its own, to its repository alone.
func TestBearerReachesGitOnly(t *testing.T) {
	const token = "BBDC-a+b/c=of the tests"
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: [env, cat .git/config]}}\n")
	backend := gitBackend(t, r)
	var elsewhere atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		genuine := q.Header.Get("Authorization") == "Bearer "+token
		switch {
		case strings.HasPrefix(q.URL.Path, "/moved.git/"):
			http.Redirect(w, q, strings.Replace(q.URL.RequestURI(), "/moved.git/", "/elsewhere.git/", 1), http.StatusFound)
		case strings.HasPrefix(q.URL.Path, "/elsewhere.git/"):
			elsewhere.Add(1)
			w.WriteHeader(http.StatusNotFound)
		case !genuine:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, q)
		}
	}))
	t.Cleanup(server.Close)
	url := server.URL + "/app.git"
	h := newHandler(t, Config{}, WithAccess(&tokens{password: token, bearer: true}))
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": url}))
	if b.err != nil {
		t.Fatalf("%s\n%s", b.messages(), b.log)
	}
	if strings.Contains(b.log, token) || strings.Contains(b.log, "Authorization") {
		t.Errorf("the build saw the token:\n%s", b.log)
	}
	wantNowhere(t, h.cfg.DataDir, token)
	b = run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": server.URL + "/moved.git"}))
	if b.err == nil || strings.Contains(b.err.Cause+b.messages(), token) || elsewhere.Load() > 0 {
		t.Errorf("a redirect: %v, followed %d times", b.err, elsewhere.Load())
	}
}

// tokens is a config whose sources have all repositories and one token, and notes
// what it is asked for.
type tokens struct {
	anything
	password string
	bearer   bool

	mu    sync.Mutex
	asked []Fetch
}

func (a *tokens) Credentials(_ context.Context, f Fetch) (Credentials, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, f)
	if a.bearer {
		return Credentials{Password: a.password}, nil
	}
	return Credentials{User: "git", Password: a.password}, nil
}

// wantNowhere fails if a file below dir holds the text.
func wantNowhere(t *testing.T, dir, text string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), text) {
			t.Errorf("%s holds the password", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVersionsAreResolved(t *testing.T) {
	t.Parallel()
	r := newRepo(t)
	main := r.spec("version: 0.2\nenv: {exported-variables: [DESCRIBED]}\nphases: {build: {commands: [DESCRIBED=$(git describe --tags --always), git rev-parse origin/main]}}\n")
	r.git(r.work, "checkout", "--quiet", "-b", "feature/a")
	feature := r.commit(map[string]string{"a": "a"})
	r.git(r.work, "tag", "--annotate", "--message", "v", "v1")
	r.push()
	r.git(r.work, "push", "--quiet", "origin", "v1")
	// A pull request's commit that no branch holds.
	pull := r.commit(map[string]string{"a": "b"})
	r.git(r.work, "push", "--quiet", "origin", "HEAD:refs/pull/7/head")

	h := newHandler(t, Config{})
	for _, tc := range []struct{ version, want string }{
		{"", main}, {"main", main}, {"feature/a", feature}, {"refs/heads/feature/a", feature}, {"v1", feature},
		{"refs/tags/v1", feature}, {"tags/v1", feature}, {"heads/feature/a", feature}, {"v1^{}", feature}, {"v1^{commit}", feature},
		{"pr/7", pull}, {pull, pull}, {strings.ToUpper(pull), pull},
		{"refs/pull/7/head", pull}, {"refs/pull/7/head^{" + pull + "}", pull},
		{"refs/heads/main^{" + main + "}", main}, {"main^{" + strings.ToUpper(feature) + "}", feature}, {"refs/tags/v1^{" + feature + "}", feature},
		{main[:7], main}, {feature[:12], feature}, {strings.ToUpper(pull[:9]), pull}, {"main^{" + main[:8] + "}", main},
	} {
		b := run(t, h, newTask(t, "t", input{"SourceVersion": tc.version, "SourceLocationOverride": r.bare}))
		if b.err != nil || b.result.ResolvedSourceVersion != tc.want {
			t.Errorf("%q is %s, want %s: %s", tc.version, b.result.ResolvedSourceVersion, tc.want, b.messages())
		}
		if tc.version == "v1" && b.result.ExportedEnvironmentVariables[0].Value != "v1" {
			t.Errorf("git describe says %v", b.result.ExportedEnvironmentVariables)
		}
	}
	for version, want := range map[string]string{
		"no-such-branch":         `no branch or tag "no-such-branch"`,
		strings.Repeat("ab", 20): "commit abababab",
		"abcdef0":                "commit abcdef0",
		"refs/heads/gone^{" + strings.Repeat("cd", 20) + "}": "commit cdcdcdcd",
	} {
		b := run(t, h, newTask(t, "t", input{"SourceVersion": version, "SourceLocationOverride": r.bare}))
		if b.err == nil || !strings.Contains(b.messages(), want) {
			t.Errorf("%s: %s", version, b.messages())
		}
	}
	b := run(t, h, newTask(t, "t", input{"SourceVersion": main, "SourceLocationOverride": r.bare + ".gone"}))
	if b.err == nil || !strings.Contains(b.messages(), "does not appear to be a git repository") {
		t.Errorf("repository that isn't there: %s", b.messages())
	}
}

// A fresh mirror finds a commit that no branch holds by the ref named with it,
// and a branch whose name reads like the beginning of an ID is the branch.
func TestVersionsInAFreshMirror(t *testing.T) {
	r := newRepo(t)
	const spec = "version: 0.2\nphases: {build: {commands: ['true']}}\n"
	first := r.spec(spec)
	hidden := r.commit(map[string]string{"a": "b"})
	r.git(r.work, "push", "--quiet", "origin", "HEAD:refs/changes/7/1")
	r.git(r.bare, "config", "uploadpack.allowAnySHA1InWant", "false")
	r.git(r.work, "push", "--quiet", "origin", hidden+":refs/heads/"+first[:8])
	for _, tc := range []struct{ version, want string }{
		{"refs/changes/7/1^{" + hidden + "}", hidden}, {"refs/changes/7/1", hidden}, {first[:8], hidden}, {first[:9], first},
	} {
		b := run(t, newHandler(t, Config{}), newTask(t, "t", input{"SourceVersion": tc.version, "SourceLocationOverride": r.bare}))
		if b.err != nil || b.result.ResolvedSourceVersion != tc.want {
			t.Errorf("%q is %s, want %s: %s", tc.version, b.result.ResolvedSourceVersion, tc.want, b.messages())
		}
	}
}

func TestMirrorFollowsForcedPushes(t *testing.T) {
	r := newRepo(t)
	const spec = "version: 0.2\nphases: {build: {commands: ['true']}}\n"
	r.spec(spec)
	h := newHandler(t, Config{})
	builds := func(commit string) {
		t.Helper()
		if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); b.err != nil {
			t.Errorf("%s: %s", commit, b.messages())
		}
	}
	first := r.git(r.work, "rev-parse", "HEAD")
	builds(first)
	r.git(r.work, "commit", "--quiet", "--amend", "--message", "other")
	r.push()
	builds(r.git(r.work, "rev-parse", "HEAD"))
	// A branch in the place of a directory of branches, and back.
	r.git(r.work, "push", "--quiet", "origin", "HEAD:refs/heads/x/y")
	r.git(r.work, "commit", "--quiet", "--amend", "--message", "third")
	r.push()
	builds(r.git(r.work, "rev-parse", "HEAD"))
	r.git(r.work, "push", "--quiet", "origin", ":refs/heads/x/y")
	r.git(r.work, "commit", "--quiet", "--amend", "--message", "fourth")
	r.git(r.work, "push", "--quiet", "origin", "HEAD:refs/heads/x")
	builds(r.git(r.work, "rev-parse", "HEAD"))
	builds(first)
}

func TestRepositoryRunsNothingOnOurSide(t *testing.T) {
	r := newRepo(t)
	pwned := filepath.Join(t.TempDir(), "pwned")
	hook := "#!/bin/sh\ntouch " + pwned + "\n"
	commit := r.commit(map[string]string{
		"buildspec.yml":       "version: 0.2\nphases: {build: {commands: ['true']}}\n",
		".gitattributes":      "* filter=evil\n*.bin filter=lfs diff=lfs merge=lfs\n",
		".githooks/a":         hook,
		"hooks/post-checkout": hook,
		".gitmodules":         "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c touch% " + pwned + "\n",
	})
	r.git(r.work, "update-index", "--add", "--cacheinfo", "160000,"+commit+",x")
	r.git(r.work, "commit", "--quiet", "--message", "submodule")
	commit = r.git(r.work, "rev-parse", "HEAD")
	r.push()
	// The user's own configuration runs hooks; ours must not.
	hooks := t.TempDir()
	if err := os.WriteFile(filepath.Join(hooks, "post-checkout"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[core]\n\thooksPath = "+hooks+"\n\tfsmonitor = touch "+pwned+"\n[submodule]\n\trecurse = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	h := newHandler(t, Config{})
	if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); b.err != nil {
		t.Errorf("%s\n%s", b.messages(), b.log)
	}
	if _, err := os.Stat(pwned); err == nil {
		t.Error("something of the repository was executed")
	}
}

// needBubblewrap skips where builds can't be isolated.
func needBubblewrap(t *testing.T) {
	t.Helper()
	h := newHandler(t, Config{Isolation: IsolationAuto})
	if h.Exposed() != "" {
		skipOnLaptop(t, "builds can't be isolated on this machine: %s", h.Exposed())
	}
}

// skipOnLaptop skips a test for want of something that CI has to have: where
// SWITCHYARD_REQUIRE_SERVERS=1 is set it fails instead.
func skipOnLaptop(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// What should have been a URL may hold a password, and its error is shown.
func TestBadCloneURLsAreNotRepeatedWhole(t *testing.T) {
	for _, raw := range []string{"https//user:hunter2@host/x", "user:hunter2@host@x/\n", "https://user:hunter2@host/\x01", "https://user:hunter2@/x", "https://user:hunter2@ho st/%zz"} {
		if _, err := parseRemote(raw); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
