//go:build unix

package filelock_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/internal/filelock"
)

func TestTakeRefusesASecondHolderAndNamesTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		first, err := filelock.Take(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := filelock.Take(path); !errors.Is(err, filelock.ErrHeld) || !strings.Contains(err.Error(), path) {
			t.Errorf("second: %v", err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		third, err := filelock.Take(path)
		if err != nil {
			t.Fatalf("after the first was closed: %v", err)
		}
		third.Close()
	})
}

func TestTakeWaitsForAHolderThatIsAboutToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		first, err := filelock.Take(path)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(500*time.Millisecond, func() { first.Close() })
		began := time.Now()
		second, err := filelock.Take(path)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestHeldTellsAndTakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if filelock.Held(path) {
		t.Error("a file that is not there is held")
	}
	for range 2 {
		f, err := filelock.Take(path)
		if err != nil {
			t.Fatal(err)
		}
		if !filelock.Held(path) {
			t.Error("the lock is not held")
		}
		f.Close()
		if filelock.Held(path) {
			t.Error("the lock is still held")
		}
	}
}

func TestTakeSaysWhatItCannotMake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nowhere", "lock")
	if _, err := filelock.Take(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
