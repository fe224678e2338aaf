// Package cgroup keeps programs in control groups of their own, by which the
// kernel limits the memory and the tasks of all of them together, and by which
// they are ended together.
//
// Version 2 needs a subtree that this process may change: systemd gives one to a
// unit with Delegate=yes, a container often has one, and root may make one where
// it is alone in its group. In version 1 the hierarchies of the controllers
// memory and pids must be writable, as they are for root. Anywhere else [Open]
// fails and says why.
//
// A group is two directories, one in the other: the outer has the limits, the
// programs are in the inner. A program that mounts cgroups in namespaces of its
// own sees the inner one as the root, and can't raise the limits.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits are those of one group.
type Limits struct {
	// Memory is in bytes, and 0 for no limit. Swap does not come on top of it.
	Memory int64
	// Tasks are processes and threads; 0 for no limit.
	Tasks int
}

// Tree is where this process makes its groups.
type Tree struct {
	version int
	// bases are the directories of the controllers memory and pids: the same
	// one in version 2.
	memory, pids string
}

// Version is 1 or 2.
func (t *Tree) Version() int { return t.version }

func (t *Tree) bases() []string { return slices.Compact([]string{t.memory, t.pids}) }

// Open ends and removes what an earlier process with the same record left, and
// finds out where groups can be made. The name is that of the directories which
// hold them; no other process may use it at the same time. They are written to
// the file record before they are made: after a restart this process may be in
// another cgroup.
func Open(name, record string) (*Tree, error) {
	if err := sweep(name, record); err != nil {
		return nil, err
	}
	where, err := ownGroups()
	if err != nil {
		return nil, err
	}
	t, err := openV2(where, name)
	if err != nil {
		var v1Err error
		if t, v1Err = openV1(where, name); v1Err != nil {
			return nil, errors.Join(err, v1Err)
		}
	}
	if err := os.WriteFile(record, []byte(strings.Join(t.bases(), "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	for _, base := range t.bases() {
		if err = os.Mkdir(base, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, errors.Join(err, t.Close())
		}
	}
	if t.version == 2 {
		err = write(t.memory, "cgroup.subtree_control", controllers)
	} else {
		// Kernels before 5.11 don't count a group to the one above it by default.
		_ = write(t.memory, "memory.use_hierarchy", "1")
		err = nil
	}
	if err == nil {
		err = t.try()
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// try runs a program in a group.
func (t *Tree) try() error {
	g, err := t.New("try", Limits{Memory: 64 << 20, Tasks: 16})
	if err != nil {
		return err
	}
	argv := append([]string{"-c", `for f; do echo 0 > "$f" || exit; done`, "sh"}, g.Procs()...)
	out, err := exec.Command("/bin/sh", argv...).CombinedOutput() //nolint:noctx // it ends at once
	if err != nil {
		err = fmt.Errorf("cgroup v%d: no program can be put into a group: %w: %s", t.version, err, out)
	}
	return errors.Join(err, g.End())
}

// Close removes the tree, with all that may still be in it.
func (t *Tree) Close() error { return endAll(t.bases()) }

// Group is one group. Its methods are safe for concurrent use.
type Group struct {
	version      int
	memory, pids string
}

// New makes a group.
func (t *Tree) New(name string, l Limits) (*Group, error) {
	g := &Group{version: t.version, memory: filepath.Join(t.memory, name), pids: filepath.Join(t.pids, name)}
	for _, dir := range g.dirs() {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, errors.Join(err, g.End())
		}
	}
	var errs []error
	if l.Tasks > 0 {
		errs = append(errs, write(g.pids, "pids.max", strconv.Itoa(l.Tasks)))
	}
	if l.Memory > 0 {
		memory := strconv.FormatInt(l.Memory, 10)
		if g.version == 2 {
			errs = append(errs, write(g.memory, "memory.max", memory))
			// Neither is there in every kernel.
			_ = write(g.memory, "memory.swap.max", "0")
			_ = write(g.memory, "memory.oom.group", "1")
		} else {
			errs = append(errs, write(g.memory, "memory.limit_in_bytes", memory))
			_ = write(g.memory, "memory.memsw.limit_in_bytes", memory)
		}
	}
	for _, dir := range g.dirs() {
		errs = append(errs, os.Mkdir(filepath.Join(dir, inner), 0o700))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, g.End())
	}
	return g, nil
}

// inner is the directory that programs are in.
const inner = "in"

func (g *Group) dirs() []string { return slices.Compact([]string{g.memory, g.pids}) }

// Procs are the files to which a program writes 0 to put itself, and all that it
// starts from then on, into the group.
func (g *Group) Procs() []string {
	var files []string
	for _, dir := range g.dirs() {
		files = append(files, filepath.Join(dir, inner, "cgroup.procs"))
	}
	return files
}

// MemoryExceeded reports whether the kernel has ended a program of the group for
// want of memory that the group may take. With version 2 it has then ended all of
// them.
func (g *Group) MemoryExceeded() bool {
	if g.version == 2 {
		// Without oom it was the machine, or a group above, that had none left.
		return g.count(g.memory, "memory.events", "oom_kill") > 0 && g.count(g.memory, "memory.events", "oom") > 0
	}
	return g.count(g.memory, "memory.oom_control", "oom_kill") > 0
}

// TasksExceeded reports whether the kernel has refused a process or thread for
// which the group had no room.
func (g *Group) TasksExceeded() bool { return g.count(g.pids, "pids.events", "max") > 0 }

// count adds up a number of a group and all below it: which of them the kernel
// counts an event in depends on its version.
func (g *Group) count(dir, file, key string) (n int64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // what is gone has nothing to say
		}
		text, _ := os.ReadFile(filepath.Join(path, file))
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
				events, _ := strconv.ParseInt(value, 10, 64)
				n += events
			}
		}
		return nil
	})
	return n
}

