package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func newExecutions(t *testing.T, s *SQLite, from, n, size int) {
	t.Helper()
	for id := int64(from); id < int64(from+n); id++ {
		if err := Do(t.Context(), s, &Write{Create: &Execution{ID: id, Machine: "m", Name: fmt.Sprint(id), Input: make([]byte, size)}, Exec: id}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingIsStoredInAFileThatIsGone(t *testing.T) {
	for name, take := range map[string]func(dir string) error{
		"the folder deleted":  os.RemoveAll,
		"the folder replaced": func(dir string) error { return os.Rename(dir, dir+".old") },
		"the file deleted":    func(dir string) error { return os.Remove(filepath.Join(dir, "engine.db")) },
		"its log deleted":     func(dir string) error { return os.Remove(filepath.Join(dir, "engine.db-wal")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			s, err := Open(t.Context(), filepath.Join(dir, "engine.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			newExecutions(t, s, 1, 2, 10)
			if err := s.Health(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := take(dir); err != nil {
				t.Fatal(err)
			}
			for id := int64(3); id < 5; id++ {
				if err := Do(t.Context(), s, &Write{Create: &Execution{ID: id, Machine: "m", Name: fmt.Sprint(id)}, Exec: id}); err == nil || !strings.Contains(err.Error(), "deleted or moved away") {
					t.Errorf("a start: %v", err)
				}
			}
			if err := s.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "deleted or moved away") {
				t.Errorf("health: %v", err)
			}
		})
	}
}

func TestOpenTellsDamage(t *testing.T) {
	for _, row := range []struct {
		name, want string
		setUp      func(t *testing.T, path string) error
	}{
		{"cut in half", "it was cut short", func(t *testing.T, path string) error {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/2)
		}},
		{"emptied", "the file is empty, and was not before", func(_ *testing.T, path string) error { return os.Truncate(path, 0) }},
		{"another folder's", "belongs to another data folder", func(t *testing.T, path string) error {
			other := filepath.Join(t.TempDir(), "engine.db")
			s, err := Open(t.Context(), other)
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			return os.Rename(other, path)
		}},
		{"its log gone after a kill", "is gone", func(t *testing.T, path string) error {
			s, err := Open(t.Context(), path)
			if err != nil {
				return err
			}
			newExecutions(t, s, 1000, 2, 10)
			state, err := os.ReadFile(path + ".state")
			if err != nil {
				return err
			}
			file, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil { // which removes the log
				return err
			}
			if err := os.WriteFile(path, file, 0o600); err != nil {
				return err
			}
			return os.WriteFile(path+".state", state, 0o600)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "engine.db")
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			newExecutions(t, s, 1, 100, 200_000)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := row.setUp(t, path); err != nil {
				t.Fatal(err)
			}
			s, err = Open(t.Context(), path)
			if err == nil {
				s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}
