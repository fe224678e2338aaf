package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Doc implements [Reader].
func (s *SQLite) Doc(ctx context.Context, kind, key string) ([]byte, error) {
	var body []byte
	err := s.read.QueryRowContext(ctx, "SELECT body FROM docs WHERE kind = ? AND key = ?", kind, key).Scan(&body)
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind, key, missing(err))
	}
	return body, nil
}

// Docs implements [Reader].
func (s *SQLite) Docs(ctx context.Context, kind, after string, limit int) ([]Doc, error) {
	return query(ctx, s, "list "+kind, func(scan func(...any) error) (d Doc, err error) {
		d.Kind = kind
		return d, scan(&d.Key, &d.Body)
	}, "SELECT key, body FROM docs WHERE kind = ? AND key > ? ORDER BY key LIMIT ?", kind, after, limit)
}

const selectExecution = `SELECT id, machine, name, revision, status, started, stopped, wake,
 coalesce(input, (SELECT body FROM payloads WHERE exec = id)), output, error, cause, attrs FROM executions `

// Execution implements [Reader].
func (s *SQLite) Execution(ctx context.Context, machine, name string) (*Execution, error) {
	e, err := s.execution(s.read.QueryRowContext(ctx, selectExecution+"WHERE machine = ? AND name = ?", machine, name))
	if err != nil {
		return nil, fmt.Errorf("read execution %s/%s: %w", machine, name, err)
	}
	return e, nil
}

// ExecutionByID implements [Reader].
func (s *SQLite) ExecutionByID(ctx context.Context, id int64) (*Execution, error) {
	e, err := s.execution(s.read.QueryRowContext(ctx, selectExecution+"WHERE id = ?", id))
	if err != nil {
		return nil, fmt.Errorf("read execution %d: %w", id, err)
	}
	return e, nil
}

func (s *SQLite) execution(row *sql.Row) (*Execution, error) {
	var e Execution
	err := row.Scan(&e.ID, &e.Machine, &e.Name, &e.Revision, &e.Status, &e.Started, &e.Stopped, &e.Wake,
		&e.Input, &e.Output, &e.Error, &e.Cause, &e.Attrs)
	if err != nil {
		return nil, missing(err)
	}
	return &e, nil
}

// Executions implements [Reader].
func (s *SQLite) Executions(ctx context.Context, q Query) ([]*Execution, error) {
	before := q.Before
	if before == 0 {
		before = MaxExecID + 1
	}
	const columns = "SELECT id, machine, name, revision, status, started, stopped, wake, attrs FROM executions "
	where, args := "INDEXED BY executions_machine WHERE machine = ? AND id < ?", []any{q.Machine, before}
	if q.Status != nil {
		where, args = where+" AND status = ?", append(args, int64(*q.Status))
		if *q.Status != Succeeded {
			where = "INDEXED BY executions_status WHERE machine = ? AND id < ? AND status = ? AND status <> 1"
		}
	}
	return query(ctx, s, "list executions of "+q.Machine, func(scan func(...any) error) (*Execution, error) {
		var e Execution
		return &e, scan(&e.ID, &e.Machine, &e.Name, &e.Revision, &e.Status, &e.Started, &e.Stopped, &e.Wake, &e.Attrs)
	}, columns+where+" ORDER BY id DESC LIMIT ?", append(args, q.Limit)...)
}

// Revisions implements [Reader]. The children of Map runs have MACHINE/… for a
// machine, and 0 is the character after the slash.
func (s *SQLite) Revisions(ctx context.Context, machine string) ([]string, error) {
	return query(ctx, s, "list revisions of "+machine, func(scan func(...any) error) (key string, err error) {
		return key, scan(&key)
	}, `SELECT revision FROM executions INDEXED BY executions_machine WHERE machine = ?1
 UNION SELECT revision FROM executions INDEXED BY executions_machine WHERE machine > ?1 || '/' AND machine < ?1 || '0'`, machine)
}

// Segments implements [Reader].
func (s *SQLite) Segments(ctx context.Context, exec, from int64, reverse bool, limit int) ([]Segment, error) {
	from = min(max(from, 1), MaxEventID)
	text := `SELECT key & 65535, last, body FROM history WHERE key BETWEEN
 coalesce((SELECT max(key) FROM history WHERE key BETWEEN ?1 AND ?2), ?2) AND ?3 AND last >= ?4 ORDER BY key LIMIT ?5`
	if reverse {
		text = "SELECT key & 65535, last, body FROM history WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT ?5"
	}
	return query(ctx, s, fmt.Sprintf("read history of execution %d", exec), func(scan func(...any) error) (g Segment, err error) {
		return g, scan(&g.First, &g.Last, &g.Body)
	}, text, historyKey(exec, 0), historyKey(exec, from), historyKey(exec, MaxEventID), from, limit)
}

// Records implements [Reader].
func (s *SQLite) Records(ctx context.Context, exec int64) ([]Record, error) {
	return query(ctx, s, fmt.Sprintf("read records of execution %d", exec), func(scan func(...any) error) (r Record, err error) {
		return r, scan(&r.ID, &r.Body)
	}, "SELECT key & 268435455, body FROM records WHERE key BETWEEN ? AND ? ORDER BY key", recordKey(exec, 0), recordKey(exec, MaxRecordID))
}

// Running implements [Reader].
func (s *SQLite) Running(ctx context.Context, f func(id, wake int64) error) error {
	type open struct{ id, wake int64 }
	found, err := query(ctx, s, "list running executions", func(scan func(...any) error) (o open, err error) {
		return o, scan(&o.id, &o.wake)
	}, "SELECT id, wake FROM executions WHERE status = 0 AND status <> 1 ORDER BY id")
	if err != nil {
		return err
	}
	for _, o := range found {
		if err := f(o.id, o.wake); err != nil {
			return err
		}
	}
	return nil
}

// LastID implements [Reader].
func (s *SQLite) LastID(ctx context.Context) (int64, error) {
	var last int64
	if err := s.read.QueryRowContext(ctx, "SELECT last FROM sequence").Scan(&last); err != nil {
		return 0, fmt.Errorf("read last execution: %w", err)
	}
	return last, nil
}

func query[T any](ctx context.Context, s *SQLite, what string, row func(func(...any) error) (T, error), text string, args ...any) ([]T, error) {
	rows, err := s.read.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer rows.Close()
	var found []T
	for rows.Next() {
		r, err := row(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return found, nil
}

func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
