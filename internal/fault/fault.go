//go:build unix

// Package fault tells what happened to a task's machine from what the task
// did itself: a full disk, no descriptors, processes or memory left. Such a
// task has not failed; it is tried again when the machine may have recovered.
package fault

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"switchyard/asl/task"
)

// Error is a failure of the machine, or of what it depends on.
type Error struct {
	Err error
	// Brief is true for what passes within seconds or not at all, such as a
	// repository that is just being moved: when it stays it is the task's own
	// failure.
	Brief bool
	// Command is true when a command of the task failed while there was no room
	// for it: it may have used that up itself.
	Command bool
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// errnos are the errors of system calls that tell of the machine.
var errnos = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN,
	syscall.EIO, syscall.EROFS, syscall.ESTALE, syscall.ENOBUFS,
}

// Of returns err as an [*Error] when it is one, or when a system call failed
// for a reason that lies with the machine; otherwise nil.
func Of(err error) *Error {
	var f *Error
	if errors.As(err, &f) {
		return f
	}
	var errno syscall.Errno
	if errors.As(err, &errno) && slices.Contains(errnos, errno) {
		return &Error{Err: err}
	}
	return nil
}

// Waits says how long to wait before a task is tried again.
type Waits struct {
	// First is the wait after the first fault; each one doubles it, to at most
	// a minute.
	First time.Duration
	// Patience is for how long faults in a row are waited for.
	Patience time.Duration

	began, last time.Time
	next        time.Duration
	brief       int
	// anew counts how often work went on for long before the next fault.
	anew int
}

const (
	longestWait = time.Minute
	// briefTries is how often a brief fault is tried again.
	briefTries = 4
	// recovered is how long work must have gone on for a fault not to count as
	// a repetition of the one before.
	recovered = 10 * time.Minute
	// mostAnew bounds that: work that takes long and ends in the same fault
	// each time must end some day.
	mostAnew = 3
)

// After gives the wait after a fault; ok is false when there have been enough.
// The fault happened now.
func (w *Waits) After(f *Error, now time.Time) (wait time.Duration, ok bool) {
	switch {
	case w.began.IsZero():
		w.began, w.next = now, w.First
	case now.Sub(w.last) > recovered && w.anew < mostAnew:
		w.began, w.next, w.anew = now, w.First, w.anew+1
	}
	if f.Brief {
		if w.brief++; w.brief > briefTries {
			return 0, false
		}
	}
	left := w.Patience - now.Sub(w.began)
	if left <= 0 {
		return 0, false
	}
	wait = min(w.next, left)
	w.next = min(2*w.next, longestWait)
	w.last = now.Add(wait)
	return wait, true
}

// Sleep returns nil after d, or the cause of ctx when that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Again calls try until it returns something else than a fault of the machine,
// or the waits are over: then the error is the last fault, with how often it was
// tried. tell is told of each wait.
func Again(ctx context.Context, w Waits, try func() error, tell func(err error, tries int, wait time.Duration)) error {
	for tries := 1; ; tries++ {
		err := try()
		f := Of(err)
		if f == nil {
			return err
		}
		wait, ok := w.After(f, time.Now())
		if !ok {
			return &task.Error{Name: task.MachineFault, Cause: fmt.Sprintf("%v (tried %d times)", err, tries)}
		}
		tell(err, tries, wait)
		if err := Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Room returns an error when there is no room left in the file system of dir.
func Room(dir string) error {
	free, _, inodes := space(dir)
	switch {
	case free < noRoom:
		return fmt.Errorf("the disk of %s is full: %w", dir, syscall.ENOSPC)
	case !inodes:
		return fmt.Errorf("the disk of %s has no inodes left: %w", dir, syscall.ENOSPC)
	}
	return nil
}

// HalfFree reports whether more than half of the file system of dir is free.
func HalfFree(dir string) bool {
	free, total, inodes := space(dir)
	return inodes && total > 0 && free > total/2
}

// Space is what the file system of dir has free and in all, in bytes; 0 in all when
// that can't be measured.
func Space(dir string) (free, total int64) {
	f, t, _ := space(dir)
	return int64(min(f, math.MaxInt64)), int64(min(t, math.MaxInt64)) //nolint:gosec // not more
}

// space measures a file system in bytes. What can't be measured is not known to
// be full.
func space(dir string) (free, total uint64, inodes bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil || s.Blocks == 0 {
		return noRoom, 0, true
	}
	size := uint64(s.Bsize)        //nolint:unconvert,gosec // the type differs between systems
	free = uint64(s.Bavail) * size //nolint:unconvert,gosec // likewise
	if syscall.Geteuid() == 0 {
		free = s.Bfree * size
	}
	return free, s.Blocks * size, s.Files == 0 || s.Ffree > 0
}

// noRoom is the free space, in bytes, below which a disk counts as full.
const noRoom = 1 << 20

// MemoryKills is how many processes the kernel has ended on this machine
// because memory ran out; 0 where it does not tell.
func MemoryKills() int {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(count)) // 0 if it is none
			return n
		}
	}
	return 0
}
