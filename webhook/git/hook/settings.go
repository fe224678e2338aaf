package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The keys of the repository's git configuration, as people write them.
const (
	keyURL        = "switchyard.url"
	keySecretFile = "switchyard.secretFile"
	keyRepository = "switchyard.repository"
	keyCloneURL   = "switchyard.cloneUrl"
	keyHTMLURL    = "switchyard.htmlUrl"
	keyTimeout    = "switchyard.timeout"
)

// Load finds the repository that dir is in, or that GIT_DIR names when dir is
// "", and reads its settings from git's configuration: switchyard.url,
// switchyard.secretFile, switchyard.repository, switchyard.cloneUrl,
// switchyard.htmlUrl and switchyard.timeout (a duration such as 5s). The pusher
// is REMOTE_USER, GL_USER or USER of the environment, whichever is set first.
func Load(ctx context.Context, dir string) (Config, error) {
	gitDir, err := findGitDir(ctx, dir)
	if err != nil {
		return Config{}, err
	}
	cfg := Config{GitDir: gitDir}
	for _, name := range []string{"REMOTE_USER", "GL_USER", "USER"} {
		if cfg.Pusher == "" {
			cfg.Pusher = os.Getenv(name)
		}
	}
	out, err := repository{gitDir}.run(ctx, "", "config", "--list", "--null", "--includes")
	if err != nil {
		return Config{}, err
	}
	texts := map[string]*string{
		keyURL: &cfg.URL, keySecretFile: &cfg.SecretFile, keyRepository: &cfg.Repository,
		keyCloneURL: &cfg.CloneURL, keyHTMLURL: &cfg.HTMLURL,
	}
	settings := map[string]string{}
	for line := range strings.SplitSeq(out, "\x00") {
		key, value, _ := strings.Cut(line, "\n")
		settings[key] = value // the last one counts, as git has it
	}
	for key, text := range texts {
		*text = settings[strings.ToLower(key)]
	}
	if t := settings[keyTimeout]; t != "" {
		if cfg.Timeout, err = time.ParseDuration(t); err != nil || cfg.Timeout <= 0 {
			return Config{}, fmt.Errorf("%w: %s is %q; write it like 5s", ErrUsage, keyTimeout, t)
		}
	}
	return cfg, nil
}

func findGitDir(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "--absolute-git-dir")
	if dir != "" {
		cmd.Dir, cmd.Env = dir, withoutRepository(os.Environ())
	}
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %q is no git repository: %w", ErrUsage, dir, gitError("rev-parse", err))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

const hookMark = "# switchyard: post-receive"

const hookScript = `#!/bin/sh
` + hookMark + `
# Settings: git config --get-regexp '^switchyard\.'
bin=%s
if [ ! -x "$bin" ]; then
	echo "switchyard: $bin is gone, so this push is not reported; install the hook again" >&2
	exit 0
fi
exec "$bin" hook post-receive
`

// Install makes program, an absolute path of the switchyard binary, the
// post-receive hook of cfg's repository, and writes the settings that are not
// empty to the repository's git configuration. A secret is never written there:
// SecretFile is required. What is in the repository now counts as reported. An
// existing hook of another kind is left alone, and is an error.
func Install(ctx context.Context, cfg Config, program string) error {
	if cfg.SecretFile == "" || !filepath.IsAbs(cfg.SecretFile) {
		return fmt.Errorf("%w: the secret must be in a file, named by an absolute path, not %q", ErrUsage, cfg.SecretFile)
	}
	if !filepath.IsAbs(program) {
		return fmt.Errorf("%w: the program %q must be an absolute path", ErrUsage, program)
	}
	h, err := New(cfg)
	if err != nil {
		return err
	}
	repo := repository{cfg.GitDir}
	hooks, err := repo.run(ctx, "", "rev-parse", "--path-format=absolute", "--git-path", "hooks")
	if err != nil {
		return err
	}
	path := filepath.Join(strings.TrimSuffix(hooks, "\n"), "post-receive")
	if rel, err := filepath.Rel(cfg.GitDir, path); err != nil || strings.HasPrefix(rel, "..") {
		return fmt.Errorf("%w: core.hooksPath leads to %s, which other repositories may share; have its post-receive hook run: %s hook post-receive", ErrUsage, path, program)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(old) > 0 && !strings.Contains(string(old), "\n"+hookMark+"\n") {
		return fmt.Errorf("%w: %s exists; have it run, with its standard input: %s hook post-receive", ErrUsage, path, program)
	}
	settings := []struct{ key, value string }{
		{keyURL, cfg.URL}, {keySecretFile, cfg.SecretFile}, {keyRepository, cfg.Repository},
		{keyCloneURL, cfg.CloneURL}, {keyHTMLURL, cfg.HTMLURL},
	}
	if cfg.Timeout > 0 {
		settings = append(settings, struct{ key, value string }{keyTimeout, cfg.Timeout.String()})
	}
	for _, s := range settings {
		if s.value == "" {
			continue
		}
		if _, err := repo.run(ctx, "", "config", "--local", "--replace-all", s.key, s.value); err != nil {
			return fmt.Errorf("set %s: %w", s.key, err)
		}
	}
	if err := h.startLedger(ctx, repo); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), h.perm.Perm()); err != nil {
		return err
	}
	if err := h.writeFile(path, fmt.Appendf(nil, hookScript, shellQuote(program))); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// startLedger makes sure that there is a ledger.
func (h *Hook) startLedger(ctx context.Context, repo repository) error {
	if err := h.makeDirs(); err != nil {
		return err
	}
	unlock, err := h.lock(ctx, "ledger.lock")
	if err != nil {
		return err
	}
	defer unlock()
	refs, err := repo.branches(ctx)
	if err != nil {
		return err
	}
	_, err = h.readLedger(refs, nil)
	return err
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
