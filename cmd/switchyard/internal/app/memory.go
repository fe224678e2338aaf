package app

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"switchyard/config"
)

// FollowCgroup has the runtime keep its memory below nine tenths of what the
// cgroup allows this process, as in a container; what is left is for the
// stacks, the page cache of the databases and builds. GOMEMLIMIT overrules it.
// root is the root of the file system.
func FollowCgroup(root fs.FS, env config.Env, log *zap.Logger) {
	if _, set := env("GOMEMLIMIT"); set {
		return
	}
	limit, ok := cgroupLimit(root)
	if !ok {
		return
	}
	limit = limit / 10 * 9
	debug.SetMemoryLimit(limit)
	log.Info("memory is limited by the cgroup", zap.Int64("memory_limit", limit))
}

// cgroupLimit is the least memory limit, in bytes, of the cgroups that this
// process is in; ok is false when there is none.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // not Linux
	}
	limit = math.MaxInt64
	for line := range bytes.Lines(text) {
		// hierarchy:controllers:path, where version 2 has hierarchy 0 and
		// names no controllers.
		f := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case f[0] == "0" && f[1] == "":
			limit = min(limit, leastLimit(root, "sys/fs/cgroup", f[2], "memory.max"))
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			limit = min(limit, leastLimit(root, "sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes"))
		}
	}
	// Version 1 says "no limit" by a number of whole pages near the largest.
	return limit, limit < math.MaxInt64/2
}

// buildMemory is what one build may take where the config does not say: half of
// the machine's memory, or of what the cgroup allows. A share for each of the
// builds that may run at once would be too little for one alone: on 8 GB with 4
// CPUs less than 2 GB, where a compiler or a bundler wants 3. It is 0, no limit,
// where the machine does not tell.
func buildMemory(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "MemTotal:" {
			continue
		}
		kilobytes, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0
		}
		total := kilobytes << 10
		if limit, ok := cgroupLimit(root); ok {
			total = min(total, limit)
		}
		return total / 2
	}
	return 0
}

// leastLimit looks into the cgroup and all above it. In a container the path
// may be the host's while what is mounted begins at the container's own: then
// only the mount's root is there.
func leastLimit(root fs.FS, mount, group, file string) int64 {
	least := int64(math.MaxInt64)
	for group = path.Clean("/" + group); ; group = path.Dir(group) {
		if text, err := fs.ReadFile(root, path.Join(mount, group, file)); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 { // else "max"
				least = min(least, n)
			}
		}
		if group == "/" {
			return least
		}
	}
}

const (
	// defaultBudget is what the bodies of deliveries may take at most: pushes of
	// many megabytes are rare, and wait for one another.
	defaultBudget = 96 << 20
	// leastBodies is for how many of the largest bodies there must be room.
	leastBodies = 3
)

// bodyBudget is how much memory bodies may take: a sixth of the runtime's limit,
// and their decoding another sixth. What a large delivery is made into after
// that, by the journal and its planning, takes as much again.
func bodyBudget(memoryLimit, largestBody int64) int64 {
	return max(min(memoryLimit/6, defaultBudget), leastBodies*largestBody)
}
