package journal

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"switchyard/dispatch"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, row := range []struct {
		name  string
		setUp func(t *testing.T, path string)
		want  []string
	}{
		{"no directory", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, []string{"there is no directory", "create it"}},
		{"read-only file", func(t *testing.T, path string) {
			valid(t, path)
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
		}, []string{"cannot be written", "make it and its directory writable"}},
		{"a directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, []string{"cannot be opened"}},
		{"no SQLite file", func(t *testing.T, path string) {
			write(t, path, []byte("This is a text file, and not a short one."))
		}, []string{"damaged or no journal at all", "restore it from a backup"}},
		{"cut short", func(t *testing.T, path string) {
			write(t, path, []byte("SQLite"))
		}, []string{"damaged or no journal at all"}},
		{"truncated", func(t *testing.T, path string) {
			valid(t, path)
			if err := os.Truncate(path, 3*8192); err != nil {
				t.Fatal(err)
			}
		}, []string{"damaged", "restore it from a backup"}},
		{"scribbled over", func(t *testing.T, path string) {
			valid(t, path)
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 20_000), 8192); err != nil {
				t.Fatal(err)
			}
		}, []string{"damaged", "restore it from a backup"}},
		{"another program's", func(t *testing.T, path string) {
			statement(t, path, "CREATE TABLE bookmarks (url TEXT)")
		}, []string{"another program's SQLite file", "choose another path"}},
		{"from the future", func(t *testing.T, path string) {
			valid(t, path)
			statement(t, path, "PRAGMA user_version = 999")
		}, []string{"written by a newer Switchyard", "schema 999", "run that version or a newer one"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "data", "journal.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			row.setUp(t, path)
			j, err := Open(path)
			if err == nil {
				j.Close()
				t.Fatal("it was opened")
			}
			for _, want := range append(row.want, path) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// valid leaves a journal of several pages.
func valid(t *testing.T, path string) {
	t.Helper()
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: "d", Event: make([]byte, 50_000)}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func statement(t *testing.T, path, q string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), q); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesASecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	other := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	other.Env = append(os.Environ(), "SWITCHYARD_TEST_HOLD="+path)
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatalf("other process: %q, %v", line, err)
	}
	_, err = Open(path)
	if err == nil {
		t.Fatal("two processes have it open")
	}
	for _, want := range []string{path, "is in use by process ", "stop that one"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	stdin.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path)
	if err != nil {
		t.Fatalf("the other has gone: %v", err)
	}
	j.Close()
}

// hold keeps a journal open until stdin ends.
func hold(path string) int {
	j, err := Open(path)
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		return 1
	}
	defer j.Close()
	os.Stdout.WriteString("open\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// TestLockedByAnotherProgram has another program, which does not know our lock
// file, hold SQLite's write lock.
func TestLockedByAnotherProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := open(path, eachConn(func(c driver.Conn) driver.Conn {
		if _, err := c.(driver.ExecerContext).ExecContext(context.Background(), "PRAGMA busy_timeout = 50", nil); err != nil {
			t.Error(err)
		}
		return c
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.NewDelivery{Source: "s", DeliveryID: "d", Event: []byte("{}")}
	if _, err := j.Append(t.Context(), d); err == nil || !strings.Contains(err.Error(), "another program holds a lock on the journal") {
		t.Errorf("while it is locked: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if at, err := j.Append(t.Context(), d); err != nil || at.Existed {
		t.Errorf("after that: %+v, %v", at, err)
	}
}
