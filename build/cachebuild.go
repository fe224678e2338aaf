//go:build unix

package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
)

// cacheSpec is the section cache of a buildspec.
type cacheSpec struct {
	paths []string
	// action is "" for both, restore or save.
	action string
	// key names one of several caches of a branch, which is not changed once it
	// is there; fallbacks are beginnings of keys that do as well. "" is none.
	key       string
	fallbacks []string
}

// The limits of CodeBuild for fallback keys, and ours for the length of one.
const (
	maxFallbackKeys = 5
	maxCacheKey     = 512
)

// cachePlace is what a path of a buildspec's cache means: a pattern below the
// checkout or the home directory.
type cachePlace struct {
	home    bool
	pattern string
}

// place reads a path: relative to the checkout, absolute within it or the home
// directory, or below ~ or /root, which is the home of builds on AWS.
func (s *session) place(text string) (cachePlace, error) {
	home := filepath.Join(s.dir, "home")
	p := cachePlace{pattern: text}
	for _, prefix := range []struct {
		text string
		home bool
	}{{s.src, false}, {home, true}, {"/root", true}, {"~", true}, {"$HOME", true}, {"${HOME}", true}, {"$CODEBUILD_SRC_DIR", false}, {"${CODEBUILD_SRC_DIR}", false}} {
		if rest, ok := strings.CutPrefix(text, prefix.text); ok && (rest == "" || rest[0] == '/') {
			p = cachePlace{home: prefix.home, pattern: "./" + strings.TrimLeft(rest, "/")}
			break
		}
	}
	// A directory is kept with everything below it anyway.
	for changed := true; changed; {
		before := p.pattern
		for _, end := range []string{"/**/*", "/**", "/*", "/"} {
			p.pattern = strings.TrimSuffix(p.pattern, end)
		}
		changed = p.pattern != before
	}
	if p.pattern == "**" || p.pattern == "*" {
		p.pattern = "."
	}
	if p.pattern = path.Clean(p.pattern); !filepath.IsLocal(p.pattern) {
		return p, fmt.Errorf("%s is outside of the checkout and the build's home directory", text)
	}
	if _, err := path.Match(p.pattern, ""); err != nil {
		return p, fmt.Errorf("%s is not a valid pattern", text)
	}
	return p, nil
}

// restore copies what an earlier build has saved into this one.
func (s *session) restoreCache(ctx context.Context, src *source, g git) error {
	spec := s.spec.cache
	if spec == nil {
		return nil
	}
	if s.h.caches.off() {
		s.log.note("cache: there are none here (engine.embedded.builds.cache is 0)")
		return nil
	}
	begin := time.Now()
	s.cacheURL = g.remote.url
	fallbacks, err := s.evaluateKeys(ctx)
	if fault.Of(err) != nil || ctx.Err() != nil {
		return err
	}
	if err != nil {
		s.log.note("cache: there is none for this build: %v", err)
		return nil
	}
	s.scope = s.cacheScope(ctx, src, g)
	var wanted []wantedCache
	for _, scope := range s.scope.Read {
		wanted = append(wanted, wantedCache{group: s.cacheGroup(scope), key: s.cacheKey})
	}
	// What has the very key is not saved again.
	s.cacheHit = s.cacheKey != "" && slices.ContainsFunc(wanted, s.h.caches.has)
	if spec.action == "save" {
		return nil
	}
	for _, key := range fallbacks {
		for _, scope := range s.scope.Read {
			wanted = append(wanted, wantedCache{group: s.cacheGroup(scope), key: key, prefix: true})
		}
	}
	saved, release := s.h.caches.take(wanted...)
	defer release()
	if saved == nil {
		s.log.note("cache: there is none %s", s.scope.describe())
		return nil
	}
	c := treeCopy{room: s.h.cfg.MaxDisk, left: maxCacheFiles, free: s.h.reserve.wait}
	err = s.eachCacheRoot(func(name string, build *os.Root) error {
		from, err := os.OpenRoot(filepath.Join(saved.dir, name))
		if err != nil {
			return err
		}
		defer from.Close()
		c.from, c.to, c.skip = from, build, skipOf(name)
		return c.tree(ctx, ".")
	})
	switch {
	case fault.Of(err) != nil || ctx.Err() != nil:
		return errors.Join(err, context.Cause(ctx))
	case err != nil:
		s.log.note("cache: %s is not whole: %v", saved.Scope, err)
	}
	s.log.note("cache: restored %s in %v", cacheText(c.bytes, c.files, saved), time.Since(begin).Round(time.Millisecond))
	s.h.log.Info("build cache restored", zap.String("execution", s.t.ExecutionName), zap.String("task_id", s.t.ID), zap.String("project", s.req.project),
		zap.String("scope", saved.Scope), zap.Int64("bytes", c.bytes), zap.Duration("took", time.Since(begin)))
	return nil
}

// hashFiles is the program of CodeBuild that keys are made with.
var hashFiles = regexp.MustCompile("\\$\\(\\s*codebuild-hash-files\\s+([^()$`]*)\\)")

