package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

const (
	defaultPage = 50
	maxPage     = 1000
	// maxLook is how many rows one page looks at for matches: a filter that
	// nothing matches costs no more than that before it answers.
	maxLook = 20_000
)

// read runs a query on a connection of its own.
func (j *SQLite) read(ctx context.Context, row func(scan) error, query string, args ...any) error {
	rows, err := j.r.QueryContext(ctx, query, args...)
	if err != nil {
		return j.explain(describe(err))
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return j.explain(err)
		}
	}
	if err := rows.Err(); err != nil {
		return j.explain(describe(err))
	}
	return nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// Executions implements [dispatch.Reader].
func (j *SQLite) Executions(ctx context.Context, f dispatch.ExecutionFilter) (dispatch.ExecutionPage, error) {
	var match conditions
	match.in("r.state", f.States)
	match.equal("r.repository", f.Repository)
	match.equal("r.route", f.Route)
	match.equal("r.environment", f.Environment)
	if f.Ref != "" {
		match.add("r.ref IN (?, 'refs/heads/' || ?)", f.Ref, f.Ref)
	}
	if f.SHA != "" {
		match.add("substr(r.sha, 1, ?) = ?", len(f.SHA), f.SHA)
	}
	match.equal("r.author", f.Author)
	if f.Search != "" {
		within := like(f.Search)
		match.add(`(r.title LIKE ? ESCAPE '\' OR r.ref LIKE ? ESCAPE '\' OR r.sha LIKE ? ESCAPE '\')`, within, within, within[1:])
	}
	if f.Delivery != "" {
		source, id := splitDelivery(f.Delivery)
		match.add("r.delivery = (SELECT seq FROM deliveries WHERE source = ? AND delivery_id = ?)", source, id)
	}
	if !f.Since.IsZero() {
		match.add("iif(r.stopped_at > 0, r.stopped_at, r.created_at) >= ?", millis(f.Since))
	}
	page := dispatch.ExecutionPage{Executions: []dispatch.Execution{}}
	limit := pageSize(f.Limit)
	next, err := j.page(ctx, "requests", f.Before, limit, match.args, func(s scan) (int64, error) {
		x, err := scanExecution(s)
		page.Executions = append(page.Executions, x)
		return x.Seq, err
	}, executionQuery+`WHERE r.seq BETWEEN ? AND ?`+match.text.String()+` ORDER BY r.seq DESC LIMIT ?`)
	page.Next = next
	return page, err
}

// Deliveries implements [dispatch.Reader].
func (j *SQLite) Deliveries(ctx context.Context, f dispatch.DeliveryFilter) (dispatch.DeliveryPage, error) {
	var match conditions
	match.equal("d.source", f.Source)
	match.equal("d.repository", f.Repository)
	page := dispatch.DeliveryPage{Deliveries: []dispatch.Delivery{}}
	limit := pageSize(f.Limit)
	next, err := j.page(ctx, "deliveries", f.Before, limit, match.args, func(s scan) (int64, error) {
		d, err := scanDelivery(s)
		page.Deliveries = append(page.Deliveries, d)
		return d.Seq, err
	}, `SELECT `+deliveryColumns+` FROM deliveries d WHERE d.seq BETWEEN ? AND ?`+match.text.String()+` ORDER BY d.seq DESC LIMIT ?`)
	page.Next = next
	return page, err
}

