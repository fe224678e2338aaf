package journal

import (
	"context"
	"time"

	"switchyard/dispatch"
)

// wantStatus puts the status of a request into the outbox, in place of an
// older one that was not posted.
func wantStatus(c *conn, request int64, s dispatch.StatusChange, at time.Time) error {
	_, err := c.exec(`INSERT OR REPLACE INTO statuses (source, repository, sha, context, request, execution, ref, state, description, due_at, wanted_at)
		SELECT source, repository, sha, ?2 || route, seq, id, ref, ?3, ?4, ?5, ?5 FROM requests WHERE seq = ?1 AND reports = 1`,
		request, dispatch.StatusContext(""), string(s.State), s.Description, millis(at))
	return err
}

const nextStatusesQuery = `SELECT version, source, repository, sha, context, execution, ref, state, description, tries, wanted_at
	FROM statuses WHERE source = ? AND due_at <= ? ORDER BY request DESC LIMIT ?`

// NextStatuses implements [dispatch.Outbox].
func (j *SQLite) NextStatuses(ctx context.Context, source string, now time.Time, limit int) ([]dispatch.Status, error) {
	var next []dispatch.Status
	err := j.read(ctx, func(s scan) error {
		var st dispatch.Status
		var state string
		var wanted int64
		err := s(&st.Version, &st.Source, &st.Repository, &st.SHA, &st.Context, &st.Execution, &st.Ref, &state, &st.Description, &st.Tries, &wanted)
		st.State, st.WantedAt = dispatch.StatusState(state), timeOf(wanted)
		next = append(next, st)
		return err
	}, nextStatusesQuery, source, millis(now), limit)
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
