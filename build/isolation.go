//go:build unix

package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// What [Config.Isolation] may be.
const (
	// IsolationAuto is containers where there is an image for them, or
	// bubblewrap where it works, else none.
	IsolationAuto = "auto"
	// IsolationBubblewrap runs every build in namespaces of its own.
	IsolationBubblewrap = "bubblewrap"
	// IsolationNone runs builds as ordinary processes of this user.
	IsolationNone = "none"
)

// What [Project.Network] may be.
const (
	NetworkHost = "host"
	NetworkNone = "none"
)

// bubblewrap makes the namespaces of builds, with the program bwrap.
//
// A build sees the system's programs and libraries, read-only, a few files of
// /etc, what the operator added, and of the data directory nothing but its own
// checkout, home and temporary files, and the objects of its repository's
// mirror, read-only. It has no capabilities, sees no processes but its own, and
// all of them end with the first one.
type bubblewrap struct {
	program string
	// mounts are bwrap's arguments for what all builds see.
	mounts []string
	// writable are the paths that all builds may change but those of forks,
	// which have something of their own there.
	writable []string
	// hides are those that put something empty over folders that none may see.
	hides []string
	// hidden are what none may see. The files among them are looked for anew for
	// each build: a secret that is rotated may be another file, behind the same
	// link. seen are the mounts with the real paths of what they show.
	hidden []string
	seen   []bind
	etc    *etcCopies
}

// unavailableError is why this machine has no isolation. Any other error, such as a
// full disk, says nothing of that: without isolation is no way out of it.
type unavailableError struct{ text string }

func (e *unavailableError) Error() string { return e.text }

// newBubblewrap finds bwrap and tries whether it works here.
func newBubblewrap(log *zap.Logger, cfg *Config) (*bubblewrap, error) {
	program, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, &unavailableError{"the program bwrap is not there: install bubblewrap (Debian, Ubuntu, Fedora: the package bubblewrap)"}
	}
	hidden := append([]string{cfg.DataDir}, cfg.Hidden...)
	b := &bubblewrap{program: program, hidden: hidden, etc: &etcCopies{from: "/etc", root: filepath.Join(cfg.DataDir, "etc"), hidden: realPaths(hidden), log: log, now: time.Now}}
	if err := removeAll(b.etc.root); err != nil { // of an earlier process
		return nil, err
	}
	binds := b.system()
	kernel, err := kernelBinds()
	if err != nil {
		return nil, err
	}
	binds = append(binds, kernel...)
	for _, v := range cfg.Visible {
		binds = append(binds, bind{"--ro-bind", v, v})
	}
	for _, w := range cfg.Writable {
		binds = append(binds, bind{"--bind", w, w})
	}
	for _, m := range binds {
		if rel, err := filepath.Rel("/etc", m.to); err == nil && filepath.IsLocal(rel) && rel != "." {
			b.etc.points = append(b.etc.points, rel)
		}
		if m.how != "--symlink" {
			if err := b.hide(m, hidden); err != nil {
				return nil, err
			}
		}
		if m.how == "--bind" {
			b.writable = append(b.writable, m.to)
			continue
		}
		b.mounts = append(b.mounts, m.how, m.from, m.to)
	}
	return b, b.probe()
}

// realPaths are the paths without links, as far as they exist.
func realPaths(paths []string) []string {
	var found []string
	for _, p := range paths {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			found = append(found, real)
		}
	}
	return found
}

// bind is a mount of bwrap.
type bind struct{ how, from, to string }

// systemDirs are the machine's programs and libraries.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix"}

// system are the parts of the machine that every build sees.
func (b *bubblewrap) system() []bind {
	var binds []bind
	for _, dir := range append(slices.Clone(systemDirs), "/sys/devices/system/cpu") {
		info, err := os.Lstat(dir)
		switch {
		case err != nil:
		case info.Mode()&os.ModeSymlink != 0:
			if target, err := os.Readlink(dir); err == nil {
				binds = append(binds, bind{"--symlink", target, dir})
			}
		default:
			binds = append(binds, bind{"--ro-bind", dir, dir})
		}
	}
	return binds
}

