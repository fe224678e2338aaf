package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"switchyard/internal/sqlitefile"
)

// connect opens a connection for the writer.
type connect = func() (driver.Conn, error)

// writer owns the connection that writes. Its methods run on one goroutine.
type writer struct {
	open    connect
	conn    driver.Conn // nil after it broke, until the next write
	file    *sqlitefile.File
	trouble sqlitefile.Trouble

	begin, commitTx, rollback stmt
	create, payload, sequence stmt
	createdAs                 stmt
	history                   stmt
	put, drop, dropAll        stmt
	setWake, end, reopen      stmt
	putDoc, dropDoc           stmt
	pruneExec, prunePayload   stmt
	pruneHistory              stmt
	probe                     stmt

	all  []driver.Stmt
	args []driver.NamedValue
	dead []error // what became of each write of the batch
}

type stmt struct{ driver.Stmt }

// newWriter prepares the statements on the first connection, so that a file
// that lacks a table is found at the start.
func newWriter(open connect, file *sqlitefile.File) (*writer, error) {
	w := &writer{open: open, file: file}
	return w, w.connect()
}

func (w *writer) connect() error {
	c, err := w.open()
	if err != nil {
		return err
	}
	w.conn = c
	for _, p := range []struct {
		s     *stmt
		query string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commitTx, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.create, "INSERT INTO executions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"},
		{&w.createdAs, "SELECT id FROM executions WHERE machine = ? AND name = ?"},
		{&w.payload, "INSERT OR REPLACE INTO payloads VALUES (?,?)"},
		{&w.sequence, "UPDATE sequence SET last = ? WHERE last < ?"},
		{&w.history, "INSERT OR REPLACE INTO history VALUES (?,?,?)"},
		{&w.put, "INSERT OR REPLACE INTO records VALUES (?,?)"},
		{&w.drop, "DELETE FROM records WHERE key = ?"},
		{&w.dropAll, "DELETE FROM records WHERE key BETWEEN ? AND ?"},
		{&w.setWake, "UPDATE executions SET wake = ? WHERE id = ?"},
		{&w.end, "UPDATE executions SET status = ?, stopped = ?, output = ?, error = ?, cause = ? WHERE id = ?"},
		{&w.reopen, "UPDATE executions SET status = 0, stopped = 0, wake = 0, output = NULL, error = '', cause = '', attrs = ? WHERE id = ?"},
		{&w.putDoc, "INSERT OR REPLACE INTO docs VALUES (?,?,?)"},
		{&w.dropDoc, "DELETE FROM docs WHERE kind = ? AND key = ?"},
		{&w.pruneExec, "DELETE FROM executions WHERE id = ? AND status <> 0"},
		{&w.prunePayload, "DELETE FROM payloads WHERE exec = ?"},
		{&w.probe, sqlitefile.Probe},
		{&w.pruneHistory, "DELETE FROM history WHERE key BETWEEN ? AND ?"},
	} {
		prepared, err := c.Prepare(p.query)
		if err != nil {
			w.close()
			return fmt.Errorf("prepare %q: %w", p.query, err)
		}
		w.all = append(w.all, prepared)
		p.s.Stmt = prepared
	}
	return nil
}

