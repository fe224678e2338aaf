//go:build unix

package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// caches keep what buildspecs want to find again, one directory for each save:
// <root>/<key>.<number>/{src,home,about.json}. A directory is never changed once
// it has its name, so that a build which copies it and one which saves anew don't
// meet. about.json is written last, and its time is that of the last use.
type caches struct {
	root  string
	limit int64
	log   *zap.Logger
	now   func() time.Time

	mu     sync.Mutex
	last   int64 // the number of the newest save
	byKey  map[string]*savedCache
	leased map[*savedCache]int // how many builds copy it, those that are replaced too
}

// savedCache is one directory, and about.json in it.
type savedCache struct {
	dir  string
	key  string
	used time.Time

	// Group is whose it is, and Key what the buildspec calls it, "" for nothing.
	Group, Key                 string
	Project, Repository, Scope string
	Bytes                      int64
	Files                      int
}

const (
	aboutFile = "about.json"
	// cacheBlock is what a file takes on the disk at least, in bytes.
	cacheBlock = 4096
)

// cacheGroup names the caches of a project's builds of a repository in a scope.
func cacheGroup(project, repository, scope string) string {
	return shortHash(project + "\x00" + repository + "\x00" + scope)
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// wantedCache is a cache that a build looks for: one with this key or, with
// prefix, the last used whose key begins like that.
type wantedCache struct {
	group, key string
	prefix     bool
}

// id is what the cache is kept under.
func (w wantedCache) id() string { return shortHash(w.group + "\x00" + w.key) }

// off reports whether nothing is kept.
func (c *caches) off() bool { return c.limit < 0 }

// find gives a cache, nil when there is none. Who calls it holds the lock.
func (c *caches) find(w wantedCache) (found *savedCache) {
	if !w.prefix {
		return c.byKey[w.id()]
	}
	for _, s := range c.byKey {
		if s.Group == w.group && s.Key != "" && strings.HasPrefix(s.Key, w.key) && (found == nil || s.used.After(found.used)) {
			found = s
		}
	}
	return found
}

// recover finds what earlier processes have saved and removes what they did not
// finish.
func (c *caches) recover() error {
	c.byKey, c.leased = make(map[string]*savedCache), make(map[*savedCache]int)
	entries, err := os.ReadDir(c.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	newest := make(map[string]int64)
	for _, e := range entries {
		dir := filepath.Join(c.root, e.Name())
		key, digits, _ := strings.Cut(e.Name(), ".")
		n, err := strconv.ParseInt(digits, 10, 64)
		s := &savedCache{dir: dir, key: key}
		if err != nil || s.read() != nil {
			errs = append(errs, removeAll(dir))
			continue
		}
		c.last = max(c.last, n)
		if was := c.byKey[key]; was != nil {
			if newest[key] > n {
				s, was = was, s
			}
			errs = append(errs, removeAll(was.dir))
		}
		c.byKey[key], newest[key] = s, max(newest[key], n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.evict()
	return errors.Join(errs...)
}

func (s *savedCache) read() error {
	path := filepath.Join(s.dir, aboutFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.used = info.ModTime()
	return json.Unmarshal(text, s)
}

// take gives the first of the caches that there is, to be copied until release
// is called.
func (c *caches) take(wanted ...wantedCache) (s *savedCache, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range wanted {
		if s := c.find(w); s != nil {
			s.used = c.now()
			// Only the order of eviction hangs on that.
			_ = os.Chtimes(filepath.Join(s.dir, aboutFile), s.used, s.used)
			c.leased[s]++
			return s, func() { c.release(s) }
		}
	}
	return nil, func() {}
}

func (c *caches) has(w wantedCache) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.find(w) != nil
}

func (c *caches) release(s *savedCache) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leased[s]--; c.leased[s] > 0 {
		return
	}
	delete(c.leased, s)
	if c.byKey[s.key] != s {
		c.remove(s)
	}
}

// fill makes a directory for a cache to be copied into.
func (c *caches) fill(s *savedCache) error {
	c.mu.Lock()
	c.last++
	s.dir = filepath.Join(c.root, fmt.Sprintf("%s.%d", s.key, c.last))
	c.mu.Unlock()
	return os.MkdirAll(s.dir+newSuffix, 0o700)
}

// keep gives a cache that is whole its name, in the place of the one before.
func (c *caches) keep(s *savedCache) error {
	if err := writeJSON(filepath.Join(s.dir+newSuffix, aboutFile), s); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.Rename(s.dir+newSuffix, s.dir); err != nil {
		return err
	}
	was := c.byKey[s.key]
	s.used = c.now()
	_ = os.Chtimes(filepath.Join(s.dir, aboutFile), s.used, s.used) // as in take
	c.byKey[s.key] = s
	if was != nil && c.leased[was] == 0 {
		c.remove(was)
	}
	c.evict()
	return nil
}

// evict removes what was not used for the longest time, until the rest is within
// the limit. Who calls it holds the lock.
func (c *caches) evict() {
	total := int64(0)
	var all []*savedCache
	for _, s := range c.byKey {
		total += s.Bytes
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *savedCache) int { return a.used.Compare(b.used) })
	for _, s := range all {
		if total <= c.limit {
			return
		}
		total -= s.Bytes
		delete(c.byKey, s.key)
		if c.leased[s] == 0 {
			c.remove(s)
		}
		c.log.Info("removed a build cache to make room", zap.String("project", s.Project), zap.String("scope", s.Scope), zap.Int64("bytes", s.Bytes))
	}
}

func (c *caches) remove(s *savedCache) {
	if err := removeAll(s.dir); err != nil {
		c.log.Warn("a build cache can't be removed", zap.String("directory", s.dir), zap.Error(err))
	}
}
