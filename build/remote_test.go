//go:build unix

package build

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"switchyard/asl/task"
)

func TestParseRemote(t *testing.T) {
	for raw, want := range map[string]remote{
		"https://example.com/a.git":          {url: "https://example.com/a.git", scheme: "https", host: "example.com", path: "a.git"},
		"https://u:p%40@example.com:8/a.git": {url: "https://example.com:8/a.git", scheme: "https", host: "example.com:8", path: "a.git", user: "u", password: "p@"},
		"http://example.com/a%20b/":          {url: "http://example.com/a%20b/", scheme: "http", host: "example.com", path: "a b"},
		"git@example.com:acme/a.git":         {url: "git@example.com:acme/a.git", scheme: "ssh"},
		"ssh://git@example.com:22/a.git":     {url: "ssh://git@example.com:22/a.git", scheme: "ssh"},
		"/srv/git/a.git":                     {url: "/srv/git/a.git", scheme: "file"},
		"/srv/git/a.git/":                    {url: "/srv/git/a.git", scheme: "file"},
		"file:///srv/git/a%20b.git":          {url: "/srv/git/a b.git", scheme: "file"},
		"file://localhost/srv/git/a.git":     {url: "/srv/git/a.git", scheme: "file"},
	} {
		got, err := parseRemote(raw)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	for raw, want := range map[string]string{
		"":                              "is empty",
		"-u":                            "begins with -",
		"--upload-pack=touch /tmp/x":    "begins with -",
		"ext::sh -c touch% /tmp/x":      "is neither",
		"fd::17/x":                      "is neither",
		"ext::https://example.com/a":    "is neither",
		"a.git":                         "is neither",
		"../a.git":                      "is neither",
		"host::a":                       "is neither",
		"host:-a":                       "is neither",
		"-oProxyCommand=x:a":            "begins with -",
		"git@-oProxyCommand=x:a":        "is neither",
		"git@host:../a":                 "has .. in its path",
		"ssh://-oProxyCommand=x/a":      "no valid host",
		"ssh://-oProxyCommand=x@host/a": "no valid host",
		"ssh://host/-a":                 "names no repository",
		"ssh://u:secret@host/a":         "has a password",
		"https://-x/a":                  "no valid host",
		"https:///a":                    "no valid host",
		"https://:80/a":                 "no valid host",
		"https://host":                  "names no repository",
		"https://host/":                 "names no repository",
		"https://host/a/../b":           "has .. in its path",
		"https://host/a/%2e%2e/b":       "has .. in its path",
		"https://host/a?x=1":            "has a query",
		"https://host/a?":               "has a query",
		"https://host/a#x":              "has a query",
		"https://host/a\n":              "control character",
		"https://host/a%0apassword=x":   "control character",
		"https://host/a\x00b":           "control character",
		"https://u:secret@host:port/a":  "not a valid URL",
		"http://ho st/a":                "not a valid URL",
		"/srv/../etc":                   `write "/etc"`,
		"/srv/./a":                      `write "/srv/a"`,
		"/srv//a":                       `write "/srv/a"`,
		"file:///srv/../etc":            "has .. in its path",
		"file:///srv/%2e%2e/etc":        "has .. in its path",
		"file://other/srv/a":            "names a host",
		"file://u@/srv/a":               "names a host",
		"git://host/a":                  `scheme "git"`,
		"ftp://host/a":                  `scheme "ftp"`,
		"https+ext://host/a":            `scheme "https+ext"`,
		"ext://sh -c x/a":               "not a valid URL",
	} {
		_, err := parseRemote(raw)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", raw, err, want)
		}
	}
	if got := redact("https://u:p@example.com/a"); got != "https://example.com/a" {
		t.Errorf("redacted to %s", got)
	}
}

// only is a config one of whose sources has the repositories at some paths.
type only struct {
	noAccess
	paths []string
}

func (o only) Configured(url string) bool { return slices.Contains(o.paths, url) }

