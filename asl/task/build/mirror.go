//go:build unix

package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"switchyard/asl/task/internal/proc"
)

// mirrors keeps one bare repository per clone URL. Builds borrow its objects
// (git's "alternates"), so that fifty commits are downloaded once.
//
// Nothing is ever pruned from a mirror: a commit whose branch is gone may be
// in use by a build, or asked for again.
type mirrors struct {
	root string
	h    *Handler

	mu     sync.Mutex
	byName map[string]*mirror
}

// mirror is one bare repository.
type mirror struct {
	dir string
	// turn is held while git writes to the mirror: one fetch at a time, and
	// those who waited for it find what it brought.
	turn chan struct{}
	// fetches counts downloads, for tests.
	fetches atomic.Int64
}

// mirrorName is free of anything the URL could smuggle into a path.
func mirrorName(url, format string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:16]) + "-" + format + ".git"
}

func (m *mirrors) get(url, format string) *mirror {
	name := mirrorName(url, format)
	m.mu.Lock()
	defer m.mu.Unlock()
	mr, ok := m.byName[name]
	if !ok {
		mr = &mirror{dir: filepath.Join(m.root, name), turn: make(chan struct{}, 1)}
		m.byName[name] = mr
	}
	return mr
}

// source is a commit that a mirror holds.
type source struct {
	mirror *mirror
	commit string
	format string
}

// fetch brings the request's commit into its mirror, if it isn't there.
// The git it returns has the remote's credentials.
func (h *Handler) fetch(ctx context.Context, r *request, g git, log *logFile) (source, git, error) {
	rm, err := parseRemote(r.cloneURL, h.cfg.AllowedCloneSchemes)
	if err != nil {
		return source{}, g, err
	}
	if rm.password == "" && rm.host != "" {
		if user, password, ok := h.credentials(rm.url); ok {
			rm.user, rm.password = user, password
		}
	}
	log.hide(rm.password)
	g.auth = &rm
	commit := strings.ToLower(r.sourceVersion)
	if !isCommitID(commit) {
		if commit, err = resolve(ctx, g, rm, r.sourceVersion); err != nil {
			return source{}, g, err
		}
	}
	format := "sha1"
	if len(commit) == 64 {
		format = "sha256"
	}
	s := source{mirror: h.mirrors.get(rm.url, format), commit: commit, format: format}
	return s, g, s.ensure(ctx, g, rm, log.note)
}

// resolve asks the remote what a branch, tag or other ref points to. The
// empty version is the default branch; pr/12 is CodeBuild's name for a pull
// request.
func resolve(ctx context.Context, g git, rm remote, version string) (string, error) {
	candidates := []string{"HEAD"}
	if version != "" {
		candidates = []string{version, "refs/heads/" + version, "refs/tags/" + version + "^{}", "refs/tags/" + version}
		if n, ok := strings.CutPrefix(version, "pr/"); ok {
			candidates = append(candidates, "refs/pull/"+n+"/head", "refs/merge-requests/"+n+"/head")
		}
	}
	out, err := g.output(ctx, "", "ls-remote", "--", rm.url)
	if err != nil {
		return "", err
	}
	refs := make(map[string]string)
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t"); ok && isCommitID(id) {
			refs[name] = id
		}
	}
	for _, c := range candidates {
		if id, ok := refs[c]; ok {
			return id, nil
		}
	}
	if version == "" {
		return "", errors.New("the repository has no default branch")
	}
	return "", fmt.Errorf("the repository has no branch or tag %q", version)
}

