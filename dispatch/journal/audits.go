package journal

import (
	"context"
	"encoding/json"
	"time"

	"switchyard/internal/event"
)

// heardPage is how many events [SQLite.Heard] returns at once.
const heardPage = 200

// Repositories implements [dispatch.Audits].
func (j *SQLite) Repositories(ctx context.Context, source string) ([]string, error) {
	var all []string
	err := j.read(ctx, func(s scan) error {
		var name string
		err := s(&name)
		all = append(all, name)
		return err
	}, `SELECT repository FROM tips WHERE source = ?1 UNION
		SELECT repository FROM audits a WHERE source = ?1
			AND NOT EXISTS (SELECT 1 FROM tips t WHERE t.source = ?1 AND lower(t.repository) = lower(a.repository))
		ORDER BY repository`, source)
	return all, err
}

// Audited implements [dispatch.Audits].
func (j *SQLite) Audited(ctx context.Context, source, repository string) ([]byte, error) {
	var state []byte
	err := j.read(ctx, func(s scan) error { return s(&state) }, `SELECT state FROM audits WHERE source = ? AND repository = ?`, source, repository)
	return state, err
}

// KeepAudited implements [dispatch.Audits].
func (j *SQLite) KeepAudited(ctx context.Context, source, repository string, state []byte, at time.Time) error {
	return j.do(ctx, func(c *conn) error {
		_, err := c.exec(`INSERT INTO audits VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, kept_at = excluded.kept_at`,
			source, repository, state, millis(at))
		return err
	})
}

// Heard implements [dispatch.Audits].
func (j *SQLite) Heard(ctx context.Context, source, repository string, after int64) (evs []event.Event, last int64, more bool, err error) {
	var newest int64
	err = j.read(ctx, func(s scan) error { return s(&newest) }, `SELECT coalesce(max(seq), 0) FROM deliveries`)
	if err != nil || newest <= after {
		return nil, after, false, err
	}
	last = min(newest, after+maxLook)
	rows := 0
	err = j.read(ctx, func(s scan) error {
		var seq int64
		var text []byte
		var ev event.Event
		if err := s(&seq, &text); err != nil {
			return err
		}
		if rows++; rows == heardPage {
			last = seq
		}
		if json.Unmarshal(text, &ev) == nil { // one that cannot be read told nothing
			evs = append(evs, ev)
		}
		return nil
	}, `SELECT seq, event FROM deliveries WHERE seq > ? AND seq <= ? AND source = ? AND repository = ? ORDER BY seq LIMIT ?`,
		after, last, source, repository, heardPage)
	return evs, last, last < newest, err
}
