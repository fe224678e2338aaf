package hook_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/git/hook"
)

func TestSHA256Repository(t *testing.T) {
	r := newRepo(t, "--object-format=sha256")
	a := r.commit("a", "a")
	r.push("main")
	got := one(t, r.server.take())
	if diff := cmp.Diff([]string{a}, shas(got)); diff != "" || len(a) != 64 || got.Before != "" {
		t.Errorf("%+v %s", got, diff)
	}
	r.git(r.work, "checkout", "-q", "-b", "x")
	b := r.commit("b", "b")
	r.git(r.work, "tag", "-a", "-m", "t", "v1")
	r.withoutHook(func() { r.push("x", "v1") })
	if err := r.hook().Flush(t.Context(), &bytes.Buffer{}, false, 0); err != nil {
		t.Fatal(err)
	}
	r.push("--delete", "x")
	if diff := cmp.Diff(map[string][]string{"refs/heads/x": {b, "gone " + b}, "refs/tags/v1": {b}}, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
}

// Objects that the repository borrows are as good as its own.
func TestRepositoryWithAlternates(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	alternates := filepath.Join(r.bare, "objects", "info", "alternates")
	if err := os.WriteFile(alternates, []byte(filepath.Join(r.work, ".git", "objects")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.push("main")
	if diff := cmp.Diff([]string{a}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

func TestWorkingTreesShareOneLedger(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	r.push("main")
	linked := filepath.Join(t.TempDir(), "linked")
	r.git(r.bare, "worktree", "add", "-q", "--detach", linked, "main")
	r.git(r.work, "checkout", "-q", "-b", "x")
	b := r.commit("b", "b")
	// Into the repository by way of the linked working tree.
	r.git(r.work, "push", linked, "x")
	if diff := cmp.Diff(map[string][]string{"refs/heads/main": {a}, "refs/heads/x": {b}}, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
	cfg, err := hook.Load(t.Context(), linked)
	if err != nil || cfg.GitDir != r.bare {
		t.Errorf("%+v, %v", cfg, err)
	}
	h, err := hook.At(t.Context(), linked)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := h.Flush(t.Context(), &out, false, 0); err != nil || out.Len() > 0 || len(r.server.take()) > 0 {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestLeftoverQuarantineIsNotLookedInto(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	r.withoutHook(func() { r.push("main") })
	incoming := filepath.Join(r.bare, "objects", "incoming-x")
	t.Setenv("GIT_QUARANTINE_PATH", incoming)
	t.Setenv("GIT_OBJECT_DIRECTORY", incoming)
	in := strings.NewReader(strings.Repeat("0", 40) + " " + a + " refs/heads/main\n")
	if err := r.hook().Run(t.Context(), in, io.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{a}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

// What is in quarantine may never become the repository's.
func TestHookCalledBeforeThePushIsDoneReportsNothing(t *testing.T) {
	r := newRepo(t)
	base := r.commit("base", "base")
	r.push("main")
	hooks := filepath.Join(r.bare, "hooks")
	if err := os.Rename(filepath.Join(hooks, "post-receive"), filepath.Join(hooks, "pre-receive")); err != nil {
		t.Fatal(err)
	}
	r.commit("a", "a")
	r.server.take()
	out, err := r.try(r.work, "push", "origin", "main")
	if err == nil || !strings.Contains(out, "THIS PUSH IS NOT REPORTED") || !strings.Contains(out, "is not in the repository") {
		t.Errorf("%v:\n%s", err, out)
	}
	if evs := r.server.take(); len(evs) != 0 || r.git(r.bare, "rev-parse", "main") != base {
		t.Errorf("%+v", evs)
	}
}

func TestNamespacesAreKeptApart(t *testing.T) {
	r := newRepo(t)
	a := r.commit("a", "a")
	r.push("main")
	r.git(r.work, "checkout", "-q", "-b", "x")
	b := r.commit("b", "b")
	r.server.take()
	r.t.Setenv("GIT_NAMESPACE", "tenant/one")
	r.push("x", a+":refs/heads/main")
	r.t.Setenv("GIT_NAMESPACE", "")
	os.Unsetenv("GIT_NAMESPACE")
	want := map[string][]string{"refs/heads/x": {b}, "refs/heads/main": {a}}
	if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
	var out bytes.Buffer
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil || len(r.server.take()) != 0 {
		t.Errorf("%v: %s", err, out.String())
	}
}

// A symbolic branch moves with the one that it leads to.
func TestAliasOfABranchIsNotReported(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.git(r.bare, "symbolic-ref", "refs/heads/stable", "refs/heads/main")
	a := r.commit("a", "a")
	r.server.take()
	r.push("main")
	b := r.commit("b", "b")
	r.push("main:stable")
	if diff := cmp.Diff(map[string][]string{"refs/heads/main": {a, b}}, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
}

func TestAtLooksAtThePathAlone(t *testing.T) {
	r := newRepo(t)
	below := filepath.Join(r.bare, "below")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := hook.At(t.Context(), below); err == nil || errors.Is(err, hook.ErrNotInstalled) || !strings.Contains(err.Error(), below) {
		t.Errorf("a folder within a repository: %v", err)
	}
	if _, err := hook.At(t.Context(), r.work); !errors.Is(err, hook.ErrNotInstalled) {
		t.Errorf("a repository without the hook: %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.work, ".git", "switchyard")); err == nil {
		t.Error("looking made a folder")
	}
	if _, err := hook.At(t.Context(), r.bare); err != nil {
		t.Error(err)
	}
	root := filepath.Dir(r.bare)
	got, err := hook.FindInstalled(root)
	if diff := cmp.Diff([]string{r.bare}, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	if _, err := hook.FindInstalled(filepath.Join(root, "nowhere")); err == nil {
		t.Error("a folder that is not there: no error")
	}
}
