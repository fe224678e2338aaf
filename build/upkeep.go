//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
	"switchyard/internal/proc"
)

// Files in a mirror whose time of change says when it was last checked, and when
// a build last used it.
const (
	checkedFile = "switchyard-checked"
	usedFile    = "switchyard-used"
)

// maxUpkeepPause bounds how long a mirror that is due is not looked at.
const maxUpkeepPause = time.Hour

// Upkeep looks after the mirrors until ctx ends: each is checked whole, one at a
// time, with the lowest priority and while nothing builds, and those that nothing
// has used for long are removed. What a check finds damaged is fetched anew by
// the next build that wants it.
func (h *Handler) Upkeep(ctx context.Context) error {
	for {
		mirrors, err := h.mirrors.list()
		if err != nil {
			h.log.Warn("can't look for mirrors", zap.Error(err))
		}
		for _, m := range mirrors {
			if err := h.mirrors.removeUnused(m, h.now(), h.cfg.KeepMirrors); err != nil {
				h.log.Warn("can't remove an unused mirror", zap.String("mirror", m.dir), zap.Error(err))
			}
		}
		if m := dueForCheck(mirrors, h.now(), h.cfg.CheckMirrors); m != nil && h.mayCheck(m) {
			h.check(ctx, m)
		}
		// Checks are spread over the time in which each mirror has its turn.
		pause := maxUpkeepPause
		if h.cfg.CheckMirrors > 0 {
			pause = min(pause, h.cfg.CheckMirrors/time.Duration(2*len(mirrors)+2))
		}
		if err := fault.Sleep(ctx, pause); err != nil {
			return nil //nolint:nilerr // the end of ctx is the end of this
		}
	}
}

