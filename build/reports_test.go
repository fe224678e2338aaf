//go:build unix

package build

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Reports are what lies below reports/ of each build, and no link leads elsewhere.
func TestReportsAreReadWhereTheyAreKept(t *testing.T) {
	h := &Handler{cfg: Config{DataDir: t.TempDir()}}
	for name, text := range map[string]string{
		"x1/task-2/reports/unit/b.xml": "b", "x1/task-1/reports/unit/sub/a.xml": "a",
		"x1/task-1/artifacts/reports/c.xml": "an artifact", "x1/partial/d.xml": "not whole", "x2/task-1/reports/unit/e.xml": "another execution's", "secret.xml": "a secret",
	} {
		path := filepath.Join(h.cfg.DataDir, "artifacts", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(h.cfg.DataDir, "artifacts", "secret.xml"), filepath.Join(h.cfg.DataDir, "artifacts", "x1", "task-1", "reports", "unit", "link.xml")); err != nil {
		t.Fatal(err)
	}
	read := func(execution string) (got []string, err error) {
		err = h.Reports(execution, func(name string, r io.Reader) error {
			text, err := io.ReadAll(r)
			got = append(got, name+": "+string(text))
			return err
		})
		return got, err
	}
	got, err := read("x1")
	if diff := cmp.Diff([]string{"task-1/reports/unit/sub/a.xml: a", "task-2/reports/unit/b.xml: b"}, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, execution := range []string{"x3", "../artifacts/x1", ""} {
		if got, err := read(execution); err != nil || got != nil {
			t.Errorf("%q: %v, %v", execution, got, err)
		}
	}
	full := errors.New("enough")
	if err := h.Reports("x1", func(string, io.Reader) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

func TestInSource(t *testing.T) {
	h := &Handler{cfg: Config{DataDir: "/data/builds"}}
	for path, want := range map[string]string{"/data/builds/work/7/src/a/b.go": "a/b.go", "/data/builds/work/7/a.go": "", "/data/buildsx/src/a.go": "", "/src/a.go": "", "a.go": ""} {
		if got, ok := h.InSource(path); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
}
