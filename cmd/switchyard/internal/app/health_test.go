package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"switchyard/cmd/switchyard/internal/app"
)

// ready is what /readyz answers.
func (s *service) ready(t *testing.T) (int, string) {
	t.Helper()
	return s.get(t, "/readyz")
}

// A delivery that is acknowledged into a folder that is gone is lost.
func TestADataFolderThatIsTakenAwayIsTold(t *testing.T) {
	for name, take := range map[string]func(data string) error{
		"deleted": os.RemoveAll,
		"replaced": func(data string) error {
			return errors.Join(os.Rename(data, data+".old"), os.Mkdir(data, 0o700))
		},
		"the journal deleted":          func(data string) error { return os.Remove(filepath.Join(data, "journal.db")) },
		"the engine's store deleted":   func(data string) error { return os.Remove(filepath.Join(data, "engine.db")) },
		"the log of the journal moved": func(data string) error { return os.Rename(filepath.Join(data, "journal.db-wal"), data+"-wal") },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, t.TempDir())
			s.deliver(t, "d1", push("feature/a", "one"))
			s.settled(t, 1)
			if status, text := s.ready(t); status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			if err := take(s.cfg.Resolve("data")); err != nil {
				t.Fatal(err)
			}
			if status, text := s.ready(t); status != http.StatusServiceUnavailable || !strings.Contains(text, "not ready: ") || !strings.Contains(text, "data_dir") || strings.Contains(text, s.dir) {
				t.Errorf("/readyz: %d %s", status, text)
			}
			if name == "the engine's store deleted" {
				return // deliveries are safe in the journal
			}
			if status, text := s.deliver(t, "d2", push("feature/a", "two")); status != http.StatusServiceUnavailable {
				t.Errorf("a delivery: %d %s", status, text)
			}
		})
	}
}

func TestASecondServiceIsRefusedWhateverIsDeleted(t *testing.T) {
	s := start(t, t.TempDir())
	for _, pattern := range []string{"*.lock", "builds/lock", "*"} {
		files, err := filepath.Glob(filepath.Join(s.cfg.Resolve("data"), pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && !info.IsDir() && !strings.Contains(f, ".db") {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	a, err := app.New(t.Context(), s.cfg, zap.NewNop())
	if err == nil {
		t.Fatal(errors.Join(errors.New("it opened"), a.Close()))
	}
	if !strings.Contains(err.Error(), s.cfg.Resolve("data")) || !strings.Contains(err.Error(), "in use by") {
		t.Error(err)
	}
	if status, text := s.deliver(t, "d1", push("feature/a", "one")); status != http.StatusAccepted {
		t.Errorf("the first goes on: %d %s", status, text)
	}
}

func TestFilesOfTwoDataFoldersAreNotMixed(t *testing.T) {
	one, other := start(t, t.TempDir()), start(t, t.TempDir())
	for i, s := range []*service{one, other} {
		s.deliver(t, fmt.Sprint("d", i), push(fmt.Sprint("feature/", i), "one"))
		s.settled(t, 1)
		s.stop()
	}
	for _, name := range []string{"journal.db", "journal.db.state"} {
		text, err := os.ReadFile(filepath.Join(other.cfg.Resolve("data"), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(one.cfg.Resolve("data"), name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	state := filepath.Join(one.cfg.Resolve("data"), "journal.db.state")
	a, err := app.New(t.Context(), one.cfg, zap.NewNop())
	if err == nil {
		t.Fatal(errors.Join(errors.New("it opened"), a.Close()))
	}
	if !strings.Contains(err.Error(), "different data folders") || !strings.Contains(err.Error(), "delete "+state) {
		t.Fatal(err)
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	if a, err = app.New(t.Context(), one.cfg, zap.NewNop()); err != nil {
		t.Fatalf("after doing as it said: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestARestoredBackupIsLogged(t *testing.T) {
	s := start(t, t.TempDir())
	file := filepath.Join(s.cfg.Resolve("data"), "journal.db")
	s.deliver(t, "d1", push("feature/a", "one"))
	s.settled(t, 1)
	s.stop()
	backup, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s = start(t, s.dir)
	s.deliver(t, "d2", push("feature/a", "two"))
	s.settled(t, 2)
	s.stop()
	if err := os.WriteFile(file, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zap.WarnLevel)
	a, err := app.New(t.Context(), s.cfg, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	told := lines.FilterMessage("the data folder is not as it was left").All()
	if len(told) != 1 || !strings.Contains(fmt.Sprint(told[0].ContextMap()["warning"]), file+" is older than it was") {
		t.Errorf("the log: %v", told)
	}
}
