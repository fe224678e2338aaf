package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/sqlitefile"
)

// appendSome appends deliveries of the given size and returns how many there are.
func appendSome(t *testing.T, j *SQLite, n, size int) int {
	t.Helper()
	had := count(t, j)
	for i := range n {
		if _, err := j.Append(t.Context(), dispatch.NewDelivery{Source: "s", DeliveryID: fmt.Sprint(had + i), Event: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	return had + n
}

func count(t *testing.T, j *SQLite) (n int) {
	t.Helper()
	if err := j.read(t.Context(), func(s scan) error { return s(&n) }, "SELECT count(*) FROM deliveries"); err != nil {
		t.Fatal(err)
	}
	return n
}

// data is a data folder whose journal was left in some way.
type data struct {
	t   *testing.T
	dir string
}

func (d data) path() string            { return filepath.Join(d.dir, "journal.db") }
func (d data) file(name string) string { return d.path() + name }

// must fails the test on an error.
func (d data) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d data) open() *SQLite {
	d.t.Helper()
	j, err := Open(d.path())
	d.must(err)
	return j
}

// killed leaves the folder as a service leaves it that is killed: the copy of
// one whose journal is open, taken while nothing is folded in.
func (d data) killed(j *SQLite) data {
	d.t.Helper()
	copied := data{d.t, d.t.TempDir()}
	state := func() string {
		text, err := os.ReadFile(d.file(".state"))
		d.must(err)
		return string(text)
	}
	for before := ""; before != state(); {
		before = state()
		time.Sleep(50 * time.Millisecond) // until what it speaks of has been done
		for _, name := range []string{"", "-wal", ".state"} {
			text, err := os.ReadFile(d.file(name))
			d.must(err)
			d.must(os.WriteFile(copied.file(name), text, 0o600))
		}
	}
	d.must(j.Close())
	return copied
}

func (d data) copyFrom(from string) {
	d.t.Helper()
	text, err := os.ReadFile(from)
	d.must(err)
	d.must(os.WriteFile(d.path(), text, 0o600))
}

func (d data) halve() {
	d.t.Helper()
	info, err := os.Stat(d.path())
	d.must(err)
	d.must(os.Truncate(d.path(), info.Size()/2))
}

// marked waits until the folding of the log is marked, so that a copy of the
// file without its log is missed.
func (d data) marked() {
	d.t.Helper()
	for range 1000 {
		copied := data{d.t, d.t.TempDir()}
		for _, name := range []string{"", ".state"} {
			text, err := os.ReadFile(d.file(name))
			d.must(err)
			d.must(os.WriteFile(copied.file(name), text, 0o600))
		}
		j, err := Open(copied.path())
		if err != nil {
			return
		}
		d.must(j.Close())
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatal("the folding was not marked")
}

// linked moves the journal to a folder of its own, as to another disk, and
// leaves a link to it.
func (d data) linked() data {
	d.t.Helper()
	other := d.t.TempDir()
	for _, suffix := range []string{"", "-wal", "-shm", ".state"} {
		err := os.Rename(d.file(suffix), filepath.Join(other, "journal.db"+suffix))
		if !errors.Is(err, fs.ErrNotExist) {
			d.must(err)
		}
	}
	d.must(os.Symlink(filepath.Join(other, "journal.db"), d.path()))
	return d
}

func newData(t *testing.T) data { return data{t, t.TempDir()} }

const large = 1 << 20 // deliveries of it make a file that is not read as a whole

func TestOpenTellsDamage(t *testing.T) {
	for _, row := range []struct {
		name  string
		setUp func(d data) data
		want  string
		// after makes it open again, as the error says; nil for a backup.
		after func(d data) error
		left  int // deliveries that are there then
	}{
		{name: "cut in half", want: "it was cut short", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 24, large)
			d.must(j.Close())
			d.halve()
			return d
		}},
		{name: "cut in half when it had been killed", want: "it was cut short", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 24, large)
			d.must(j.Close())
			j = d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.halve()
			return d
		}},
		{name: "its last page gone", want: "1 pages are missing", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 24, large)
			d.must(j.Close())
			info, err := os.Stat(d.path())
			d.must(err)
			d.must(os.Truncate(d.path(), info.Size()-1))
			return d
		}},
		{name: "emptied", want: "the file is empty, and was not before", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			d.must(os.Truncate(d.path(), 0))
			return d
		}, after: func(d data) error { return os.Remove(d.path()) }},
		{name: "its log gone after a kill", want: "journal.db-wal, which held what was written last, is gone", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			j = d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.must(os.Remove(d.file("-wal")))
			return d
		}, after: func(d data) error { return os.Remove(d.file(".state")) }, left: 3},
		{name: "its log gone after a kill, when some of it had been folded", want: "journal.db-wal, which held what was written last, is gone", setUp: func(d data) data {
			j := d.open()
			for range 40 { // which is more than the log holds
				appendSome(d.t, j, 1, large)
			}
			appendSome(d.t, j, 3, 100)
			d.marked()
			d = d.killed(j)
			d.must(os.Remove(d.file("-wal")))
			return d
		}},
		{name: "gone, with its log there", want: "what was written to it last is in journal.db-wal", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.must(os.Rename(d.path(), d.file(".put-aside")))
			return d
		}, after: func(d data) error { return os.Rename(d.file(".put-aside"), d.path()) }, left: 3},
		{name: "emptied, with its log there", want: "what was written to it last is in journal.db-wal", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.must(os.Truncate(d.path(), 0))
			return d
		}},
		{name: "another folder's", want: "belongs to another data folder", setUp: func(d data) data {
			other := newData(d.t)
			j := other.open()
			appendSome(d.t, j, 2, 100)
			d.must(j.Close())
			j = d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			d.copyFrom(other.path())
			return d
		}, after: func(d data) error { return os.Remove(d.file(".state")) }, left: 2},
		{name: "an old one put over a newer log", want: "is older than journal.db-wal beside it", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 2, 100)
			d.must(j.Close())
			backup := newData(d.t)
			backup.copyFrom(d.path())
			j = d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.copyFrom(backup.path())
			return d
		}, after: func(d data) error {
			_ = os.Remove(d.file("-shm")) // it need not be there
			return os.Remove(d.file("-wal"))
		}, left: 2},
		{name: "a state that cannot be read", want: "journal.db.state, which says how it was left, cannot be read", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			d.must(os.WriteFile(d.file(".state"), []byte(`{"fol`), 0o600))
			return d
		}, after: func(d data) error { return os.Remove(d.file(".state")) }, left: 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := row.setUp(newData(t))
			log, _ := os.ReadFile(d.file("-wal")) // there may be none
			for range 2 {                         // refusing it changes nothing
				j, err := Open(d.path())
				if err == nil {
					j.Close()
					t.Fatal("it was opened")
				}
				if !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), d.path()) {
					t.Fatalf("%v\nwant %q", err, row.want)
				}
			}
			if now, _ := os.ReadFile(d.file("-wal")); string(now) != string(log) {
				t.Error("its log is not what it was")
			}
			if row.after == nil {
				return
			}
			d.must(row.after(d))
			j := d.open()
			defer j.Close()
			if n := count(t, j); n != row.left {
				t.Errorf("%d deliveries, want %d", n, row.left)
			}
		})
	}
}

