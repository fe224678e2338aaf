//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// limitError ends a build that takes more than it may.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// codeLimit is the status code of the phase in which that happened.
const codeLimit = "RESOURCE_LIMIT_EXCEEDED"

// How often a build is looked at. What the kernel counts for us only has to be
// asked; what it does not is counted as it is seen.
const (
	watchEvery     = 250 * time.Millisecond
	countEvery     = 100 * time.Millisecond
	watchDiskEvery = 2 * time.Second
)

// sandboxTasks are the processes of a sandbox itself, and runtimeTasks about the
// processes and threads of a container's runtime that are seen with the build's.
const (
	sandboxTasks = 2
	runtimeTasks = 20
)

// watch ends the build's context, with a [*limitError], when its memory, files or
// processes become too many. It returns when ctx ends.
func (s *session) watch(ctx context.Context) {
	every := watchEvery
	if s.cgroup == nil {
		every = countEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var measured time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.checkProcesses(false)
		if time.Since(measured) < watchDiskEvery {
			continue
		}
		switch used := s.diskUsed(s.h.cfg.MaxDisk); {
		case used.deep:
			s.exceed(&limitError{fmt.Sprintf("the build's folders are nested more than %d deep, which cannot be measured for engine.embedded.builds.disk", maxFolderDepth)})
		case used.bytes > s.h.cfg.MaxDisk:
			s.exceed(s.h.cfg.diskLimit())
		}
		measured = time.Now()
	}
}

// checkProcesses ends the build's context when its processes take too much memory
// or are too many. It is also asked when a command has ended, which may be because
// the kernel has ended it; one that failed may have been refused the next process.
func (s *session) checkProcesses(failed bool) {
	cfg := &s.h.cfg
	var memory, tasks bool
	if s.cgroup != nil {
		memory, tasks = s.cgroup.MemoryExceeded(), s.cgroup.TasksExceeded()
	} else if s.launched.Load() {
		u := s.group.Usage()
		switch {
		case s.h.bubblewrap != nil:
			u.Tasks -= sandboxTasks
		case s.h.containers != nil:
			u.Tasks -= runtimeTasks
		}
		tasks = u.Tasks > cfg.MaxProcesses || failed && u.Tasks == cfg.MaxProcesses
		// Twice, since processes that share memory may come and go in between.
		memory = cfg.MaxMemory > 0 && u.RSS > cfg.MaxMemory && s.group.PSS() > cfg.MaxMemory && s.group.PSS() > cfg.MaxMemory
	}
	switch {
	case memory:
		s.exceed(&limitError{fmt.Sprintf("the build took more than the %s of memory it may take (engine.embedded.builds.memory)", sizeText(cfg.MaxMemory))})
	case tasks:
		s.exceed(&limitError{fmt.Sprintf("the build had more than the %d processes and threads it may have (engine.embedded.builds.processes)", cfg.MaxProcesses)})
	}
}

func (c *Config) diskLimit() *limitError {
	return &limitError{fmt.Sprintf("the build's files take more than the %s they may take (engine.embedded.builds.disk)", sizeText(c.MaxDisk))}
}

// sizeText writes a size as the config does where that is exact.
func sizeText(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}} {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// diskUsed is what the build takes on the disk: what is in its directory, as far as
// that is needed to know whether it is more than limit, and files without a name
// that its processes hold open.
func (s *session) diskUsed(limit int64) usage {
	var nameless int64
	if info, err := os.Stat(s.dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			nameless = s.group.Nameless(uint64(st.Dev)) //nolint:unconvert // not the same type everywhere
		}
	}
	u := measure(s.dir, limit-nameless)
	u.bytes += nameless
	return u
}

// exceeded is the limit by which a build's context ended, or nil.
func exceeded(ctx context.Context) *limitError {
	var limit *limitError
	if errors.As(context.Cause(ctx), &limit) {
		return limit
	}
	return nil
}