// kernelBinds make read-only what of /proc is not about processes. Where this
// service runs as root, a build is root to the kernel's files too, though it has
// no capabilities: it could write the core pattern, and with that run programs
// outside. bwrap's own cover leaves out /proc/sys.
func kernelBinds() ([]bind, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var binds []bind
	for _, e := range entries {
		name := e.Name()
		info, err := e.Info()
		if err != nil || name[0] >= '0' && name[0] <= '9' {
			continue // a process
		}
		if info.IsDir() || info.Mode().IsRegular() && info.Mode().Perm()&0o222 != 0 {
			binds = append(binds, bind{"--ro-bind", "/proc/" + name, "/proc/" + name})
		}
	}
	return binds, nil
}

// cover is something empty over a path that builds must not see.
type cover struct {
	path string
	dir  bool
}

// coversOf finds what of the hidden paths can be seen through a mount, and refuses
// a mount of what is hidden.
func coversOf(source, to string, hidden []string) ([]cover, error) {
	from, err := filepath.EvalSymlinks(source)
	if err != nil {
		return nil, fmt.Errorf("builds can't be given %s: %w", source, err)
	}
	var covers []cover
	for _, h := range hidden {
		real, err := filepath.EvalSymlinks(h)
		if err != nil {
			continue // not there
		}
		info, err := os.Stat(real)
		if err != nil {
			return nil, err
		}
		if within(from, real) {
			return nil, fmt.Errorf("builds can't be given %s: it is %s, or in it, which they must not see", source, h)
		}
		if !within(real, from) {
			continue
		}
		rel, err := filepath.Rel(from, real)
		if err != nil {
			return nil, err
		}
		covers = append(covers, cover{filepath.Join(to, rel), info.IsDir()})
	}
	return covers, nil
}

// hide covers what of the hidden folders can be seen through a mount.
func (b *bubblewrap) hide(m bind, hidden []string) error {
	covers, err := coversOf(m.from, m.to, hidden)
	if err != nil {
		return err
	}
	from, err := filepath.EvalSymlinks(m.from)
	if err != nil {
		return err
	}
	b.seen = append(b.seen, bind{from: from, to: m.to})
	for _, over := range covers {
		if over.dir {
			b.hides = append(b.hides, "--tmpfs", over.path)
		}
	}
	return nil
}