// What is no damage must open, and say what somebody should know.
func TestOpenGoesOnFrom(t *testing.T) {
	for _, row := range []struct {
		name  string
		setUp func(d data) data
		left  int
		warns string
	}{
		{name: "a clean end", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			return d
		}},
		{name: "a kill", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			return d.killed(j)
		}},
		{name: "a kill before anything was written", setUp: func(d data) data { return d.killed(d.open()) }},
		{name: "a kill with a large log", left: 30, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 30, large)
			return d.killed(j)
		}},
		{name: "a log whose end was cut off", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			info, err := os.Stat(d.file("-wal"))
			d.must(err)
			appendSome(d.t, j, 1, 100)
			d = d.killed(j)
			d.must(os.Truncate(d.file("-wal"), info.Size()+5000))
			return d
		}},
		{name: "a file that was deleted", warns: "begins empty", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			d.must(os.Remove(d.path()))
			return d
		}},
		{name: "a backup", left: 2, warns: "older than it was at the last start", setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 2, 100)
			d.must(j.Close())
			backup := newData(d.t)
			backup.copyFrom(d.path())
			j = d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			d.copyFrom(backup.path())
			return d
		}},
		{name: "a kill and a look by another program", left: 4, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 4, 100)
			d = d.killed(j)
			statement(d.t, d.path(), "PRAGMA quick_check") // it closes the file properly
			if _, err := os.Stat(d.file("-wal")); err == nil {
				d.t.Fatal("the log is still there")
			}
			return d
		}},
		{name: "a kill, foldings and a look by another program", left: 41, setUp: func(d data) data {
			j := d.open()
			for range 40 {
				appendSome(d.t, j, 1, large)
			}
			d.marked()
			appendSome(d.t, j, 1, 100)
			d = d.killed(j)
			statement(d.t, d.path(), "PRAGMA quick_check")
			return d
		}},
		{name: "a kill and a start that failed", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			statement(d.t, d.path(), "PRAGMA application_id = 7; PRAGMA wal_checkpoint(FULL)")
			if j, err := Open(d.path()); err == nil {
				j.Close()
				d.t.Fatal("it was opened")
			}
			statement(d.t, d.path(), fmt.Sprintf("PRAGMA application_id = %d", applicationID))
			return d
		}},
		{name: "a link to the file, a clean end", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d.must(j.Close())
			return d.linked()
		}},
		{name: "a link to the file, a kill", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			return d.killed(j).linked()
		}},
		{name: "a kill before the file was marked", left: 3, setUp: func(d data) data {
			j := d.open()
			appendSome(d.t, j, 3, 100)
			d = d.killed(j)
			d.must(os.Remove(d.file(".state")))
			return d
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := row.setUp(newData(t))
			for again := range 2 {
				j := d.open()
				if n := count(t, j); n != row.left {
					t.Errorf("%d deliveries, want %d", n, row.left)
				}
				warnings := strings.Join(j.File().Warnings(), "\n")
				switch {
				case row.warns == "" || again > 0:
					if warnings != "" {
						t.Errorf("warns (open %d) %q", again+1, warnings)
					}
				case !strings.Contains(warnings, row.warns) || !strings.Contains(warnings, d.path()):
					t.Errorf("warns %q, want %q", warnings, row.warns)
				}
				d.must(j.Close())
			}
		})
	}
}

