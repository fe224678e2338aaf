//go:build unix

package build

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// cacheBuild shows what a build finds in its cache and leaves its own name there.
const cacheBuild = `version: 0.2
cache: {paths: ['deps/**/*', '/root/.tool', '~/.other/']}
phases:
  build:
    commands:
      - echo "found <$(cat deps/by ~/.tool/by ~/.other/by 2>/dev/null | tr '\n' ' ')>"
      - mkdir -p deps ~/.tool ~/.other
      - for d in deps ~/.tool ~/.other; do echo "$NAME" > $d/by; done
      - test "$NAME" != failing
`

// cacheRun builds a commit as an execution for a source would, and returns what
// it found.
type cacheRun struct {
	name, version, source string
	// want is by whom the cache is that it finds, "" for nobody.
	want string
	// log are words of the log.
	log string
}

func (c cacheRun) run(t *testing.T, h *Handler, project string) built {
	t.Helper()
	tk := newTask(t, c.name, input{"ProjectName": project, "SourceVersion": c.version, "EnvironmentVariablesOverride": []variable{{Name: "NAME", Value: c.name}}})
	if c.source != "" {
		tk.Origin = OriginOf([]byte(`{"source":` + c.source + `}`))
	}
	b := run(t, h, tk)
	want := "found <>"
	if c.want != "" {
		want = "found <" + strings.Repeat(c.want+" ", 3) + ">"
	}
	if !strings.Contains(b.log, "\n"+want+"\n") || !strings.Contains(b.log, c.log) {
		t.Errorf("%s: want %s and %q:\n%s", c.name, want, c.log, b.log)
	}
	return b
}

// Nobody reads what somebody wrote whom he trusts less.
func TestCachesAreKeptApartByTrust(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	main := r.spec(cacheBuild)
	r.git(r.bare, "symbolic-ref", "HEAD", "refs/heads/main")
	r.git(r.work, "tag", "v1")
	r.git(r.work, "push", "--quiet", "origin", "v1")
	branch := func(name string) string {
		id := r.commit(map[string]string{"who": name})
		r.git(r.work, "push", "--quiet", "origin", "HEAD:"+name)
		r.git(r.work, "reset", "--quiet", "--hard", main)
		return id
	}
	feature, other := branch("refs/heads/feature"), branch("refs/heads/other")
	seven, eight := branch("refs/pull/7/head"), branch("refs/pull/8/head")
	project := Project{CloneURL: r.bare}
	h := newHandler(t, Config{Projects: map[string]Project{"app": project, "web": project}})
	push := func(ref string) string { return `{"ref":"` + ref + `","event":"push"}` }
	fork := func(number int, ref string) string {
		return fmt.Sprintf(`{"ref":%q,"event":"pull_request","pull_request":%d,"fork":true,"head_repository":"stranger/app"}`, ref, number)
	}
	const mains, features = "refs/heads/main", "refs/heads/feature"
	for _, c := range []cacheRun{
		{"feature-first", feature, push(features), "", "cache: there is none of branch feature or branch main"},
		{"main-1", main, push(mains), "", "cache: saved 3 files"},
		{"main-2", main, push(mains), "main-1", "restored 3 files, 0.0 MB, of branch main"},
		// A branch reads its own, or else the default branch's, and main never a branch's.
		{"feature-2", feature, push(features), "feature-first", "of branch feature"},
		{"other-1", other, push("refs/heads/other"), "main-2", "of branch main"},
		{"other-2", other, push("refs/heads/other"), "other-1", "of branch other"},
		{"main-3", main, push(mains), "main-2", "of branch main"},
		// Who says to be on main and is not reads what anybody may, and writes nothing.
		{"liar", feature, push(mains), "main-3", "nothing is saved: the commit is not known to be on a branch"},
		{"by-hand", feature, "", "main-3", "nothing is saved"},
		{"tag", main, push("refs/tags/v1"), "main-3", "nothing is saved"},
		{"gone", feature, push("refs/heads/gone"), "main-3", "nothing is saved"},
		{"odd", feature, push("refs/heads/main~0"), "main-3", "nothing is saved"},
		{"a-name", "feature", "", "feature-2", "saved 3 files, 0.0 MB, of branch feature"},
		// A fork has what its own pull request left, whatever its branch is called.
		{"fork-7", seven, fork(7, mains), "", "saved 3 files, 0.0 MB, of pull request 7"},
		{"fork-8", eight, fork(8, features), "", "saved"},
		{"fork-7-again", seven, fork(7, mains), "fork-7", "of pull request 7"},
		{"fork-without-number", seven, `{"fork":true}`, "", "nothing is saved"},
		{"fork-of-mains-commit", main, fork(9, mains), "", "saved"},
		{"main-4", main, push(mains), "main-3", "of branch main"},
	} {
		c.run(t, h, "app")
	}
	cacheRun{"another-project", main, push(mains), "", "there is none"}.run(t, h, "web")
	// A build that fails saves nothing.
	if b := (cacheRun{"failing", main, push(mains), "main-4", ""}).run(t, h, "app"); b.err == nil || strings.Contains(b.log, "cache: saved") {
		t.Errorf("%v\n%s", b.err, b.log)
	}
	cacheRun{"main-5", main, push(mains), "main-4", ""}.run(t, h, "app")

	// main moves to a commit that the mirror has from a branch: that is main's from now on.
	r.git(r.work, "push", "--quiet", "origin", feature+":refs/heads/main")
	cacheRun{"merged", feature, push(mains), "main-5", "saved 3 files, 0.0 MB, of branch main"}.run(t, h, "app")
	cacheRun{"merged-2", feature, push(mains), "merged", "of branch main"}.run(t, h, "app")
}