// What is reached with the rights of this machine is named by the config, whatever
// the input asks for.
func TestOnlyNamedRepositoriesAreReachedAsThisMachine(t *testing.T) {
	source, project, private := newRepo(t), newRepo(t), newRepo(t)
	commits := map[*repo]string{source: source.spec(trueSpec), project: project.spec(trueSpec), private: private.spec(trueSpec)}
	link := filepath.Join(t.TempDir(), "link.git")
	if err := os.Symlink(private.bare, link); err != nil {
		t.Fatal(err)
	}
	around := filepath.Join(source.bare, "..", "..", filepath.Base(filepath.Dir(private.bare)), "app.git")
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: project.bare}, "ssh": {CloneURL: "git@127.0.0.1:acme/api.git"}}},
		WithAccess(only{paths: []string{source.bare}}))
	for _, r := range []*repo{source, project} {
		for _, url := range []string{r.bare, r.bare + "/", "file://" + r.bare} {
			b := run(t, h, newTask(t, "t", input{"SourceVersion": commits[r], "SourceLocationOverride": url}))
			if b.err != nil {
				t.Errorf("%s: %v", url, b.err)
			}
		}
	}
	named := "only where the config names it"
	for url, want := range map[string]string{
		private.bare: named, "file://" + private.bare: named, link: named, "/etc": named, "/": named, source.bare + "/objects": named,
		strings.TrimSuffix(source.bare, ".git"): named, source.bare[1:]: "is neither", around: named,
		source.bare + "/../app.git": "not written plainly", "file://" + source.bare + "/../app.git": "has ..",
		"ssh://git@127.0.0.1/acme/other.git": named, "git@127.0.0.1:acme/other.git": named, "other@127.0.0.1:acme/api.git": named,
		"http://127.0.0.1:1/acme/api.git": named, "git://127.0.0.1/acme/api.git": `scheme "git"`, "ext::sh -c id": "is neither",
		"https://me@example.com/a.git": "with a user or password", "https://me:secret@example.com/a.git": "with a user or password",
	} {
		b := run(t, h, newTask(t, "t", input{"SourceVersion": commits[private], "SourceLocationOverride": url}))
		if b.err == nil || b.err.Name != errInvalidInput || !strings.Contains(b.err.Cause, want) || strings.Contains(b.err.Cause, "secret") {
			t.Errorf("%s: %v, want %q", url, b.err, want)
		}
	}
}

// hostOf is a git host with several repositories and a token, that notes which
// paths the token was shown for, and sends some elsewhere.
type hostOf struct {
	url string

	mu       sync.Mutex
	password string
	shown    map[string]bool
	redirect map[string]string
}

func newHost(t *testing.T, password string, repos map[string]*repo) *hostOf {
	t.Helper()
	host := &hostOf{password: password, shown: map[string]bool{}, redirect: map[string]string{}}
	backends := map[string]http.Handler{}
	for name, r := range repos {
		backends[name] = gitBackend(t, r)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/acme/"), "/")
		name, rest = strings.TrimSuffix(name, ".git"), "/"+rest
		host.mu.Lock()
		defer host.mu.Unlock()
		_, got, _ := req.BasicAuth()
		if got != "" {
			host.shown[name] = true
		}
		if to := host.redirect[name]; to != "" {
			http.Redirect(w, req, to+rest+"?"+req.URL.RawQuery, http.StatusMovedPermanently)
			return
		}
		if got != host.password {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if backends[name] == nil {
			http.NotFound(w, req)
			return
		}
		req.URL.Path = "/app.git" + rest
		backends[name].ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	host.url = srv.URL
	return host
}

func (h *hostOf) wantShown(t *testing.T, names ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.shown {
		if !slices.Contains(names, name) {
			t.Errorf("the token was shown for %q", name)
		}
	}
	for _, name := range names {
		if !h.shown[name] {
			t.Errorf("the token was not shown for %q", name)
		}
	}
	clear(h.shown)
}

// about gives a task an execution that is about a repository.
func about(t task.Task, source, repository string) task.Task {
	in := map[string]any{"source": map[string]any{"provider": source, "repository": repository, "ref": "refs/heads/main", "event": "push"}}
	text, _ := json.Marshal(in)
	t.Origin = OriginOf(text)
	return t
}

// A host is told for which execution a token is wanted, and whether the config
// names the repository.
func TestAccessIsAskedWithTheExecution(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(trueSpec)
	host := newHost(t, "token", map[string]*repo{"api": r, "web": r})
	access := &tokens{password: "token"}
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: host.url + "/acme/web"}}}, WithAccess(access))
	// What the input of the build itself says of a source is nobody's word.
	forged := input{"SourceVersion": commit, "SourceLocationOverride": host.url + "/acme/api.git", "source": map[string]any{"provider": "x", "repository": "x/x"}}
	for _, tc := range []struct {
		in   input
		want Fetch
	}{
		{forged, Fetch{URL: host.url + "/acme/api.git", Source: "github", Repository: "acme/api"}},
		{input{"SourceVersion": commit}, Fetch{URL: host.url + "/acme/web", Source: "github", Repository: "acme/api", Named: true}},
		{input{"SourceVersion": commit, "SourceLocationOverride": host.url + "/acme/web.git"}, Fetch{URL: host.url + "/acme/web.git", Source: "github", Repository: "acme/api", Named: true}},
	} {
		access.asked = nil
		b := run(t, h, about(newTask(t, "t", tc.in), "github", "acme/api"))
		if want := []Fetch{tc.want}; b.err != nil || !slices.Equal(access.asked, want) {
			t.Errorf("asked with %+v, want %+v (%v)", access.asked, want, b.err)
		}
	}
}

