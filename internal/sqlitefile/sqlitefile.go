// Package sqlitefile looks after a SQLite file of the data folder: it tells
// damage and mix-ups before the file is used, notices when the file is taken
// away while it is, and remembers how it was left.
//
// Beside the file lies another with its name and ".state". It says, from outside
// of the database, to which data folder the file belongs, how often it had been
// opened, and whether it was closed. What the database itself says of the first
// two is compared with that at the next start.
package sqlitefile

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"modernc.org/sqlite"

	"switchyard/internal/clockguard"
	"switchyard/internal/datadir"
)

// File is a database file that this process uses. Its methods are safe for
// concurrent use once Begin has returned.
type File struct {
	path     string
	what     string // it is, in a word or two
	size     int64
	changed  time.Time // when it was written last
	known    state     // as it was left; its Generation is 0 where that is not known
	warnings []string

	mu     sync.Mutex // guards what follows
	keeper driver.Conn
	stamp  stamp
	clock  clockguard.Guard

	db, log fs.FileInfo // as they were when they were opened

	index  *os.File // of the log; nil where it cannot be read
	wrote  chan struct{}
	marked chan struct{} // closed when nobody leaves marks any more
}

// state is what lies beside the file.
type state struct {
	Folder     string `json:"folder"`
	Generation int64  `json:"generation"` // how often the file had been opened
	Clean      bool   `json:"clean"`      // it was closed, and its log folded into it
	// Mark is the last mark that was to be written to the log. A file without
	// its log in which it is missing has lost the log; one that has it had its
	// log folded in by somebody, as every program does that uses SQLite.
	Mark int64 `json:"mark"`
}

// stamp is what the database says of itself.
type stamp struct {
	folder     string
	generation int64
	mark       int64 // see state
	// pair counts how often it was opened together with its fellow in the same
	// data folder; see [Join].
	pair int64
}

// Inspect looks at the file at path before SQLite does, and makes it when there
// is none. The caller holds the lock on it. Its errors say what is wrong with
// the file and what to do, but not its name.
func Inspect(path, what string) (*File, error) {
	f, made, err := datadir.Create(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, unwritable(err)
	}
	if err != nil {
		return nil, fmt.Errorf("it cannot be opened: %w", errors.Unwrap(err))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	// Root could write it all the same; whoever marked it meant it.
	if info.Mode().Perm()&0o200 == 0 {
		return nil, unwritable(errors.New("it is marked read-only"))
	}
	// SQLite has the log beside the file itself, not beside a link to it.
	if link, err := os.Lstat(path); err == nil && link.Mode()&fs.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	d := &File{path: path, what: what, size: info.Size(), changed: info.ModTime()}
	if err := d.readState(); err != nil {
		return nil, err
	}
	err = d.compare(f, made)
	if err != nil && made {
		err = errors.Join(err, os.Remove(path)) // it is as it was found
	}
	return d, err
}

func unwritable(err error) error {
	return fmt.Errorf("it cannot be written (%w): make it and its directory writable for the user that runs switchyard", err)
}

// ErrDamaged is in the chain of errors about a file that must be replaced.
var ErrDamaged = errors.New("damaged")

func (d *File) statePath() string { return d.path + ".state" }

func (d *File) name() string { return filepath.Base(d.path) }

func (d *File) readState() error {
	text, err := os.ReadFile(d.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, &d.known)
	}
	if err != nil {
		return fmt.Errorf("%s, which says how it was left, cannot be read (%w): delete that file if %s is as it should be", d.statePath(), err, d.name())
	}
	return nil
}

// compare compares the file with its log and with how it was left.
func (d *File) compare(f *os.File, made bool) error {
	logSize := int64(-1)
	if info, err := os.Stat(d.path + "-wal"); err == nil {
		logSize = info.Size()
		if info.ModTime().After(d.changed) {
			d.changed = info.ModTime()
		}
	}
	used := d.known.Generation > 0
	if d.size == 0 {
		switch {
		case logSize > 0: // SQLite would delete it
			return fmt.Errorf("the file is missing or empty, and what was written to it last is in %s-wal: put it back; to begin with an empty one move the -wal file away too", d.name())
		case used && !made:
			return fmt.Errorf("%w: the file is empty, and was not before", ErrDamaged)
		case used:
			d.warn("%s is not there any more and begins empty: what it held is not known any more", d.path)
		}
		return nil
	}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, []byte(magic)) {
		return fmt.Errorf("%w or no %s at all", ErrDamaged, d.what)
	}
	switch missing, err := missingPages(d.path, d.size); {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case missing > 0:
		return fmt.Errorf("%w: it was cut short, %d pages are missing at its end", ErrDamaged, missing)
	}
	if !used {
		return nil
	}
	is, readable := d.peek()
	switch {
	case !readable: // in the middle of folding its log in, when it was left
	case is.folder != "" && is.folder != d.known.Folder:
		return fmt.Errorf("it belongs to another data folder: put back the one that was here, or delete %s to keep this one", d.statePath())
	case is.generation < d.known.Generation && logSize > 0:
		return fmt.Errorf("it is older than %s-wal beside it, which would spoil it: after restoring a backup move the -wal and -shm files away; if both come from the same backup delete %s", d.name(), d.statePath())
	case is.generation < d.known.Generation:
		d.warn("%s is older than it was at the last start, as after restoring a backup: what was written since is not known to it. Nothing runs twice, since names stay the same; let the git hosts deliver again what came since", d.path)
		return nil
	}
	if !d.known.Clean && logSize < 0 && readable && is.generation == d.known.Generation && is.mark < d.known.Mark {
		return fmt.Errorf("it was not closed, and %s-wal, which held what was written last, is gone: put that file back, or delete %s to go on without, and let the git hosts deliver again what came last", d.name(), d.statePath())
	}
	return nil
}

func (d *File) warn(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

// Warnings are what [Inspect] found that somebody should know, though it is no
// reason to stop.
func (d *File) Warnings() []string { return d.warnings }

// Size is how large the file was, in bytes; 0 for a new one.
func (d *File) Size() int64 { return d.size }

// peek reads what the file says of itself, without its log.
func (d *File) peek() (is stamp, readable bool) {
	c, err := (&sqlite.Driver{}).Open("file:" + url.PathEscape(d.path) + "?mode=ro&immutable=1")
	if err != nil {
		return stamp{}, false
	}
	defer c.Close()
	tables, err := query(c, "SELECT count(*) FROM sqlite_schema WHERE name = 'data_file'")
	if err != nil {
		return stamp{}, false
	}
	if tables[0] == int64(0) {
		return stamp{}, true // from before files were stamped
	}
	row, err := query(c, "SELECT folder, generation, mark FROM data_file")
	if err != nil || row == nil {
		return stamp{}, false
	}
	is.folder, _ = row[0].(string)
	is.generation, _ = row[1].(int64)
	is.mark, _ = row[2].(int64)
	return is, true
}

// query returns the first row of a result, nil if there is none.
func query(c driver.Conn, text string) ([]driver.Value, error) {
	rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), text, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	row := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	return row, nil
}

func exec(c driver.Conn, text string, args ...driver.Value) error {
	named := make([]driver.NamedValue, len(args))
	for i, v := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	_, err := c.(driver.ExecerContext).ExecContext(context.Background(), text, named)
	return err
}

// newFolder names a data folder.
func newFolder() string { return rand.Text() }