func TestCacheHoldsWhatItIsToHold(t *testing.T) {
	needBubblewrap(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	r.commit(map[string]string{"kept/of-the-commit": "from the commit\n", "x": "y"})
	sum := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "x\x00%x\n", sha256.Sum256([]byte("y")))))
	commit := r.spec(`version: 0.2
cache:
  key: k-$(codebuild-hash-files x)
  paths: ['**/*', '/etc/passwd', '../x', '` + outside + `/secret', '$HOME/.a/*/b', 'a[']
phases:
  build:
    commands:
      - cat kept/of-the-commit
      - ls -l --time-style=+%Y kept ~/.a/x/b 2>&1 | sed 's/^/had /' || true
      - test ! -e .git/planted || echo HAD GIT
      - cat kept/absolute kept/up/secret 2>/dev/null && echo GOT OUT || true
      - rm -rf kept; mkdir -p kept/ro ~/.a/x/b ~/.a/y
      - echo changed > kept/of-the-commit; echo script > kept/run; chmod 755 kept/run; touch -d 2001-01-01 kept/run; chmod u+s kept/run
      - ln -s run kept/link; ln -s ` + outside + `/secret kept/absolute; ln -s ` + outside + ` kept/up; mkfifo kept/pipe
      - echo r > kept/ro/f; chmod 555 kept/ro; echo b > ~/.a/x/b/f; echo y > ~/.a/y/not
      - echo planted > .git/planted
`)
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare}}, Writable: []string{}})
	build := func(id string) built {
		t.Helper()
		tk := newTask(t, id, input{"SourceVersion": commit})
		tk.Origin = OriginOf([]byte(`{"source":{"ref":"refs/heads/main"}}`))
		b := run(t, h, tk)
		if b.err != nil {
			t.Fatalf("%s\n%s", b.messages(), b.log)
		}
		return b
	}
	build("one").wantLog(t, "cache: /etc/passwd is outside", "cache: ../x is outside", "/secret is outside", "cache: a[ is not a valid pattern",
		`of branch main with the key "k-`+sum)
	b := build("two")
	b.wantLog(t, "\nfrom the commit\n", "had -rwxr-xr-x 1 build", " 2001 run", "had l", " link -> run", "had dr-xr-xr-x", " ro\n", " f\n")
	for _, bad := range []string{"hunter2", "\nHAD GIT", "\nGOT OUT", "had p", "changed"} {
		if strings.Contains(strings.ReplaceAll(b.log, "running command", ""), "\n"+strings.TrimPrefix(bad, "\n")) {
			t.Errorf("the next build has %q:\n%s", bad, b.log)
		}
	}
	saved := h.caches.byKey[wantedCache{group: cacheGroup("app", r.bare, "branch main"), key: "k-" + sum}.id()]
	for name, want := range map[string]bool{"src/kept/run": true, "src/.git": false, "home/.a/x/b/f": true, "home/.a/y": false, "src/kept/pipe": false, "src/buildspec.yml": true} {
		if _, err := os.Lstat(filepath.Join(saved.dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(saved.dir, "src/kept/run")); err != nil || info.Mode()&os.ModeSetuid != 0 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestCacheActions(t *testing.T) {
	r := newRepo(t)
	r.spec(trueSpec)
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare}}, Isolation: IsolationNone})
	for _, row := range []struct{ id, action, want, not string }{
		{"a", "action: restore, ", "there is none", "nothing is saved"},
		{"b", "action: save, ", "cache: saved", "restored"},
		{"c", "action: restore, ", "cache: restored", "saved"},
		{"d", "", "cache: restored", "nothing"},
	} {
		commit := r.spec("version: 0.2\ncache: {" + row.action + "paths: [x]}\nphases: {build: {commands: ['echo y > x']}}\n")
		tk := newTask(t, row.id, input{"SourceVersion": commit})
		tk.Origin = OriginOf([]byte(`{"source":{"ref":"refs/heads/main"}}`))
		b := run(t, h, tk)
		if b.err != nil || !strings.Contains(b.log, row.want) || strings.Contains(b.log, row.not) {
			t.Errorf("%s: %v\n%s", row.id, b.err, b.log)
		}
	}
}

