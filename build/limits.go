//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// limitError ends a build that takes more than it may.
type limitError struct{ text string }

func (e *limitError) Error() string { return e.text }

// codeLimit is the status code of the phase in which that happened.
const codeLimit = "RESOURCE_LIMIT_EXCEEDED"

// watchEvery is how often a build is looked at; processes that root owns, which
// the kernel does not count for us, more often.
const (
	watchEvery          = 2 * time.Second
	watchProcessesEvery = 100 * time.Millisecond
)

// watch ends the build's context, with a [*limitError], when its files or
// processes become too many. It returns when ctx ends.
func (s *session) watch(ctx context.Context, exceed context.CancelCauseFunc) {
	cfg := s.h.cfg
	every := watchEvery
	countsProcesses := s.h.bubblewrap != nil && os.Geteuid() == 0
	if countsProcesses {
		every = watchProcessesEvery
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
		if countsProcesses {
			// The two of the sandbox itself are not the build's.
			if n := s.group.Count() - 2; n > cfg.MaxProcesses {
				exceed(&limitError{fmt.Sprintf("the build has more than the %d processes it may have (engine.embedded.builds.processes)", cfg.MaxProcesses)})
				return
			}
		}
		if time.Since(measured) < watchEvery {
			continue
		}
		if used := s.diskUsed(); used > cfg.MaxDisk {
			exceed(&limitError{fmt.Sprintf("the build's files take more than the %d MB they may take (engine.embedded.builds.disk)", cfg.MaxDisk>>20)})
			return
		}
		measured = time.Now()
	}
}

// diskUsed is what the build's directory takes on the disk, in bytes.
func (s *session) diskUsed() int64 {
	var used int64
	// What goes away meanwhile takes nothing.
	_ = filepath.WalkDir(s.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				used += st.Blocks * 512
			}
		}
		return nil
	})
	return used
}

// exceeded is the limit by which a build's context ended, or nil.
func exceeded(ctx context.Context) *limitError {
	var limit *limitError
	if errors.As(context.Cause(ctx), &limit) {
		return limit
	}
	return nil
}
