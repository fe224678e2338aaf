package sqlitefile

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"switchyard/internal/clockguard"
	"switchyard/internal/datadir"
)

// The table is made here and not by the migrations of those whose file it is:
// it is the same for all, and an older release does not mind it.
const schema = `CREATE TABLE IF NOT EXISTS data_file (
  one        INTEGER PRIMARY KEY CHECK (one = 1),
  folder     TEXT NOT NULL,    -- the data folder it belongs to
  generation INTEGER NOT NULL, -- how often it was opened
  pair       INTEGER NOT NULL, -- how often together with the folder's other file
  mark       INTEGER NOT NULL, -- -1 at first, then one more after each folding of the log
  -- The clock, in unix milliseconds: when it was last believed, and since when
  -- and until when it has shown what is not believed yet.
  clock_seen INTEGER NOT NULL, clock_since INTEGER NOT NULL, clock_last INTEGER NOT NULL
) STRICT;
INSERT INTO data_file VALUES (1, '', 0, 0, -1, 0, 0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS data_probe (one INTEGER PRIMARY KEY CHECK (one = 1), filler BLOB) STRICT;
INSERT INTO data_probe VALUES (1, NULL) ON CONFLICT DO NOTHING`

// Probe is a statement that writes more than a small delivery needs, and keeps
// nothing that matters: a disk that is full has room for a few bytes now and
// then.
const Probe = "UPDATE data_probe SET filler = randomblob(65536)"

// Begin takes the file into use: it is marked as open, and its log stays where
// it is until End, whatever other connections do. connect opens a connection
// that may write; the schema is there already.
func (d *File) Begin(connect func() (driver.Conn, error)) (err error) {
	if d.keeper, err = connect(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			d.keeper.Close()
		}
	}()
	// Its commits are marks, which are to stay in the log.
	if err := exec(d.keeper, "PRAGMA wal_autocheckpoint = 0"); err != nil {
		return err
	}
	onDisk, err := d.sign()
	if err != nil {
		return err
	}
	if d.db, err = os.Stat(d.path); err != nil {
		return err
	}
	if d.log, err = os.Stat(d.path + "-wal"); err != nil {
		return err
	}
	d.known.Generation = onDisk
	if err := d.leaveMark(0); err != nil {
		return err
	}
	d.openIndex()
	d.wrote, d.marked = make(chan struct{}, 1), make(chan struct{})
	go d.markLoop()
	return nil
}

// sign counts this opening in the database, and returns the count that the file
// holds without its log. A disk that is full does not keep the file from being
// opened: it is read all the same, and goes on when there is space.
func (d *File) sign() (onDisk int64, err error) {
	if err := exec(d.keeper, schema); err != nil && !full(err) {
		return 0, err
	}
	row, err := query(d.keeper, "SELECT folder, generation, pair, clock_seen, clock_since, clock_last FROM data_file")
	if err != nil || row == nil {
		return 0, errors.Join(err, errors.New("its table data_file is empty"))
	}
	s := stamp{folder: row[0].(string), generation: row[1].(int64), pair: row[2].(int64)}
	d.clock = clockguard.Guard{Seen: row[3].(int64), Since: row[4].(int64), Last: row[5].(int64)}
	if d.clock.Seen == 0 { // of an older release, or new
		d.clock.Seen = d.changed.UnixMilli()
	}
	onDisk = s.generation
	switch {
	case d.known.Folder != "":
		s.folder = d.known.Folder
	case s.folder == "":
		s.folder = newFolder()
	}
	s.generation = max(s.generation, d.known.Generation) + 1
	d.stamp = s
	if err := exec(d.keeper, "UPDATE data_file SET folder = ?, generation = ?, mark = -1, clock_seen = ?", s.folder, s.generation, d.clock.Seen); err != nil {
		if full(err) {
			return onDisk, nil
		}
		return 0, err
	}
	folded, err := d.fold()
	if folded {
		onDisk = s.generation
	}
	return onDisk, err
}

