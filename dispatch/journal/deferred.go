package journal

import (
	"context"
	"time"

	"switchyard/dispatch"
)

// setAside puts a delivery aside instead of expanding it: because it waits for
// the git host, or behind one of its lane that does. It reports whether it did.
// A delivery that was expanded before waits behind nobody, and nobody behind it.
func (x *expanding) setAside(first bool) (bool, error) {
	behind, reason, due := int64(0), "", int64(0)
	if first && x.Lane != "" {
		err := x.c.ask(func(s scan) error {
			var source, id string
			err := s(&behind, &source, &id)
			reason = dispatch.WaitsBehind(dispatch.DeliveryID(source, id))
			return err
		}, `SELECT f.delivery, d.source, d.delivery_id FROM deferred f JOIN deliveries d ON d.seq = f.delivery
			WHERE f.lane = ? AND f.delivery < ? AND f.first = 1 ORDER BY f.delivery DESC LIMIT 1`, x.Lane, x.Delivery)
		if err != nil {
			return false, err
		}
	}
	if behind == 0 {
		if x.Deferral == nil {
			return false, nil
		}
		reason, due = x.Deferral.Reason, max(1, millis(x.Deferral.DueAt))
	}
	since := max(due, millis(x.At))
	_, err := x.c.exec(`INSERT INTO deferred (delivery, lane, first, behind, since, due_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (delivery) DO UPDATE SET behind = excluded.behind, since = excluded.since, due_at = excluded.due_at, reason = excluded.reason`,
		x.Delivery, x.Lane, first, behind, since, due, reason)
	return err == nil, err
}

// release ends a delivery's being set aside, and has the next of its lane
// expanded if that waited behind it.
func (x *expanding) release() error {
	lane := ""
	err := x.c.ask(func(s scan) error { return s(&lane) }, `DELETE FROM deferred WHERE delivery = ? RETURNING lane`, x.Delivery)
	if err != nil || lane == "" {
		return err
	}
	var next, behind int64
	err = x.c.ask(func(s scan) error { return s(&next, &behind) }, `SELECT delivery, behind FROM deferred WHERE lane = ? AND first = 1 ORDER BY delivery LIMIT 1`, lane)
	if err != nil || behind == 0 {
		return err
	}
	if _, err := x.c.exec(`UPDATE deferred SET reason = '' WHERE delivery = ?`, next); err != nil {
		return err
	}
	return pendingAgain(x.c, next)
}

// pendingAgain makes a delivery that was set aside pending.
func pendingAgain(c *conn, delivery int64) error {
	_, err := c.exec(`INSERT INTO reopened SELECT delivery, first FROM deferred WHERE delivery = ? ON CONFLICT DO NOTHING`, delivery)
	return err
}

const (
	deferredQuery = `SELECT f.delivery, d.source, d.delivery_id, f.since, f.tries FROM deferred f JOIN deliveries d ON d.seq = f.delivery
		WHERE (f.lane = '') = ? AND f.due_at > 0 AND f.due_at <= ? AND d.source NOT IN (SELECT value FROM json_each(?)) ORDER BY f.due_at LIMIT ?`
	nextLanelessQuery = `SELECT due_at FROM deferred WHERE (lane = '') = 1 AND due_at > 0 AND due_at > ? ORDER BY due_at LIMIT 1`
	nextDeferredQuery = `SELECT due_at FROM deferred WHERE (lane = '') = 0 AND due_at > 0 AND due_at > ? ORDER BY due_at LIMIT 1`
)

// Deferred implements [dispatch.Deferrals].
func (j *SQLite) Deferred(ctx context.Context, now time.Time, q dispatch.DeferredQuery) ([]dispatch.DeferredDelivery, time.Time, error) {
	out, err := leftOut(q.Except)
	if err != nil {
		return nil, time.Time{}, err
	}
	var due []dispatch.DeferredDelivery
	err = j.read(ctx, func(s scan) error {
		var p dispatch.DeferredDelivery
		var source, id string
		var since int64
		err := s(&p.Seq, &source, &id, &since, &p.Tries)
		p.ID, p.Since = dispatch.DeliveryID(source, id), timeOf(since)
		due = append(due, p)
		return err
	}, deferredQuery, q.Laneless, millis(now), out, q.Limit)
	if err != nil || len(due) == q.Limit {
		return due, time.Time{}, err
	}
	later := nextDeferredQuery
	if q.Laneless {
		later = nextLanelessQuery
	}
	next, err := j.next(ctx, later, now)
	return due, next, err
}

// Postpone implements [dispatch.Deferrals].
func (j *SQLite) Postpone(ctx context.Context, delivery int64, due time.Time, reason string, learned []byte) error {
	return j.do(ctx, func(c *conn) error {
		n, err := c.exec(`UPDATE deferred SET due_at = ?2, tries = tries + 1, reason = ?3 WHERE delivery = ?1 AND due_at > 0`, delivery, millis(due), reason)
		if err != nil || n == 0 || learned == nil {
			return err
		}
		_, err = c.exec(`UPDATE deliveries SET event = ? WHERE seq = ?`, learned, delivery)
		return err
	})
}

// Complete implements [dispatch.Deferrals].
func (j *SQLite) Complete(ctx context.Context, delivery int64, event []byte, commits int, unknown string) error {
	return j.do(ctx, func(c *conn) error {
		n, err := c.exec(`UPDATE deferred SET due_at = 0, reason = ?2 WHERE delivery = ?1 AND due_at > 0`, delivery, unknown)
		if err != nil || n == 0 {
			return err
		}
		if event != nil {
			if _, err := c.exec(`UPDATE deliveries SET event = ?, commits = ? WHERE seq = ?`, event, int64(commits), delivery); err != nil {
				return err
			}
		}
		return pendingAgain(c, delivery)
	})
}