// page reads backwards from before, within maxLook numbers, and returns where
// the next page begins: below the last row, or below what was looked at.
func (j *SQLite) page(ctx context.Context, table string, before int64, limit int, match []any, row func(scan) (int64, error), query string) (next int64, err error) {
	top, bottom := before-1, int64(0)
	err = j.read(ctx, func(s scan) error {
		var newest int64
		if err := s(&newest, &bottom); err != nil {
			return err
		}
		if before <= 0 || top > newest {
			top = newest
		}
		return nil
	}, `SELECT coalesce(max(seq), 0), coalesce((SELECT seq FROM `+table+` ORDER BY seq LIMIT 1), 0) FROM `+table)
	if err != nil || top < bottom || top == 0 {
		return 0, err
	}
	from := max(bottom, top-maxLook+1)
	args := append([]any{from, top}, match...)
	n := 0
	var last int64
	err = j.read(ctx, func(s scan) (err error) {
		n++
		last, err = row(s)
		return err
	}, query, append(args, limit)...)
	switch {
	case err != nil:
		return 0, err
	case n < limit:
		last = from
	}
	if last <= bottom {
		return 0, nil
	}
	return last, nil
}

// Execution implements [dispatch.Reader].
func (j *SQLite) Execution(ctx context.Context, id string) (dispatch.Execution, error) {
	var x dispatch.Execution
	var input, output []byte
	err := j.read(ctx, func(s scan) (err error) {
		x, err = scanExecution(s, &input, &output)
		return err
	}, `SELECT `+executionColumns+`, i.input, o.output `+executionTables+`
		LEFT JOIN inputs i ON i.request = r.seq LEFT JOIN outputs o ON o.request = r.seq WHERE r.id = ?`, id)
	if err == nil && x.Seq == 0 {
		err = dispatch.ErrNotFound
	}
	x.Input, x.Output = jsonOf(input), jsonOf(output)
	if err == nil {
		x.AlsoAsked, err = j.alsoAsked(ctx, x.Base)
	}
	return x, err
}

// alsoAsked lists the deliveries that asked for a request, or another attempt at
// it, after the first. Those that retention has removed are left out.
func (j *SQLite) alsoAsked(ctx context.Context, base string) (all []dispatch.Asking, err error) {
	err = j.read(ctx, func(s scan) error {
		var a dispatch.Asking
		var source, id, kind string
		err := s(&source, &id, &kind, &a.Ref, &a.PullRequest)
		a.Delivery, a.Kind = dispatch.DeliveryID(source, id), event.Kind(kind)
		all = append(all, a)
		return err
	}, alsoAskedQuery, base)
	return all, err
}

const alsoAskedQuery = `SELECT d.source, d.delivery_id, d.kind, d.ref,
		CASE WHEN d.kind = 'pull_request' AND json_valid(CAST(d.event AS TEXT)) THEN coalesce(json_extract(CAST(d.event AS TEXT), '$.pull_request.number'), 0) ELSE 0 END
	FROM repeats p JOIN deliveries d ON d.seq = p.delivery WHERE p.request = (SELECT seq FROM requests WHERE id = ?) ORDER BY p.delivery LIMIT 100`

// jsonOf keeps a text that is not JSON, as an engine may give it, from
// spoiling the JSON it is shown in.
func jsonOf(text []byte) json.RawMessage {
	if len(text) == 0 || json.Valid(text) {
		return text
	}
	quoted, _ := json.Marshal(string(text)) // a string always encodes
	return quoted
}

// Delivery implements [dispatch.Reader].
func (j *SQLite) Delivery(ctx context.Context, id string) (dispatch.DeliveryDetail, error) {
	source, deliveryID := splitDelivery(id)
	var d dispatch.DeliveryDetail
	var ev, reasons []byte
	err := j.read(ctx, func(s scan) (err error) {
		d.Delivery, err = scanDelivery(s, &ev, &reasons)
		return err
	}, `SELECT `+deliveryColumns+`, d.event, (SELECT i.reasons FROM ignored i WHERE i.delivery = d.seq) FROM deliveries d WHERE d.source = ? AND d.delivery_id = ?`,
		source, deliveryID)
	switch {
	case err != nil:
		return d, err
	case d.Seq == 0:
		return d, dispatch.ErrNotFound
	}
	if err := json.Unmarshal(ev, &d.Event); err != nil {
		return d, j.explain(fmt.Errorf("event of delivery %s: %w", id, err))
	}
	if d.Reasons, err = decodeReasons(reasons); err != nil {
		return d, j.explain(fmt.Errorf("reasons of delivery %s: %w", id, err))
	}
	d.Executions, err = j.executions(ctx, `WHERE r.delivery = ? ORDER BY r.seq`, d.Seq)
	return d, err
}

