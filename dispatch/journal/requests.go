package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"switchyard/dispatch"
)

// admitStep is how many requests of an environment without a limit are
// admitted in one transaction.
const admitStep = 256

// What the dispatcher asks again and again. Each walks along an index that
// holds unfinished requests only.
const (
	executionQuery = `SELECT ` + executionColumns + executionTables
	dueQuery       = `SELECT ` + executionColumns + `, i.input FROM requests r JOIN inputs i ON i.request = r.seq LEFT JOIN deliveries d ON d.seq = r.delivery
		WHERE r.state = 'ready' AND r.due_at <= ? ORDER BY r.due_at, r.seq LIMIT ?`
	nextDueQuery      = `SELECT due_at FROM requests WHERE state = 'ready' AND due_at > ? ORDER BY due_at LIMIT 1`
	runningQuery      = `WHERE r.state = 'running' AND r.seq > ? AND r.started_at <= ? ORDER BY r.seq LIMIT ?`
	stoppingQuery     = `WHERE r.state = 'running' AND r.stop_reason <> '' AND r.due_at <= ? ORDER BY r.due_at LIMIT ?`
	nextStoppingQuery = `SELECT due_at FROM requests WHERE state = 'running' AND stop_reason <> '' AND due_at > ? ORDER BY due_at LIMIT 1`
)

// Due implements [dispatch.Requests].
func (j *SQLite) Due(ctx context.Context, now time.Time, limit int) ([]dispatch.Execution, time.Time, error) {
	var due []dispatch.Execution
	err := j.read(ctx, func(s scan) error {
		var input []byte
		x, err := scanExecution(s, &input)
		x.Input = input
		due = append(due, x)
		return err
	}, dueQuery, millis(now), limit)
	if err != nil || len(due) == limit {
		return due, time.Time{}, err
	}
	next, err := j.next(ctx, nextDueQuery, now)
	return due, next, err
}

// Running implements [dispatch.Requests].
func (j *SQLite) Running(ctx context.Context, after int64, startedBy time.Time, limit int) ([]dispatch.Execution, error) {
	return j.executions(ctx, runningQuery, after, millis(startedBy), limit)
}

// Stopping implements [dispatch.Requests].
func (j *SQLite) Stopping(ctx context.Context, now time.Time, limit int) ([]dispatch.Execution, time.Time, error) {
	due, err := j.executions(ctx, stoppingQuery, millis(now), limit)
	if err != nil || len(due) == limit {
		return due, time.Time{}, err
	}
	next, err := j.next(ctx, nextStoppingQuery, now)
	return due, next, err
}

// Hasten implements [dispatch.Requests].
func (j *SQLite) Hasten(ctx context.Context, stateMachine string, after, now time.Time) (int, error) {
	total := int64(0)
	err := j.do(ctx, func(c *conn) error {
		total = 0
		for _, queue := range []string{`state = 'ready'`, `state = 'running' AND stop_reason <> ''`} {
			n, err := c.exec(`UPDATE requests SET due_at = ?2 WHERE seq IN (SELECT seq FROM requests
				WHERE `+queue+` AND due_at > ?1 AND (?3 = '' OR state_machine = ?3) ORDER BY due_at LIMIT ?4)`,
				millis(after), millis(now), stateMachine, int64(admitStep))
			if err != nil {
				return err
			}
			total += n
		}
		if stateMachine != "" {
			return nil
		}
		n, err := c.exec(`UPDATE deferred SET due_at = ?2, since = min(since, ?2) WHERE due_at > 0 AND due_at > ?1`, millis(after), millis(now))
		total += n
		return err
	})
	return int(total), err
}

// next reads when something falls due after now, zero for never.
func (j *SQLite) next(ctx context.Context, query string, now time.Time) (time.Time, error) {
	var at int64
	err := j.read(ctx, func(s scan) error { return s(&at) }, query, millis(now))
	return timeOf(at), err
}

func (j *SQLite) executions(ctx context.Context, where string, args ...any) ([]dispatch.Execution, error) {
	var found []dispatch.Execution
	err := j.read(ctx, func(s scan) error {
		x, err := scanExecution(s)
		found = append(found, x)
		return err
	}, executionQuery+where, args...)
	return found, err
}

