package hook_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchyard/webhook/git/hook"
)

func TestRunRefusesInputThatIsNotGits(t *testing.T) {
	h, err := hook.New(hook.Config{GitDir: t.TempDir(), URL: "http://127.0.0.1:1/webhooks/git", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	zeros, id := strings.Repeat("0", 40), strings.Repeat("a", 40)
	for name, in := range map[string]string{
		"words":      "hello\n",
		"two fields": zeros + " " + id + "\n",
		"short id":   zeros + " abc refs/heads/main\n",
		"not hex":    zeros + " " + strings.Repeat("g", 40) + " refs/heads/main\n",
		"an option":  zeros + " --upload-pack=x" + strings.Repeat("a", 26) + " refs/heads/main\n",
		"no ref":     zeros + " " + id + " main\n",
	} {
		t.Run(name, func(t *testing.T) {
			if err := h.Run(t.Context(), strings.NewReader(in), io.Discard); !errors.Is(err, hook.ErrUsage) {
				t.Errorf("error %v, want a usage error", err)
			}
		})
	}
	if err := h.Run(t.Context(), strings.NewReader(""), io.Discard); err != nil {
		t.Errorf("an empty push: %v", err)
	}
}

func TestNewNamesTheSettingToRepair(t *testing.T) {
	good := hook.Config{GitDir: "/srv/git/api.git", URL: "https://ci.example/webhooks/git", Secret: "s"}
	for name, row := range map[string]struct {
		change func(*hook.Config)
		want   string
	}{
		"relative directory": {func(c *hook.Config) { c.GitDir = "." }, "absolute"},
		"no URL":             {func(c *hook.Config) { c.URL = "" }, "switchyard.url"},
		"no host":            {func(c *hook.Config) { c.URL = "https:///x" }, "switchyard.url"},
		"other scheme":       {func(c *hook.Config) { c.URL = "file:///x" }, "switchyard.url"},
		"no secret":          {func(c *hook.Config) { c.Secret = "" }, "switchyard.secretFile"},
		"no secret file":     {func(c *hook.Config) { c.Secret, c.SecretFile = "", "/does/not/exist" }, "/does/not/exist"},
		"empty secret file":  {func(c *hook.Config) { c.Secret, c.SecretFile = "", os.DevNull }, "no secret"},
		"negative timeout":   {func(c *hook.Config) { c.Timeout = -1 }, "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			row.change(&cfg)
			_, err := hook.New(cfg)
			if !errors.Is(err, hook.ErrUsage) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error %v, want %q in it", err, row.want)
			}
		})
	}
	if _, err := hook.New(good); err != nil {
		t.Error(err)
	}
}

func TestInstalledSettingsAreLoaded(t *testing.T) {
	r := newRepo(t)
	want := hook.Config{
		GitDir: r.bare, URL: r.cfg.URL, SecretFile: r.cfg.SecretFile, Repository: "-o/x y", Pusher: "ada",
		CloneURL: "ssh://git@acme.example/api", HTMLURL: "https://acme.example/api", Timeout: 3 * time.Second,
	}
	// A second installation takes the place of the first.
	if _, err := hook.Install(t.Context(), want, "/opt/switchyard"); err != nil {
		t.Fatal(err)
	}
	got, err := hook.Load(t.Context(), r.bare)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(filepath.Join(r.bare, "hooks", "post-receive"))
	if err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("the hook cannot be run: %v %v", info.Mode(), err)
	}
}

func TestInstallLeavesAForeignHookAlone(t *testing.T) {
	r := newRepo(t)
	path := filepath.Join(r.bare, "hooks", "post-receive")
	const foreign = "#!/bin/sh\nmail -s pushed ops\n"
	if err := os.WriteFile(path, []byte(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := hook.Install(t.Context(), r.cfg, "/opt/switchyard")
	if !errors.Is(err, hook.ErrUsage) || !strings.Contains(err.Error(), "/opt/switchyard hook post-receive") {
		t.Errorf("error %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != foreign {
		t.Errorf("the hook is now %q", text)
	}
}

func TestInstallLeavesASharedHooksDirectoryAlone(t *testing.T) {
	r := newRepo(t)
	shared := t.TempDir()
	r.git(r.bare, "config", "core.hooksPath", shared)
	if _, err := hook.Install(t.Context(), r.cfg, "/opt/switchyard"); !errors.Is(err, hook.ErrUsage) || !strings.Contains(err.Error(), "core.hooksPath") {
		t.Errorf("error %v", err)
	}
	if files, _ := os.ReadDir(shared); len(files) != 0 {
		t.Errorf("written there: %v", files)
	}
}

func TestInstallCountsWhatIsThereAsReported(t *testing.T) {
	r := newRepo(t)
	ledger := filepath.Join(r.bare, "switchyard", "ledger")
	if err := os.Remove(ledger); err != nil {
		t.Fatal(err)
	}
	old := r.commit("from before", "a")
	r.git(r.bare, "fetch", "-q", r.work, "main:main")
	if _, err := hook.Install(t.Context(), r.cfg, "/opt/switchyard"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(ledger); string(text) != "# switchyard ledger, version 2\n"+old+" refs/heads/main\n" {
		t.Errorf("ledger %q", text)
	}
}

func TestMissingProgramIsSaidToThePusher(t *testing.T) {
	r := newRepo(t)
	if _, err := hook.Install(t.Context(), r.cfg, "/does/not/exist"); err != nil {
		t.Fatal(err)
	}
	r.commit("a", "a")
	if said := r.push("main"); !strings.Contains(said, "/does/not/exist is gone") {
		t.Errorf("the pusher saw:\n%s", said)
	}
}

func TestLoadOutsideARepositoryIsAUsageError(t *testing.T) {
	t.Setenv("GIT_CEILING_DIRECTORIES", os.TempDir())
	if _, err := hook.Load(t.Context(), t.TempDir()); !errors.Is(err, hook.ErrUsage) {
		t.Errorf("error %v", err)
	}
}
