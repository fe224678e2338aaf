package journal

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"switchyard/dispatch"
)

const (
	approvalColumns = `a.id, r.id, r.source, r.repository, r.ref, r.route, r.environment, r.sha, r.title, r.author,
		a.merge_sha, a.title, a.asked_by, a.pushed_by, a.approvers, a.own, a.diff, a.asked_at, a.expires_at,
		a.state, a.decided_at, a.decided_by, a.way, a.reason, a.told_at, a.last_error`
	approvalTables = ` FROM approvals a JOIN requests r ON r.seq = a.request `

	approvalsOfQuery = `SELECT ` + approvalColumns + `, a.seq` + approvalTables + `WHERE a.request = ? ORDER BY a.seq DESC LIMIT 100`
	untoldQuery      = `SELECT ` + approvalColumns + `, a.seq, a.token, r.arn, a.begun_at > 0, a.tries` + approvalTables + `
		WHERE a.state <> 'waiting' AND a.token <> '' AND a.due_at <= ? ORDER BY a.due_at LIMIT ?`
	nextUntoldQuery = `SELECT due_at FROM approvals WHERE state <> 'waiting' AND token <> '' AND due_at > ? ORDER BY due_at LIMIT 1`
	nextExpiryQuery = `SELECT expires_at FROM approvals WHERE state = 'waiting' AND expires_at > 0 AND expires_at > ? ORDER BY expires_at LIMIT 1`
	waitsForQuery   = `SELECT id, title FROM approvals WHERE request = ? AND state = 'waiting' ORDER BY seq DESC LIMIT 1`
	liveQuery       = `SELECT l.sha FROM requests x JOIN requests l ON l.environment = x.environment AND l.repository = x.repository
			AND l.source = x.source AND l.state_machine = x.state_machine
		WHERE x.id = ? AND l.state = 'succeeded' AND l.teardown = 0 AND l.environment <> '' ORDER BY l.stopped_at DESC LIMIT 1`
)

// scanApproval reads approvalColumns, and after them what more names.
func scanApproval(s scan, more ...any) (dispatch.Approval, error) {
	var a dispatch.Approval
	var approvers, own, state, way string
	var asked, expires, decided, told int64
	err := s(append([]any{
		&a.ID, &a.Execution, &a.Source, &a.Repository, &a.Ref, &a.Route, &a.Environment, &a.SHA, &a.Message, &a.Author,
		&a.Merge, &a.Title, &a.AskedBy, &a.PushedBy, &approvers, &own, &a.Diff, &asked, &expires,
		&state, &decided, &a.DecidedBy, &way, &a.Reason, &told, &a.LastError,
	}, more...)...)
	if err != nil {
		return a, err
	}
	a.State, a.Way = dispatch.ApprovalState(state), dispatch.Way(way)
	a.AskedAt, a.ExpiresAt, a.DecidedAt, a.ToldAt = timeOf(asked), timeOf(expires), timeOf(decided), timeOf(told)
	if err := json.Unmarshal([]byte(own), &a.Own); err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(approvers), &a.Approvers)
}

// Ask implements [dispatch.Approvals].
func (j *SQLite) Ask(ctx context.Context, a dispatch.NewApproval) ([]dispatch.Change, error) {
	approvers, err := json.Marshal(a.Approvers)
	if err != nil {
		return nil, err
	}
	own, err := json.Marshal(a.Own)
	if err != nil {
		return nil, err
	}
	var changes []dispatch.Change
	err = j.do(ctx, func(c *conn) error {
		changes = nil
		known := false
		if err := c.query(`SELECT 1 FROM approvals WHERE id = ?`, func(s scan) error { var one int; known = true; return s(&one) }, a.ID); err != nil || known {
			return err
		}
		request, state, err := find(c, a.Execution)
		switch {
		case err != nil:
			return err
		case state.Finished():
			return dispatch.ErrFinished
		}
		_, err = c.insert(`INSERT INTO approvals (id, request, token, title, asked_by, pushed_by, approvers, own, diff, asked_at, expires_at, merge_sha, state)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting')`,
			a.ID, request, a.Token, a.Title, a.AskedBy, a.PushedBy, string(approvers), string(own), a.Diff, millis(a.AskedAt), millis(a.ExpiresAt), a.Merge)
		if err != nil {
			return err
		}
		changes, err = waitsChanged(c, request, a.AskedAt)
		return err
	})
	return changes, err
}

