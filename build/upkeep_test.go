//go:build unix

package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/internal/proc"
)

// A check finds every kind of damage, a build that comes after it has a whole
// mirror, and one that is whole is left alone.
func TestChecksFindDamage(t *testing.T) {
	sequential(t)
	t.Parallel()
	for _, d := range damages {
		if d.name == "a file in its place" || d.name == "locks that nobody holds" {
			continue // no mirror to check, and nothing that is lost
		}
		t.Run(d.name, func(t *testing.T) {
			r := newRepo(t)
			commit := r.commit(map[string]string{"buildspec.yml": trueSpec, "hello": "hello\n", "d/e": "e\n", "unused": "u\n"})
			r.push()
			h := newHandler(t, Config{})
			in := input{"SourceVersion": commit, "SourceLocationOverride": r.bare}
			if b := run(t, h, newTask(t, "t", in)); b.err != nil {
				t.Fatal(b.messages())
			}
			m := h.mirrors.get(r.bare, "sha1")
			if d.packed {
				r.git(m.dir, "gc", "--quiet")
			} else if packs, _ := filepath.Glob(filepath.Join(m.dir, "objects/pack/*.pack")); len(packs) > 0 {
				t.Fatal("the objects are in a pack")
			}
			h.check(t.Context(), m)
			if m.damage.Load() != nil {
				t.Fatalf("damaged before: %s", *m.damage.Load())
			}
			d.do(t, m.dir, func(rev string) string {
				id := r.git(r.work, "rev-parse", rev)
				return "objects/" + id[:2] + "/" + id[2:]
			})
			h.check(t.Context(), m)
			if m.damage.Load() == nil {
				t.Fatal("the check found nothing")
			}
			if good, damaged := h.MirrorChecks(); good != 1 || damaged != 1 {
				t.Errorf("%d good and %d damaged", good, damaged)
			}
			b := run(t, h, newTask(t, "t", in))
			if b.err != nil || m.renewals.Load() != 1 {
				t.Errorf("%d renewals: %v %s", m.renewals.Load(), b.err, b.messages())
			}
			h.check(t.Context(), m)
			if m.damage.Load() != nil {
				t.Errorf("damaged after: %s", *m.damage.Load())
			}
		})
	}
}

// What old versions of git have written is not damage, or it would be fetched
// anew every day.
func TestChecksTakeOddCommits(t *testing.T) {
	r := newRepo(t)
	r.spec(trueSpec)
	tree := r.git(r.work, "rev-parse", "HEAD^{tree}")
	odd := filepath.Join(t.TempDir(), "commit")
	write(t, odd, []byte("tree "+tree+"\nauthor A<a@example.com>1 +0000\ncommitter A <a@example.com> 1 +0000\n\nodd\n"))
	commit := r.git(r.work, "hash-object", "-t", "commit", "-w", "--literally", odd)
	r.git(r.work, "push", "--quiet", "origin", commit+":refs/heads/odd")
	h := newHandler(t, Config{})
	if b := run(t, h, newTask(t, "t", input{"SourceVersion": commit, "SourceLocationOverride": r.bare})); b.err != nil {
		t.Fatal(b.messages())
	}
	m := h.mirrors.get(r.bare, "sha1")
	g := git{group: proc.NewGroup("test", "", time.Second)}
	if _, _, err := g.both(t.Context(), m.dir, "fsck"); err == nil {
		t.Fatal("git has nothing to say of the commit")
	}
	if damage, err := m.fsck(t.Context(), g); damage != "" || err != nil {
		t.Errorf("%q, %v", damage, err)
	}
}

// Mirrors have their turns, the one that has waited longest first, and not while
// something builds, unless they have missed one.
func TestMirrorsTakeTurns(t *testing.T) {
	now := time.Date(2040, 1, 2, 0, 0, 0, 0, time.UTC)
	h := newHandler(t, Config{MaxParallel: 2}, WithNow(func() time.Time { return now }))
	var all []*mirror
	for _, url := range []string{"/a", "/b", "/c"} {
		m := h.mirrors.get(url, "sha1")
		write(t, filepath.Join(m.dir, "HEAD"), nil)
		all = append(all, m)
	}
	day := 24 * time.Hour
	for i, ago := range []time.Duration{day, 30 * time.Hour, time.Hour} {
		if err := all[i].touch(checkedFile, now.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	if got := dueForCheck(all, now, day); got != all[1] {
		t.Errorf("due is %v", got)
	}
	if got := dueForCheck(all[2:], now, day); got != nil {
		t.Error("due an hour after its check")
	}
	if dueForCheck(all, now, -1) != nil {
		t.Error("due though checks are off")
	}
	if !h.mayCheck(all[1]) {
		t.Error("no check though nothing builds")
	}
	if err := h.slots.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	defer h.slots.Release(1)
	if h.mayCheck(all[1]) {
		t.Error("a check while something builds")
	}
	now = now.Add(day)
	if !h.mayCheck(all[1]) {
		t.Error("no check though the mirror has missed a turn")
	}
}

// A mirror that nothing builds from goes, and one that is in use stays; the next
// build fetches again.
func TestUnusedMirrorsAreRemoved(t *testing.T) {
	r := newRepo(t)
	commit := r.spec(trueSpec)
	now := time.Now()
	h := newHandler(t, Config{KeepMirrors: time.Hour, CheckMirrors: -1}, WithNow(func() time.Time { return now }))
	in := input{"SourceVersion": commit, "SourceLocationOverride": r.bare}
	if b := run(t, h, newTask(t, "t", in)); b.err != nil {
		t.Fatal(b.messages())
	}
	once := func() bool {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.Upkeep(ctx); err != nil {
			t.Fatal(err)
		}
		return exists(h.mirrors.get(r.bare, "sha1").dir)
	}
	aside := h.mirrors.get(r.bare, "sha1").dir + damagedMark + "x"
	write(t, filepath.Join(aside, "HEAD"), nil)
	if err := os.Chtimes(aside, now.Add(-2*time.Hour), now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(59 * time.Minute)
	if !once() || exists(aside) {
		t.Error("the mirror is gone, or what was set aside is not")
	}
	now = now.Add(2 * time.Minute)
	_, release := h.mirrors.use(r.bare, "sha1")
	if !once() {
		t.Error("a mirror in use is gone")
	}
	release()
	if once() {
		t.Error("an unused mirror stays")
	}
	if b := run(t, h, newTask(t, "t", in)); b.err != nil {
		t.Error(b.messages())
	}
	if !once() {
		t.Error("the mirror is gone again")
	}
	if left, _ := filepath.Glob(filepath.Join(h.mirrors.root, "*")); len(left) != 1 || !strings.HasSuffix(left[0], ".git") {
		t.Errorf("left are %v", left)
	}
}
