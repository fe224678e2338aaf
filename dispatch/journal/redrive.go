package journal

import (
	"context"
	"time"

	"switchyard/dispatch"
)

// Redrive implements [dispatch.Requests].
func (j *SQLite) Redrive(ctx context.Context, id string, r dispatch.Resume) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) error {
		changes = nil
		seq, state, err := find(c, id)
		if err != nil {
			return err
		}
		if state != r.From {
			return dispatch.ErrNotRedrivable
		}
		const again = `UPDATE requests SET state = ?2, due_at = ?3, tries = 0, last_error = '', stop_reason = '', superseded_by = '', `
		set := again + `redrive_of = state, redrives = redrives + 1 WHERE seq = ?1 AND arn <> '' AND state IN ('failed', 'timed_out', 'aborted')`
		if state == dispatch.StateDead {
			set = again + `stopped_at = 0, error = '', cause = '' WHERE seq = ?1`
		}
		changes, err = change(c, r.State, set+` RETURNING id, environment, 0`, seq, string(r.State), millis(r.At))
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return dispatch.ErrNotRedrivable
		}
		return wantStatus(c, seq, r.Status, r.At)
	})
	return changes, err
}

// withdraw makes a request that was to be redriven what it was before.
func withdraw(c *conn, w *dispatch.WithdrawalRecord, at time.Time) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := c.query(`UPDATE requests SET state = redrive_of, redrive_of = '', last_error = ?2, tries = 0, stop_reason = '', superseded_by = ''
		WHERE seq = ?1 AND state IN ('waiting', 'ready') AND redrive_of <> '' RETURNING id, environment, state`, func(s scan) error {
		ch := dispatch.Change{Withdrawn: true}
		var state string
		err := s(&ch.ID, &ch.Environment, &state)
		ch.State = dispatch.State(state)
		changes = append(changes, ch)
		return err
	}, w.Seq, w.Reason)
	if err != nil || len(changes) == 0 {
		return nil, err
	}
	return changes, wantStatus(c, w.Seq, w.Status, at)
}

// withdrawWaiting changes nothing when the request does not wait to be redriven.
func withdrawWaiting(c *conn, seq int64, reason string, at time.Time) ([]dispatch.Change, error) {
	var x dispatch.Execution
	err := c.query(executionQuery+`WHERE r.seq = ? AND r.redrive_of <> ''`, func(s scan) (err error) {
		x, err = scanExecution(s)
		return err
	}, seq)
	if err != nil || x.Seq == 0 {
		return nil, err
	}
	w := dispatch.Withdrawal(&x, "not redriven: "+reason)
	return withdraw(c, &w, at)
}