// waitsChanged tells the commit of a running request what it waits for by now.
func waitsChanged(c *conn, request int64, at time.Time) ([]dispatch.Change, error) {
	x := dispatch.Execution{State: dispatch.StateRunning}
	if err := waitsFor(c, request, &x); err != nil {
		return nil, err
	}
	if err := wantStatusWhere(c, `seq = ?1 AND state = 'running'`, request, dispatch.StatusOf(&x), at); err != nil {
		return nil, err
	}
	return change(c, dispatch.StateRunning, `SELECT id, environment, stop_reason <> '' FROM requests WHERE seq = ? AND state = 'running'`, request)
}

// wantProgress wants the status of a request that has been started, unless it waits
// for a person already.
func wantProgress(c *conn, request int64, s dispatch.StatusChange, at time.Time) error {
	x := dispatch.Execution{State: dispatch.StateRunning}
	if err := waitsFor(c, request, &x); err != nil {
		return err
	}
	if x.WaitsFor != "" {
		s = dispatch.StatusOf(&x)
	}
	return wantStatus(c, request, s, at)
}

func waitsFor(c *conn, request int64, x *dispatch.Execution) error {
	return c.ask(func(s scan) error { return s(&x.Approval, &x.WaitsFor) }, waitsForQuery, request)
}

// Decide implements [dispatch.Approvals].
func (j *SQLite) Decide(ctx context.Context, d dispatch.Decision) (dispatch.Approval, []dispatch.Change, error) {
	var a dispatch.Approval
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) (err error) {
		a, changes, err = decide(c, &d)
		return err
	})
	return a, changes, err
}

func decide(c *conn, d *dispatch.Decision) (dispatch.Approval, []dispatch.Change, error) {
	request, state, err := find(c, d.Execution)
	if err != nil {
		return dispatch.Approval{}, nil, err
	}
	var all []dispatch.Approval
	var seqs []int64
	err = c.query(approvalsOfQuery, func(s scan) error {
		var seq int64
		a, err := scanApproval(s, &seq)
		all, seqs = append(all, a), append(seqs, seq)
		return err
	}, request)
	if err != nil {
		return dispatch.Approval{}, nil, err
	}
	a, known, err := dispatch.Judge(d, state, all)
	if err != nil || known {
		return a, nil, err
	}
	a.State, a.DecidedAt, a.DecidedBy, a.Way, a.Reason = d.State(), d.At, d.By, d.Way, d.Reason
	for i := range all {
		if all[i].ID != a.ID {
			continue
		}
		_, err = c.exec(`UPDATE approvals SET state = ?2, decided_at = ?3, decided_by = ?4, way = ?5, reason = ?6, due_at = ?3 WHERE seq = ?1`,
			seqs[i], string(a.State), millis(a.DecidedAt), a.DecidedBy, string(a.Way), a.Reason)
		if err != nil {
			return a, nil, err
		}
	}
	changes, err := waitsChanged(c, request, d.At)
	return a, changes, err
}

// withdrawApprovals ends the wait for what a request that has ended asked.
func withdrawApprovals(c *conn, request int64) error {
	_, err := c.exec(`UPDATE approvals SET state = 'withdrawn', token = '' WHERE request = ? AND state = 'waiting'`, request)
	return err
}

