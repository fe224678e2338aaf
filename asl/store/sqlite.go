package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"modernc.org/sqlite"

	"switchyard/internal/datadir"
	"switchyard/internal/filelock"
	"switchyard/internal/pace"
	"switchyard/internal/sqlitefile"
)

// ErrLocked is returned by Open when another process has the store open.
var ErrLocked = errors.New("another process uses this engine store")

// inlineInput is the largest input, in bytes, kept in the execution's row.
const inlineInput = 2 << 10

// maxBatch bounds the writes that share a transaction, so that the first of
// them does not wait for ever.
const maxBatch = 1024

// SQLite is the durable store: one file in WAL mode with synchronous=FULL.
//
// One goroutine writes. Every write that waits when it gets to the queue
// shares one transaction, and so one fsync, with the others.
type SQLite struct {
	path string
	lock *os.File
	file *sqlitefile.File
	read *sql.DB
	w    *writer // its connection belongs to the goroutine that writes

	pruning sync.Mutex // guards steps
	steps   pace.Steps

	mu     sync.Mutex
	queue  []*Write
	closed bool
	wake   chan struct{} // capacity 1: the queue is no longer empty

	stopped chan struct{} // closed when the writer has ended
}

var _ Store = (*SQLite)(nil)

// Open opens the store in the file at path, creates it when there is none, and
// brings it to the current schema. It returns [ErrLocked] when another process
// has it open.
func Open(ctx context.Context, path string) (*SQLite, error) {
	return open(ctx, path, func(c connect) connect { return c })
}

// open lets tests stand between the writer and its connections.
func open(ctx context.Context, path string, wrap func(connect) connect) (*SQLite, error) {
	if err := datadir.Make(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open engine store: %w", err)
	}
	l, err := filelock.Take(path + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("open engine store %s: %w: stop that one, or give this one a data directory of its own", path, ErrLocked)
	}
	if err != nil {
		return nil, fmt.Errorf("open engine store %s: %w", path, err)
	}
	s := &SQLite{path: path, lock: l, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	if err := s.open(ctx, wrap); err != nil {
		l.Close()
		return nil, fmt.Errorf("open engine store %s: %w", path, explain(err))
	}
	return s, nil
}

func (s *SQLite) open(ctx context.Context, wrap func(connect) connect) (err error) {
	if s.file, err = sqlitefile.Inspect(s.path, "engine store"); err != nil {
		return err
	}
	if err := prepare(ctx, s.path, s.file.Size()); err != nil {
		return err
	}
	// The driver's own connection: its prepared statements cost half of what
	// they cost through database/sql, and it can be given up and opened anew.
	direct := func() (driver.Conn, error) { return (&sqlite.Driver{}).Open(dsn(s.path, writeSettings...)) }
	if err := s.file.Begin(direct); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(s.path, "query_only(1)")); err != nil {
		return errors.Join(err, s.file.End())
	}
	readers := max(4, 2*runtime.GOMAXPROCS(0))
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	w, err := newWriter(wrap(direct), s.file)
	if err != nil {
		return errors.Join(err, s.read.Close(), s.file.End())
	}
	s.w = w
	go func() {
		defer close(s.stopped)
		defer w.close()
		s.writeLoop(w)
	}()
	return nil
}

// A commit folds the log into the file when it has grown to so many pages. What
// pruning writes is folded beside them.
var writeSettings = []string{"synchronous(FULL)", "wal_autocheckpoint(4000)"}

// prepare checks the file, which has so many bytes, and brings it to the
// current schema.
func prepare(ctx context.Context, path string, size int64) (err error) {
	db, err := sql.Open("sqlite", dsn(path, writeSettings...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := migrate(ctx, conn); err != nil {
		return err
	}
	if size > 0 && size <= smallFile {
		return check(ctx, conn)
	}
	return nil
}

// File is the file that the store is in, to be compared with the journal's.
func (s *SQLite) File() *sqlitefile.File { return s.file }

// dsn names the file with settings. The file is there: one that was deleted
// meanwhile must not be made anew.
func dsn(path string, pragmas ...string) string {
	q := url.Values{"mode": {"rw"}, "_pragma": append([]string{"journal_mode(WAL)", "busy_timeout(10000)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

func migrate(ctx context.Context, conn *sql.Conn) error {
	var version int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("its schema is version %d, this program knows %d: it was written by a newer release", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, migrations[version]+fmt.Sprintf("PRAGMA user_version = %d;", version+1)); err != nil {
			return errors.Join(fmt.Errorf("migrate to version %d: %w", version+1, err), tx.Rollback())
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("migrate to version %d: %w", version+1, err)
		}
	}
	return nil
}

// Apply implements [Store].
func (s *SQLite) Apply(w *Write) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		w.Done(ErrClosed)
		return
	}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// writeLoop runs until Close, and then until the queue is empty.
func (s *SQLite) writeLoop(w *writer) {
	var batch []*Write
	for range s.wake {
		for {
			s.mu.Lock()
			n := min(len(s.queue), maxBatch)
			batch = append(batch[:0], s.queue[:n]...)
			rest := copy(s.queue, s.queue[n:])
			clear(s.queue[rest:])
			s.queue = s.queue[:rest]
			closed := s.closed
			s.mu.Unlock()
			if n == 0 {
				if closed {
					return
				}
				break
			}
			w.commit(batch)
			clear(batch)
		}
	}
}

// Close implements [Store].
func (s *SQLite) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	<-s.stopped
	err := errors.Join(s.read.Close(), s.file.End(), s.lock.Close())
	if err != nil {
		return fmt.Errorf("close engine store %s: %w", s.path, err)
	}
	return nil
}
