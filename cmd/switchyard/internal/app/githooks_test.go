package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/freeport"
	"switchyard/webhook/git/hook"
)

// A push that nothing reported is found when the service starts, and what waits
// in the spool is sent: nobody pushes or flushes.
func TestServiceCatchesUpWithItsRepositoriesAtStart(t *testing.T) {
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	dir := t.TempDir()
	git := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=Ada", "-c", "user.email=a@b"}, args...)...)
		cmd.Dir = in
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	bare, work, bareOther := filepath.Join(dir, "api.git"), filepath.Join(dir, "work"), filepath.Join(dir, "other.git")
	git(dir, "init", "-q", "--bare", "-b", "main", bare)
	git(dir, "init", "-q", "--bare", bareOther) // without the hook
	git(dir, "init", "-q", "-b", "main", work)
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	hookConfig := hook.Config{GitDir: bare, URL: "http://" + address + "/webhooks/git", SecretFile: secretFile, Repository: "acme/api"}
	if _, err := hook.Install(t.Context(), hookConfig, "/does/not/exist"); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for i, branch := range []string{"feature/a", "feature/b"} {
		git(work, "checkout", "-q", "-b", branch)
		git(work, "commit", "-q", "--allow-empty", "-m", fmt.Sprint("commit ", i))
		want[git(work, "rev-parse", "HEAD")] = false
		git(work, "push", "-q", bare, branch)
	}
	text := fmt.Sprintf(settings, secret)
	text = strings.Replace(text, "127.0.0.1:0", address, 1)
	text = strings.Replace(text, "sources:\n", fmt.Sprintf("sources:\n  git: {secrets: [%q], repositories: {acme/api: api.git, acme/other: other.git}}\n", secret), 1)
	s := startWith(t, dir, text, machine)
	for deadline := time.Now().Add(2 * time.Minute); ; {
		page, err := s.Dispatcher().Executions(t.Context(), dispatch.ExecutionFilter{})
		if err != nil {
			t.Fatal(err)
		}
		list := page.Executions
		for _, e := range list {
			want[e.SHA] = true
		}
		missing := 0
		for _, there := range want {
			if !there {
				missing++
			}
		}
		if missing == 0 && len(list) == len(want) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("of %v, the executions are %v", want, list)
		}
		<-time.After(20 * time.Millisecond)
	}
	if _, err := os.Stat(filepath.Join(bareOther, "switchyard")); err == nil {
		t.Error("a repository without the hook was touched")
	}
}
