package journal

import (
	"context"
	"database/sql/driver"
	"encoding/json"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// asker runs a query, in the writer's transaction or beside it.
type asker func(row func(scan) error, query string, args ...any) error

func (c *conn) ask(row func(scan) error, query string, args ...any) error {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		values[i] = a
	}
	return c.query(query, row, values...)
}

// moving is a move of a ref, held against what is known of that.
type moving struct {
	*dispatch.Move
	ask asker
	// known is false for a ref that no push was expanded for.
	known bool
	tip   string
	// newest is the newest request that moves of the ref have asked for.
	newest int64
	// fresh says that the move made a request, and wasHere that an earlier push
	// had brought its commit to the ref.
	fresh, wasHere bool
}

const tipQuery = `SELECT sha, newest FROM tips WHERE source = ? AND repository = ? AND ref = ?`

// lookAt reads where the ref of a move is; a nil move is that of no ref.
func lookAt(ask asker, m *dispatch.Move) (*moving, error) {
	at := &moving{Move: m, ask: ask}
	if m == nil {
		return at, nil
	}
	return at, ask(func(s scan) error {
		at.known = true
		return s(&at.tip, &at.newest)
	}, tipQuery, m.Source, m.Repository, m.Ref)
}

// verdict is what to do about a request that exists.
type verdict int

const (
	leave     verdict = iota // another delivery has asked for it
	movedBack                // its branch came back to it, which starts nothing
	again                    // it gets another attempt
)

// judge decides about a request that was found. It reports too whether a push
// had brought the commit to this ref before.
func (m *moving) judge(r *event.Request, found *held) (v verdict, landed bool, err error) {
	switch {
	case m.Move == nil:
		return leave, true, nil
	case m.After == "":
		last, _, err := lastAttempt(m.ask, found)
		if err == nil && m.known && m.tip != "" && m.newest > last {
			v = again
		}
		return v, true, err
	}
	if m.PullRequest != 0 {
		return leave, true, nil
	}
	// A forced push leads back also to a commit that came to this branch as a
	// part of another, and was asked for there. One that a pull request of this
	// branch was faster to ask for is new to it, as after a rebase.
	own := found.kind == string(event.PullRequest) && found.ref == m.Ref
	landed, err = m.landed(found)
	m.wasHere = m.wasHere || landed && r.Commit.SHA == m.After
	if err != nil || !landed && (!m.Forced || own) {
		return leave, landed, err
	}
	switch {
	case !m.known || r.Commit.SHA != m.After || !m.Leads(m.tip):
		return leave, landed, nil
	case r.Revisit:
		return again, landed, nil
	default:
		return movedBack, landed, nil
	}
}

const landingQuery = `SELECT 1 FROM landings WHERE request = ? AND ref = ?`

// landed reports whether a push has brought the request's commit to the ref. A
// pull request does not: its push may be on its way. Nor does a push to another
// branch: one that is merged leads forward, not back.
func (m *moving) landed(found *held) (bool, error) {
	if found.kind == string(event.Push) && found.ref == m.Ref {
		return true, nil
	}
	landed := false
	err := m.ask(func(s scan) error { var one int; landed = true; return s(&one) }, landingQuery, found.seq, m.Ref)
	return landed, err
}

// asks notes what the delivery has asked for, unless it deleted the ref.
func (m *moving) asks(request int64) {
	if m.Move != nil && m.After != "" {
		m.newest = max(m.newest, request)
	}
}

// stale reports whether the move is an old push that is told of again: it does
// not begin where the ref is, leads to where the ref has been, and made nothing.
func (m *moving) stale() bool {
	return m.known && m.After != "" && m.Before != m.tip && m.wasHere && !m.fresh
}

// save records where the move left the ref.
func (m *moving) save(c *conn, at int64) error {
	if m.Move == nil || m.stale() {
		return nil
	}
	_, err := c.exec(`INSERT INTO tips VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (source, repository, ref) DO UPDATE SET sha = excluded.sha, newest = excluded.newest, moved_at = excluded.moved_at`,
		m.Source, m.Repository, m.Ref, m.After, m.newest, at)
	return err
}

// lastAttempt finds the newest attempt at a request, and names the one after.
func lastAttempt(ask asker, found *held) (seq int64, next int, err error) {
	seq = found.seq
	for next = found.attempt + 1; ; next++ {
		taken := int64(0)
		err := ask(func(s scan) error { return s(&taken) }, `SELECT seq FROM requests WHERE id = ?`, dispatch.AttemptID(found.base, next))
		if err != nil || taken == 0 {
			return seq, next, err
		}
		seq = max(seq, taken)
	}
}

