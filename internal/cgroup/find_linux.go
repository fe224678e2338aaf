package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// controllers are what groups of version 2 need.
const controllers = "+memory +pids"

// leaf is the group that this process moves itself to: in version 2 a group with
// limits below it holds no processes. It stays: systemd and containers remove it
// with the rest of theirs, and the next process uses it again.
const leaf = "switchyard"

// groups are the directories of the cgroups that this process is in.
type groups struct {
	unified, memory, pids string // "" for none
}

// ownGroups reads them from the mounts and /proc/self/cgroup.
func ownGroups() (groups, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups{}, err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return groups{}, err
	}
	return parseGroups(string(text), string(mounts)), nil
}

func parseGroups(text, mounts string) (g groups) {
	for line := range strings.Lines(text) {
		// hierarchy:controllers:path, where version 2 has no controllers.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		names := strings.Split(f[1], ",")
		switch {
		case f[0] == "0" && f[1] == "":
			g.unified = mounted(mounts, "cgroup2", "", f[2])
		default:
			if slices.Contains(names, "memory") {
				g.memory = mounted(mounts, "cgroup", "memory", f[2])
			}
			if slices.Contains(names, "pids") {
				g.pids = mounted(mounts, "cgroup", "pids", f[2])
			}
		}
	}
	return g
}

// mounted is where the path of a hierarchy is found in the file system, or "".
func mounted(mounts, kind, controller, path string) string {
	for line := range strings.Lines(mounts) {
		// 31 23 0:26 /root /mount/point options … - type source options
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		m, s := strings.Fields(before), strings.Fields(after)
		if !ok || len(m) < 5 || len(s) < 3 || s[0] != kind {
			continue
		}
		if controller != "" && !slices.Contains(strings.Split(s[2], ","), controller) {
			continue
		}
		// In a container what is mounted may begin below the hierarchy's root.
		rel, err := filepath.Rel(m[3], path)
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		return filepath.Join(m[4], rel)
	}
	return ""
}

func openV1(own groups, name string) (*Tree, error) {
	if own.memory == "" || own.pids == "" {
		return nil, errors.New("cgroup v1: the controllers memory and pids are not there")
	}
	for _, dir := range []string{own.memory, own.pids} {
		if err := unix.Access(dir, unix.W_OK); err != nil {
			return nil, fmt.Errorf("cgroup v1: %s: %w", dir, err)
		}
	}
	return &Tree{version: 1, memory: filepath.Join(own.memory, name), pids: filepath.Join(own.pids, name)}, nil
}

// openV2 finds the group below which ours can be made, and makes its controllers
// available there.
func openV2(own groups, name string) (*Tree, error) {
	if own.unified == "" {
		return nil, errors.New("cgroup v2 is not there")
	}
	dir := own.unified
	if parent := filepath.Dir(dir); filepath.Base(dir) == leaf || delegated(parent) {
		dir = parent // we moved before, or systemd did (DelegateSubgroup=)
	}
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return nil, fmt.Errorf("cgroup v2: %w", err)
	}
	for _, c := range []string{"memory", "pids"} {
		if !slices.Contains(strings.Fields(string(available)), c) {
			return nil, fmt.Errorf("cgroup v2: %s has no controller %s (systemd: Delegate=yes)", dir, c)
		}
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return nil, fmt.Errorf("cgroup v2: %s: %w (systemd: Delegate=yes)", dir, err)
	}
	if err := enable(dir, controllers); err != nil {
		return nil, fmt.Errorf("cgroup v2: %s: %w (systemd: Delegate=yes)", dir, err)
	}
	base := filepath.Join(dir, name)
	return &Tree{version: 2, memory: base, pids: base}, nil
}

// delegated reports whether systemd has given the group to its unit.
func delegated(dir string) bool {
	for _, attr := range []string{"user.delegate", "trusted.delegate"} {
		value := make([]byte, 1)
		if n, err := unix.Getxattr(dir, attr, value); err == nil && n == 1 && value[0] == '1' {
			return true
		}
	}
	return false
}

// enable makes controllers available below dir. Processes in it are in the way of
// that: this one moves to a group below. Others move with it where the group is
// this service's own.
func enable(dir, controllers string) error {
	err := write(dir, "cgroup.subtree_control", controllers)
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	below, procs := filepath.Join(dir, leaf), filepath.Join(dir, "cgroup.procs")
	if err := os.Mkdir(below, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	back := func(err error) error {
		_ = write(dir, "cgroup.procs", "0")
		_ = os.Remove(below)
		return err
	}
	if err := write(below, "cgroup.procs", "0"); err != nil {
		return back(err)
	}
	ours := delegated(dir) || isNamespaceRoot(dir)
	for range 10 {
		if err = write(dir, "cgroup.subtree_control", controllers); !errors.Is(err, unix.EBUSY) {
			break
		}
		if !ours {
			return back(errors.New("other processes are in this cgroup"))
		}
		for _, pid := range pidsIn(procs) {
			_ = write(below, "cgroup.procs", fmt.Sprint(pid)) // it may be gone
		}
	}
	if err != nil {
		return back(err)
	}
	return nil
}

// isNamespaceRoot reports whether dir is the root of what a container sees.
func isNamespaceRoot(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "cgroup.type")) // the machine's root has none
	return err == nil && !exists(filepath.Join(filepath.Dir(dir), "cgroup.procs"))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
