package journal

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// conn is the writer's connection. It is used below database/sql, by one
// goroutine, because that saves half the allocations of every row and gives
// the tests a place where each statement can fail.
type conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue
	// changed: a statement has changed rows, failed: one has failed, since
	// somebody looked.
	changed bool
	failed  error
}

func newConn(c driver.Conn) *conn { return &conn{driver: c, stmts: map[string]driver.Stmt{}} }

// exec runs a statement, prepared on its first use, and says how many rows it
// changed. The context of the caller does not reach it: a statement that is
// under way is finished.
func (c *conn) exec(query string, args ...driver.Value) (int64, error) {
	r, err := c.run(query, args)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	c.changed = c.changed || n > 0
	return n, err
}

// insert runs an INSERT of one row and returns its rowid, 0 when there was a
// conflict that the statement allows.
func (c *conn) insert(query string, args ...driver.Value) (int64, error) {
	r, err := c.run(query, args)
	if err != nil {
		return 0, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	c.changed = true
	return r.LastInsertId()
}

func (c *conn) run(query string, args []driver.Value) (driver.Result, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return nil, c.fail(err)
	}
	return r, nil
}

// query runs a statement and calls row for each row. The callback must not run
// the same statement.
func (c *conn) query(query string, row func(scan) error, args ...driver.Value) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.bind(args))
	if err != nil {
		return c.fail(err)
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.fail(err)
		}
		if err := row(func(dest ...any) error { return assign(values, dest) }); err != nil {
			return err
		}
	}
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

func (c *conn) prepare(query string) (driver.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.driver.Prepare(query)
	if err != nil {
		return nil, c.fail(err)
	}
	c.stmts[query] = s
	return s, nil
}

// fail describes an error of SQLite's, and remembers that there was one.
func (c *conn) fail(err error) error {
	c.failed = describe(err)
	return c.failed
}

func (c *conn) close() error {
	for _, s := range c.stmts {
		s.Close()
	}
	return c.driver.Close()
}

// scan copies the columns of a row, as [sql.Rows.Scan] does.
type scan = func(dest ...any) error

func assign(values []driver.Value, dest []any) error {
	if len(values) != len(dest) {
		return fmt.Errorf("%d columns for %d destinations", len(values), len(dest))
	}
	for i, v := range values {
		var ok bool
		switch d := dest[i].(type) {
		case *int64:
			*d, ok = v.(int64)
		case *int:
			var n int64
			n, ok = v.(int64)
			*d = int(n)
		case *bool:
			var n int64
			n, ok = v.(int64)
			*d = n != 0
		case *string:
			*d, ok = v.(string)
		case *[]byte:
			if v == nil {
				*d = nil
				continue
			}
			*d, ok = v.([]byte)
		}
		if !ok {
			return fmt.Errorf("column %d: %T does not go into %T", i, v, dest[i])
		}
	}
	return nil
}

// millis is how times are kept; the zero time is 0.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// describe gives SQLite's errors words that say what to do, where there is
// something.
func describe(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full, free some space: %v", err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("another program holds a lock on the journal: %v", err)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the journal has become read-only: %v", err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %v", errCorrupt, err)
	default:
		return errors.New(err.Error())
	}
}

var errCorrupt = errors.New("the journal is damaged")