// evaluateKeys works out the buildspec's keys, which may use the shell as an
// artifact's name does, and codebuild-hash-files.
func (s *session) evaluateKeys(ctx context.Context) (fallbacks []string, err error) {
	spec := s.spec.cache
	for i, text := range append([]string{spec.key}, spec.fallbacks...) {
		key := hashFiles.ReplaceAllStringFunc(text, func(call string) string {
			var sum string
			if sum, err = s.hashOf(ctx, strings.Fields(hashFiles.FindStringSubmatch(call)[1])); err != nil {
				return ""
			}
			return sum
		})
		if err == nil {
			key, err = s.expand(ctx, key)
		}
		switch {
		case err != nil:
		case len(key) > maxCacheKey:
			err = fmt.Errorf("it has more than %d bytes", maxCacheKey)
		case key == "" && text != "":
			err = errors.New("it is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("the key %q: %w", text, err)
		}
		if i == 0 {
			s.cacheKey = key
		} else {
			fallbacks = append(fallbacks, key)
		}
	}
	return fallbacks, nil
}

// hashOf is the SHA-256 of the names and contents of the files of the checkout
// that match the patterns.
func (s *session) hashOf(ctx context.Context, patterns []string) (string, error) {
	root, err := os.OpenRoot(s.src)
	if err != nil {
		return "", err
	}
	defer root.Close()
	var match []pattern
	for _, p := range patterns {
		match = append(match, compilePattern(path.Clean(strings.Trim(p, `'"`))))
	}
	h, n := sha256.New(), 0
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case d.IsDir() && name == ".git":
			return fs.SkipDir
		case !d.Type().IsRegular() || !slices.ContainsFunc(match, func(p pattern) bool { return p.match(name) }):
			return nil
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		content := sha256.New()
		if _, err := io.Copy(content, f); err != nil {
			return err
		}
		n++
		fmt.Fprintf(h, "%s\x00%x\n", name, content.Sum(nil))
		return nil
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("codebuild-hash-files: no file matches %s", strings.Join(patterns, " "))
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// describe names what was looked for.
func (c cacheScope) describe() string {
	if len(c.Read) == 0 {
		return "for this commit"
	}
	return "of " + strings.Join(c.Read, " or ")
}

// skipOf is what a cache never holds: git's own files, which are configuration.
func skipOf(root string) string {
	if root == "src" {
		return ".git"
	}
	return ""
}

// eachCacheRoot calls f with the directories of the build that caches are about.
func (s *session) eachCacheRoot(f func(name string, root *os.Root) error) error {
	for _, name := range []string{"src", "home"} {
		root, err := os.OpenRoot(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		err = f(name, root)
		if err = errors.Join(err, root.Close()); err != nil {
			return err
		}
	}
	return nil
}

// saveCache keeps what the buildspec names for later builds. None of the build's
// processes is left. That it can't be saved is no failure of the build.
func (s *session) saveCache(ctx context.Context) {
	spec := s.spec.cache
	if spec == nil || spec.action == "restore" || s.h.caches.off() {
		return
	}
	if s.scope.Write == "" {
		s.log.note("cache: nothing is saved: the commit is not known to be on a branch of the repository")
		return
	}
	if s.cacheHit {
		s.log.note("cache: nothing is saved: the one with the key %q stays as it is", s.cacheKey)
		return
	}
	begin := time.Now()
	group := s.cacheGroup(s.scope.Write)
	saved := &savedCache{key: wantedCache{group: group, key: s.cacheKey}.id(), Group: group, Key: s.cacheKey, Project: s.req.project, Repository: redact(s.cacheURL), Scope: s.scope.Write}
	err := s.h.caches.fill(saved)
	if err == nil {
		err = s.fillCache(ctx, saved)
	}
	if err == nil && saved.Files > 0 {
		err = s.h.caches.keep(saved)
	}
	if err != nil || saved.Files == 0 {
		if err == nil {
			err = errors.New("none of its paths exists")
		}
		s.log.note("cache: nothing is saved: %v", errors.Join(err, removeAll(saved.dir+newSuffix)))
		return
	}
	s.log.note("cache: saved %s in %v", cacheText(saved.Bytes, saved.Files, saved), time.Since(begin).Round(time.Millisecond))
	s.h.log.Info("build cache saved", zap.String("execution", s.t.ExecutionName), zap.String("task_id", s.t.ID), zap.String("project", s.req.project),
		zap.String("scope", saved.Scope), zap.Int64("bytes", saved.Bytes), zap.Duration("took", time.Since(begin)))
}

// fillCache copies the buildspec's paths into the directory of a cache.
func (s *session) fillCache(ctx context.Context, saved *savedCache) error {
	// What is not needed does not wait for room.
	free := func(context.Context) error {
		if room := s.h.Room(); room.Free < room.Reserve {
			return errors.New("the disk has less free than is kept for the service (engine.embedded.builds.reserve)")
		}
		return nil
	}
	c := treeCopy{room: s.h.caches.limit, left: maxCacheFiles, free: free}
	err := s.eachCacheRoot(func(name string, build *os.Root) error {
		dir := filepath.Join(saved.dir+newSuffix, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		to, err := os.OpenRoot(dir)
		if err != nil {
			return err
		}
		defer to.Close()
		c.from, c.to, c.skip = build, to, skipOf(name)
		for _, text := range s.spec.cache.paths {
			p, err := s.place(text)
			if err != nil {
				if name == "src" {
					s.log.note("cache: %v", err)
				}
				continue
			}
			if p.home != (name == "home") {
				continue
			}
			found, err := fs.Glob(build.FS(), p.pattern)
			if err != nil {
				return err
			}
			for _, f := range found {
				if f == c.skip || strings.HasPrefix(f, c.skip+"/") && c.skip != "" {
					continue
				}
				if err := c.tree(ctx, f); err != nil {
					return err
				}
			}
		}
		return nil
	})
	saved.Bytes, saved.Files = c.bytes, c.files
	if errors.Is(err, errCacheFull) {
		err = fmt.Errorf("it takes more than the %d MB of engine.embedded.builds.cache", s.h.caches.limit>>20)
	}
	return err
}
