package journal

import (
	"context"

	"switchyard/dispatch"
)

// Append implements [dispatch.Appender].
func (j *SQLite) Append(ctx context.Context, d dispatch.NewDelivery) (dispatch.Appended, error) {
	at, err := j.w.append(ctx, &d)
	if err != nil {
		return dispatch.Appended{}, j.explain(err)
	}
	return at, nil
}

// Reopen implements [dispatch.Appender].
func (j *SQLite) Reopen(ctx context.Context, id string) error {
	return j.do(ctx, func(c *conn) error {
		source, deliveryID := splitDelivery(id)
		seq := int64(0)
		err := c.query(`SELECT seq FROM deliveries WHERE source = ? AND delivery_id = ?`, func(s scan) error { return s(&seq) }, source, deliveryID)
		if err != nil {
			return err
		}
		if seq == 0 {
			return dispatch.ErrNotFound
		}
		// One that is set aside is expanded in time; it is only tried at once.
		n, err := c.exec(`UPDATE deferred SET due_at = min(due_at, 1) WHERE delivery = ?`, seq)
		if err != nil || n > 0 {
			return err
		}
		_, err = c.exec(`INSERT INTO reopened (delivery) SELECT ?1 WHERE ?1 <= (SELECT expanded FROM progress) ON CONFLICT DO NOTHING`, seq)
		return err
	})
}

const pendingQuery = `SELECT seq, source, delivery_id, received_at, event,
		seq <= (SELECT expanded FROM progress) AND NOT coalesce((SELECT first FROM reopened WHERE delivery = seq), 0),
		coalesce((SELECT behind = 0 FROM deferred WHERE delivery = seq), 0), coalesce((SELECT reason FROM deferred WHERE delivery = seq), '')
	FROM deliveries WHERE seq IN (
		SELECT delivery FROM reopened UNION ALL
		SELECT * FROM (SELECT seq FROM deliveries WHERE seq > (SELECT expanded FROM progress) ORDER BY seq LIMIT ?1))
	ORDER BY seq LIMIT ?1`

// Pending implements [dispatch.Appender].
func (j *SQLite) Pending(ctx context.Context, limit int) ([]dispatch.PendingDelivery, error) {
	var pending []dispatch.PendingDelivery
	err := j.read(ctx, func(s scan) error {
		var p dispatch.PendingDelivery
		var source, id string
		var received int64
		err := s(&p.Seq, &source, &id, &received, &p.Event, &p.Reopened, &p.Completed, &p.Unknown)
		p.ID, p.ReceivedAt = dispatch.DeliveryID(source, id), timeOf(received)
		pending = append(pending, p)
		return err
	}, pendingQuery, limit)
	return pending, err
}