// Reasons implements [dispatch.Reader].
func (j *SQLite) Reasons(ctx context.Context, id string) ([]dispatch.Ignored, error) {
	source, deliveryID := splitDelivery(id)
	var text []byte
	found := false
	err := j.read(ctx, func(s scan) error { found = true; return s(&text) },
		`SELECT (SELECT i.reasons FROM ignored i WHERE i.delivery = d.seq) FROM deliveries d WHERE d.source = ? AND d.delivery_id = ?`, source, deliveryID)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, dispatch.ErrNotFound
	}
	reasons, err := decodeReasons(text)
	if err != nil {
		return nil, j.explain(fmt.Errorf("reasons of delivery %s: %w", id, err))
	}
	return reasons, nil
}

// WaitingEnvironments implements [dispatch.Reader]. It hops from one
// environment to the next instead of reading all that wait.
func (j *SQLite) WaitingEnvironments(ctx context.Context) ([]string, error) {
	var all []string
	err := j.read(ctx, func(s scan) error {
		var e string
		err := s(&e)
		all = append(all, e)
		return err
	}, `WITH RECURSIVE hop(e) AS (
			SELECT min(environment) FROM requests WHERE state = 'waiting'
			UNION ALL SELECT (SELECT min(environment) FROM requests WHERE state = 'waiting' AND environment > e) FROM hop WHERE e IS NOT NULL)
		SELECT e FROM hop WHERE e IS NOT NULL`)
	return all, err
}

// Unfinished implements [dispatch.Reader].
func (j *SQLite) Unfinished(ctx context.Context) (dispatch.Depth, error) {
	var d dispatch.Depth
	err := j.read(ctx, func(s scan) error {
		return s(&d.Deliveries, &d.Completing, &d.Waiting, &d.Ready, &d.Running, &d.Statuses, &d.Answers)
	}, `SELECT
		(SELECT count(*) FROM deliveries WHERE seq > (SELECT expanded FROM progress)) + (SELECT count(*) FROM reopened),
		(SELECT count(*) FROM deferred f WHERE NOT EXISTS (SELECT 1 FROM reopened o WHERE o.delivery = f.delivery)),
		(SELECT count(*) FROM requests WHERE state = 'waiting'),
		(SELECT count(*) FROM requests WHERE state = 'ready'),
		(SELECT count(*) FROM requests WHERE state = 'running'),
		(SELECT count(*) FROM statuses),
		(SELECT count(*) FROM answers)`)
	return d, err
}

// leftOut is a list of names for a query that leaves them out. It is not null for
// none: nothing is known to be outside of a set with NULL.
func leftOut(names []string) (string, error) {
	text, err := json.Marshal(append([]string{}, names...))
	if err != nil {
		return "", fmt.Errorf("encode what is to be left out: %w", err)
	}
	return string(text), nil
}

// conditions are what comes after WHERE.
type conditions struct {
	text strings.Builder
	args []any
}

func (c *conditions) add(text string, args ...any) {
	c.text.WriteString(" AND " + text)
	c.args = append(c.args, args...)
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

// like is a pattern for texts that hold s. Without its first byte it is one for
// those that begin with s.
func like(s string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(s) + "%"
}

func (c *conditions) in(column string, states []dispatch.State) {
	if len(states) == 0 {
		return
	}
	args := make([]any, len(states))
	for i, s := range states {
		args[i] = string(s)
	}
	c.add(column+" IN (?"+strings.Repeat(", ?", len(states)-1)+")", args...)
}
