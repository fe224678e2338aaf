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
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/filelock"
)

// The data directory:
//
//	lock           held while a Handler lives
//	mirrors/       one bare repository per clone URL
//	work/          one directory per running build, and what is kept of ended
//	               ones until their results are stored
//	work.boot      since which boot of the machine work/ is written
//	etc/           copies of what isolated builds see of /etc
//	cache/         <key>.<number>/, what buildspecs keep for later builds
//	logs/          <execution>/<task>.log
//	artifacts/     <execution>/<task>/…, whole
//	partial/       artifacts that are being copied
//	reaped.json    how many processes the reaper has ended, by work directory
//	cgroups        where the cgroups of builds are
//	numbers.json   the last build number of each project

const lockName = "lock"

func lockFile(path string) (*os.File, error) {
	f, err := filelock.Take(path)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("build data directory %s is in use by another Switchyard: stop that one, or give this one a data directory of its own", filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("build data directory: %w", err)
	}
	return f, nil
}

// pathName makes a name of an execution or task one element of a path. Names
// that Step Functions allows and a file system may not are hashed; the dot
// keeps them apart from those that are used as they are.
func pathName(s string) string {
	plain := s != "" && len(s) <= 80
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		plain = c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
	}
	if plain {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "x." + hex.EncodeToString(sum[:16])
}

// shortName is a directory name for a build, short because sockets in its
// TMPDIR may have paths of about 100 bytes only.
func shortName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:6])
}

// removeAll is os.RemoveAll that also removes directories that a build made
// read-only, as Go's module cache does.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			// WalkDir reads the directory after this call.
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// counter numbers the builds of each project, from 1.
type counter struct {
	path string
	mu   sync.Mutex
}

func (c *counter) next(project string) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := make(map[string]int64)
	b, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	default:
		if err := json.Unmarshal(b, &last); err != nil {
			// A file that a power cut damaged must not stop all builds.
			if err := os.Rename(c.path, c.path+damagedMark+"file"); err != nil {
				return 0, err
			}
			clear(last)
		}
	}
	last[project]++
	if b, err = json.Marshal(last); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(filepath.Dir(c.path), "numbers-*.tmp")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return last[project], os.Rename(f.Name(), c.path)
}

// pruneEvery is how often old logs and artifacts are looked for.
const pruneEvery = time.Hour

// prune removes the logs and artifacts of executions that were last written
// longer ago than cfg.KeepLogs, except logs that are being written; and what an
// earlier process kept of tasks that nobody runs again.
func (h *Handler) prune() {
	if h.now().Sub(h.started) > claimWithin {
		if err := h.works.removeUnclaimed(); err != nil {
			h.log.Warn("can't remove what an earlier process kept", zap.Error(err))
		}
	}
	if h.cfg.KeepLogs < 0 || !h.pruneMu.TryLock() {
		return
	}
	defer h.pruneMu.Unlock()
	now := h.now()
	if now.Sub(h.pruned) < pruneEvery {
		return
	}
	h.pruned = now
	for _, kind := range []string{"logs", "artifacts"} {
		root := filepath.Join(h.cfg.DataDir, kind)
		entries, err := os.ReadDir(root)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.log.Warn("can't look for old files", zap.String("directory", root), zap.Error(err))
		}
		for _, e := range entries {
			dir := filepath.Join(root, e.Name())
			if now.Sub(lastChange(dir)) < h.cfg.KeepLogs {
				continue
			}
			remove := func() error { return os.RemoveAll(dir) }
			if kind == "logs" {
				remove = func() error { return h.logs.remove(e.Name()) }
			}
			if err := remove(); err != nil {
				h.log.Warn("can't remove old files", zap.String("directory", dir), zap.Error(err))
			}
		}
	}
}

// lastChange is the latest time a file directly in dir was written.
func lastChange(dir string) time.Time {
	var last time.Time
	if info, err := os.Stat(dir); err == nil {
		last = info.ModTime()
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}
