package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"switchyard/dispatch"
	"switchyard/internal/event"
)

// maxReasonsLook is how many deliveries a page of [SQLite.LeftOut] reads the events
// of where it looks for a few: an event may have thousands of commits.
const maxReasonsLook = 500

// LeftOut implements [dispatch.Reader].
func (j *SQLite) LeftOut(ctx context.Context, f dispatch.LeftOutFilter) (dispatch.LeftOutPage, error) {
	query, args := leftOutQuery(f)
	var page dispatch.LeftOutPage
	limit := pageSize(f.Limit)
	looks := limit
	if f.Author != "" || f.Search != "" || f.Route != "" { // decided below, of what is read
		looks = maxReasonsLook
	}
	deliveries := 0
	var full int64
	next, err := j.page(ctx, "deliveries", f.Before, looks, args, func(s scan) (int64, error) {
		var text, reasons, requested []byte
		d, err := scanDelivery(s, &text, &reasons, &requested)
		if err != nil || full != 0 {
			return d.Seq, err
		}
		found, err := leftOutOf(&d, text, reasons, requested)
		if found = slices.DeleteFunc(found, func(l dispatch.LeftOut) bool { return !matches(&l, &f) }); len(found) > 0 {
			page.Commits = append(page.Commits, found...)
			if deliveries++; deliveries == limit {
				full = d.Seq
			}
		}
		return d.Seq, err
	}, query)
	if err != nil {
		return dispatch.LeftOutPage{}, j.explain(err)
	}
	if page.Next = next; full != 0 {
		page.Next = full
	}
	return page, nil
}

// leftOutQuery reads the deliveries that left something out.
func leftOutQuery(f dispatch.LeftOutFilter) (query string, args []any) {
	var match conditions
	match.equal("d.repository", f.Repository)
	if f.Ref != "" {
		match.add("d.ref IN (?, 'refs/heads/' || ?)", f.Ref, f.Ref)
	}
	return `SELECT ` + deliveryColumns + `, d.event, i.reasons, (SELECT json_group_array(r.sha) FROM requests r WHERE r.delivery = d.seq)
		FROM ignored i CROSS JOIN deliveries d ON d.seq = i.delivery WHERE i.delivery BETWEEN ? AND ? AND d.kind <> 'command'` +
		match.text.String() + ` ORDER BY i.delivery DESC LIMIT ?`, match.args
}

func leftOutOf(d *dispatch.Delivery, text, reasons, requested []byte) ([]dispatch.LeftOut, error) {
	var ev event.Event
	var shas []string
	if err := json.Unmarshal(text, &ev); err != nil {
		return nil, fmt.Errorf("event of delivery %s: %w", d.ID, err)
	}
	why, err := decodeReasons(reasons)
	if err != nil {
		return nil, fmt.Errorf("reasons of delivery %s: %w", d.ID, err)
	}
	if err := json.Unmarshal(requested, &shas); err != nil {
		return nil, fmt.Errorf("commits of delivery %s: %w", d.ID, err)
	}
	return dispatch.LeftOutOf(d, &ev, why, shas), nil
}

// matches decides what the query leaves open.
func matches(l *dispatch.LeftOut, f *dispatch.LeftOutFilter) bool {
	if f.Author != "" && l.Author != f.Author {
		return false
	}
	if f.Route != "" && !slices.ContainsFunc(l.Reasons, func(r event.Ignored) bool { return r.Route == "" || r.Route == f.Route }) {
		return false
	}
	search := strings.ToLower(f.Search)
	return strings.Contains(strings.ToLower(l.Title), search) || strings.Contains(strings.ToLower(l.Ref), search) || strings.HasPrefix(strings.ToLower(l.SHA), search)
}