// ensure makes the mirror hold the commit.
func (s source) ensure(ctx context.Context, g git, rm remote, note func(string, ...any)) error {
	m := s.mirror
	if m.has(ctx, g, s.commit) {
		return nil
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if m.has(ctx, g, s.commit) {
		return nil
	}
	if err := m.create(ctx, g, s.format); err != nil {
		return fmt.Errorf("make mirror: %w", err)
	}
	// Branches and tags come first: the commits of one push arrive together,
	// and with the refs as a base later fetches send only what is new. A
	// commit that no branch holds, such as a fork's, is then asked for by its
	// ID, and last by the refs that hosts keep for pull requests.
	attempts := [][]string{
		{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"},
		{"+" + s.commit + ":refs/switchyard/commits/" + s.commit},
		{"+refs/pull/*/head:refs/switchyard/pull/*", "+refs/merge-requests/*/head:refs/switchyard/merge-requests/*"},
	}
	var firstErr error
	for i, refspecs := range attempts {
		note("fetching %s", [...]string{"branches", "commit " + s.commit, "pull requests"}[i])
		m.fetches.Add(1)
		args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"}
		if i == 0 {
			args = append(args, "--prune")
		}
		_, err := g.output(ctx, m.dir, append(append(args, "--", rm.url), refspecs...)...)
		if err != nil {
			// A killed git leaves its locks. Nobody else writes here now.
			if err := removeLocks(m.dir); err != nil {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if firstErr == nil {
				firstErr = err
			}
		}
		if m.has(ctx, g, s.commit) {
			return nil
		}
	}
	if firstErr == nil {
		firstErr = errors.New("no branch, tag or pull request holds it, and it can't be fetched by its ID")
	}
	return fmt.Errorf("commit %s: %w", s.commit, firstErr)
}

// has reports whether the commit is in the mirror. Git moves objects in place
// only when all they refer to is there too.
func (m *mirror) has(ctx context.Context, g git, commit string) bool {
	if _, err := os.Stat(m.dir); err != nil {
		return false
	}
	_, err := g.output(ctx, m.dir, "cat-file", "-e", commit+"^{commit}")
	return err == nil
}

// create makes the bare repository, whole or not at all.
func (m *mirror) create(ctx context.Context, g git, format string) error {
	if _, err := os.Stat(m.dir); err == nil {
		return nil
	}
	tmp := m.dir + ".new"
	if err := removeAll(tmp); err != nil {
		return err
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	if _, err := g.output(ctx, "", "init", "--quiet", "--bare", "--template=", "--object-format="+format, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, m.dir)
}

// recover removes what git processes that were killed left in the mirrors.
func (m *mirrors) recover() error {
	entries, err := os.ReadDir(m.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := removeLocks(filepath.Join(m.root, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeLocks removes lock files outside the loose objects, which have none.
// No ref can be named like one.
func removeLocks(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		if d.IsDir() && len(d.Name()) == 2 && filepath.Base(filepath.Dir(path)) == "objects" {
			return fs.SkipDir
		}
		if !d.IsDir() && (strings.HasSuffix(path, ".lock") || d.Name() == "gc.pid") {
			return os.Remove(path)
		}
		return nil
	})
}

// checkout makes a repository at dir that has the commit checked out, its own
// refs and configuration, and the mirror's objects.
//
// It is not a linked worktree of the mirror (git worktree add): those share
// refs and configuration, so that two builds that both run "git tag v1" or
// "git checkout -b release" would fail each other.
func (s source) checkout(ctx context.Context, g git, r *request, dir string) error {
	rm := *g.auth
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
	if _, err := g.output(ctx, dir, "remote", "add", "--", "origin", rm.url); err != nil {
		return err
	}
	if _, err := g.output(ctx, dir, "checkout", "--quiet", "--force", "--detach", s.commit, "--"); err != nil {
		return err
	}
	if r.submodules {
		if _, err := g.output(ctx, dir, "submodule", "update", "--quiet", "--init", "--recursive"); err != nil {
			return err
		}
	}
	return nil
}

// newGit is git for one build.
func (h *Handler) newGit(group *proc.Group, r *request) git {
	return git{group: group, schemes: h.cfg.AllowedCloneSchemes, lfs: r.lfs}
}