// hideFiles covers the hidden files as they are now.
func (b *bubblewrap) hideFiles() []string {
	var args []string
	for _, real := range realPaths(b.hidden) {
		if info, err := os.Stat(real); err != nil || info.IsDir() {
			continue
		}
		for _, m := range b.seen {
			if rel, err := filepath.Rel(m.from, real); err == nil && within(real, m.from) {
				args = append(args, "--ro-bind", "/dev/null", filepath.Join(m.to, rel))
			}
		}
	}
	return args
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// buildUser is who a build is to itself. It is never root, so that programs
// such as tar don't try what only root may.
const (
	buildUser = "build"
	buildID   = "1000"
)

// view is what one build has of its own.
type view struct {
	// dir is where it begins; read and write are paths of the data directory,
	// seen where they are.
	dir         string
	read, write []string
	// tmp is what the build has as /tmp, etc as /etc and passwd as /etc/passwd.
	tmp, etc, passwd string
	network          bool
	// own, when not "", is what the build has in the place of the writable
	// paths that others share.
	own string
}

// makeOwn makes what a build that shares nothing has in the place of the
// writable paths: as empty as they would be if they were new.
func makeOwn(dir string, writable []string) error {
	for i, path := range writable {
		own := ownPath(dir, i)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(own, nil, 0o600)); err != nil {
				return err
			}
		} else if err := os.MkdirAll(own, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// ownPath is what takes the place of the writable path with that index.
func ownPath(dir string, i int) string { return filepath.Join(dir, strconv.Itoa(i)) }

// shared is how much of memory a build may use as /dev/shm, in bytes.
const shared = "268435456"

// args are bwrap's arguments, before the command.
func (b *bubblewrap) args(v view) []string {
	args := []string{
		"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
		"--new-session", "--as-pid-1", "--cap-drop", "ALL",
		"--uid", buildID, "--gid", buildID, "--hostname", buildUser,
	}
	if !v.network {
		args = append(args, "--unshare-net")
	}
	args = append(args, "--proc", "/proc", "--dev", "/dev", "--size", shared, "--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--dir", "/run")
	if v.tmp != "" {
		// Before what may be mounted below them.
		args = append(args, "--bind", v.tmp, "/tmp", "--bind", v.tmp, "/var/tmp")
	}
	args = append(args, "--ro-bind", v.etc, "/etc")
	args = append(args, b.mounts...)
	for i, path := range b.writable {
		from := path
		if v.own != "" {
			from = ownPath(v.own, i)
		}
		args = append(args, "--bind", from, path)
	}
	if v.passwd != "" {
		args = append(args, "--ro-bind", v.passwd, "/etc/passwd")
	}
	// Not a copy: a machine that changes its network writes it anew.
	if _, err := os.Stat("/etc/resolv.conf"); err == nil {
		args = append(args, "--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf")
	}
	args = append(args, b.hides...)
	args = append(args, b.hideFiles()...)
	for _, path := range v.write {
		args = append(args, "--bind", path, path)
	}
	for _, path := range v.read {
		args = append(args, "--ro-bind", path, path)
	}
	for i := 1; i < len(b.hides); i++ {
		if b.hides[i-1] == "--tmpfs" {
			args = append(args, "--remount-ro", b.hides[i])
		}
	}
	return append(args, "--remount-ro", "/")
}

// probe runs a program that does nothing in the namespaces, once with a network
// of its own and once without.
func (b *bubblewrap) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	etc, err := b.etc.take()
	if err != nil {
		return err
	}
	defer b.etc.release(etc)
	for _, network := range []bool{true, false} {
		cmd := exec.CommandContext(ctx, b.program, append(b.args(view{etc: etc.dir, network: network}), "/bin/sh", "-c", "exit 0")...)
		cmd.Env = []string{}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			text := strings.TrimSpace(stderr.String())
			if exit := new(exec.ExitError); !errors.As(err, &exit) || !exit.Exited() {
				return fmt.Errorf("try whether bwrap works here: %w", errors.Join(err, ctx.Err()))
			}
			if text == "" {
				text = err.Error()
			}
			return &unavailableError{fmt.Sprintf("bwrap does not work here (%s): the kernel must let this user make user namespaces "+
				"(sysctl kernel.unprivileged_userns_clone=1, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; "+
				"in a container also a seccomp profile that allows it and an unmasked /proc)", firstLine(text))}
		}
	}
	return nil
}

// isolate decides how builds run, and says loudly when it is without isolation
// though nobody asked for that.
func (h *Handler) isolate() error {
	if h.cfg.Isolation != IsolationNone {
		if err := h.cfg.checkShown(); err != nil {
			return err
		}
	}
	if h.cfg.Container.Image != "" {
		c, err := newContainers(&h.cfg)
		if err != nil {
			return fmt.Errorf("builds can't run in containers: %w", err)
		}
		h.containers = c
		return nil
	}
	if h.cfg.Isolation == IsolationNone {
		h.exposed = "isolation is set to none"
		return nil
	}
	b, err := newBubblewrap(h.log, &h.cfg)
	if err == nil {
		h.bubblewrap = b
		return nil
	}
	if h.cfg.Isolation == IsolationBubblewrap || !errors.As(err, new(*unavailableError)) {
		return fmt.Errorf("builds can't be isolated: %w", err)
	}
	for name, p := range h.cfg.Projects {
		if p.Network == NetworkNone {
			return fmt.Errorf("project %s: builds without a network need isolation: %w", name, err)
		}
	}
	h.exposed = err.Error()
	h.log.Warn("builds are not isolated: they run as this user, and can read and change all that it can, the data folder and other builds too",
		zap.Error(err))
	return nil
}

