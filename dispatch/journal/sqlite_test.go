package journal

import (
	"path/filepath"
	"testing"

	"switchyard/dispatch"
	"switchyard/dispatch/journal/journaltest"
)

func TestSQLiteConforms(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) dispatch.Journal {
		j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
		return j
	})
}
