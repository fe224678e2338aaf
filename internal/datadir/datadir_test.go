//go:build unix

package datadir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
)

func TestOneProcessHoldsAFolderWhateverIsDeletedInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the second one waits for two seconds
		path := filepath.Join(t.TempDir(), "a", "data")
		first, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, again := range []string{"", " once its files are deleted"} {
			second, err := Open(path)
			if err == nil {
				second.Close()
				t.Fatalf("a second process got it%s", again)
			}
			if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by ") {
				t.Errorf("the error%s: %v", again, err)
			}
			files, err := filepath.Glob(filepath.Join(path, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		third, err := Open(path)
		if err != nil {
			t.Fatalf("it was given back: %v", err)
		}
		third.Close()
	})
}

func TestCheckSaysWhatBecameOfTheFolder(t *testing.T) {
	for _, row := range []struct {
		name, want string
		do         func(t *testing.T, path string)
	}{
		{"untouched", "", func(*testing.T, string) {}},
		{"deleted", "deleted or moved away", func(t *testing.T, path string) {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved", "deleted or moved away", func(t *testing.T, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced", "was replaced", func(t *testing.T, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved and put back", "", func(t *testing.T, path string) {
			if err := os.Rename(path, path+".old"); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(path+".old", path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data")
			d, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			row.do(t, path)
			switch err := d.Check(); {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path)):
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, filepath.Join(path, "below")} {
		if d, err := Open(p); err == nil || !strings.Contains(err.Error(), path) {
			if err == nil {
				d.Close()
			}
			t.Errorf("%s: %v", p, err)
		}
	}
}