// TryIsolation finds out, as [New] does and without a data directory, what would
// keep builds apart here: by is bubblewrap or the program that runs containers, and
// exposed says why nothing would. The error is the one of New where it refuses such
// a configuration.
func TryIsolation(log *zap.Logger, cfg Config) (by, exposed string, err error) {
	if err := cfg.fill(); err != nil {
		return "", "", err
	}
	if cfg.DataDir, err = os.MkdirTemp("", "switchyard-isolation-"); err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, removeAll(cfg.DataDir)) }()
	if cfg.DataDir, err = filepath.EvalSymlinks(cfg.DataDir); err != nil {
		return "", "", err
	}
	h := &Handler{cfg: cfg, log: log}
	if err := h.isolate(); err != nil {
		return "", "", err
	}
	switch {
	case h.containers != nil:
		by = cfg.Container.Runtime
	case h.bubblewrap != nil:
		by = IsolationBubblewrap
	}
	return by, h.exposed, nil
}

// checkShown refuses paths of the configuration that builds can't be given. It
// comes before it is tried whether isolation works: a name with a typing error
// must not have builds run without.
func (c *Config) checkShown() error {
	for key, paths := range map[string][]string{"visible": c.Visible, "writable": c.Writable} {
		for _, path := range paths {
			if _, err := coversOf(path, path, append([]string{c.DataDir}, c.Hidden...)); err != nil {
				return fmt.Errorf("engine.embedded.builds.%s: %w", key, err)
			}
		}
	}
	return nil
}

// isolated reports whether builds run in namespaces or containers of their own.
func (h *Handler) isolated() bool { return h.bubblewrap != nil || h.containers != nil }

// Exposed says why builds run without isolation; it is "" when they are
// isolated.
func (h *Handler) Exposed() string { return h.exposed }

// fillIsolation checks the part of the configuration that is about isolation.
func (c *Config) fillIsolation() error {
	if c.Isolation == "" {
		c.Isolation = IsolationAuto
	}
	if c.MaxDisk == 0 {
		c.MaxDisk = 10 << 30
	}
	if c.MaxCache == 0 {
		c.MaxCache = 5 << 30
	}
	if c.MaxProcesses == 0 {
		c.MaxProcesses = 4096
	}
	if c.MaxOpenFiles == 0 {
		c.MaxOpenFiles = 65536
	}
	if !slices.Contains([]string{IsolationAuto, IsolationBubblewrap, IsolationNone}, c.Isolation) {
		return fmt.Errorf("build: Isolation is %q, must be auto, bubblewrap or none", c.Isolation)
	}
	if c.MaxDisk < 0 || c.MaxMemory < 0 || c.MaxProcesses < 0 || c.MaxOpenFiles < 0 {
		return errors.New("build: limits must not be negative")
	}
	for _, path := range slices.Concat(c.Visible, c.Writable, c.Hidden) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("build: %q is not an absolute path", path)
		}
	}
	if err := c.fillContainer(); err != nil {
		return err
	}
	for name, p := range c.Projects {
		if p.ForkNetwork != "" && p.ForkNetwork != NetworkHost && p.ForkNetwork != NetworkNone {
			return fmt.Errorf("build: project %s: ForkNetwork is %q, must be host or none", name, p.ForkNetwork)
		}
		switch p.Network {
		case "", NetworkHost:
		case NetworkNone:
			if c.Isolation == IsolationNone {
				return fmt.Errorf("build: project %s: builds without a network need isolation, which is set to none", name)
			}
		default:
			return fmt.Errorf("build: project %s: Network is %q, must be host or none", name, p.Network)
		}
	}
	return nil
}