// Record implements [dispatch.Requests].
func (j *SQLite) Record(ctx context.Context, r dispatch.Records) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) error {
		changes = nil
		for i := range r.Started {
			s := &r.Started[i]
			// due_at, once the time of the start, becomes that of a stop.
			more, err := change(c, dispatch.StateRunning, `UPDATE requests SET state = 'running', arn = ?2, started_at = ?3, due_at = 0, last_error = '', tries = 0,
				redrive_of = '', redriven_from = stopped_at, stopped_at = 0, error = '', cause = ''
				WHERE seq = ?1 AND state = 'ready' RETURNING id, environment, stop_reason <> ''`, s.Seq, s.ARN, millis(s.StartedAt))
			if err != nil {
				return fmt.Errorf("record start of request %d: %w", s.Seq, err)
			}
			if len(more) > 0 && s.Status != nil {
				if err := wantProgress(c, s.Seq, *s.Status, r.At); err != nil {
					return fmt.Errorf("record status of request %d: %w", s.Seq, err)
				}
			}
			changes = append(changes, more...)
		}
		for i := range r.Failed {
			f := &r.Failed[i]
			if f.Status != nil {
				if err := wantStatusWhileReady(c, f.Seq, *f.Status, r.At); err != nil {
					return fmt.Errorf("record status of request %d: %w", f.Seq, err)
				}
			}
			_, err := c.exec(`UPDATE requests SET due_at = iif(?5 AND tries = 0 AND stop_reason <> '', min(due_at, ?2), ?2), tries = tries + ?4, last_error = iif(?3 = '', last_error, ?3)
				WHERE seq = ?1 AND state IN ('ready', 'running')`, f.Seq, millis(f.DueAt), f.Error, f.Error != "" && !f.Uncounted, f.Uncounted)
			if err != nil {
				return fmt.Errorf("record failure of request %d: %w", f.Seq, err)
			}
		}
		for i := range r.Ended {
			more, err := end(c, &r.Ended[i], r.At)
			if err != nil {
				return fmt.Errorf("record end of request %d %s: %w", r.Ended[i].Seq, r.Ended[i].ID, err)
			}
			changes = append(changes, more...)
		}
		for i := range r.Withdrawn {
			more, err := withdraw(c, &r.Withdrawn[i], r.At)
			if err != nil {
				return fmt.Errorf("record withdrawal of request %d: %w", r.Withdrawn[i].Seq, err)
			}
			changes = append(changes, more...)
		}
		return nil
	})
	return changes, err
}

// change runs an update that returns id, environment and whether a stop is
// wanted.
func change(c *conn, to dispatch.State, query string, args ...driver.Value) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := c.query(query, func(s scan) error {
		ch := dispatch.Change{State: to}
		if err := s(&ch.ID, &ch.Environment, &ch.StopRequested); err != nil {
			return err
		}
		changes = append(changes, ch)
		return nil
	}, args...)
	return changes, err
}

// end finishes a request.
func end(c *conn, e *dispatch.EndRecord, at time.Time) ([]dispatch.Change, error) {
	const set = `UPDATE requests SET state = ?2, arn = iif(?3 = '', arn, ?3), started_at = iif(?4 = 0, started_at, ?4), stopped_at = ?5, error = ?6, cause = ?7, redrive_of = '' `
	stopped := e.StoppedAt
	if stopped.IsZero() {
		stopped = at
	}
	// What is said of the end that a request was redriven from, or is to be, comes
	// too late.
	where, key := `WHERE seq = ?1 AND (state IN ('waiting', 'ready') AND (redrive_of = '' OR ?5 > stopped_at)
		OR state = 'running' AND (?3 = '' OR ?5 > redriven_from))`, driver.Value(e.Seq)
	if e.Seq == 0 {
		// An engine can redrive an execution that had ended: it ends again.
		where, key = `WHERE id = ?1 AND arn = ?3 AND (state = 'running' AND ?5 > redriven_from OR (state IN ('succeeded', 'failed', 'timed_out', 'aborted') AND stopped_at < ?5))`, e.ID
	}
	var changes []dispatch.Change
	var seq int64
	err := c.query(set+where+` RETURNING seq, id, environment`, func(s scan) error {
		ch := dispatch.Change{State: e.State}
		if err := s(&seq, &ch.ID, &ch.Environment); err != nil {
			return err
		}
		changes = append(changes, ch)
		return nil
	}, key, string(e.State), e.ARN, millis(e.StartedAt), millis(stopped), e.Error, e.Cause)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	if e.Output != "" {
		_, err := c.exec(`INSERT INTO outputs VALUES (?, ?) ON CONFLICT (request) DO UPDATE SET output = excluded.output`, seq, []byte(e.Output))
		if err != nil {
			return nil, err
		}
	}
	if err := withdrawApprovals(c, seq); err != nil {
		return nil, err
	}
	return changes, wantStatus(c, seq, e.Status, at)
}