// A repository that has moved does not take the token along, neither to another
// host nor to another path of the same.
func TestRedirectsGetNoToken(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(trueSpec)
	const token = "the-token"
	other := newHost(t, token, map[string]*repo{"api": r})
	host := newHost(t, token, map[string]*repo{"new": r})
	for name, to := range map[string]string{"another host": other.url + "/acme/api.git", "another path": host.url + "/acme/new.git"} {
		host.redirect["api"] = to
		h := newHandler(t, Config{}, WithAccess(&tokens{password: token}))
		b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": host.url + "/acme/api.git"}))
		if b.err == nil {
			t.Errorf("%s: the build has what is there: %s", name, b.log)
		}
		if host.shown["new"] || len(other.shown) > 0 {
			t.Errorf("%s: the token was shown for %v and %v", name, host.shown, other.shown)
		}
	}
	// Without a token there is nothing to lose: hosts redirect what was renamed.
	host.password, host.redirect["api"] = "", host.url+"/acme/new.git"
	h := newHandler(t, Config{})
	if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": host.url + "/acme/api.git"})); b.err != nil {
		t.Errorf("public: %s", b.messages())
	}
}

// addLink adds a submodule to the work tree of r and commits it.
func (r *repo) addLink(name, path, url, commit string) string {
	r.t.Helper()
	f := filepath.Join(r.work, ".gitmodules")
	old, _ := os.ReadFile(f)
	r.commit(map[string]string{".gitmodules": string(old) + fmt.Sprintf("[submodule %q]\n\tpath = %s\n\turl = %q\n", name, path, url)})
	r.git(r.work, "update-index", "--add", "--cacheinfo", "160000,"+commit+","+path)
	r.git(r.work, "commit", "--quiet", "--message", "submodule")
	r.push()
	return r.git(r.work, "rev-parse", "HEAD")
}

// Submodules, and theirs, come from where the project lists them and nowhere
// else, and the token goes to those only.
func TestSubmodules(t *testing.T) {
	t.Parallel()
	lib, deep, private, local := newRepo(t), newRepo(t), newRepo(t), newRepo(t)
	deepCommit := deep.commit(map[string]string{"deep": "deep\n"})
	deep.push()
	lib.commit(map[string]string{"lib": "lib\n"})
	privateCommit := private.commit(map[string]string{"secret": "top-secret\n"})
	private.push()
	localCommit := local.commit(map[string]string{"secret": "top-secret\n"})
	local.push()
	app := newRepo(t)
	host := newHost(t, "token", map[string]*repo{"app": app, "lib": lib, "deep": deep, "private": private})
	libCommit := lib.addLink("deep", "in/deep", "../deep.git", deepCommit)
	app.spec("version: 0.2\nphases: {build: {commands: ['cat vendor/lib/lib vendor/lib/in/deep/deep', 'git submodule status --recursive', 'git -C vendor/lib status --porcelain', 'git status --porcelain', 'cat .git/config vendor/lib/.git/config']}}\n")
	withLib := app.addLink("lib", "vendor/lib", "../lib", libCommit)
	project := Project{CloneURL: host.url + "/acme/app.git", Submodules: []string{host.url + "/acme/lib.git", host.url + "/acme/d*"}}
	access := &tokens{password: "token"}
	h := newHandler(t, Config{Projects: map[string]Project{"app": project}}, WithAccess(access))
	b := run(t, h, newTask(t, "good", input{"SourceVersion": withLib}))
	if b.err != nil {
		t.Fatalf("%s\n%s", b.messages(), b.log)
	}
	b.wantLog(t, "lib\ndeep\n", "\n "+libCommit+" vendor/lib", "\n "+deepCommit+" vendor/lib/in/deep")
	if strings.Contains(b.log, "?? ") || strings.Contains(b.log, " M ") || strings.Contains(b.log, "token") {
		t.Errorf("the checkout is not clean, or shows the token:\n%s", b.log)
	}
	host.wantShown(t, "app", "lib", "deep")
	for _, f := range access.asked {
		if !f.Named {
			t.Errorf("%+v is not named", f)
		}
	}

	for name, url := range map[string]string{
		"of the same host": host.url + "/acme/private.git", "relative": "../private.git", "relative, around": "../../acme/./private.git",
		"a path": local.bare, "a file URL": "file://" + local.bare, "ext": "ext::sh -c touch% " + filepath.Join(t.TempDir(), "pwned"),
		"with a password": strings.Replace(host.url, "http://", "http://a:b@", 1) + "/acme/lib.git",
		"ssh":             "ssh://-oProxyCommand=x/a", "out of the host": "../../../../x", "a query": host.url + "/acme/lib.git?x", "an option": "--upload-pack=x",
	} {
		app.git(app.work, "reset", "--quiet", "--hard", withLib)
		commit := privateCommit
		if strings.Contains(url, local.bare) {
			commit = localCommit
		}
		bad := app.addLink("bad", "bad", url, commit)
		b := run(t, h, newTask(t, "bad", input{"SourceVersion": bad}))
		if b.err == nil || !strings.Contains(b.messages(), `submodule "bad"`) {
			t.Errorf("%s: %v %s", name, b.err, b.messages())
		}
		if host.shown["private"] {
			t.Errorf("%s: the token was shown", name)
		}
	}

	// A project that lists none has none.
	h = newHandler(t, Config{}, WithAccess(access))
	b = run(t, h, newTask(t, "none", input{"SourceVersion": withLib, "SourceLocationOverride": project.CloneURL}))
	if b.err == nil || !strings.Contains(b.log, "vendor/lib/lib") {
		t.Errorf("without submodules: %v\n%s", b.err, b.log)
	}
}

