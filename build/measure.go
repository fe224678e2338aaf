//go:build unix

package build

import (
	"os"
	"syscall"
)

const (
	// entrySize is what a file takes at least, in bytes: a disk can be full of
	// empty ones.
	entrySize = 4096
	// maxFolderDepth is how deep a build's folders may lie in one another. Each level
	// takes two descriptors of ours while they are measured.
	maxFolderDepth = 256
	// entriesAtOnce is how many names of a folder are in memory.
	entriesAtOnce = 512
)

// usage is what a build's files take.
type usage struct {
	bytes, limit int64
	// deep is true when folders are nested deeper than maxFolderDepth.
	deep bool
}

// measure adds up what is below a folder of a build, until that is more than a
// limit. A build can make millions of names, and paths that are longer than the
// kernel takes: neither are all names in memory, nor is a path ever put together.
// What goes away meanwhile takes nothing.
func measure(dir string, limit int64) usage {
	u := usage{limit: limit}
	if root, err := os.OpenRoot(dir); err == nil {
		u.add(root, 0)
	}
	return u
}

// add closes dir. It returns false when there is no need to go on.
func (u *usage) add(dir *os.Root, depth int) bool {
	defer dir.Close()
	list, err := dir.Open(".")
	if err != nil {
		return true
	}
	defer list.Close()
	for {
		entries, err := list.ReadDir(entriesAtOnce)
		for _, e := range entries {
			info, err := dir.Lstat(e.Name())
			if err != nil {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				u.bytes += max(st.Blocks*512, entrySize)
			}
			if u.bytes > u.limit {
				return false
			}
			if !info.IsDir() {
				continue
			}
			if depth == maxFolderDepth {
				u.deep = true
				return false
			}
			if sub, err := dir.OpenRoot(e.Name()); err == nil && !u.add(sub, depth+1) {
				return false
			}
		}
		if err != nil || len(entries) == 0 {
			return true
		}
	}
}
