// Package faultsql lets chosen statements of a SQL driver's connection fail, for
// the tests of what must survive that.
//
// A statement fails in one of two ways: before it reaches the database, or after
// the database has done it, so that only its report is lost. Opening a connection
// counts as a statement too.
package faultsql

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
)

// Err is the error of every statement that was made to fail.
var Err = errors.New("injected fault")

// Opening is the name under which [Faults.Seen] lists an opened connection.
const Opening = "open"

// Fault is a statement that fails.
type Fault struct {
	// At counts statements from [Faults.Arm] on; the first is 1.
	At int
	// Applied: the database does it, and only the report is lost.
	Applied bool
}

// Faults are the statements that fail of all connections that Open makes. It is
// safe for concurrent use.
type Faults struct {
	mu    sync.Mutex
	armed bool
	plan  []Fault
	seen  []string
	fired int
}

// Arm begins to count, and lets the faults of the plan happen.
func (f *Faults) Arm(plan ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.plan, f.seen, f.fired = true, plan, nil, 0
}

// Seen are the statements since Arm, and how many of them were made to fail.
func (f *Faults) Seen() (statements []string, fired int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...), f.fired
}

// meet counts a statement and says what is to become of it.
func (f *Faults) meet(statement string) (fails, applied bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return false, false
	}
	f.seen = append(f.seen, statement)
	for _, p := range f.plan {
		if p.At == len(f.seen) {
			f.fired++
			return true, p.Applied
		}
	}
	return false, false
}

// Open wraps what opens a connection.
func (f *Faults) Open(open func() (driver.Conn, error)) func() (driver.Conn, error) {
	return func() (driver.Conn, error) {
		fails, applied := f.meet(Opening)
		if fails && !applied {
			return nil, Err
		}
		c, err := open()
		if err != nil {
			return nil, err
		}
		if fails {
			_ = c.Close() // whoever asked never gets it
			return nil, Err
		}
		return &conn{c, f}, nil
	}
}

type conn struct {
	driver.Conn
	f *Faults
}

func (c *conn) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	return &stmt{s, c.f, query}, err
}

type stmt struct {
	driver.Stmt
	f     *Faults
	query string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	fails, applied := s.f.meet(s.query)
	if fails && !applied {
		return nil, Err
	}
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if fails {
		return nil, Err
	}
	return r, err
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	fails, applied := s.f.meet(s.query)
	if fails && !applied {
		return nil, Err
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if fails {
		if err == nil {
			_ = rows.Close() // they are not handed out
		}
		return nil, Err
	}
	return rows, err
}
