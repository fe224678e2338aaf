//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
)

// damagedMark is in the names of mirrors that were set aside:
// <mirror>.damaged-<time>.
const damagedMark = ".damaged-"

// renew fetches the mirror anew beside the damaged one, which it replaces once
// the commit is there. Who calls it has the mirror's turn.
func (s *source) renew(ctx context.Context, g git, why error, note func(string, ...any)) error {
	m := s.mirror
	reason := firstLine(why.Error())
	note("the mirror of the repository is damaged (%s); it is set aside and fetched anew", reason)
	fresh := m.dir + newSuffix
	if err := m.init(ctx, g, fresh, s.format); err != nil {
		return fmt.Errorf("make mirror: %w", err)
	}
	if err := s.download(ctx, g, fresh, note); err != nil {
		return err
	}
	aside, err := m.setAside()
	if err != nil {
		return err
	}
	if err := m.place(fresh); err != nil {
		return err
	}
	m.renewals.Add(1)
	m.damage.Store(nil)
	m.log.Warn("mirror was damaged; fetched anew", zap.String("set_aside", aside), zap.String("reason", reason))
	return nil
}

// setAside renames the mirror and removes those that were set aside before: one
// is enough to look at.
func (m *mirror) setAside() (name string, err error) {
	old, err := filepath.Glob(m.dir + damagedMark + "*")
	if err != nil {
		return "", err
	}
	name = m.dir + damagedMark + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(m.dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, o := range old {
		if err := removeAll(o); err != nil {
			return "", err
		}
	}
	return name, syncDir(filepath.Dir(m.dir))
}

// heal renews the mirror if the failure of a checkout comes from damage to it.
// It returns false when it does not, and the failure stands. seen is the number
// of renewals before the checkout.
func (s *source) heal(ctx context.Context, g git, failure error, seen int64, note func(string, ...any)) (bool, error) {
	if fault.Of(failure) != nil || !errors.As(failure, new(*gitError)) {
		return false, nil
	}
	m := s.mirror
	release, err := m.take(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	if m.renewals.Load() != seen {
		return true, nil
	}
	if !showsDamage(failure) {
		// Not in words that are known: look at all there is.
		_, err := g.output(ctx, m.dir, "fsck", "--full", "--no-dangling", "--no-progress")
		if err == nil || fault.Of(err) != nil || ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		failure = err
	}
	return true, s.renew(ctx, g, failure, note)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// recover removes what git processes that were killed left in the mirrors, and
// sets aside those with the marks of a power cut.
func (m *mirrors) recover() error {
	entries, err := os.ReadDir(m.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(m.root, e.Name())
		switch {
		case strings.Contains(e.Name(), damagedMark):
			continue
		case strings.HasSuffix(e.Name(), newSuffix):
			if err := removeAll(dir); err != nil {
				return err
			}
			continue
		}
		if err := removeLocks(dir); err != nil {
			return err
		}
		hollow, err := findHollow(dir)
		if err != nil {
			return err
		}
		if hollow == "" {
			continue
		}
		mr := &mirror{dir: dir}
		aside, err := mr.setAside()
		if err != nil {
			return err
		}
		m.h.log.Warn("mirror is damaged; the next build fetches it anew",
			zap.String("set_aside", aside), zap.String("reason", hollow+" is empty"))
	}
	return nil
}

// findHollow looks for a file without content where git never has one, which
// is what a power cut leaves of a file that was not synced: an object, a pack
// or a ref. It reads nothing.
func findHollow(dir string) (name string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		parts := strings.Split(rel, string(filepath.Separator))
		object := len(parts) == 3 && parts[0] == "objects" && len(parts[1]) == 2
		pack := len(parts) == 3 && parts[0] == "objects" && parts[1] == "pack" && slices.Contains([]string{".pack", ".idx"}, filepath.Ext(rel))
		if !object && !pack && parts[0] != "refs" && rel != "HEAD" {
			return nil
		}
		if info, err := d.Info(); err == nil && info.Size() == 0 {
			name = rel
			return fs.SkipAll
		}
		return nil
	})
	return name, err
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

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncDirs makes durable the names that were made or changed below dir since a
// time: git syncs files only.
func syncDirs(dir string, since time.Time) error {
	since = since.Add(-2 * time.Second) // file systems have coarser clocks
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if info, err := d.Info(); err != nil || info.ModTime().Before(since) {
			return nil //nolint:nilerr // gone meanwhile
		}
		return syncDir(path)
	})
}