// End ends everything in the group and removes it.
func (g *Group) End() error { return endAll(g.dirs()) }

func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// killWait bounds the wait for processes that SIGKILL has not ended yet.
const killWait = 10 * time.Second

// endAll ends what is in the directories and below, and removes them.
func endAll(dirs []string) error {
	begin := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		var errs []error
		for _, dir := range dirs {
			errs = append(errs, end(dir))
		}
		err := errors.Join(errs...)
		if err == nil || time.Since(begin) > killWait {
			return err
		}
		<-time.After(wait)
	}
}

// end makes one attempt at it. That a directory can't be removed yet is an error.
func end(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if write(dir, "cgroup.kill", "1") != nil {
		// Version 1, or a kernel before 5.14. Nothing new begins meanwhile.
		_ = write(dir, "pids.max", "0")
		each(dir, func(path string) { killAll(filepath.Join(path, "cgroup.procs")) })
	}
	var below []string
	each(dir, func(path string) { below = append(below, path) })
	for _, path := range slices.Backward(below) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return nil
}

// each calls f for dir and every directory below it, from the top.
func each(dir string, f func(path string)) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			f(path)
		}
		return nil
	})
}

func killAll(procs string) {
	for _, pid := range pidsIn(procs) {
		p, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		// The handle is on whoever has the PID now, which must be in the group.
		if slices.Contains(pidsIn(procs), pid) {
			_ = p.Kill()
		}
		_ = p.Release()
	}
}

func pidsIn(procs string) (pids []int) {
	text, _ := os.ReadFile(procs)
	for line := range strings.Lines(string(text)) {
		// 0 is a process of a PID namespace that is not below ours.
		if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// sweep ends and removes what the record says was made. Only directories of that
// name are: the record may be damaged.
func sweep(name, record string) error {
	text, err := os.ReadFile(record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		if dir := strings.TrimSpace(line); filepath.IsAbs(dir) && filepath.Base(dir) == name {
			dirs = append(dirs, dir)
		}
	}
	if err := endAll(dirs); err != nil {
		return err
	}
	return os.Remove(record)
}
