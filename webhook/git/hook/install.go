package hook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const hookMark = "# switchyard: post-receive"

const hookScript = `#!/bin/sh
` + hookMark + `
# Settings: git config --get-regexp '^switchyard\.'
bin=%s
if [ ! -x "$bin" ]; then
	echo "switchyard: THIS PUSH IS NOT REPORTED, no pipeline will run for it yet: the program $bin is gone" >&2
	echo "switchyard: put it back, or run 'switchyard hook install' again; the next push then reports this one too, or: switchyard hook flush" >&2
	exit 0
fi
exec "$bin" hook post-receive
`

// Installed says what an installation found.
type Installed struct {
	// Known counts the branches and tags that were there and count as reported,
	// 0 where the hook had been installed before.
	Known int
	// Unreported counts those that have moved since the hook last ran. The next
	// push or flush reports them.
	Unreported int
}

// Install makes program, an absolute path of the switchyard binary, the
// post-receive hook of cfg's repository, and writes the settings that are not
// empty to the repository's git configuration. A secret is never written there:
// SecretFile is required. At the first installation what is in the repository
// counts as reported. An existing hook of another kind is left alone, and is an
// error.
func Install(ctx context.Context, cfg Config, program string) (done Installed, err error) {
	if cfg.SecretFile == "" || !filepath.IsAbs(cfg.SecretFile) {
		return done, usagef("the secret must be in a file, named by an absolute path, not %q", cfg.SecretFile)
	}
	if !filepath.IsAbs(program) {
		return done, usagef("the program %q must be an absolute path", program)
	}
	h, err := New(cfg)
	if err != nil {
		return done, err
	}
	repo := repository{cfg.GitDir}
	hooks, err := repo.run(ctx, "", "rev-parse", "--path-format=absolute", "--git-path", "hooks")
	if err != nil {
		return done, err
	}
	path := filepath.Join(strings.TrimSuffix(hooks, "\n"), "post-receive")
	if rel, err := filepath.Rel(cfg.GitDir, path); err != nil || strings.HasPrefix(rel, "..") {
		return done, usagef("core.hooksPath leads to %s, which other repositories may share; have its post-receive hook run: %s hook post-receive", path, program)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return done, err
	}
	if len(old) > 0 && !strings.Contains(string(old), "\n"+hookMark+"\n") {
		return done, usagef("%s exists; have it run, with its standard input: %s hook post-receive", path, program)
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
			return done, fmt.Errorf("set %s: %w", s.key, err)
		}
	}
	if done, err = h.startLedger(ctx, repo); err != nil {
		return done, err
	}
	if err := os.MkdirAll(filepath.Dir(path), h.perm.Perm()); err != nil {
		return done, err
	}
	if err := h.writeFile(path, fmt.Appendf(nil, hookScript, shellQuote(program))); err != nil {
		return done, err
	}
	return done, os.Chmod(path, 0o755)
}

// startLedger makes sure that there is a ledger.
func (h *Hook) startLedger(ctx context.Context, repo repository) (done Installed, err error) {
	unlock, err := h.lockLedger(ctx)
	if err != nil {
		return done, err
	}
	defer unlock()
	found, err := repo.refs(ctx)
	if err != nil {
		return done, err
	}
	l, first, err := h.openLedger(found, nil)
	if err != nil {
		return done, err
	}
	if first {
		done.Known = len(found.tips)
	}
	done.Unreported = len(l.differences(found))
	return done, nil
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
