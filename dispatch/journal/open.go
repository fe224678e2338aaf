package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"

	"switchyard/dispatch"
	"switchyard/internal/pace"
	"switchyard/internal/sqlitefile"
)

// SQLite is a journal in one file. It implements [dispatch.Journal].
type SQLite struct {
	path string
	lock *os.File
	file *sqlitefile.File
	w    *writer
	r    *sql.DB
	// pruned is where the next [SQLite.Prune] goes on looking. One call at a
	// time moves it, once its step is on disk.
	pruning sync.Mutex
	pruned  pruneCursor
	steps   pace.Steps
	// seen is how many deliveries there had been at the last step.
	seen int64
}

var _ dispatch.Journal = (*SQLite)(nil)

const (
	// smallFile is the size up to which the whole file is checked when it is
	// opened: that takes about a tenth of a second.
	smallFile = 16 << 20
	readers   = 4
)

// settings of the file and of each connection. A commit folds the log into the
// file when it has grown to 16 MiB: more often costs deliveries throughput, less
// often costs them a longer pause. What pruning writes is folded beside them.
const connSettings = "_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(2048)&_pragma=cache_size(-16384)&_pragma=temp_store(MEMORY)&_error_rc=1"

// Open opens the journal at path, makes it if there is none, brings it to the
// present schema, and keeps it for this process alone until [SQLite.Close].
// Its errors name the file and say what to do.
func Open(path string) (*SQLite, error) {
	return open(path, func(c connect) connect { return c })
}

// connect opens a connection for the writer.
type connect = func() (driver.Conn, error)

// open lets tests stand between the writer and its connections.
func open(path string, wrap func(connect) connect) (_ *SQLite, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("journal %s: there is no directory %s: create it, or choose another data directory", path, dir)
	}
	held, err := lock(path)
	if err != nil {
		return nil, err
	}
	j := &SQLite{path: path, lock: held}
	defer func() {
		if err != nil {
			err = j.explain(err)
			j.closeFiles()
		}
	}()
	if j.file, err = sqlitefile.Inspect(path, "journal"); err != nil {
		return nil, err
	}
	// mode=rw: a file that was deleted meanwhile must not be made anew.
	dsn := "file:" + url.PathEscape(path) + "?mode=rw&" + connSettings
	direct := func() (driver.Conn, error) {
		c, err := (&sqlite.Driver{}).Open(dsn)
		if err != nil {
			return nil, describe(err)
		}
		return c, nil
	}
	connect := wrap(direct)
	raw, err := connect()
	if err != nil {
		return nil, err
	}
	c := newConn(raw)
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, setting := range []string{"PRAGMA page_size = 8192", "PRAGMA journal_mode = WAL"} {
		if _, err := c.exec(setting); err != nil {
			return nil, err
		}
	}
	if err := migrate(c, j.file.Size()); err != nil {
		return nil, err
	}
	if err := j.file.Begin(direct); err != nil {
		return nil, describe(err)
	}
	j.w = newWriter(connect, c, j.file)
	if j.r, err = sql.Open("sqlite", dsn+"&_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(err, j.file.End())
	}
	j.r.SetMaxOpenConns(readers)
	j.r.SetMaxIdleConns(readers)
	go j.w.loop()
	return j, nil
}

// Close writes what was handed in, and gives the file back.
func (j *SQLite) Close() error {
	err := j.r.Close()
	close(j.w.quit)
	<-j.w.done
	err = errors.Join(err, j.file.End())
	j.closeFiles()
	if err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
	}
	return nil
}

func (j *SQLite) closeFiles() { j.lock.Close() }

// Stats are counts since the journal was opened.
type Stats struct {
	// Appended deliveries shared AppendCommits commits, each with one fsync;
	// Commits counts those of all writes.
	Appended, AppendCommits, Commits int64
}

// Stats returns what this journal has written.
func (j *SQLite) Stats() Stats {
	return Stats{Appended: j.w.appended.Load(), AppendCommits: j.w.appendCommits.Load(), Commits: j.w.commits.Load()}
}

const wayOut = "restore it from a backup, or move it away to begin with an empty one (commits delivered before are then unknown)"

// explain says which file an error is about and what to do.
func (j *SQLite) explain(err error) error {
	if errors.Is(err, errCorrupt) || errors.Is(err, sqlitefile.ErrDamaged) {
		return fmt.Errorf("journal %s: %w: %s", j.path, err, wayOut)
	}
	return fmt.Errorf("journal %s: %w", j.path, err)
}

// File is the file that the journal is in, to be compared with the engine's.
func (j *SQLite) File() *sqlitefile.File { return j.file }

// do runs a write.
func (j *SQLite) do(ctx context.Context, run func(*conn) error) error { return j.w.do(ctx, run) }
