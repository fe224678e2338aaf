//go:build unix

package build

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"switchyard/internal/proc"
)

// recordWithin is how long a shell has to note that its command has ended: it
// is about the next thing that it does.
const recordWithin = 200 * time.Millisecond

// endLeftovers ends all processes that builds of processes which are gone left
// behind, and returns how many they were by the names of the builds' work
// directories. It may run in several processes at once. Their containers, if
// builds run in such, are removed.
//
// A command whose end is not noted runs again, so none should be cut off between
// the two. Therefore all but the shells of the phases are stopped first. A shell
// whose last command has ended goes on then, and notes it.
func endLeftovers(dataDir string, grace time.Duration, c *containers) (map[string]int, error) {
	ended, err := endProcesses(dataDir, grace)
	if c != nil {
		err = errors.Join(err, c.sweep())
	}
	return ended, err
}

func endProcesses(dataDir string, grace time.Duration) (map[string]int, error) {
	w := &works{root: filepath.Join(dataDir, "work")}
	// The scripts of phases; see [session.scripts].
	phase := func(argv []string) bool {
		if len(argv) != 2 {
			return false
		}
		match, err := filepath.Match(filepath.Join("*", "scripts", "*"), relative(w.root, argv[1]))
		return err == nil && match
	}
	if proc.Stop(dataDir, phase) == 0 {
		return nil, nil
	}
	<-time.After(recordWithin)
	w.settle()
	return proc.Sweep(dataDir, grace)
}

func relative(root, path string) string {
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return ""
	}
	return rel
}

// reapedFile is where the reaper notes what endLeftovers has returned.
const reapedFile = "reaped.json"

// addReaped adds to what a reaper has noted.
func addReaped(dataDir string, ended map[string]int) error {
	if len(ended) == 0 {
		return nil
	}
	all, err := readReaped(dataDir)
	if err != nil {
		return err
	}
	for name, n := range ended {
		all[name] += n
	}
	return writeJSON(filepath.Join(dataDir, reapedFile), all)
}

func readReaped(dataDir string) (map[string]int, error) {
	all := make(map[string]int)
	b, err := os.ReadFile(filepath.Join(dataDir, reapedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(b, &all) != nil {
		clear(all) // not whole: it only tells what has been
	}
	return all, nil
}