// Two journals stand for the two files of a data folder: what tells them to be
// of one folder knows nothing of journals.
func TestFilesOfOneFolderAreToldFromOthers(t *testing.T) {
	pair := func(a, b data) (warnings string, err error) {
		ja, jb := a.open(), b.open()
		defer func() { a.must(ja.Close()); b.must(jb.Close()) }()
		w, err := sqlitefile.Join(ja.File(), jb.File())
		return strings.Join(w, "\n"), err
	}
	engine, journal := newData(t), newData(t)
	for range 4 {
		if warnings, err := pair(engine, journal); err != nil || warnings != "" {
			t.Fatalf("%q, %v", warnings, err)
		}
	}
	backup := newData(t)
	backup.must(os.CopyFS(backup.dir, os.DirFS(journal.dir)))
	for range 3 {
		if warnings, err := pair(engine, journal); err != nil || warnings != "" {
			t.Fatalf("%q, %v", warnings, err)
		}
	}
	// Restored with what lies beside it, so that it looks right by itself.
	for _, two := range [][2]data{{engine, backup}, {backup, engine}} {
		if warnings, err := pair(two[0], two[1]); err != nil || (warnings != "") != (two[0] == engine) || warnings != "" && !strings.Contains(warnings, backup.path()+" is older") {
			t.Errorf("%q, %v", warnings, err)
		}
	}
	other, stranger := newData(t), newData(t)
	if _, err := pair(other, stranger); err != nil {
		t.Fatal(err)
	}
	_, err := pair(engine, stranger)
	if err == nil || !strings.Contains(err.Error(), "different data folders") || !strings.Contains(err.Error(), stranger.path()+".state") {
		t.Fatalf("mixed up: %v", err)
	}
	stranger.must(os.Remove(stranger.file(".state")))
	for range 2 {
		if _, err := pair(engine, stranger); err != nil {
			t.Errorf("as the error said: %v", err)
		}
	}
}