// Admit implements [dispatch.Requests].
func (j *SQLite) Admit(ctx context.Context, environment string, limit int, now time.Time) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) (err error) {
		room := admitStep
		if limit > 0 {
			held := 0
			err := c.query(`SELECT count(*) FROM (SELECT 1 FROM requests WHERE environment = ? AND environment <> '' AND state IN ('ready', 'running') LIMIT ?)`,
				func(s scan) error { return s(&held) }, environment, int64(limit))
			if err != nil {
				return err
			}
			room = min(room, limit-held)
		}
		changes = nil
		if room <= 0 {
			return nil
		}
		changes, err = change(c, dispatch.StateReady, `UPDATE requests SET state = 'ready', due_at = ? WHERE seq IN (
			SELECT seq FROM requests WHERE environment = ? AND state = 'waiting' ORDER BY seq LIMIT ?) RETURNING id, environment, stop_reason <> ''`,
			millis(now), environment, int64(room))
		return err
	})
	return changes, err
}

// RequestStop implements [dispatch.Requests].
func (j *SQLite) RequestStop(ctx context.Context, id string, r dispatch.StopRequest) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) (err error) {
		changes, err = requestStop(c, id, r)
		return err
	})
	return changes, err
}

func requestStop(c *conn, id string, r dispatch.StopRequest) ([]dispatch.Change, error) {
	seq, state, err := find(c, id)
	if err != nil {
		return nil, err
	}
	if state.Finished() {
		return nil, dispatch.ErrFinished
	}
	_, err = c.exec(`UPDATE requests SET stop_reason = iif(stop_reason = '', ?2, stop_reason), due_at = iif(state = 'running', ?3, min(due_at, ?3)) WHERE seq = ?1`,
		seq, r.Reason, millis(r.At))
	if err != nil || state != dispatch.StateWaiting {
		return nil, err
	}
	changes, err := withdrawWaiting(c, seq, r.Reason, r.At)
	if err != nil || len(changes) > 0 {
		return changes, err
	}
	return end(c, &dispatch.EndRecord{Seq: seq, State: dispatch.StateAborted, StoppedAt: r.At, Status: r.Status}, r.At)
}

// Rerun implements [dispatch.Requests].
func (j *SQLite) Rerun(ctx context.Context, id, reason string, r dispatch.Resume) (string, []dispatch.Change, error) {
	var changes []dispatch.Change
	var again string
	err := j.do(ctx, func(c *conn) (err error) {
		again, changes, err = rerun(c, id, reason, r)
		return err
	})
	return again, changes, err
}

func rerun(c *conn, id, reason string, r dispatch.Resume) (again string, changes []dispatch.Change, err error) {
	seq, state, err := find(c, id)
	if err != nil {
		return "", nil, err
	}
	if !state.Finished() {
		return "", nil, dispatch.ErrUnfinished
	}
	var base string
	if err := c.query(`SELECT base FROM requests WHERE seq = ?`, func(s scan) error { return s(&base) }, seq); err != nil {
		return "", nil, err
	}
	newSeq := int64(0)
	for attempt := 2; newSeq == 0; attempt++ {
		again = dispatch.AttemptID(base, attempt)
		newSeq, err = c.insert(`INSERT INTO requests (id, base, attempt, delivery, route, state_machine, environment, source, repository, ref,
				kind, pull_request, sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at, head_repository, teardown, context, rerun)
			SELECT ?2, base, ?3, delivery, route, state_machine, environment, source, repository, ref,
				kind, pull_request, sha, title, author, ?4, cancel_superseded, reports, ?5, ?6, ?6, head_repository, teardown, context, 1 FROM requests WHERE seq = ?1
			ON CONFLICT (id) DO NOTHING`, seq, again, int64(attempt), reason, string(r.State), millis(r.At))
		if err != nil {
			return "", nil, err
		}
	}
	if _, err := c.exec(`INSERT INTO inputs SELECT ?, input FROM inputs WHERE request = ?`, newSeq, seq); err != nil {
		return "", nil, err
	}
	changes, err = change(c, r.State, `SELECT id, environment, 0 FROM requests WHERE seq = ?`, newSeq)
	if err != nil {
		return "", nil, err
	}
	return again, changes, wantStatus(c, newSeq, r.Status, r.At)
}

func find(c *conn, id string) (seq int64, state dispatch.State, err error) {
	var text string
	err = c.query(`SELECT seq, state FROM requests WHERE id = ?`, func(s scan) error { return s(&seq, &text) }, id)
	if err == nil && seq == 0 {
		err = dispatch.ErrNotFound
	}
	return seq, dispatch.State(text), err
}