// Operators put data elsewhere by a link. Neither submodules nor the sandbox, which
// shows the link's directory too, may mind.
func TestDataDirectoryBehindALink(t *testing.T) {
	app, lib := newRepo(t), newRepo(t)
	libCommit := lib.commit(map[string]string{"lib": "lib\n"})
	lib.push()
	app.spec("version: 0.2\nphases: {build: {commands: ['cat vendor/lib/lib']}}\n")
	commit := app.addLink("lib", "vendor/lib", lib.bare, libCommit)
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	h := newHandler(t, Config{DataDir: link, Patience: time.Millisecond, Projects: map[string]Project{"app": {CloneURL: app.bare, Submodules: []string{lib.bare}}}})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit}))
	if b.err != nil {
		t.Fatalf("%s\n%s", b.messages(), b.log)
	}
	b.wantLog(t, "\nlib\n")
}

func TestSubmoduleURLsAreResolved(t *testing.T) {
	for _, tc := range []struct{ parent, said, want string }{
		{"https://h/acme/app.git", "../lib.git", "https://h/acme/lib.git"},
		{"https://h/acme/app.git/", "./../lib/", "https://h/acme/lib"},
		{"https://h/acme/app.git", "../../other/lib", "https://h/other/lib"},
		{"https://h:8/a%20b/app", "../lib", "https://h:8/a%20b/lib"},
		{"/srv/app.git", "../lib.git", "/srv/lib.git"},
		{"git@h:acme/app", "../lib", "git@h:acme/lib"},
		{"https://h/acme/app.git", "https://x/lib", "https://x/lib"},
		{"https://h/acme/app.git", "../../../../etc", ""},
		{"git@h:app", "../../x", ""},
	} {
		got, err := resolveURL(tc.parent, tc.said)
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%s in %s: %q, %v, want %q", tc.said, tc.parent, got, err, tc.want)
		}
	}
}

func TestSubmodulesOfTheConfigAreChecked(t *testing.T) {
	for _, entry := range []string{"lib", "https://*/acme/lib", "https://u:p@h/lib", "https://h/[", "ext::x", "../lib"} {
		_, err := New(nil, Config{DataDir: t.TempDir(), Projects: map[string]Project{"app": {Submodules: []string{entry}}}})
		if err == nil || !strings.Contains(err.Error(), "project app: submodules") {
			t.Errorf("%s: %v", entry, err)
		}
	}
	for _, entry := range []string{"https://h/acme/*", "https://h/acme/lib.git", "/srv/git/*.git", "git@h:acme/*"} {
		if err := CheckSubmodule(entry); err != nil {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
