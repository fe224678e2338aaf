package hook_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
	"switchyard/webhook/git/hook"
)

// killedAt are the places at which a push of two refs is killed: the step, and
// which time it comes to it.
var killedAt = []string{
	"started:1", "ledger read:1", "planned:1", "delivery written:1", "delivery written:2", "staged:1", "ledger written:1",
	"delivery published:1", "delivery published:2", "published:1", "delivery sent:1", "delivery removed:1", "told:1",
}

// heard is what a receiver makes of all that it was told: per ref the commits
// in order, "gone" for its deletion.
func heard(evs []event.Event) map[string][]string {
	got := map[string][]string{}
	for _, ev := range evs {
		if ev.Kind == event.Delete {
			got[ev.Ref] = append(got[ev.Ref], "gone "+ev.Before)
			continue
		}
		for _, c := range ev.Commits {
			got[ev.Ref] = append(got[ev.Ref], c.SHA)
		}
	}
	return got
}

// Each scenario prepares, and then returns a push with what is to be heard of
// it. n makes names new.
var scenarios = map[string]func(r *repo, n int) (args []string, want map[string][]string){
	"a new branch": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("new", n, "main")
		return []string{b}, map[string][]string{"refs/heads/" + b: {r.commit("a", b), r.commit("b", b)}}
	},
	"two new branches": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("one", n, "main")
		first := r.commit("a", b)
		c := r.branch("two", n, "main")
		return []string{b, c}, map[string][]string{"refs/heads/" + b: {first}, "refs/heads/" + c: {r.commit("b", c)}}
	},
	"more commits": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("more", n, "main")
		r.commit("a", b)
		r.push(b)
		return []string{b}, map[string][]string{"refs/heads/" + b: {r.commit("b", b), r.commit("c", b)}}
	},
	"a forced push": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("forced", n, "main")
		r.commit("a", b)
		r.push(b)
		r.git(r.work, "reset", "-q", "--hard", "main")
		return []string{"--force", b}, map[string][]string{"refs/heads/" + b: {r.commit("b", b), r.commit("c", b)}}
	},
	"a deletion": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("deleted", n, "main")
		a := r.commit("a", b)
		r.push(b)
		return []string{"--delete", b}, map[string][]string{"refs/heads/" + b: {"gone " + a}}
	},
	"a rename": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("old", n, "main")
		a := r.commit("a", b)
		r.push(b)
		to := fmt.Sprint("renamed", n)
		return []string{":" + b, b + ":refs/heads/" + to}, map[string][]string{"refs/heads/" + b: {"gone " + a}, "refs/heads/" + to: {a}}
	},
	"tags": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("tagged", n, "main")
		a := r.commit("a", b)
		light, heavy := fmt.Sprint("light", n), fmt.Sprint("heavy", n)
		r.git(r.work, "tag", light)
		r.git(r.work, "tag", "-a", "-m", "release", heavy)
		return []string{light, heavy}, map[string][]string{"refs/tags/" + light: {a}, "refs/tags/" + heavy: {a}}
	},
	"a mirror": func(r *repo, n int) ([]string, map[string][]string) {
		b := r.branch("mirrored", n, "main")
		first := r.commit("a", b)
		r.git(r.work, "tag", fmt.Sprint("m", n))
		gone := fmt.Sprint("extra", n)
		r.git(r.work, "push", r.bare, "main:"+gone)
		return []string{"--mirror"}, map[string][]string{
			"refs/heads/" + b: {first}, fmt.Sprint("refs/tags/m", n): {first},
			"refs/heads/" + gone: {"gone " + r.git(r.work, "rev-parse", "main")},
		}
	},
}

// branch makes a branch of a new name.
func (r *repo) branch(name string, n int, from string) string {
	r.t.Helper()
	name = fmt.Sprint(name, n)
	r.git(r.work, "checkout", "-q", "-b", name, from)
	return name
}

func TestKilledHookLosesNothingAndRepeatsNothing(t *testing.T) {
	for name, scenario := range scenarios {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.commit("base", "base")
			r.push("main")
			t.Setenv(settleVariable, "20ms") // nothing runs at the same time
			killed := filepath.Join(t.TempDir(), "killed")
			t.Setenv(killedVariable, killed)
			places := killedAt
			if name != "a mirror" && name != "two new branches" {
				places = []string{"started:1", "ledger written:1", "delivery sent:1"} // all of them take long
			}
			for n, place := range places {
				args, want := scenario(r, n)
				r.server.take()
				t.Setenv(faultVariable, place)
				out, err := r.try(r.work, append([]string{"push", "origin"}, args...)...)
				t.Setenv(faultVariable, "")
				if err != nil {
					t.Fatalf("push: %v\n%s", err, out)
				}
				if err := os.Remove(killed); err != nil {
					t.Fatalf("not killed at %s: %v\n%s", place, err, out)
				}
				if n%2 == 0 {
					// Another branch is pushed.
					b := r.branch("other", n, "main")
					want["refs/heads/"+b] = []string{r.commit("o", b)}
					r.push(b)
				} else if err := r.hook(hook.WithSettle(0)).Flush(t.Context(), &bytes.Buffer{}, false, 0); err != nil {
					t.Fatalf("flush: %v", err)
				}
				if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
					t.Fatalf("killed at %s: %s", place, diff)
				}
				if left, _ := os.ReadDir(filepath.Join(r.bare, "switchyard", "staged")); len(left) > 0 {
					t.Errorf("killed at %s: left behind: %v", place, left)
				}
			}
			if spooled, failed := r.waiting(); spooled+failed != 0 {
				t.Errorf("%d spooled, %d failed", spooled, failed)
			}
		})
	}
}

