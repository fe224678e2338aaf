package journal

import (
	"context"
	"math"
	"time"

	"switchyard/dispatch"
)

// finalFirst lifts a final status over all pending ones in the order of the
// outbox, which is that of the column request: it is added to the request's
// number. So the index of the outbox serves both, with no look at the many
// pending rows that a long push leaves.
const finalFirst = 1 << 40

// wantStatus puts the status of a request into the outbox, in place of an
// older one that was not posted.
func wantStatus(c *conn, request int64, s dispatch.StatusChange, at time.Time) error {
	return wantStatusWhere(c, `seq = ?1`, request, s, at)
}

// wantStatusWhileReady does so for a request that is ready.
func wantStatusWhileReady(c *conn, request int64, s dispatch.StatusChange, at time.Time) error {
	return wantStatusWhere(c, `seq = ?1 AND state = 'ready'`, request, s, at)
}

func wantStatusWhere(c *conn, where string, request int64, s dispatch.StatusChange, at time.Time) error {
	lift := int64(0)
	if s.State != dispatch.StatusPending {
		lift = finalFirst
	}
	_, err := c.exec(`INSERT OR REPLACE INTO statuses (source, repository, sha, context, request, execution, ref, state, description, due_at, wanted_at, approval)
		SELECT source, repository, sha, context, seq + ?6, id, ref, ?2, ?3, ?4, ?5, ?7 FROM requests WHERE `+where+` AND reports = 1`,
		request, string(s.State), s.Description, millis(at.Add(s.After)), millis(at), lift, s.Approval)
	return err
}

const (
	sameContextQuery  = `SELECT context FROM requests WHERE id = ?`
	otherContextQuery = `SELECT 1 FROM requests WHERE sha = ? AND repository = ? AND reports = 1 AND source = ? AND route = ? AND environment <> ? LIMIT 1`
)

// statusContext is the context for an attempt at a request: that of the first
// attempt, or one that no other environment of the commit and route has.
func statusContext(c *conn, r *dispatch.NewRequest, base string, attempt int) (context string, err error) {
	if attempt > 1 {
		err := c.ask(func(s scan) error { return s(&context) }, sameContextQuery, base)
		if err != nil || context != "" {
			return context, err
		}
	}
	environment := ""
	err = c.ask(func(s scan) error { var one int; environment = r.Environment; return s(&one) },
		otherContextQuery, r.Commit.SHA, r.Repository, r.Source, r.Route, r.Environment)
	return dispatch.StatusContext(r.Route, environment), err
}

const nextStatusesQuery = `SELECT version, source, repository, sha, context, execution, ref, state, description, tries, wanted_at, approval
	FROM statuses WHERE source = ? AND (due_at <= ? OR due_at > ?) AND repository NOT IN (SELECT value FROM json_each(?)) ORDER BY request DESC LIMIT ?`

// NextStatuses implements [dispatch.Outbox].
func (j *SQLite) NextStatuses(ctx context.Context, q dispatch.StatusQuery) ([]dispatch.Status, error) {
	except, err := leftOut(q.Except)
	if err != nil {
		return nil, err
	}
	horizon := int64(math.MaxInt64)
	if !q.Horizon.IsZero() {
		horizon = millis(q.Horizon)
	}
	var next []dispatch.Status
	err = j.read(ctx, func(s scan) error {
		var st dispatch.Status
		var state string
		var wanted int64
		err := s(&st.Version, &st.Source, &st.Repository, &st.SHA, &st.Context, &st.Execution, &st.Ref, &state, &st.Description, &st.Tries, &wanted, &st.Approval)
		st.State, st.WantedAt = dispatch.StatusState(state), timeOf(wanted)
		next = append(next, st)
		return err
	}, nextStatusesQuery, q.Source, millis(q.Now), horizon, except, q.Limit)
	return next, err
}

// StatusPosted implements [dispatch.Outbox].
func (j *SQLite) StatusPosted(ctx context.Context, s dispatch.Status) error {
	return j.do(ctx, func(c *conn) error {
		_, err := c.exec(`DELETE FROM statuses WHERE version = ?`, s.Version)
		return err
	})
}

// StatusFailed implements [dispatch.Outbox].
func (j *SQLite) StatusFailed(ctx context.Context, s dispatch.Status, retryAt time.Time, reason string) error {
	if retryAt.IsZero() {
		return j.StatusPosted(ctx, s)
	}
	return j.do(ctx, func(c *conn) error {
		_, err := c.exec(`UPDATE statuses SET tries = tries + 1, due_at = ?, last_error = ? WHERE version = ?`, millis(retryAt), reason, s.Version)
		return err
	})
}
