package journal

import (
	"context"
	"time"

	"switchyard/internal/pace"
)

// pruneLook is how many rows one transaction looks at.
const pruneLook = 2000

// pruneCursor remembers how far pruning has looked, so that old requests that
// are not finished are not looked at again and again. It begins anew once it
// has reached the end.
type pruneCursor struct{ request, delivery, fact int64 }

// Prune implements [dispatch.Requests]. Its steps are so small, and so far from
// one another while deliveries come, that these hardly notice; and there are none
// while the clock cannot be believed.
func (j *SQLite) Prune(ctx context.Context, before time.Time) (int, error) {
	j.pruning.Lock()
	defer j.pruning.Unlock()
	now := time.Now()
	if err := j.file.MayPrune(now); err != nil {
		return 0, err
	}
	for {
		if err := j.steps.Wait(ctx); err != nil {
			return 0, err
		}
		// Rows from after now were written while the clock was ahead.
		p := pruning{before: millis(before), future: millis(now.Add(24 * time.Hour)), size: j.steps.Size()}
		began := time.Now()
		err := j.do(ctx, func(c *conn) error { return p.step(c, j.pruned) })
		took := time.Since(began)
		j.file.Fold()
		rest := pace.Alone
		if seen := j.w.appended.Load(); seen != j.seen {
			rest, j.seen = pace.Beside, seen
		}
		j.steps.Done(p.removed, p.took, took, rest)
		if err != nil {
			return 0, err
		}
		if j.pruned = p.cursor; p.removed > 0 || !p.more {
			return p.removed, nil
		}
	}
}

// pruning is one step.
type pruning struct {
	before, future int64 // in milliseconds
	size           int

	cursor  pruneCursor
	removed int
	more    bool // it has not looked at all there is
	took    time.Duration
}

func (p *pruning) step(c *conn, from pruneCursor) error {
	began := time.Now()
	defer func() { p.took = time.Since(began) }()
	p.removed, p.cursor, p.more = 0, from, false
	if err := p.requests(c); err != nil || p.removed > 0 || p.more {
		return err
	}
	if err := p.deliveries(c); err != nil || p.removed > 0 || p.more {
		return err
	}
	if err := p.facts(c); err != nil || p.removed > 0 || p.more {
		return err
	}
	p.cursor = pruneCursor{}
	return nil
}

// walk looks at rows behind *cursor until it has found some that may go, at most
// as many as a step removes, or one that is too young: numbers grow with time, so
// looking from the oldest until then needs no index. The query gives a row's
// number, whether it may go, and when it was made.
func (p *pruning) walk(c *conn, query string, cursor *int64) (gone []int64, err error) {
	for looked := 0; looked < pruneLook; {
		seen, young := 0, false
		err := c.query(query, func(s scan) error {
			var seq, made int64
			var old bool
			if err := s(&seq, &old, &made); err != nil {
				return err
			}
			seen++
			if young = young || made >= p.before && made <= p.future; young {
				return nil
			}
			*cursor = seq
			if old {
				gone = append(gone, seq)
			}
			return nil
		}, *cursor, p.before, int64(p.size))
		if err != nil || young || len(gone) > 0 || seen == 0 {
			return gone, err
		}
		looked += seen
	}
	p.more = true
	return nil, nil
}

func (p *pruning) requests(c *conn) error {
	gone, err := p.walk(c, `SELECT seq, state NOT IN ('waiting', 'ready', 'running') AND stopped_at < ?2, created_at
		FROM requests WHERE seq > ?1 ORDER BY seq LIMIT ?3`, &p.cursor.request)
	if err != nil {
		return err
	}
	for _, seq := range gone {
		_, err := c.exec(`DELETE FROM statuses WHERE (source, repository, sha, context) =
			(SELECT source, repository, sha, context FROM requests WHERE seq = ?1) AND request IN (?1, ?1 + ?2)`, seq, int64(finalFirst))
		if err != nil {
			return err
		}
		for _, table := range []string{"inputs WHERE request", "outputs WHERE request", "landings WHERE request", "repeats WHERE request", "approvals WHERE request", "requests WHERE seq"} {
			if _, err := c.exec(`DELETE FROM `+table+` = ?`, seq); err != nil {
				return err
			}
		}
	}
	p.removed = len(gone)
	return nil
}

func (p *pruning) deliveries(c *conn) error {
	gone, err := p.walk(c, `SELECT seq, received_at < ?2 AND seq <= (SELECT expanded FROM progress) AND NOT EXISTS (SELECT 1 FROM reopened WHERE delivery = d.seq)
			AND NOT EXISTS (SELECT 1 FROM deferred WHERE delivery = d.seq)
			AND NOT EXISTS (SELECT 1 FROM requests WHERE delivery = d.seq), received_at
		FROM deliveries d WHERE seq > ?1 ORDER BY seq LIMIT ?3`, &p.cursor.delivery)
	if err != nil {
		return err
	}
	for _, seq := range gone {
		if _, err := c.exec(`DELETE FROM ignored WHERE delivery = ?`, seq); err != nil {
			return err
		}
		if _, err := c.exec(`DELETE FROM deliveries WHERE seq = ?`, seq); err != nil {
			return err
		}
	}
	p.removed = len(gone)
	return nil
}