// list returns the mirrors that are on the disk.
func (m *mirrors) list() ([]*mirror, error) {
	entries, err := os.ReadDir(m.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []*mirror
	for _, e := range entries {
		if e.IsDir() && strings.HasSuffix(e.Name(), ".git") {
			all = append(all, m.named(e.Name()))
		}
	}
	return all, err
}

// dueForCheck is the mirror whose last check is the longest ago, if that is
// longer than every; nil when every is negative. One that is known to be damaged
// is never due.
func dueForCheck(all []*mirror, now time.Time, every time.Duration) *mirror {
	var due *mirror
	var oldest time.Time
	for _, m := range all {
		at := m.stamp(checkedFile)
		if at.IsZero() {
			at = m.stamp("HEAD") // since when there is the mirror
		}
		if every > 0 && m.damage.Load() == nil && now.Sub(at) >= every && (due == nil || at.Before(oldest)) {
			due, oldest = m, at
		}
	}
	return due
}

// mayCheck reports whether nothing builds. A mirror that has waited for a second
// turn is checked all the same.
func (h *Handler) mayCheck(m *mirror) bool {
	n := int64(h.cfg.MaxParallel)
	if h.slots.TryAcquire(n) {
		h.slots.Release(n)
		return true
	}
	at := m.stamp(checkedFile)
	return !at.IsZero() && h.now().Sub(at) >= 2*h.cfg.CheckMirrors
}

// stamp is when a file of the mirror was last changed; zero when there is none.
func (m *mirror) stamp(name string) time.Time {
	info, err := os.Stat(filepath.Join(m.dir, name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// touch sets the time of a stamp.
func (m *mirror) touch(name string, now time.Time) error {
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Chtimes(path, now, now)
}

// check reads all of a mirror.
func (h *Handler) check(ctx context.Context, m *mirror) {
	begin := h.now()
	g := git{group: proc.NewGroup(h.cfg.DataDir, "check", h.cfg.KillGrace), nice: true}
	damage, err := m.fsck(ctx, g)
	if damage != "" {
		// A fetch may have been under way: what stays is damage.
		var release func()
		if release, err = m.take(ctx); err == nil {
			damage, err = m.fsck(ctx, g)
			release()
		}
	}
	if endErr := g.group.End(); err == nil {
		err = endErr
	}
	log := h.log.With(zap.String("mirror", m.dir), zap.Duration("took", h.now().Sub(begin)))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Warn("can't check a mirror", zap.Error(err))
	case damage != "":
		m.damage.Store(&damage)
		h.damaged.Add(1)
		log.Warn("mirror is damaged; the next build that uses it fetches it anew", zap.String("reason", damage))
	default:
		h.checked.Add(1)
		log.Debug("mirror checked")
	}
	// Damage that is not healed by then is found again after a restart; what
	// can't be checked must not keep the others from it.
	if damage == "" && ctx.Err() == nil {
		if err := m.touch(checkedFile, h.now()); err != nil {
			log.Warn("can't note the check of a mirror", zap.Error(err))
		}
	}
}

// fsck checks all objects and refs, and returns what is damaged. What a commit
// says in a form that git would not write today is no damage.
func (m *mirror) fsck(ctx context.Context, g git) (damage string, err error) {
	stdout, stderr, err := g.both(ctx, m.dir, "fsck", "--full", "--no-dangling", "--no-progress")
	if err == nil {
		return "", nil
	}
	failure := g.failure(ctx, "fsck", stderr, err)
	if fault.Of(failure) != nil || !errors.As(failure, new(*gitError)) {
		return "", failure
	}
	for line := range strings.Lines(stderr + "\n" + stdout) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "error in ") || strings.HasPrefix(line, "warning") || strings.HasPrefix(line, "notice") {
			continue
		}
		for _, sign := range []string{"error", "fatal", "missing ", "broken ", "bad "} {
			if strings.HasPrefix(line, sign) {
				return line, nil
			}
		}
	}
	return "", nil
}

// removeUnused removes a mirror that no build has used for longer than keep, and
// what was set aside that long ago; nothing when keep is negative.
func (m *mirrors) removeUnused(mr *mirror, now time.Time, keep time.Duration) error {
	if keep < 0 {
		return nil
	}
	aside, err := filepath.Glob(mr.dir + damagedMark + "*")
	if err != nil {
		return err
	}
	for _, dir := range aside {
		if info, err := os.Stat(dir); err == nil && now.Sub(info.ModTime()) > keep {
			if err := removeAll(dir); err != nil {
				return err
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	used := mr.stamp(usedFile)
	switch {
	case mr.users > 0:
		return nil
	case used.IsZero(): // made before there were such stamps
		return mr.touch(usedFile, now)
	case now.Sub(used) <= keep:
		return nil
	}
	gone := mr.dir + newSuffix // removed at the next start, should it be cut off
	if err := errors.Join(removeAll(gone), os.Rename(mr.dir, gone)); err != nil {
		return err
	}
	m.h.log.Info("removed the mirror of a repository that nothing has built for long", zap.String("mirror", mr.dir), zap.Time("used", used))
	return removeAll(gone)
}

// use returns the mirror of a clone URL, which stays until release is called.
func (m *mirrors) use(url, format string) (mr *mirror, release func()) {
	mr = m.get(url, format)
	m.mu.Lock()
	defer m.mu.Unlock()
	mr.users++
	return mr, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		mr.users--
	}
}

// fillUpkeep sets the part of the configuration that is about mirrors.
func (c *Config) fillUpkeep() error {
	if c.CheckMirrors == 0 {
		c.CheckMirrors = 24 * time.Hour
	}
	if c.KeepMirrors == 0 {
		c.KeepMirrors = 90 * 24 * time.Hour
	}
	if c.CheckMirrors > 0 && c.CheckMirrors < time.Minute {
		return fmt.Errorf("build: CheckMirrors is %v, must be at least a minute", c.CheckMirrors)
	}
	return nil
}

// MirrorChecks is how many checks of mirrors found nothing, and how many found
// damage, since the start.
func (h *Handler) MirrorChecks() (good, damaged int64) { return h.checked.Load(), h.damaged.Load() }