// close gives the connection up, and what it did not commit with it.
func (w *writer) close() {
	for _, s := range w.all {
		s.Close()
	}
	w.all = w.all[:0]
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

func (w *writer) bind(args []driver.Value) []driver.NamedValue {
	w.args = w.args[:0]
	for i, a := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return w.args
}

func (w *writer) exec(s stmt, args ...driver.Value) (driver.Result, error) {
	return s.Stmt.(driver.StmtExecContext).ExecContext(context.Background(), w.bind(args))
}

// number runs a query that has one number as its result, or none.
func (w *writer) number(s stmt, args ...driver.Value) (n int64, found bool, err error) {
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(context.Background(), w.bind(args))
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	switch err := rows.Next(row); {
	case errors.Is(err, io.EOF):
		return 0, false, nil
	case err != nil:
		return 0, false, err
	}
	n, found = row[0].(int64)
	return n, found, nil
}

// errCommit marks a failure that leaves open whether the batch was stored.
var errCommit = errors.New("commit")

// commit makes the batch durable and tells each of its writes. When the batch
// fails as a whole every write gets a transaction of its own, so that one that
// can't be stored does not take the others with it. A single write whose commit
// failed is tried once more: repeating it changes nothing when it was stored,
// and a commit that goes through says for certain that it is.
func (w *writer) commit(batch []*Write) {
	err := w.transact(batch)
	if err != nil && len(batch) > 1 {
		for i := range batch {
			w.commit(batch[i : i+1])
		}
		return
	}
	if errors.Is(err, errCommit) {
		err = w.transact(batch)
	}
	if err != nil {
		w.trouble.Met(err)
	} else {
		w.file.Wrote()
		if slices.ContainsFunc(batch, func(b *Write) bool { return b.Create != nil }) {
			w.trouble.Over()
		}
	}
	for i, b := range batch {
		if err != nil {
			b.Done(err)
		} else {
			b.Done(w.dead[i])
		}
	}
}

// transact stores the batch in one transaction. After an error of the
// transaction itself the connection is given up: what state it is in, and
// whether a commit that failed was applied, is for SQLite to find out when it
// opens the file again.
func (w *writer) transact(batch []*Write) error {
	w.dead = w.dead[:0]
	if w.conn == nil {
		err := w.file.Check()
		if err == nil {
			err = w.connect()
		}
		if err != nil {
			return fmt.Errorf("open again: %w", err)
		}
	}
	if _, err := w.exec(w.begin); err != nil {
		w.close()
		return fmt.Errorf("begin: %w", err)
	}
	if err := w.applyAll(batch); err != nil {
		if _, err := w.exec(w.rollback); err != nil {
			w.close()
		}
		return err
	}
	if _, err := w.exec(w.commitTx); err != nil {
		w.close()
		return fmt.Errorf("%w: %w", errCommit, err)
	}
	// What was written into a file that is gone is not kept.
	return w.file.Check()
}

func (w *writer) applyAll(batch []*Write) error {
	var last int64
	for _, b := range batch {
		err := w.apply(b)
		if err != nil && !errors.Is(err, ErrExists) {
			return err
		}
		if b.Create != nil {
			last = max(last, b.Create.ID)
		}
		w.dead = append(w.dead, err)
	}
	if last > 0 {
		if _, err := w.exec(w.sequence, last, last); err != nil {
			return fmt.Errorf("advance sequence: %w", err)
		}
	}
	return nil
}

// recordKey and historyKey are rowids: see migrations.
func recordKey(exec, id int64) int64  { return exec<<28 | id }
func historyKey(exec, id int64) int64 { return exec<<16 | id }

func (w *writer) apply(b *Write) error {
	if c := b.Create; c != nil {
		if err := w.insert(c, b.End); err != nil {
			return err
		}
	}
	if s := b.History; s != nil {
		if _, err := w.exec(w.history, historyKey(b.Exec, s.First), s.Last, blob(s.Body)); err != nil {
			return fmt.Errorf("append history of execution %d: %w", b.Exec, err)
		}
	}
	for _, r := range b.Put {
		if _, err := w.exec(w.put, recordKey(b.Exec, r.ID), blob(r.Body)); err != nil {
			return fmt.Errorf("put record %d of execution %d: %w", r.ID, b.Exec, err)
		}
	}
	for _, id := range b.Drop {
		if _, err := w.exec(w.drop, recordKey(b.Exec, id)); err != nil {
			return fmt.Errorf("drop record %d of execution %d: %w", id, b.Exec, err)
		}
	}
	if b.Wake != nil {
		if _, err := w.exec(w.setWake, *b.Wake, b.Exec); err != nil {
			return fmt.Errorf("set wake of execution %d: %w", b.Exec, err)
		}
	}
	if b.Reopen != nil {
		if _, err := w.exec(w.reopen, b.Reopen.Attrs, b.Exec); err != nil {
			return fmt.Errorf("reopen execution %d: %w", b.Exec, err)
		}
	}
	if b.End != nil && b.Create == nil {
		if err := w.finish(b.Exec, b.End); err != nil {
			return fmt.Errorf("end execution %d: %w", b.Exec, err)
		}
	}
	for _, d := range b.Docs {
		var err error
		if d.Body == nil {
			_, err = w.exec(w.dropDoc, d.Kind, d.Key)
		} else {
			_, err = w.exec(w.putDoc, d.Kind, d.Key, d.Body)
		}
		if err != nil {
			return fmt.Errorf("write %s %s: %w", d.Kind, d.Key, err)
		}
	}
	if b.probe {
		if _, err := w.exec(w.probe); err != nil {
			return fmt.Errorf("try to write: %w", err)
		}
	}
	if len(b.prune) > 0 {
		return w.pruneAll(b)
	}
	return nil
}

// insert adds an execution, which perhaps has ended already.
func (w *writer) insert(c *Execution, end *Ending) error {
	var input driver.Value = c.Input
	if len(c.Input) > inlineInput {
		input = nil
	}
	if end == nil {
		end = &Ending{Status: c.Status, Stopped: c.Stopped}
	}
	r, err := w.exec(w.create, c.ID, c.Machine, c.Name, c.Revision, int64(end.Status), c.Started, end.Stopped, c.Wake,
		input, end.Output, end.Error, end.Cause, c.Attrs)
	if err != nil {
		return fmt.Errorf("create execution %s/%s: %w", c.Machine, c.Name, err)
	}
	if n, err := r.RowsAffected(); err != nil {
		return fmt.Errorf("create execution %s/%s: %w", c.Machine, c.Name, err)
	} else if n == 0 {
		// IDs are given out once: one that has this ID is this very write,
		// whose commit was reported as failed.
		id, found, err := w.number(w.createdAs, c.Machine, c.Name)
		if err != nil {
			return fmt.Errorf("create execution %s/%s: %w", c.Machine, c.Name, err)
		}
		if !found || id != c.ID {
			return ErrExists
		}
		return nil
	}
	if input == nil && c.Input != nil {
		if _, err := w.exec(w.payload, c.ID, c.Input); err != nil {
			return fmt.Errorf("keep input of execution %s/%s: %w", c.Machine, c.Name, err)
		}
	}
	return nil
}

func (w *writer) finish(exec int64, e *Ending) error {
	if _, err := w.exec(w.end, int64(e.Status), e.Stopped, e.Output, e.Error, e.Cause, exec); err != nil {
		return err
	}
	_, err := w.exec(w.dropAll, recordKey(exec, 0), recordKey(exec, MaxRecordID))
	return err
}

func (w *writer) pruneAll(b *Write) error {
	began := time.Now()
	for _, exec := range b.prune {
		if err := w.prune(exec); err != nil {
			return err
		}
	}
	b.took = time.Since(began)
	return nil
}

// prune deletes a closed execution. One that was reopened since it was found to
// be closed stays.
func (w *writer) prune(exec int64) error {
	r, err := w.exec(w.pruneExec, exec)
	if err != nil {
		return fmt.Errorf("prune execution %d: %w", exec, err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return fmt.Errorf("prune execution %d: %w", exec, err)
	}
	if n == 0 {
		return nil
	}
	for _, p := range []struct {
		s    stmt
		args []driver.Value
	}{
		{w.pruneHistory, []driver.Value{historyKey(exec, 0), historyKey(exec, MaxEventID)}},
		{w.dropAll, []driver.Value{recordKey(exec, 0), recordKey(exec, MaxRecordID)}},
		{w.prunePayload, []driver.Value{exec}},
	} {
		if _, err := w.exec(p.s, p.args...); err != nil {
			return fmt.Errorf("prune execution %d: %w", exec, err)
		}
	}
	return nil
}

// blob keeps an empty body from being stored as NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
