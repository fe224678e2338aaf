package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"switchyard/asl/store"
	"switchyard/asl/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return store.NewMemory() })
}

func open(t testing.TB, path string) *store.SQLite {
	t.Helper()
	s, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "engine.db")) })
}

func TestSQLiteReopenedHoldsWhatWasAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub dir", "100%?#.db")
	s := open(t, path)
	if err := store.Do(t.Context(), s, &store.Write{
		Create: &store.Execution{ID: 3, Machine: "m", Name: "n", Input: []byte("{}")}, Exec: 3,
		Docs: []store.Doc{{Kind: "k", Key: "a", Body: []byte("b")}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if _, err := s.Execution(t.Context(), "m", "n"); err != nil {
		t.Error(err)
	}
	if id, err := s.LastID(t.Context()); err != nil || id != 3 {
		t.Errorf("LastID = %d, %v; want 3", id, err)
	}
}

func TestOpenRefusesSecondUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	open(t, path)
	if _, err := store.Open(t.Context(), path); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second Open: %v, want ErrLocked", err)
	}
}

func TestOpenRefusesACorruptFile(t *testing.T) {
	corrupt := filepath.Join(t.TempDir(), "corrupt.db")
	if err := os.WriteFile(corrupt, []byte("this is not a database, whatever its name says, and it is long enough to be read"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), corrupt); err == nil {
		s.Close()
		t.Error("a corrupt file was opened")
	}
	// What failed to open gave its lock back.
	if err := os.Remove(corrupt); err != nil {
		t.Fatal(err)
	}
	open(t, corrupt)
}

func TestOpenRefusesAStoreOfANewerRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "engine.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA user_version = 1000"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := store.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "newer release") {
		if err == nil {
			s.Close()
		}
		t.Errorf("Open: %v, want that a newer release wrote it", err)
	}
}

func TestOpenSaysWhichPathItCannotMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), filepath.Join(file, "engine.db")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open: %v, want an error that names %s", err, file)
	}
}

func BenchmarkSQLiteStart(b *testing.B) {
	for _, waiting := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			s := open(b, filepath.Join(b.TempDir(), "engine.db"))
			input := []byte(`{"environment":"acceptance","commit":{"sha":"0123456789abcdef0123456789abcdef01234567"}}`)
			var id atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range waiting {
				wg.Go(func() {
					for {
						n := id.Add(1)
						if n > int64(b.N) {
							return
						}
						err := store.Do(b.Context(), s, &store.Write{Create: &store.Execution{
							ID: n, Machine: "deploy", Name: fmt.Sprintf("api-v2-%012d", n), Revision: "r", Started: n, Input: input,
						}, Exec: n})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