// held is a request that exists.
type held struct {
	seq                 int64
	id, base, kind, ref string
	attempt             int
	delivery            int64
	deliveryID          string
}

func (h *held) scan(s scan, more ...any) error {
	return s(append([]any{&h.seq, &h.id, &h.base, &h.kind, &h.ref, &h.attempt, &h.delivery, &h.deliveryID}, more...)...)
}

const (
	heldColumns = `r.seq, r.id, r.base, r.kind, r.ref, r.attempt, r.delivery, coalesce(d.source || ':' || d.delivery_id, 'no longer kept')`
	heldQuery   = `SELECT ` + heldColumns + executionTables + `WHERE r.id = ?`
	// A name from before environments were part of it stands for the same
	// request only where the environment is the same.
	formerQuery = heldQuery + ` AND r.environment IN (?, ?)`
	// The same for many at once: a JSON array of [ID, former ID, former
	// environment, environment].
	heldManyQuery = `SELECT ` + heldColumns + `, w.key FROM json_each(?1) w JOIN requests r ON r.id = w.value ->> 0 LEFT JOIN deliveries d ON d.seq = r.delivery
		UNION ALL SELECT ` + heldColumns + `, w.key FROM json_each(?1) w
			JOIN requests r ON r.id = w.value ->> 1 AND r.environment IN (w.value ->> 2, w.value ->> 3) LEFT JOIN deliveries d ON d.seq = r.delivery`
)

// findHeld runs heldQuery or formerQuery; nil when there is no such request.
func findHeld(ask asker, query string, args ...any) (found *held, err error) {
	err = ask(func(s scan) error { found = &held{}; return found.scan(s) }, query, args...)
	return found, err
}

// Foresee implements [dispatch.Reader].
func (j *SQLite) Foresee(ctx context.Context, requests []*event.Request, move *dispatch.Move, tip *string) ([]dispatch.Foreseen, error) {
	wanted := make([][]string, len(requests))
	for i, r := range requests {
		if wanted[i] = []string{r.ID}; r.Former != nil {
			wanted[i] = append(wanted[i], r.Former.ID, r.Former.Environment, r.Environment)
		}
	}
	text, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	found := make([]*held, len(requests))
	err = j.read(ctx, func(s scan) error {
		var h held
		var at int
		err := h.scan(s, &at)
		if found[at] == nil { // the ID of today goes before the former one
			found[at] = &h
		}
		return err
	}, heldManyQuery, string(text))
	if err != nil {
		return nil, err
	}
	ask := func(row func(scan) error, query string, args ...any) error { return j.read(ctx, row, query, args...) }
	at, err := lookAt(ask, move)
	if err != nil {
		return nil, err
	}
	if tip != nil {
		at.tip, at.known = *tip, true
	}
	foreseen := make([]dispatch.Foreseen, len(requests))
	for i, r := range requests {
		h := found[i]
		if h == nil {
			foreseen[i] = dispatch.Foreseen{ID: r.ID, New: true}
			continue
		}
		foreseen[i].ID = h.id
		if move == nil || r.Commit.SHA != move.After && move.After != "" {
			continue
		}
		if v, _, err := at.judge(r, h); err != nil {
			return nil, err
		} else if v != again {
			continue
		}
		_, next, err := lastAttempt(ask, h)
		if err != nil {
			return nil, err
		}
		foreseen[i] = dispatch.Foreseen{ID: dispatch.AttemptID(h.base, next), New: true}
	}
	return foreseen, nil
}

// Tip implements [dispatch.Reader].
func (j *SQLite) Tip(ctx context.Context, source, repository, ref string) (sha string, err error) {
	var newest int64
	err = j.read(ctx, func(s scan) error { return s(&sha, &newest) }, tipQuery, source, repository, ref)
	return sha, err
}

const requestIDsQuery = `SELECT seq, id FROM requests WHERE seq > ? ORDER BY seq LIMIT ?`

// RequestIDs implements [dispatch.Reader].
func (j *SQLite) RequestIDs(ctx context.Context, after int64, limit int) (ids []string, last int64, err error) {
	last = after
	err = j.read(ctx, func(s scan) error {
		var id string
		err := s(&last, &id)
		ids = append(ids, id)
		return err
	}, requestIDsQuery, after, limit)
	return ids, last, err
}
