//go:build unix

package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nest makes folders in one another, each name long, and leaves a file in the last.
func nest(t *testing.T, dir string, depth int, size int) {
	t.Helper()
	at, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("d", 200)
	for range depth {
		if err := at.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := at.OpenRoot(name)
		at.Close()
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	defer at.Close()
	if err := at.WriteFile("file", make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What lies deeper than a path may be long is measured, too.
func TestFilesDeepDownAreMeasured(t *testing.T) {
	dir := t.TempDir()
	nest(t, dir, 60, 3<<20)
	u := measure(dir, 1<<40)
	if u.bytes < 3<<20 || u.bytes > 5<<20 || u.deep {
		t.Errorf("measured %+v, want the 3 MB of the file that lies 60 folders down, and those", u)
	}
	if err := removeAll(dir); err != nil {
		t.Errorf("removing it: %v", err)
	}

	dir = t.TempDir()
	nest(t, dir, maxFolderDepth+2, 1)
	if u := measure(dir, 1<<40); !u.deep {
		t.Errorf("measured %+v of folders that are nested too deep", u)
	}
}

func TestMeasuringStopsAtTheLimit(t *testing.T) {
	dir := t.TempDir()
	for i := range 3000 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/usr", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if u := measure(dir, 1<<40); u.bytes < 3000*entrySize || u.bytes > 3100*entrySize {
		t.Errorf("measured %d bytes of 3000 empty files and a link that leads out", u.bytes)
	}
	if u := measure(dir, 10*entrySize); u.bytes > 20*entrySize {
		t.Errorf("measured %d bytes where %d are too many", u.bytes, 10*entrySize)
	}
}
