package journal

import (
	"context"
	"time"

	"switchyard/dispatch"
)

const (
	// pruneStep is how many rows go in one transaction, and pruneLook how many
	// it looks at.
	pruneStep = 200
	pruneLook = 2000
)

// pruneCursor remembers how far pruning has looked, so that old requests that
// are not finished are not looked at again and again. It begins anew once it
// has reached the end.
type pruneCursor struct{ request, delivery int64 }

// Prune implements [dispatch.Requests]. Numbers grow with time, so looking
// from the oldest until the first row that is too young needs no index.
func (j *SQLite) Prune(ctx context.Context, before time.Time) (int, error) {
	j.pruning.Lock()
	defer j.pruning.Unlock()
	removed := 0
	var cursor pruneCursor
	err := j.do(ctx, func(c *conn) error {
		removed, cursor = 0, j.pruned
		limit := millis(before)
		n, err := pruneRequests(c, limit, &cursor.request)
		if removed += n; err != nil || n > 0 {
			return err
		}
		n, err = pruneDeliveries(c, limit, &cursor.delivery)
		if removed += n; n == 0 {
			cursor = pruneCursor{}
		}
		if err != nil || n > 0 {
			return err
		}
		n, err = pruneFacts(c, limit)
		removed += n
		return err
	})
	if err == nil {
		j.pruned = cursor
	}
	return removed, err
}

// walk looks at rows behind *cursor, in steps, until it has found pruneStep of
// them that may go, or one that is too young. The query gives a row's number,
// whether it may go, and whether it is too young.
func walk(c *conn, query string, before int64, cursor *int64) (gone []int64, err error) {
	for {
		seen, late := 0, false
		err := c.query(query, func(s scan) error {
			var seq int64
			var old, young bool
			if err := s(&seq, &old, &young); err != nil {
				return err
			}
			seen++
			if late = late || young; late || len(gone) >= pruneStep {
				return nil
			}
			*cursor = seq
			if old {
				gone = append(gone, seq)
			}
			return nil
		}, *cursor, before, int64(pruneLook))
		if err != nil || late || len(gone) >= pruneStep || seen < pruneLook {
			return gone, err
		}
	}
}

func pruneRequests(c *conn, before int64, cursor *int64) (int, error) {
	gone, err := walk(c, `SELECT seq, state NOT IN ('waiting', 'ready', 'running') AND stopped_at < ?2, created_at >= ?2
		FROM requests WHERE seq > ?1 ORDER BY seq LIMIT ?3`, before, cursor)
	if err != nil {
		return 0, err
	}
	for _, seq := range gone {
		_, err := c.exec(`DELETE FROM statuses WHERE (source, repository, sha, context) =
			(SELECT source, repository, sha, ?2 || route FROM requests WHERE seq = ?1) AND request IN (?1, ?1 + ?3)`, seq, dispatch.StatusContext(""), int64(finalFirst))
		if err != nil {
			return 0, err
		}
		for _, table := range []string{"inputs WHERE request", "outputs WHERE request", "landings WHERE request", "requests WHERE seq"} {
			if _, err := c.exec(`DELETE FROM `+table+` = ?`, seq); err != nil {
				return 0, err
			}
		}
	}
	return len(gone), nil
}

func pruneDeliveries(c *conn, before int64, cursor *int64) (int, error) {
	gone, err := walk(c, `SELECT seq, seq <= (SELECT expanded FROM progress) AND NOT EXISTS (SELECT 1 FROM reopened WHERE delivery = d.seq) AND NOT EXISTS (SELECT 1 FROM deferred WHERE delivery = d.seq)
			AND NOT EXISTS (SELECT 1 FROM requests WHERE delivery = d.seq), received_at >= ?2
		FROM deliveries d WHERE seq > ?1 ORDER BY seq LIMIT ?3`, before, cursor)
	if err != nil {
		return 0, err
	}
	for _, seq := range gone {
		if _, err := c.exec(`DELETE FROM ignored WHERE delivery = ?`, seq); err != nil {
			return 0, err
		}
		if _, err := c.exec(`DELETE FROM deliveries WHERE seq = ?`, seq); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}
