//go:build unix

package build

import (
	"path/filepath"
	"strconv"

	"go.uber.org/zap"

	"switchyard/internal/cgroup"
)

// launcher is what everything of a build begins with, outside of its namespaces:
// it takes on the limits and becomes the program after "--". A core dump would be
// written to where the machine collects them. When the machine, not this build,
// runs out of memory, the kernel ends builds before the service.
const launcher = `ulimit -c 0
ulimit -n "$1" 2>/dev/null
ulimit -f "$2" 2>/dev/null
shift 2
if read -r adj < /proc/self/oom_score_adj && [ "$adj" -lt 500 ]; then echo 500 > /proc/self/oom_score_adj; fi 2>/dev/null
for f; do
	[ "$f" != -- ] || break
	shift
	echo 0 > "$f" || exit 126
done
shift
exec "$@"
`

// launch is the command line that runs argv as a part of the build.
func (s *session) launch(argv ...string) []string {
	s.launched.Store(true)
	cfg := &s.h.cfg
	line := []string{"/bin/sh", "-c", launcher, "sh", strconv.Itoa(cfg.MaxOpenFiles), strconv.FormatInt(cfg.MaxDisk/512, 10)}
	if cfg.Nice > 0 {
		line = append([]string{"nice", "-n", strconv.Itoa(cfg.Nice)}, line...)
	}
	if s.cgroup != nil {
		line = append(line, s.cgroup.Procs()...)
	}
	return append(append(line, "--"), argv...)
}

// What limits the memory and the processes of builds.
const limitedByWatching = "watching"

// openGroups ends what is left of the groups of an earlier process, and finds out
// whether builds can have some here.
func (h *Handler) openGroups() {
	var err error
	h.groups, err = cgroup.Open("switchyard-"+shortName(h.cfg.DataDir), filepath.Join(h.cfg.DataDir, "cgroups"))
	if err != nil {
		h.limitedBy = limitedByWatching
		h.log.Info("memory and processes of builds are limited by looking at them several times a second: this service has no cgroups", zap.Error(err))
		return
	}
	h.limitedBy = "cgroup v" + strconv.Itoa(h.groups.Version())
	h.log.Info("memory and processes of builds are limited by the kernel", zap.String("by", h.limitedBy))
}

// LimitedBy says what limits the memory and the processes of builds: "cgroup v2",
// "cgroup v1" or "watching".
func (h *Handler) LimitedBy() string { return h.limitedBy }

// openGroup makes the build's group, if it can have one. Without one the build is
// watched.
func (s *session) openGroup() {
	if s.h.groups == nil || s.h.containers != nil { // whose runtime has its own
		return
	}
	l := cgroup.Limits{Memory: s.h.cfg.MaxMemory, Tasks: s.h.cfg.MaxProcesses}
	if s.h.bubblewrap != nil {
		l.Tasks += sandboxTasks
	}
	g, err := s.h.groups.New(workName(s.t), l)
	if err != nil {
		s.h.log.Warn("a build has no cgroup; it is watched instead", zap.String("task_id", s.t.ID), zap.Error(err))
		return
	}
	s.cgroup = g
}

// closeGroup ends what is left of the build, wherever it has gone.
func (s *session) closeGroup() error {
	if s.cgroup == nil {
		return nil
	}
	return s.cgroup.End()
}
