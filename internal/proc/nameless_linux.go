package proc

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Nameless is what files take on a device, in bytes, that the group's processes
// hold open and that no folder has any more: a walk through folders misses them.
// Elsewhere than on Linux nothing is seen of them.
func (g *Group) Nameless(device uint64) int64 {
	var sum int64
	seen := make(map[uint64]bool)
	for _, p := range g.processes() {
		dir := filepath.Join("/proc", strconv.Itoa(p.pid), "fd")
		open, _ := os.ReadDir(dir) // a process that has ended holds nothing
		for _, f := range open {
			info, err := os.Stat(filepath.Join(dir, f.Name()))
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			if ok && st.Nlink == 0 && uint64(st.Dev) == device && !seen[st.Ino] { //nolint:unconvert // not the same type everywhere
				seen[st.Ino] = true
				sum += st.Blocks * 512
			}
		}
	}
	return sum
}
