//go:build linux

package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A secret's file that is behind a link to a folder which is swapped, as where
// containers are given secrets, stays hidden, and builds go on.
func TestRotatedSecretsStayHidden(t *testing.T) {
	needBubblewrap(t)
	dir := t.TempDir()
	rotate := func(version string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "token"), []byte("secret-of-"+version), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	rotate("v1")
	token := filepath.Join(dir, "token")
	if err := os.Symlink("data/token", token); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tool"), []byte("a tool\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRepo(t)
	p := Project{CloneURL: r.bare, Secrets: map[string]Secret{"token": {File: token}}}
	h := newHandler(t, Config{
		Isolation: IsolationBubblewrap, Visible: []string{dir}, Writable: []string{}, Hidden: []string{token}, Projects: map[string]Project{"app": p},
		Patience: time.Second, // or a sandbox that cannot be made would be tried for an hour
	})
	for _, version := range []string{"v1", "v2"} {
		if version == "v2" {
			rotate("v2")
			if err := os.RemoveAll(filepath.Join(dir, "v1")); err != nil {
				t.Fatal(err)
			}
		}
		commit := r.spec("version: 0.2\nenv: {secrets-manager: {TOKEN: token}}\nphases:\n  build:\n    commands:\n      - cat " + dir + "/tool\n      - 'test \"$TOKEN\" = secret-of-" + version +
			"'\n      - for f in " + dir + "/token " + dir + "/*/token; do test ! -s $f; done\n")
		b := run(t, h, newTask(t, version, input{"SourceVersion": commit}))
		if b.err != nil || !strings.Contains(b.log, "\na tool\n") {
			t.Errorf("%s: %s\n%s", version, b.messages(), b.log)
		}
	}
}