func TestCachesCanBeTurnedOff(t *testing.T) {
	r := newRepo(t)
	id := r.spec(cacheBuild)
	dir := t.TempDir()
	cfg := Config{Projects: map[string]Project{"app": {CloneURL: r.bare}}, Isolation: IsolationNone, DataDir: dir, MaxCache: -1}
	on := cfg
	on.MaxCache = 0
	h, err := New(zap.NewNop(), on, WithAccess(anything{}))
	if err != nil {
		t.Fatal(err)
	}
	main := `{"ref":"refs/heads/main","event":"push"}`
	cacheRun{name: "first", version: id, source: main, log: "cache: saved"}.run(t, h, "app")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h = newHandler(t, cfg)
	b := cacheRun{name: "second", version: id, source: main, log: "cache: there are none here (engine.embedded.builds.cache is 0)"}.run(t, h, "app")
	if strings.Contains(b.log, "saved") {
		t.Errorf("a cache was saved:\n%s", b.log)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "cache")); err != nil || len(left) > 0 {
		t.Errorf("the disk still holds %v %v", left, err)
	}
}

func wantedIn(scope string) wantedCache { return wantedCache{group: cacheGroup("p", "r", scope)} }

// saveFor saves a cache of some bytes in a scope.
func saveFor(t *testing.T, c *caches, scope string, bytes int64) *savedCache {
	t.Helper()
	w := wantedIn(scope)
	s := &savedCache{key: w.id(), Group: w.group, Project: "p", Scope: scope, Bytes: bytes, Files: 1}
	if err := c.fill(s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir+newSuffix, "file"), []byte(scope), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.keep(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func newCaches(t *testing.T, root string, limit int64, now func() time.Time) *caches {
	t.Helper()
	c := &caches{root: root, limit: limit, log: zap.NewNop(), now: now}
	if err := c.recover(); err != nil {
		t.Fatal(err)
	}
	return c
}

func scopes(c *caches) (names []string) {
	for _, s := range c.byKey {
		names = append(names, s.Scope)
	}
	slices.Sort(names)
	return names
}

func TestCachesUnusedForLongestGoFirst(t *testing.T) {
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { now = now.Add(time.Minute); return now }
	root := t.TempDir()
	c := newCaches(t, root, 100, clock)
	for _, scope := range []string{"a", "b", "c"} {
		saveFor(t, c, scope, 30)
	}
	_, release := c.take(wantedIn("none"), wantedIn("a"))
	saveFor(t, c, "d", 30)
	if got := scopes(c); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Errorf("there are %v", got)
	}
	// The use counts after a restart too, and one that is copied stays until then.
	a := c.byKey[wantedIn("a").id()]
	saveFor(t, c, "e", 95)
	if _, err := os.Stat(a.dir); err != nil || !slices.Equal(scopes(c), []string{"e"}) {
		t.Errorf("%v, %v", scopes(c), err)
	}
	release()
	if _, err := os.Stat(a.dir); err == nil {
		t.Error("a cache that was evicted is still there")
	}
	saveFor(t, c, "f", 3)
	c.take(wantedIn("e"))
	c = newCaches(t, root, 97, clock)
	if got := scopes(c); !slices.Equal(got, []string{"e"}) {
		t.Errorf("after a restart with a smaller limit there are %v", got)
	}
}

// The last that is saved wins as a whole; who copies the one before goes on with
// that.
func TestCacheIsReplacedAsAWhole(t *testing.T) {
	c := newCaches(t, t.TempDir(), 1<<20, time.Now)
	one := saveFor(t, c, "main", 1)
	got, release := c.take(wantedIn("main"))
	two := saveFor(t, c, "main", 1)
	if _, err := os.Stat(filepath.Join(got.dir, "file")); got != one || err != nil {
		t.Errorf("the one that is copied: %v", err)
	}
	release()
	if _, err := os.Stat(one.dir); err == nil {
		t.Error("the one before is still there")
	}
	if got, release := c.take(wantedIn("main")); got != two {
		t.Errorf("got %v", got)
	} else {
		release()
	}
}

// What a process left that was killed is removed, and what it had saved is used.
func TestCachesAfterAKill(t *testing.T) {
	root := t.TempDir()
	c := newCaches(t, root, 1<<20, time.Now)
	kept := saveFor(t, c, "main", 7)
	for _, name := range []string{kept.key + ".9.new/src/x", kept.key + ".8/src/x", "other/x", kept.key + ".x/about.json"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// One that was replaced, but not removed yet.
	older := filepath.Join(root, kept.key+".0")
	if err := os.CopyFS(older, os.DirFS(kept.dir)); err != nil {
		t.Fatal(err)
	}
	c = newCaches(t, root, 1<<20, time.Now)
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(kept.dir) || c.byKey[kept.key].Bytes != 7 || c.byKey[kept.key].Scope != "main" {
		t.Errorf("%v %v %+v", entries, err, c.byKey)
	}
	if next := saveFor(t, c, "main", 1); next.dir == kept.dir {
		t.Error("a name is used again")
	}
}

// A build that an earlier process has run to the end of its commands saves to
// the cache that it began with.
func TestCacheIsSavedAfterARestart(t *testing.T) {
	h := newHandler(t, Config{Isolation: IsolationNone})
	tk := newTask(t, "t", input{"SourceLocationOverride": "/r", "SourceVersion": strings.Repeat("a", 40)})
	req, err := h.parse(tk, false)
	if err != nil {
		t.Fatal(err)
	}
	s := h.newSession(tk, req, nil, h.newResult(tk, req, h.now()))
	if err := os.MkdirAll(filepath.Join(s.dir, "control"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.control("env"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.specText, s.cacheURL, s.scope = trueSpec, "/r", cacheScope{Read: []string{"branch b", "branch main"}, Write: "branch b"}
	s.cacheKey, s.cacheHit = "k", true
	if err := s.record("BUILD"); err != nil {
		t.Fatal(err)
	}
	next := h.newSession(tk, req, nil, h.newResult(tk, req, h.now()))
	if _, err := next.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next.scope.Write != "branch b" || next.cacheURL != "/r" || next.cacheKey != "k" || !next.cacheHit || next.cacheGroup(next.scope.Write) != s.cacheGroup(s.scope.Write) {
		t.Errorf("%+v of %s", next.scope, next.cacheURL)
	}
}

// A key names one of several caches, which stays as it is; where there is none
// with it, one whose key begins like a fallback does.
func TestCacheKeys(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare}}})
	spec := func(key, lock string) string {
		r.commit(map[string]string{"a/lock": lock, "b/lock": lock})
		return r.spec("version: 0.2\nenv: {variables: {V: '1'}}\ncache:\n  key: " + key + "\n  fallback-keys: ['w$V-', 'v$V-']\n  paths: [x]\nphases: {build: {commands: ['echo \"found <$(cat x/by)>\"; mkdir -p x; echo \"$NAME\" > x/by']}}\n")
	}
	const main = `{"ref":"refs/heads/main"}`
	const hashed = `'v$V-$(codebuild-hash-files "**/lock")'`
	for _, c := range []struct{ name, key, lock, ref, want, log string }{
		{"one", hashed, "1", main, "", `with the key "v1-`},
		{"two", hashed, "1", main, "one", "cache: nothing is saved: the one with the key"},
		{"three", hashed, "2", main, "one", `saved 1 files`},
		{"four", hashed, "1", main, "one", "stays as it is"},
		{"five", hashed, "2", main, "three", "stays as it is"},
		{"six", hashed, "3", `{"ref":"refs/heads/main","fork":true,"pull_request":7}`, "", "of pull request 7"},
		{"seven", "plain", "3", main, "five-or-four", `with the key "plain"`},
		{"eight", "plain", "4", main, "seven", "stays as it is"},
		{"nine", "$(exit 3)", "4", main, "", "it is empty"},
		{"ten", `'$(codebuild-hash-files none/*)'`, "4", main, "", "there is none for this build: the key"},
		{"eleven", "$(head -c 600 /dev/zero | tr '\\0' k)", "4", main, "", "more than 512 bytes"},
	} {
		commit := spec(c.key, c.lock)
		tk := newTask(t, c.name, input{"SourceVersion": commit, "EnvironmentVariablesOverride": []variable{{Name: "NAME", Value: c.name}}})
		tk.Origin = OriginOf([]byte(`{"source":` + c.ref + `}`))
		b := run(t, h, tk)
		found := strings.Contains(b.log, "\nfound <"+c.want+">\n") || c.want == "five-or-four" && (strings.Contains(b.log, "\nfound <one>\n") || strings.Contains(b.log, "\nfound <three>\n"))
		if b.err != nil || !found || !strings.Contains(b.log, c.log) {
			t.Errorf("%s: want <%s> and %q: %v\n%s", c.name, c.want, c.log, b.err, b.log)
		}
	}
}

// A disk that is nearly full keeps what it has for the service.
func TestCacheIsNotSavedToAFullDisk(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\ncache: {paths: [x]}\nphases: {build: {commands: ['echo y > x']}}\n")
	h := newHandler(t, Config{Projects: map[string]Project{"app": {CloneURL: r.bare}}, Isolation: IsolationNone})
	tk := newTask(t, "t", input{"SourceVersion": commit})
	tk.Origin = OriginOf([]byte(`{"source":{"ref":"refs/heads/main"}}`))
	h.reserve.least = 0
	real := h.reserve.free
	h.reserve.free = func() int64 {
		if exists(filepath.Join(h.works.dir(workName(tk)), "src", "x")) {
			return -1
		}
		return real()
	}
	b := run(t, h, tk)
	if b.err != nil || !strings.Contains(b.log, "cache: nothing is saved: the disk has less free") || len(h.caches.byKey) != 0 {
		t.Errorf("%v\n%s", b.err, b.log)
	}
}
