//go:build unix

package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

// etcOf makes a folder that stands for /etc.
func etcOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeEtc(t, dir, name, text)
	}
	return dir
}

func writeEtc(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCopyOfEtcHoldsWhatEverybodyMayReadAndProgramsNeed(t *testing.T) {
	from := etcOf(t, map[string]string{
		"ssl/certs/ca.crt": "a certificate", "ssl/private/host.key": "top-secret", "ssl/half.key": "top-secret", "ssl/ours/token": "top-secret",
		"profile": "umask 022\n", "npmrc": "top-secret", "shadow": "top-secret", "hosts": "192.0.2.7 db\n", "elsewhere/zone": "UTC",
	})
	for name, mode := range map[string]os.FileMode{"ssl/private": 0o700, "ssl/half.key": 0o640} {
		if err := os.Chmod(filepath.Join(from, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"localtime": "elsewhere/zone", "os-release": "/usr/bin/env", "services": "nowhere", "ssl/link": "certs/ca.crt"} {
		if err := os.Symlink(to, filepath.Join(from, link)); err != nil {
			t.Fatal(err)
		}
	}
	e := &etcCopies{from: from, root: filepath.Join(t.TempDir(), "etc"), hidden: []string{filepath.Join(from, "ssl/ours")}, log: zap.NewNop(), now: time.Now}
	c, err := e.take()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"ssl/certs/ca.crt": "a certificate", "ssl/link": "a certificate", "profile": "umask 022\n", "localtime": "UTC",
		"hosts": "192.0.2.7 db\n127.0.0.1 build\n", "group": "build:x:1000:\nnogroup:x:65534:\n", "passwd": "", "resolv.conf": "",
	} {
		if got, err := os.ReadFile(filepath.Join(c.dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if to, err := os.Readlink(filepath.Join(c.dir, "os-release")); err != nil || !strings.HasPrefix(to, "/usr/") {
		t.Errorf("a link into the system is %q %v", to, err)
	}
	for _, name := range []string{"ssl/private", "ssl/half.key", "ssl/ours", "npmrc", "shadow", "services", "elsewhere"} {
		if _, err := os.Lstat(filepath.Join(c.dir, name)); err == nil {
			t.Errorf("%s is in the copy", name)
		}
	}
}

func TestCopyOfEtcFollowsIt(t *testing.T) {
	now := time.Now()
	from := etcOf(t, map[string]string{"ssl/certs/ca.crt": "old"})
	e := &etcCopies{from: from, root: filepath.Join(t.TempDir(), "etc"), log: zap.NewNop(), now: func() time.Time { return now }}
	take := func() *etcCopy {
		t.Helper()
		c, err := e.take()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	says := func(c *etcCopy) string {
		text, err := os.ReadFile(filepath.Join(c.dir, "ssl/certs/ca.crt"))
		if err != nil {
			return "gone"
		}
		return string(text)
	}
	first := take()
	now = now.Add(2 * etcEvery)
	if again := take(); again != first {
		t.Error("a new copy was made though nothing had changed")
	}
	writeEtc(t, from, "ssl/certs/ca.crt", "newer")
	if soon := take(); soon != first {
		t.Error("it was looked for changes at once again")
	}
	now = now.Add(2 * etcEvery)
	second := take()
	if says(first) != "old" || says(second) != "newer" {
		t.Errorf("the first copy says %q, the second %q", says(first), says(second))
	}
	for range 3 {
		e.release(first)
	}
	e.release(second)
	if says(first) != "gone" || says(second) != "newer" {
		t.Errorf("after their builds have ended the first copy says %q, the second %q", says(first), says(second))
	}
}

func TestIsolatedBuildSeesTheCopyOfEtc(t *testing.T) {
	needBubblewrap(t)
	r := newRepo(t)
	private := "true"
	if os.Geteuid() == 0 {
		key := filepath.Join("/etc/ssl", "switchyard-test.key")
		if err := os.WriteFile(key, []byte("top-secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(key) })
		private = "test ! -e " + key
	}
	resolv := filepath.Join(t.TempDir(), "resolv")
	text, _ := os.ReadFile("/etc/resolv.conf")
	if err := os.WriteFile(resolv, text, 0o644); err != nil {
		t.Fatal(err)
	}
	const below = "/etc/cron.d" // not among the files that builds see
	visible, seen := []string{resolv}, "true"
	if _, err := os.Stat(below); err == nil {
		visible, seen = append(visible, below), "test -d "+below
	}
	commit := r.spec(`version: 0.2
phases: {build: {commands: ['grep -q build /etc/hosts', 'cmp /etc/resolv.conf ` + resolv + `', 'test "$(getent passwd build | cut -d: -f6)" = "$HOME"',
  '! (echo x > /etc/x) 2>/dev/null', '! (echo x > /etc/passwd) 2>/dev/null', 'test ! -e /etc/shadow', '` + seen + `', '` + private + `']}}
`)
	h := newHandler(t, Config{Isolation: IsolationBubblewrap, Visible: visible, Writable: []string{}})
	b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
	if b.err != nil {
		t.Errorf("%v\n%s", b.err, b.log)
	}
}
