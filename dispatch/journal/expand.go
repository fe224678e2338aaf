package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"time"

	"switchyard/dispatch"
)

// Expand implements [dispatch.Appender].
func (j *SQLite) Expand(ctx context.Context, expansions []dispatch.Expansion) ([]dispatch.Change, error) {
	var changes []dispatch.Change
	err := j.do(ctx, func(c *conn) error {
		changes = nil
		for i := range expansions {
			x := expanding{Expansion: &expansions[i], c: c}
			if err := x.expand(); err != nil {
				return fmt.Errorf("expand delivery %d: %w", expansions[i].Delivery, err)
			}
			changes = append(changes, x.changes...)
		}
		return nil
	})
	return changes, err
}

// expanding is the expansion of one delivery, in the writer's transaction.
type expanding struct {
	*dispatch.Expansion
	c *conn
	// again is true for a delivery that was reopened, or set aside before.
	again   bool
	changes []dispatch.Change
	ignored []dispatch.Ignored
	lanes   []newestIn
	move    *moving
}

func (x *expanding) expand() error {
	pending, first, err := x.take()
	if err != nil || !pending {
		return err
	}
	if err := x.remember(); err != nil {
		return err
	}
	if aside, err := x.setAside(first); err != nil || aside {
		return err
	}
	x.ignored = x.Ignored
	if x.move, err = lookAt(x.c.ask, x.Move); err != nil {
		return err
	}
	for i := range x.Requests {
		if err := x.request(&x.Requests[i]); err != nil {
			return fmt.Errorf("request %s: %w", x.Requests[i].ID, err)
		}
	}
	for i := range x.lanes {
		older, err := supersede(x.c, &x.lanes[i], x.Delivery, x.At)
		if err != nil {
			return err
		}
		x.changes = append(x.changes, older...)
	}
	if err := x.act(); err != nil {
		return err
	}
	if err := x.move.save(x.c, millis(x.At)); err != nil {
		return err
	}
	if err := recordIgnored(x.c, x.Delivery, x.ignored); err != nil || !x.again {
		return err
	}
	return x.release()
}