// A flush that is killed is like a push that is.
func TestKilledFlushLosesNothingAndRepeatsNothing(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	t.Setenv(settleVariable, "20ms")
	killed := filepath.Join(t.TempDir(), "killed")
	for n, place := range []string{
		"found ahead:1", "ledger read:1", "planned:1", "delivery written:2", "staged:1", "ledger written:1",
		"delivery published:1", "published:1", "delivery sent:1", "delivery removed:2",
	} {
		args, want := scenarios["two new branches"](r, n)
		r.server.take()
		r.withoutHook(func() { r.push(args...) })
		t.Setenv(killedVariable, killed)
		t.Setenv(faultVariable, place)
		out, _ := r.flushProcess()
		t.Setenv(faultVariable, "")
		if err := os.Remove(killed); err != nil {
			t.Fatalf("not killed at %s: %v\n%s", place, err, out)
		}
		if out, err := r.flushProcess(); err != nil {
			t.Fatalf("flush: %v\n%s", err, out)
		}
		if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
			t.Fatalf("killed at %s: %s", place, diff)
		}
	}
	for id, calls := range r.server.calls {
		// What was sent and not yet removed is sent again, under the same ID.
		if calls > 2 {
			t.Errorf("delivery %s sent %d times", id, calls)
		}
	}
}

// withoutHook does what no hook sees.
func (r *repo) withoutHook(f func()) {
	r.t.Helper()
	script := filepath.Join(r.bare, "hooks", "post-receive")
	if err := os.Chmod(script, 0o644); err != nil {
		r.t.Fatal(err)
	}
	f()
	if err := os.Chmod(script, 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func TestCommitsOfHooklessPushesAreReported(t *testing.T) {
	setUp := func(t *testing.T) (r *repo, base string) {
		r = newRepo(t)
		base = r.commit("base", "base")
		r.push("main")
		r.git(r.work, "checkout", "-q", "-b", "feature/x")
		return r, base
	}
	t.Run("the push that creates the branch, then one to it", func(t *testing.T) {
		r, _ := setUp(t)
		a := r.commit("a", "a")
		b := r.commit("b", "b")
		r.withoutHook(func() { r.push("feature/x") })
		c := r.commit("c", "c")
		r.server.take()
		r.push("feature/x")
		got := one(t, r.server.take())
		if diff := cmp.Diff([]string{a, b, c}, shas(got)); diff != "" || got.Before != "" {
			t.Errorf("before %q, want the branch to be new; %s", got.Before, diff)
		}
	})
	t.Run("two of them, then one to it", func(t *testing.T) {
		r, _ := setUp(t)
		a := r.commit("a", "a")
		r.withoutHook(func() { r.push("feature/x") })
		b := r.commit("b", "b")
		r.withoutHook(func() { r.push("feature/x") })
		c := r.commit("c", "c")
		r.server.take()
		r.push("feature/x")
		if diff := cmp.Diff([]string{a, b, c}, shas(one(t, r.server.take()))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("then its commits are left behind", func(t *testing.T) {
		r, base := setUp(t)
		a := r.commit("a", "a")
		r.withoutHook(func() { r.push("feature/x") })
		r.git(r.work, "reset", "-q", "--hard", base)
		b := r.commit("b", "b")
		r.server.take()
		r.push("--force", "feature/x")
		if diff := cmp.Diff(map[string][]string{"refs/heads/feature/x": {a, b}}, heard(r.server.take())); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("then the branch is deleted", func(t *testing.T) {
		r, _ := setUp(t)
		a := r.commit("a", "a")
		r.withoutHook(func() { r.push("feature/x") })
		r.server.take()
		r.push("--delete", "feature/x")
		if diff := cmp.Diff(map[string][]string{"refs/heads/feature/x": {a, "gone " + a}}, heard(r.server.take())); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("to another branch, with a pusher's word", func(t *testing.T) {
		r, _ := setUp(t)
		a := r.commit("a", "a")
		r.withoutHook(func() { r.push("feature/x") })
		r.git(r.work, "checkout", "-q", "main")
		b := r.commit("b", "b")
		r.server.take()
		said := r.push("main")
		if diff := cmp.Diff(map[string][]string{"refs/heads/feature/x": {a}, "refs/heads/main": {b}}, heard(r.server.take())); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(said, "an earlier push had not been reported; with this one:") {
			t.Errorf("the pusher saw:\n%s", said)
		}
	})
	t.Run("deleted and made again at the same commit", func(t *testing.T) {
		r, _ := setUp(t)
		a := r.commit("a", "a")
		r.push("feature/x")
		r.push("--delete", "feature/x")
		r.server.take()
		r.push("feature/x")
		if diff := cmp.Diff([]string{"-" + a}, shas(one(t, r.server.take()))); diff != "" {
			t.Error(diff)
		}
	})
}

// Hooks of forced pushes that run in the other order.
func TestOvertakenHookReportsWhatWasLeftBehindOnce(t *testing.T) {
	for name, first := range map[string]int{"in order": 0, "in the other order": 1} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			base := r.commit("base", "base")
			r.push("main")
			x := r.commit("x", "x")
			r.git(r.work, "reset", "-q", "--hard", base)
			y := r.commit("y", "y")
			r.withoutHook(func() {
				r.push("--force", x+":main")
				r.push("--force", y+":main")
			})
			r.server.take()
			lines := []string{base + " " + x, x + " " + y}
			for i := range lines {
				in := strings.NewReader(lines[(i+first)%2] + " refs/heads/main\n")
				if err := r.hook().Run(t.Context(), in, &bytes.Buffer{}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(map[string][]string{"refs/heads/main": {x, y}}, heard(r.server.take())); diff != "" {
				t.Error(diff)
			}
		})
	}
}
