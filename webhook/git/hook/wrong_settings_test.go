package hook_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever is wrong, the pusher is told, and what was pushed meanwhile is
// reported once it is repaired: all of it, also what was left behind.
func TestPushWithWrongSettingsIsSaidAndReportedLater(t *testing.T) {
	for name, row := range map[string]struct {
		spoil, repair func(r *repo)
		want          string
		then          []string
	}{
		"no secret file": {
			func(r *repo) { _ = os.Rename(r.cfg.SecretFile, r.cfg.SecretFile+".away") },
			func(r *repo) { _ = os.Rename(r.cfg.SecretFile+".away", r.cfg.SecretFile) },
			"switchyard.secretFile: open ",
			[]string{"flush"},
		},
		"an empty secret": {
			func(r *repo) { _ = os.WriteFile(r.cfg.SecretFile, nil, 0o600) },
			func(r *repo) { _ = os.WriteFile(r.cfg.SecretFile, []byte(secret), 0o600) },
			"no secret to sign with; write it to a file",
			[]string{"push"},
		},
		"no URL": {
			func(r *repo) { r.git(r.bare, "config", "--unset", "switchyard.url") },
			func(r *repo) { r.git(r.bare, "config", "switchyard.url", r.cfg.URL) },
			"set it with: git config switchyard.url https://HOST/webhooks/git",
			[]string{"push"},
		},
		"a timeout that is none": {
			func(r *repo) { r.git(r.bare, "config", "switchyard.timeout", "soon") },
			func(r *repo) { r.git(r.bare, "config", "switchyard.timeout", "9s") },
			`switchyard.timeout is "soon"; write it like 5s`,
			[]string{"flush"},
		},
		"no program": {
			func(r *repo) { _ = os.Rename(r.program(), r.program()+".away") },
			func(r *repo) { _ = os.Rename(r.program()+".away", r.program()) },
			" is gone",
			[]string{"push", "flush"},
		},
	} {
		for _, then := range row.then {
			t.Run(name+", then a "+then, func(t *testing.T) {
				r := newRepo(t)
				base := r.commit("base", "base")
				r.push("main")
				row.spoil(r)
				r.git(r.work, "checkout", "-q", "-b", "x")
				a := r.commit("a", "a")
				said := r.push("x")
				for _, want := range []string{"switchyard: THIS PUSH IS NOT REPORTED", row.want, "switchyard hook flush"} {
					if !strings.Contains(said, want) {
						t.Errorf("the pusher did not see %q:\n%s", want, said)
					}
				}
				if strings.Contains(said, "--help") || strings.Contains(said, "usage") {
					t.Errorf("the pusher is told how to use a command:\n%s", said)
				}
				want := map[string][]string{"refs/heads/x": {a}}
				if name != "no program" { // which leaves nobody to see it
					r.git(r.work, "reset", "-q", "--hard", base)
					b := r.commit("b", "b")
					r.push("--force", "x")
					want["refs/heads/x"] = []string{a, b}
				}
				row.repair(r)
				r.server.take()
				if then == "push" {
					r.git(r.work, "checkout", "-q", "main")
					want["refs/heads/main"] = []string{r.commit("c", "c")}
					r.push("main")
				} else if out, err := r.flushProcess(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if diff := cmp.Diff(want, heard(r.server.take())); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// program is the link that the hook runs.
func (r *repo) program() string {
	r.t.Helper()
	all, _ := filepath.Glob(filepath.Join(filepath.Dir(r.bare), "it's*"))
	if len(all) != 1 {
		r.t.Fatalf("programs: %v", all)
	}
	return strings.TrimSuffix(all[0], ".away")
}

func TestFlushOfARepositoryThatWasNeverRecordedReportsNothing(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.withoutHook(func() { r.push("main") })
	if err := os.RemoveAll(filepath.Join(r.bare, "switchyard")); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil || len(r.server.take()) != 0 {
		t.Errorf("%v: something was reported", err)
	}
	if !strings.Contains(out.String(), "what the repository has now, 1 branch or tag, counts as reported") {
		t.Errorf("said: %s", out.String())
	}
	a := r.commit("a", "a")
	r.withoutHook(func() { r.push("main") })
	if err := r.hook().Flush(t.Context(), &out, false, 0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{a}, shas(one(t, r.server.take()))); diff != "" {
		t.Error(diff)
	}
}

// A branch that git itself cannot read does not keep the others waiting.
func TestBranchThatCannotBeReadIsSaidAndTheOthersAreReported(t *testing.T) {
	r := newRepo(t)
	r.commit("base", "base")
	r.push("main")
	r.git(r.work, "checkout", "-q", "-b", "x")
	a := r.commit("a", "a")
	r.withoutHook(func() { r.push("x") })
	missing := strings.Repeat("12", 20)
	if err := os.WriteFile(filepath.Join(r.bare, "refs", "heads", "broken"), []byte(missing+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.server.take()
	var out bytes.Buffer
	if err := r.hook().Flush(t.Context(), &out, false, 0); err == nil || !strings.Contains(err.Error(), "broken: commit "+missing+" is not in the repository") {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(map[string][]string{"refs/heads/x": {a}}, heard(r.server.take())); diff != "" {
		t.Error(diff)
	}
}
