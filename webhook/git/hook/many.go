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

// ErrNotInstalled means that a repository has no hook that keeps a record.
var ErrNotInstalled = errors.New("the hook is not installed")

// At opens the repository that is at path itself: a bare one, or one with .git
// below it. Unlike [Load] it neither looks in the folders above nor minds who
// owns the repository, since its operator has named it. The error wraps
// [ErrNotInstalled] where nothing has been recorded there.
func At(ctx context.Context, path string, opts ...Option) (*Hook, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", path, err)
	}
	inside := filepath.Join(path, ".git")
	if _, err := os.Stat(inside); err != nil {
		inside = path
	}
	// .git may be a file, which leads to the repository of a working tree.
	cmd := repository{inside}.command(ctx, "rev-parse", "--path-format=absolute", "--git-common-dir")
	cmd.Dir = path
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", path, gitError("rev-parse", err))
	}
	common := strings.TrimSuffix(string(out), "\n")
	if _, err := os.Stat(filepath.Join(common, "switchyard", "ledger")); err != nil {
		return nil, fmt.Errorf("repository %s: %w", path, ErrNotInstalled)
	}
	cfg, err := load(ctx, common)
	if err == nil {
		// Nobody pushes.
		cfg.Pusher, cfg.Namespace = "", ""
		var h *Hook
		if h, err = New(cfg, opts...); err == nil {
			return h, nil
		}
	}
	return nil, fmt.Errorf("repository %s: %w", path, err)
}

// FindInstalled finds the repositories below dir, or dir itself, that have the hook.
// Symbolic links are not followed.
func FindInstalled(dir string) (paths []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil: // another account's folder
			return fs.SkipDir
		case !d.IsDir():
			return nil
		}
		for _, gitDir := range []string{path, filepath.Join(path, ".git")} {
			if _, err := os.Stat(filepath.Join(gitDir, "switchyard", "ledger")); err == nil {
				paths = append(paths, path)
				return fs.SkipDir
			}
		}
		if _, err := os.Stat(filepath.Join(path, "objects")); err == nil {
			if _, err := os.Stat(filepath.Join(path, "HEAD")); err == nil {
				return fs.SkipDir // a repository without the hook
			}
		}
		return nil
	})
	return paths, err
}
