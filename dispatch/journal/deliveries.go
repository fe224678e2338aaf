package journal

import (
	"context"
	"fmt"
	"slices"
	"time"

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
		_, err = c.exec(`INSERT INTO reopened SELECT ?1 WHERE ?1 <= (SELECT expanded FROM progress) ON CONFLICT DO NOTHING`, seq)
		return err
	})
}

const pendingQuery = `SELECT seq, source, delivery_id, received_at, event, seq <= (SELECT expanded FROM progress) FROM deliveries WHERE seq IN (
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
		err := s(&p.Seq, &source, &id, &received, &p.Event, &p.Reopened)
		p.ID, p.ReceivedAt = dispatch.DeliveryID(source, id), timeOf(received)
		pending = append(pending, p)
		return err
	}, pendingQuery, limit)
	return pending, err
}

// Expand implements [dispatch.Appender].
func (j *SQLite) Expand(ctx context.Context, expansions []dispatch.Expansion) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) error {
		changes = nil
		for i := range expansions {
			more, err := expandOne(c, &expansions[i])
			if err != nil {
				return fmt.Errorf("expand delivery %d: %w", expansions[i].Delivery, err)
			}
			changes = append(changes, more...)
		}
		return nil
	})
	return changes, err
}

func expandOne(c *conn, e *dispatch.Expansion) ([]dispatch.Change, error) {
	reopened, err := c.exec(`DELETE FROM reopened WHERE delivery = ?`, e.Delivery)
	if err != nil {
		return nil, err
	}
	if reopened == 0 {
		// Only the oldest that is not expanded: the mark says "up to here".
		n, err := c.exec(`UPDATE progress SET expanded = ?1 WHERE expanded < ?1 AND
			?1 = (SELECT min(seq) FROM deliveries WHERE seq > (SELECT expanded FROM progress))`, e.Delivery)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, notNext(c, e.Delivery)
		}
	}
	var changes []dispatch.Change
	ignored := e.Ignored
	var lanes []lane
	for i := range e.Requests {
		r := &e.Requests[i]
		inserted, err := insertRequest(c, e.Delivery, r, e.At)
		if err != nil {
			return nil, fmt.Errorf("request %s: %w", r.ID, err)
		}
		if !inserted {
			other, err := requestedBy(c, r.ID, e.Delivery)
			if err != nil {
				return nil, err
			}
			if other != "" {
				ignored = append(ignored[:len(ignored):len(ignored)], dispatch.AlreadyRequested(r.Route, r.Commit.SHA, r.ID, other))
			}
			continue
		}
		changes = append(changes, dispatch.Change{ID: r.ID, State: r.State, Environment: r.Environment})
		if r.CancelSuperseded {
			lanes = newest(lanes, r)
		}
	}
	for i := range lanes {
		older, err := supersede(c, &lanes[i], e.Delivery, e.At)
		if err != nil {
			return nil, err
		}
		changes = append(changes, older...)
	}
	return changes, recordIgnored(c, e.Delivery, ignored)
}

// notNext says why a delivery could not be marked as expanded: because it is
// (no error; the expansion was applied before), or because it skips others.
func notNext(c *conn, delivery int64) error {
	var expanded int64
	if err := c.query(`SELECT expanded FROM progress`, func(s scan) error { return s(&expanded) }); err != nil {
		return err
	}
	if delivery <= expanded {
		return nil
	}
	return fmt.Errorf("it is not the next after %d", expanded)
}

func recordIgnored(c *conn, delivery int64, ignored []dispatch.Ignored) error {
	if len(ignored) == 0 {
		_, err := c.exec(`DELETE FROM ignored WHERE delivery = ?`, delivery)
		return err
	}
	text, err := encodeReasons(ignored)
	if err != nil {
		return err
	}
	_, err = c.exec(`INSERT INTO ignored VALUES (?, ?, ?) ON CONFLICT (delivery) DO UPDATE SET count = excluded.count, reasons = excluded.reasons`,
		delivery, int64(len(ignored)), text)
	return err
}

// requestedBy is the delivery that asked for a request first, "" when that is
// this one.
func requestedBy(c *conn, id string, this int64) (other string, err error) {
	err = c.query(`SELECT r.delivery, coalesce(d.source || ':' || d.delivery_id, 'no longer kept') FROM requests r LEFT JOIN deliveries d ON d.seq = r.delivery WHERE r.id = ?`,
		func(s scan) error {
			var seq int64
			if err := s(&seq, &other); err != nil {
				return err
			}
			if seq == this {
				other = ""
			}
			return nil
		}, id)
	return other, err
}

// insertRequest reports false when a request with the ID exists.
func insertRequest(c *conn, delivery int64, r *dispatch.NewRequest, at time.Time) (bool, error) {
	seq, err := c.insert(`INSERT INTO requests (id, base, attempt, delivery, route, state_machine, environment, source, repository, ref,
			kind, pull_request, sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at)
		VALUES (?1, ?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) ON CONFLICT (id) DO NOTHING`,
		r.ID, delivery, r.Route, r.StateMachine, r.Environment, r.Source, r.Repository, r.Ref,
		string(r.Kind), int64(r.PullRequest), r.Commit.SHA, dispatch.TitleOf(r.Commit.Message), r.Commit.Author, r.Reason,
		r.CancelSuperseded, r.Status != nil, string(r.State), millis(r.DueAt), millis(at))
	if err != nil || seq == 0 {
		return false, err
	}
	if _, err := c.exec(`INSERT INTO inputs VALUES (?, ?)`, seq, r.Input); err != nil {
		return false, err
	}
	if r.Status == nil {
		return true, nil
	}
	return true, wantStatus(c, seq, *r.Status, at)
}

// lane is where a newer request takes the place of older ones.
type lane struct{ route, repository, ref, newer string }

// newest notes r as the newest of its lane.
func newest(lanes []lane, r *dispatch.NewRequest) []lane {
	for i := range lanes {
		if l := &lanes[i]; l.route == r.Route && l.repository == r.Repository && l.ref == r.Ref {
			l.newer = r.ID
			return lanes
		}
	}
	return append(lanes, lane{r.Route, r.Repository, r.Ref, r.ID})
}

// supersede ends what older deliveries asked for in a lane. What the same
// delivery asked for stays: every commit of a push runs.
func supersede(c *conn, l *lane, delivery int64, at time.Time) ([]dispatch.Change, error) {
	reason, status := dispatch.Superseding(l.newer)
	const older = ` WHERE route = ?1 AND repository = ?2 AND ref = ?3 AND delivery < ?4 AND cancel_superseded = 1 AND state IN ('waiting', 'ready', 'running')`
	_, err := c.exec(`UPDATE requests SET stop_reason = ?5, superseded_by = ?6, due_at = iif(state = 'running', ?7, due_at)`+older+` AND stop_reason = ''`,
		l.route, l.repository, l.ref, delivery, reason, l.newer, millis(at))
	if err != nil {
		return nil, err
	}
	var waiting []int64
	err = c.query(`SELECT seq FROM requests`+older+` AND state = 'waiting'`, func(s scan) error {
		var seq int64
		err := s(&seq)
		waiting = append(waiting, seq)
		return err
	}, l.route, l.repository, l.ref, delivery)
	if err != nil {
		return nil, err
	}
	slices.Sort(waiting)
	var changes []dispatch.Change
	for _, seq := range waiting {
		more, err := end(c, &dispatch.EndRecord{Seq: seq, State: dispatch.StateSuperseded, StoppedAt: at, Status: status}, at)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}
