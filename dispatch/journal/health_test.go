package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/dispatch"
)

// What is acknowledged must be in a file that the next start finds.
func TestNothingIsAcknowledgedIntoAFileThatIsGone(t *testing.T) {
	for _, row := range []struct {
		name, want string
		take       func(dir string) error
		giveBack   func(dir string) error // nil: it cannot be
	}{
		{"the folder deleted", "deleted or moved away", os.RemoveAll, nil},
		{"the folder moved", "deleted or moved away",
			func(dir string) error { return os.Rename(dir, dir+".old") },
			func(dir string) error { return os.Rename(dir+".old", dir) }},
		{"the folder replaced", "deleted or moved away", func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.Mkdir(dir, 0o700)
		}, nil},
		{"the folder replaced by a copy", "was replaced", func(dir string) error {
			if err := os.Rename(dir, dir+".old"); err != nil {
				return err
			}
			return os.CopyFS(dir, os.DirFS(dir+".old"))
		}, func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.Rename(dir+".old", dir)
		}},
		{"the file deleted", "journal.db was deleted", func(dir string) error { return os.Remove(filepath.Join(dir, "journal.db")) }, nil},
		{"its log deleted", "journal.db-wal was deleted", func(dir string) error { return os.Remove(filepath.Join(dir, "journal.db-wal")) }, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			j, err := Open(filepath.Join(dir, "journal.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			n := 0
			add := func() error {
				n++
				_, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: fmt.Sprint(n), Event: []byte("{}")})
				return err
			}
			if err := add(); err != nil {
				t.Fatal(err)
			}
			if err := j.Health(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := row.take(dir); err != nil {
				t.Fatal(err)
			}
			for _, what := range []string{"first", "second"} { // the second finds whatever the first has left
				if err := add(); err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("the %s delivery: %v, want %q", what, err, row.want)
				}
			}
			if err := j.do(t.Context(), func(c *conn) error { _, err := c.exec("UPDATE progress SET expanded = expanded"); return err }); err == nil {
				t.Error("another write was reported as done")
			}
			if err := j.Health(t.Context()); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("health: %v, want %q", err, row.want)
			}
			if row.giveBack == nil {
				return
			}
			if err := row.giveBack(dir); err != nil {
				t.Fatal(err)
			}
			if err := add(); err != nil {
				t.Errorf("after it was put back: %v", err)
			}
			if err := j.Health(t.Context()); err != nil {
				t.Errorf("health after it was put back: %v", err)
			}
		})
	}
}