// take marks the delivery as expanded, and reports whether this is the first
// time. It is not pending when the expansion was applied before.
func (x *expanding) take() (pending, first bool, err error) {
	err = x.c.ask(func(s scan) error { x.again = true; return s(&first) }, `DELETE FROM reopened WHERE delivery = ? RETURNING first`, x.Delivery)
	if err != nil || x.again {
		return err == nil, first, err
	}
	// Only the oldest that is not expanded: the mark says "up to here".
	n, err := x.c.exec(`UPDATE progress SET expanded = ?1 WHERE expanded < ?1 AND
		?1 = (SELECT min(seq) FROM deliveries WHERE seq > (SELECT expanded FROM progress))`, x.Delivery)
	if err != nil || n > 0 {
		return err == nil, true, err
	}
	return false, false, notNext(x.c, x.Delivery)
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

// request records a request, or why it is none of this delivery's.
func (x *expanding) request(r *dispatch.NewRequest) error {
	var found *held
	var err error
	if r.Former != nil {
		if found, err = findHeld(x.c.ask, formerQuery, r.Former.ID, r.Former.Environment, r.Environment); err != nil {
			return err
		}
	}
	if found == nil {
		seq, err := x.insert(r, r.ID, r.ID, 1)
		if err != nil || seq != 0 {
			return err
		}
		if found, err = findHeld(x.c.ask, heldQuery, r.ID); err != nil {
			return err
		}
	}
	return x.exists(r, found)
}

// exists records what becomes of a request that was made before.
func (x *expanding) exists(r *dispatch.NewRequest, found *held) error {
	own, err := x.asked(found)
	if err != nil || own {
		return err
	}
	do, landed, err := x.move.judge(&r.Request, found)
	if err != nil {
		return err
	}
	if !landed {
		if _, err := x.c.exec(`INSERT INTO landings VALUES (?, ?)`, found.seq, x.Move.Ref); err != nil {
			return err
		}
	}
	x.move.asks(found.seq)
	if _, err := x.c.exec(`INSERT INTO repeats VALUES (?, ?) ON CONFLICT DO NOTHING`, found.seq, x.Delivery); err != nil {
		return err
	}
	why := dispatch.AlreadyRequested
	switch do {
	case again:
		_, attempt, err := lastAttempt(x.c.ask, found)
		if err != nil {
			return err
		}
		_, err = x.insert(r, dispatch.AttemptID(found.base, attempt), found.base, attempt)
		return err
	case movedBack:
		why = dispatch.MovedBack
	case leave: // the plain reason will do
	}
	x.ignored = append(x.ignored[:len(x.ignored):len(x.ignored)], why(r.Route, r.Commit.SHA, found.id, found.deliveryID))
	if r.Retell {
		return x.retell(found)
	}
	return nil
}

// retell wants the status of the newest attempt at a request once more.
func (x *expanding) retell(found *held) error {
	seq, _, err := lastAttempt(x.c.ask, found)
	if err != nil {
		return err
	}
	var is dispatch.Execution
	if err := x.c.ask(func(s scan) (err error) { is, err = scanExecution(s); return err }, executionQuery+`WHERE r.seq = ?`, seq); err != nil {
		return err
	}
	return wantStatus(x.c, seq, dispatch.StatusOf(&is), x.At)
}

// asked reports whether this delivery made the request that was found, or an
// attempt at it.
func (x *expanding) asked(found *held) (own bool, err error) {
	if found.delivery == x.Delivery {
		return true, nil
	}
	err = x.c.ask(func(s scan) error { var one int; own = true; return s(&one) },
		`SELECT 1 FROM requests WHERE delivery = ? AND base = ? LIMIT 1`, x.Delivery, found.base)
	return own, err
}

// insert adds an attempt at a request, and returns 0 when the ID is taken.
func (x *expanding) insert(r *dispatch.NewRequest, id, base string, attempt int) (int64, error) {
	context := ""
	if r.Status != nil {
		var err error
		if context, err = statusContext(x.c, r, base, attempt); err != nil {
			return 0, err
		}
	}
	seq, err := x.c.insert(`INSERT INTO requests (id, base, attempt, delivery, route, state_machine, environment, source, repository, ref,
			kind, pull_request, sha, title, author, reason, cancel_superseded, reports, state, due_at, created_at, head_repository, teardown, context)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		id, base, int64(attempt), x.Delivery, r.Route, r.StateMachine, r.Environment, r.Source, r.Repository, r.Ref,
		string(r.Kind), int64(r.PullRequest), r.Commit.SHA, dispatch.TitleOf(r.Commit.Message), r.Commit.Author, r.Reason,
		r.CancelSuperseded, r.Status != nil, string(r.State), millis(r.DueAt), millis(x.At), r.HeadRepository, r.Teardown, context)
	if err != nil || seq == 0 {
		return 0, err
	}
	if _, err := x.c.exec(`INSERT INTO inputs VALUES (?, ?)`, seq, r.Input); err != nil {
		return 0, err
	}
	if r.Status != nil {
		if err := wantStatus(x.c, seq, *r.Status, x.At); err != nil {
			return 0, err
		}
	}
	x.move.asks(seq)
	x.move.fresh = true
	x.changes = append(x.changes, dispatch.Change{ID: id, State: r.State, Environment: r.Environment})
	if r.CancelSuperseded {
		x.lanes = newest(x.lanes, r, id)
	}
	return seq, nil
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

// lane is where a newer request takes the place of older ones: what differs in
// any of this never stops one another.
type lane struct {
	route, source, repository, ref, headRepository, kind string
	pullRequest                                          int
	teardown                                             bool
}

// newestIn is the newest request of a lane in one delivery.
type newestIn struct {
	lane
	newer string
}

// newest notes the attempt id at r as the newest of its lane.
func newest(lanes []newestIn, r *dispatch.NewRequest, id string) []newestIn {
	l := lane{r.Route, r.Source, r.Repository, r.Ref, r.HeadRepository, string(r.Kind), r.PullRequest, r.Teardown}
	for i := range lanes {
		if lanes[i].lane == l {
			lanes[i].newer = id
			return lanes
		}
	}
	return append(lanes, newestIn{l, id})
}

// supersede ends what older deliveries asked for in a lane. What the same
// delivery asked for stays: every commit of a push runs.
func supersede(c *conn, l *newestIn, delivery int64, at time.Time) ([]dispatch.Change, error) {
	reason, status := dispatch.Superseding(l.newer)
	const older = ` WHERE route = ?1 AND source = ?2 AND repository = ?3 AND ref = ?4 AND head_repository = ?5 AND kind = ?6
		AND pull_request = ?7 AND teardown = ?8 AND delivery < ?9 AND cancel_superseded = 1 AND state IN ('waiting', 'ready', 'running')`
	in := []driver.Value{l.route, l.source, l.repository, l.ref, l.headRepository, l.kind, int64(l.pullRequest), l.teardown, delivery}
	_, err := c.exec(`UPDATE requests SET stop_reason = ?10, superseded_by = ?11, due_at = iif(state = 'running', ?12, min(due_at, ?12))`+older+` AND stop_reason = ''`,
		append(in, reason, l.newer, millis(at))...)
	if err != nil {
		return nil, err
	}
	var waiting []int64
	err = c.query(`SELECT seq FROM requests`+older+` AND state = 'waiting'`, func(s scan) error {
		var seq int64
		err := s(&seq)
		waiting = append(waiting, seq)
		return err
	}, in...)
	if err != nil {
		return nil, err
	}
	slices.Sort(waiting)
	var changes []dispatch.Change
	for _, seq := range waiting {
		more, err := withdrawWaiting(c, seq, reason, at)
		if err != nil {
			return nil, err
		}
		if len(more) > 0 {
			changes = append(changes, more...)
			continue
		}
		more, err = end(c, &dispatch.EndRecord{Seq: seq, State: dispatch.StateSuperseded, StoppedAt: at, Status: status}, at)
		if err != nil {
			return nil, err
		}
		changes = append(changes, more...)
	}
	return changes, nil
}
