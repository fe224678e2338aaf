//go:build unix

package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// checkout makes a repository at dir that has the commit checked out, its own
// refs and configuration, and the mirror's objects. The error is a [*limitError]
// when the commit is more than a build may have on the disk.
//
// It is not a linked worktree of the mirror (git worktree add): those share
// refs and configuration, so that two builds that both run "git tag v1" or
// "git checkout -b release" would fail each other.
func (s *source) checkout(ctx context.Context, g git, dir string, cfg *Config) error {
	if _, err := g.output(ctx, "", "init", "--quiet", "--template=", "--object-format="+s.format, dir); err != nil {
		return err
	}
	info := filepath.Join(dir, ".git", "objects", "info")
	if err := os.MkdirAll(info, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(info, "alternates"), []byte(filepath.Join(s.mirror.dir, "objects")+"\n"), 0o644); err != nil {
		return err
	}
	// Builds compare with branches and describe by tags: give them the refs.
	refs, err := g.output(ctx, s.mirror.dir, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
	if err != nil {
		return err
	}
	refs = strings.ReplaceAll(refs, " refs/heads/", " refs/remotes/origin/")
	if err := os.WriteFile(filepath.Join(dir, ".git", "packed-refs"), []byte(refs), 0o644); err != nil {
		return err
	}
	if _, err := g.output(ctx, dir, "remote", "add", "--", "origin", g.remote.url); err != nil {
		return err
	}
	size, err := s.verify(ctx, g, s.mirror.dir)
	if err != nil {
		return err
	}
	if size > cfg.MaxDisk {
		return cfg.diskLimit()
	}
	if _, err := g.output(ctx, dir, "checkout", "--quiet", "--force", "--detach", s.commit, "--"); err != nil {
		return err
	}
	return nil
}
