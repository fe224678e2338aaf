//go:build unix

package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxReports bounds how many files of an execution's reports are read, and
// maxReport how much of each, in bytes.
const (
	maxReports = 500
	maxReport  = 16 << 20
)

// Reports has f read each file that the builds of an execution have kept as
// reports, in order of their names, until f fails. The files are as the build wrote
// them.
func (h *Handler) Reports(executionName string, f func(name string, r io.Reader) error) error {
	root, err := os.OpenRoot(filepath.Join(h.cfg.DataDir, "artifacts", pathName(executionName)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reports of execution %s: %w", executionName, err)
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		parts := strings.Split(name, "/") // task/reports/group/…
		switch {
		case d.IsDir() && len(parts) == 2 && parts[1] != "reports":
			return fs.SkipDir
		case d.Type().IsRegular() && len(parts) > 3:
			names = append(names, name)
		}
		if len(names) >= maxReports {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // pruned meanwhile
		return fmt.Errorf("reports of execution %s: %w", executionName, err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := read(root, name, f); err != nil {
			return err
		}
	}
	return nil
}

func read(root *os.Root, name string, f func(name string, r io.Reader) error) error {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return f(name, io.LimitReader(file, maxReport))
}

// InSource returns the path below a build's source directory of an absolute path
// that a build has printed; false for one that lies elsewhere.
func (h *Handler) InSource(absolute string) (string, bool) {
	rest, below := strings.CutPrefix(absolute, h.cfg.DataDir+"/")
	if !below {
		return "", false
	}
	_, rest, below = strings.Cut(rest, "/src/")
	return rest, below
}