// Expire implements [dispatch.Approvals].
func (j *SQLite) Expire(ctx context.Context, now time.Time, grace time.Duration) ([]dispatch.Change, time.Time, error) {
	due := false
	err := j.read(ctx, func(s scan) error { due = true; var at int64; return s(&at) },
		`SELECT expires_at FROM approvals WHERE state = 'waiting' AND expires_at > 0 AND expires_at <= ? LIMIT 1`, millis(now))
	var changes []dispatch.Change
	if err == nil && due {
		err = j.do(ctx, func(c *conn) (err error) {
			changes, err = expire(c, now, grace)
			return err
		})
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	next, err := j.next(ctx, nextExpiryQuery, now)
	return changes, next, err
}

func expire(c *conn, now time.Time, grace time.Duration) ([]dispatch.Change, error) {
	var requests []int64
	err := c.query(`UPDATE approvals SET state = 'expired', due_at = ?2
		WHERE state = 'waiting' AND expires_at > 0 AND expires_at <= ?1 RETURNING request`,
		func(s scan) error {
			var request int64
			err := s(&request)
			requests = append(requests, request)
			return err
		}, millis(now), millis(now.Add(grace)))
	if err != nil {
		return nil, err
	}
	var changes []dispatch.Change
	for _, request := range requests {
		more, err := waitsChanged(c, request, now)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}

// Approvals implements [dispatch.Approvals].
func (j *SQLite) Approvals(ctx context.Context, f dispatch.ApprovalFilter) ([]dispatch.Approval, error) {
	all := []dispatch.Approval{}
	query, args := approvalsQuery(f)
	err := j.read(ctx, func(s scan) error {
		a, err := scanApproval(s)
		all = append(all, a)
		return err
	}, query, args...)
	return all, err
}

// approvalsQuery reads those that a filter matches. An index finds those that wait:
// in the order of their numbers they would be looked for among all that were decided.
func approvalsQuery(f dispatch.ApprovalFilter) (query string, args []any) {
	var match conditions
	order := "a.seq"
	match.equal("r.id", f.Execution)
	match.equal("a.id", f.ID)
	if f.Waiting {
		match.add("a.state = 'waiting'")
		order = "+a.seq"
	}
	return `SELECT ` + approvalColumns + approvalTables + `WHERE TRUE` + match.text.String() + ` ORDER BY ` + order + ` DESC LIMIT ?`,
		append(match.args, pageSize(f.Limit))
}

// Untold implements [dispatch.Approvals].
func (j *SQLite) Untold(ctx context.Context, now time.Time, limit int) ([]dispatch.Untold, time.Time, error) {
	var due []dispatch.Untold
	err := j.read(ctx, func(s scan) (err error) {
		var u dispatch.Untold
		u.Approval, err = scanApproval(s, &u.Seq, &u.Token, &u.ARN, &u.Begun, &u.Tries)
		due = append(due, u)
		return err
	}, untoldQuery, millis(now), limit)
	if err != nil || len(due) == limit {
		return due, time.Time{}, err
	}
	next, err := j.next(ctx, nextUntoldQuery, now)
	return due, next, err
}

// Telling implements [dispatch.Approvals].
func (j *SQLite) Telling(ctx context.Context, seq int64, at time.Time) error {
	return j.onApproval(ctx, `UPDATE approvals SET begun_at = ?2 WHERE seq = ?1 AND begun_at = 0`, seq, millis(at))
}

// Told implements [dispatch.Approvals].
func (j *SQLite) Told(ctx context.Context, seq int64, at time.Time, late bool) error {
	return j.onApproval(ctx, `UPDATE approvals SET token = '', told_at = iif(?3, 0, ?2), last_error = '', state = iif(?3, 'expired', state)
		WHERE seq = ?1 AND token <> ''`, seq, millis(at), late)
}

// TellFailed implements [dispatch.Approvals].
func (j *SQLite) TellFailed(ctx context.Context, seq int64, retryAt time.Time, reason string) error {
	return j.onApproval(ctx, `UPDATE approvals SET tries = tries + 1, due_at = ?2, last_error = ?3 WHERE seq = ?1 AND token <> ''`, seq, millis(retryAt), reason)
}

func (j *SQLite) onApproval(ctx context.Context, query string, args ...driver.Value) error {
	return j.do(ctx, func(c *conn) error {
		if _, err := c.exec(query, args...); err != nil {
			return fmt.Errorf("approval: %w", err)
		}
		return nil
	})
}

// Live implements [dispatch.Approvals].
func (j *SQLite) Live(ctx context.Context, execution string) (sha string, err error) {
	err = j.read(ctx, func(s scan) error { return s(&sha) }, liveQuery, execution)
	return sha, err
}