// leaveMark notes a mark outside of the database, and then writes it to the log,
// where it stays until that is folded.
func (d *File) leaveMark(mark int64) error {
	if err := d.writeState(state{Folder: d.stamp.folder, Generation: d.known.Generation, Mark: mark}); err != nil {
		return err
	}
	d.stamp.mark = mark
	if err := exec(d.keeper, "UPDATE data_file SET mark = ?", mark); err != nil && !full(err) {
		return err
	}
	return nil
}

func full(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// fold writes the log into the file and empties it, and reports whether it
// could.
func (d *File) fold() (bool, error) {
	row, err := query(d.keeper, "PRAGMA wal_checkpoint(TRUNCATE)")
	switch {
	case err != nil && full(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return row[0] == int64(0), nil
}

func (d *File) writeState(s state) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := datadir.WriteFile(d.statePath(), append(text, '\n')); err != nil {
		if errors.Is(err, errNoSpace) { // see sign; at worst less is noticed next time
			return nil
		}
		return fmt.Errorf("note how it is left: %w", err)
	}
	return nil
}

// Check says whether what is written now can be found again: it fails when the
// file, its log or their folder was deleted, moved away or replaced.
func (d *File) Check() error {
	if err := datadir.Same(d.path, d.db); err != nil {
		return err
	}
	return datadir.Same(d.path+"-wal", d.log)
}

// End folds the log into the file and notes that it was closed. All other
// connections have been closed or do nothing any more.
func (d *File) End() error {
	close(d.wrote)
	<-d.marked
	d.mu.Lock()
	defer d.mu.Unlock()
	folded, err := d.fold()
	if folded && err == nil && d.Check() == nil {
		err = d.writeState(state{Folder: d.stamp.folder, Generation: d.stamp.generation, Clean: true})
	}
	err = errors.Join(err, d.keeper.Close())
	if d.index != nil {
		d.index.Close()
	}
	return err
}

// Join says that two files are used together as those of one data folder, and
// refuses what was mixed up. It returns what somebody should know.
func Join(a, b *File) (warnings []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.stamp.folder != b.stamp.folder {
		// One whose state is not known is new here, or was declared to be
		// right by deleting that.
		switch {
		case b.known.Folder == "":
			err = b.move(a.stamp.folder)
		case a.known.Folder == "":
			err = a.move(b.stamp.folder)
		default:
			return nil, fmt.Errorf("%s and %s belong to different data folders: put back the one that was there, or delete %s to use them together", a.path, filepath.Base(b.path), b.statePath())
		}
		if err != nil {
			return nil, err
		}
	}
	older, newer := a, b
	if a.stamp.pair > b.stamp.pair {
		older, newer = b, a
	}
	// By one they may differ after a crash between the two writes below; one
	// that begins empty has said so.
	if older.stamp.pair > 0 && newer.stamp.pair-older.stamp.pair > 1 {
		warnings = append(warnings, fmt.Sprintf("%s is older than %s, as after restoring a backup of one of them: executions that only one knows are not run again, and those that the journal waits for and the engine lost are reported as lost", older.path, filepath.Base(newer.path)))
	}
	pair := max(a.stamp.pair, b.stamp.pair) + 1
	for _, d := range []*File{a, b} {
		if err := exec(d.keeper, "UPDATE data_file SET pair = ?", pair); err != nil && !full(err) {
			return nil, fmt.Errorf("%s: %w", d.path, err)
		}
		d.stamp.pair = pair
	}
	return warnings, nil
}

// move makes the file another data folder's.
func (d *File) move(folder string) error {
	if err := exec(d.keeper, "UPDATE data_file SET folder = ?", folder); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	folded, err := d.fold()
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	if d.stamp.folder = folder; folded {
		return d.leaveMark(d.stamp.mark + 1)
	}
	return nil
}

// MayPrune says whether what is old by the clock may be deleted: not while the
// clock shows a time that it cannot have come to by itself.
func (d *File) MayPrune(now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, verdict := d.clock.Look(now)
	if next != d.clock {
		if err := exec(d.keeper, "UPDATE data_file SET clock_seen = ?, clock_since = ?, clock_last = ?", next.Seen, next.Since, next.Last); err != nil {
			return fmt.Errorf("note the time: %w", err)
		}
		d.clock = next
	}
	return verdict
}
