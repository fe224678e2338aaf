//go:build unix

package build

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/task"
	"switchyard/internal/proc"
)

// write replaces a file of a mirror, also one that git made read-only.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// each changes all files below dir that match, by path within it.
func each(t *testing.T, dir, pattern string, change func(path string, content []byte)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if ok, err := filepath.Match(pattern, rel); !ok || err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		change(path, content)
		n++
		return err
	})
	if err != nil || n == 0 {
		t.Fatalf("%s: %d files match, %v", pattern, n, err)
	}
}

// damages are ways in which a mirror breaks. packed ones need the objects in a
// pack, the others as files of their own.
var damages = []struct {
	name   string
	packed bool
	do     func(t *testing.T, dir string, object func(rev string) string)
}{
	{"empty objects", false, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/[0-9a-f][0-9a-f]/*", func(path string, _ []byte) { write(t, path, nil) })
	}},
	{"zeros in objects", false, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/[0-9a-f][0-9a-f]/*", func(path string, c []byte) { write(t, path, make([]byte, len(c))) })
	}},
	{"an empty file's object", false, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, object("HEAD:hello"), func(path string, _ []byte) { write(t, path, nil) })
	}},
	{"a tree's object is gone", false, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, object("HEAD:d"), func(path string, _ []byte) { _ = os.Remove(path) })
	}},
	{"a file's object is gone", false, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, object("HEAD:hello"), func(path string, _ []byte) { _ = os.Remove(path) })
	}},
	{"truncated pack", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.pack", func(path string, c []byte) { write(t, path, c[:len(c)/2]) })
	}},
	{"zeros in the pack", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.pack", func(path string, c []byte) { write(t, path, append(c[:16:16], make([]byte, len(c)-16)...)) })
	}},
	{"empty pack", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.pack", func(path string, _ []byte) { write(t, path, nil) })
	}},
	{"pack is gone", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.pack", func(path string, _ []byte) { _ = os.Remove(path) })
	}},
	{"index is gone", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.idx", func(path string, _ []byte) { _ = os.Remove(path) })
	}},
	{"index is garbage", true, func(t *testing.T, dir string, object func(rev string) string) {
		each(t, dir, "objects/pack/*.idx", func(path string, c []byte) { write(t, path, []byte(strings.Repeat("x", len(c)))) })
	}},
	{"all objects are gone", true, func(t *testing.T, dir string, object func(rev string) string) {
		if err := os.RemoveAll(filepath.Join(dir, "objects")); err != nil {
			t.Fatal(err)
		}
	}},
	{"garbage in a ref", false, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "refs/heads/main"), []byte("garbage\n"))
	}},
	{"empty ref", false, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "refs/heads/main"), nil)
	}},
	{"ref without its object", false, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "refs/heads/main"), []byte(strings.Repeat("ab", 20)+"\n"))
	}},
	{"garbage in packed-refs", true, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "packed-refs"), []byte("garb"))
	}},
	{"HEAD is gone", true, func(t *testing.T, dir string, object func(rev string) string) {
		_ = os.Remove(filepath.Join(dir, "HEAD"))
	}},
	{"empty HEAD", true, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "HEAD"), nil)
	}},
	{"garbage in the configuration", true, func(t *testing.T, dir string, object func(rev string) string) {
		write(t, filepath.Join(dir, "config"), []byte("[core\n\x00"))
	}},
	{"a file in its place", true, func(t *testing.T, dir string, object func(rev string) string) {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		write(t, dir, []byte("x"))
	}},
	{"locks that nobody holds", false, func(t *testing.T, dir string, object func(rev string) string) {
		for _, name := range []string{"HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/heads/main.lock", "refs/heads/other.lock", "gc.pid"} {
			write(t, filepath.Join(dir, name), nil)
		}
	}},
}

func TestMirrorsHeal(t *testing.T) {
	for _, d := range damages {
		// What a power cut leaves is looked for at the start, too.
		for _, restart := range []bool{false, true}[:1+min(1, strings.Count(d.name, "empty")+strings.Count(d.name, "locks"))] {
			t.Run(fmt.Sprintf("%s, restart %v", d.name, restart), func(t *testing.T) {
				t.Parallel()
				r := newRepo(t)
				files := map[string]string{"hello": "hello world\n", "d/x": "x\n",
					"buildspec.yml": "version: 0.2\nphases: {build: {commands: ['test \"$(cat hello)\" = \"hello world\"', 'git log --stat >/dev/null', 'test -z \"$(git status --short)\"']}}\n"}
				r.commit(map[string]string{"hello": "before\n"})
				old := r.commit(files)
				object := func(rev string) string {
					id := r.git(r.work, "rev-parse", rev)
					return "objects/" + id[:2] + "/" + id[2:]
				}
				r.push()
				dir := t.TempDir()
				h, err := open(dir)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = h.Close() }()
				build := func(commit string) built {
					t.Helper()
					b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare}))
					if b.err != nil {
						t.Errorf("%s: %s\n%s", commit, b.messages(), b.log)
					}
					return b
				}
				build(old)
				mirror := h.mirrors.get(r.bare, "sha1").dir
				if d.packed {
					r.git(mirror, "repack", "-adq")
					r.git(mirror, "pack-refs", "--all")
				}
				d.do(t, mirror, object)
				next := r.commit(map[string]string{"next": "n"})
				r.push()
				if restart {
					if err := h.Close(); err != nil {
						t.Fatal(err)
					}
					if h, err = open(dir); err != nil {
						t.Fatal(err)
					}
				}
				build(old)
				build(next)
				build(old)
				aside, err := filepath.Glob(mirror + damagedMark + "*")
				if err != nil || len(aside) > 1 {
					t.Errorf("set aside: %v %v", aside, err)
				}
				r.git(mirror, "fsck", "--full")
			})
		}
	}
}

func open(dir string) (*Handler, error) {
	return New(zap.NewNop(), Config{DataDir: dir, KillGrace: 300 * time.Millisecond}, WithAccess(anything{}))
}

// Builds that find the same damage fetch the mirror anew once.
func TestMirrorIsRenewedOnce(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['true']}}\n")
	h := newHandler(t, Config{MaxParallel: 4})
	build := func(id string) *task.Error {
		return run(t, h, newTask(t, id, input{"SourceVersion": commit, "SourceLocationOverride": r.bare})).err
	}
	if err := build("t"); err != nil {
		t.Fatal(err)
	}
	m := h.mirrors.get(r.bare, "sha1")
	tree := r.git(r.work, "rev-parse", "HEAD:buildspec.yml")
	write(t, filepath.Join(m.dir, "objects", tree[:2], tree[2:]), []byte("garbage"))
	done := make(chan *task.Error)
	for i := range 4 {
		go func() { done <- build(fmt.Sprint("t", i)) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := m.renewals.Load(); n != 1 {
		t.Errorf("the mirror was renewed %d times", n)
	}
}

// A commit that is not there, or an address that is wrong, is not taken for
// damage.
func TestHealthyMirrorsStay(t *testing.T) {
	r := newRepo(t)
	commit := r.spec("version: 0.2\nphases: {build: {commands: ['true']}}\n")
	h := newHandler(t, Config{})
	for _, version := range []string{commit, strings.Repeat("ab", 20), "abcdef", "no-such-branch", commit} {
		run(t, h, newTask(t, "t", input{"SourceVersion": version, "SourceLocationOverride": r.bare}))
	}
	if n := h.mirrors.get(r.bare, "sha1").renewals.Load(); n != 0 {
		t.Errorf("renewed %d times", n)
	}
	s := &source{mirror: h.mirrors.get(r.bare, "sha1"), commit: commit, format: "sha1"}
	g := git{group: proc.NewGroup("test", "", time.Second)}
	failure := &gitError{command: "checkout", text: "error: some words that nobody knows"}
	if healed, err := s.heal(context.Background(), g, failure, 0, func(string, ...any) {}); healed || err != nil {
		t.Errorf("healed %v, %v", healed, err)
	}
}
