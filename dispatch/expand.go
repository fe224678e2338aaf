package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

const (
	// pendingPage is how many deliveries are read at once, and sliceRequests
	// how many requests one transaction takes unless a single delivery brings
	// more: small enough that a delivery arriving meanwhile hardly waits.
	pendingPage   = 32
	sliceRequests = 160
)

// expand turns pending deliveries into requests, oldest first. It is the only
// way from a delivery to an execution, at start-up and at any other time.
func (d *Dispatcher) expand(ctx context.Context) {
	var idle lookout
	for {
		n, err := d.expandSome(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // persist has logged it and tried long enough
			continue
		case n > 0:
			idle.reset()
			continue
		}
		idle.wait(ctx, d.expandSoon)
	}
}

// expandSome expands a page of pending deliveries and says how many.
func (d *Dispatcher) expandSome(ctx context.Context) (int, error) {
	var pending []PendingDelivery
	err := d.persist(ctx, "read pending deliveries", func() (err error) {
		pending, err = d.journal.Pending(ctx, pendingPage)
		return err
	})
	if err != nil {
		return 0, err
	}
	for rest := pending; len(rest) > 0; {
		var n int
		var err error
		if !d.yield.do(ctx, func() { n, err = d.expandSlice(ctx, rest) }) {
			return 0, ctx.Err()
		}
		if err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(pending), nil
}

// expandSlice expands the first few of the pending deliveries in one
// transaction and says how many.
func (d *Dispatcher) expandSlice(ctx context.Context, pending []PendingDelivery) (int, error) {
	r := d.rules.Load()
	var slice []Expansion
	known := &facts{journal: d.journal}
	requests := 0
	for i := range pending {
		e, err := d.expansionOf(ctx, &pending[i], r, known)
		if err != nil {
			return 0, err
		}
		slice = append(slice, e)
		if requests += len(e.Requests); requests >= sliceRequests {
			break
		}
	}
	changes, err := d.recordExpansions(ctx, slice, pending)
	if err != nil {
		return 0, err
	}
	aside := false
	for i := range slice {
		if slice[i].Deferral != nil {
			aside = true
			continue // it still waits, as answers see it
		}
		ids := make([]string, len(slice[i].Requests))
		for n := range ids {
			ids[n] = slice[i].Requests[n].ID
		}
		d.outlook.expanded(pending[i].ID, ids)
		if slice[i].gap {
			d.stats.incomplete.Add(1)
			d.log.Warn("a delivery went on without what its host did not tell; its record says of what", zap.String("delivery_id", pending[i].ID), zap.String("repo", slice[i].Repository))
		}
	}
	for i := range changes {
		if !changes[i].State.Finished() {
			d.stats.requested.Add(1)
		}
	}
	if aside {
		d.completer.wake()
	}
	d.publish(changes)
	wake(d.replySoon)
	wake(d.tellSoon)
	wake(d.stopSoon)  // for those that were superseded while running
	wake(d.startSoon) // and for those that were to be started
	return len(slice), nil
}

// recordExpansions writes down a slice of the pending deliveries. Where that
// panics they go one by one, and the one it is about is recorded with the reason
// instead of its requests, in slice too.
func (d *Dispatcher) recordExpansions(ctx context.Context, slice []Expansion, pending []PendingDelivery) ([]Change, error) {
	var changes []Change
	write := func(some []Expansion) error {
		var more []Change
		err := d.persistUnlessPanic(ctx, "expand deliveries", func() (err error) {
			more, err = d.journal.Expand(ctx, some)
			return err
		})
		changes = append(changes, more...)
		return err
	}
	err := write(slice)
	if !d.logFault(err, "expand deliveries", zap.Int("deliveries", len(slice))) {
		return changes, err
	}
	changes = nil
	for i := range slice {
		err := write(slice[i : i+1])
		if p := &pending[i]; d.logFault(err, "expand", zap.String("delivery_id", p.ID)) {
			slice[i] = inert(p, unrecordable(err, p.ID))
			err = d.persist(ctx, "expand a delivery without its requests", func() error {
				return Guard(func() error { _, err := d.journal.Expand(ctx, slice[i:i+1]); return err })
			})
		}
		if err != nil {
			return nil, err
		}
	}
	return changes, nil
}

func (d *Dispatcher) expansion(ctx context.Context, p *PendingDelivery, r *rules, known *facts) (Expansion, error) {
	e := Expansion{Delivery: p.Seq, At: p.ReceivedAt}
	if p.Reopened || p.Completed {
		e.At = d.now()
	}
	var ev event.Event
	if err := json.Unmarshal(p.Event, &ev); err != nil {
		// Written by ourselves and read back wrong: retrying cannot help, and
		// the deliveries behind it must not wait.
		d.log.Error("the journal's record of a delivery cannot be read", zap.String("delivery_id", p.ID), zap.Error(err))
		e.Ignored = []Ignored{{Ignored: event.Ignored{Reason: fmt.Sprintf("the journal's record of it cannot be read: %v", err)}}}
		return e, nil
	}
	if ev.Source == ManualSource {
		e.plan(manualPlan(p.Event), r)
		return e, nil
	}
	if ev.Kind == event.Command {
		err := d.command(ctx, p, &ev, r, &e)
		return e, err
	}
	e.Lane, e.Source, e.Repository = laneOf(&ev), ev.Source, ev.Repository.FullName
	if !p.Reopened {
		e.Move = moveOf(&ev)
	}
	if ev.Kind == event.Push || p.Completed {
		e.Learned = known.learn(&ev)
	}
	e.Commits, e.Fork = commitsOf(&ev), ev.PullRequest != nil && ev.PullRequest.Fork
	fill := func() error {
		return d.persist(ctx, "read what is known of commits", func() error { return known.fill(ctx, &ev) })
	}
	if needsFacts(&ev) {
		if err := fill(); err != nil {
			return e, err
		}
	}
	known.moved(e.Move)
	plan := r.planner.Plan(ev)
	if len(plan.Lacks) > 0 && !needsFacts(&ev) {
		if err := fill(); err != nil {
			return e, err
		}
		plan = r.planner.Plan(ev)
	}
	if !p.Completed {
		if e.Deferral = d.completer.deferral(&ev, &plan, d.due.now()); e.Deferral != nil {
			return e, nil
		}
	}
	if err := d.abandon(ctx, &ev, &e); err != nil {
		return e, err
	}
	d.labels(&ev, plan.Outdated, &e)
	if ev.Late {
		for i := range plan.Requests {
			plan.Requests[i].CancelSuperseded = false
		}
	}
	e.plan(plan, r)
	if opened(&ev) && r.cfg.Retell(ev.Source) {
		for i := range e.Requests {
			e.Requests[i].Retell = true
		}
	}
	unknown := d.completer.unknown(p, &ev, &plan)
	e.Ignored, e.gap = append(e.Ignored, unknown...), len(unknown) > 0 && (unlisted(&ev, &plan) || plan.Unmerged)
	return e, nil
}

// opened reports whether a pull request has just appeared, whose head may have
// been built before.
func opened(ev *event.Event) bool {
	return ev.Kind == event.PullRequest && (ev.Action == "opened" || ev.Action == "reopened")
}

// commitsOf are the IDs of the commits that an event is about, and that a ref is
// at after it or was before its end.
func commitsOf(ev *event.Event) []string {
	ids := make([]string, 0, len(ev.Commits)+1)
	for i := range ev.Commits {
		ids = append(ids, ev.Commits[i].SHA)
	}
	last := ev.After
	if ev.Kind == event.Delete {
		last = ev.Before
	}
	if last != "" && !slices.Contains(ids, last) {
		ids = append(ids, last)
	}
	if ev.PullRequest != nil && ev.PullRequest.Merge != "" {
		ids = append(ids, ev.PullRequest.Merge) // a fork's where the head is
	}
	return ids
}

// plan enters what routing makes of the delivery.
func (e *Expansion) plan(plan event.Plan, r *rules) {
	for _, i := range plan.Ignored {
		e.Ignored = append(e.Ignored, Ignored{Ignored: i})
	}
	for _, req := range plan.Requests {
		state := r.cfg.resume(req.Environment)
		e.Requests = append(e.Requests, NewRequest{
			Request: req, State: state, DueAt: e.At, Status: r.cfg.queued(&req, state),
		})
	}
}

// laneOf names the deliveries that must be expanded in the order in which they
// came: those of one ref, or of one pull request. So environments end on the
// newest commit, and a teardown comes after what it tears down.
func laneOf(ev *event.Event) string {
	if ev.PullRequest != nil {
		return fmt.Sprintf("%s %s #%d", ev.Source, ev.Repository.FullName, ev.PullRequest.Number)
	}
	return ev.Source + " " + ev.Repository.FullName + " " + ev.Ref
}

// queued is the status of a request that has not started, nil if its source
// gets none.
func (c Config) queued(req *event.Request, s State) *StatusChange {
	if !c.Statuses(req.Source) {
		return nil
	}
	status := StatusOf(&Execution{State: s, Environment: req.Environment})
	return &status
}

// manualEvent is what the journal keeps of a start by hand: an event like any
// other, and beside it the request that no route made.
type manualEvent struct {
	event.Event
	Request *event.Request        `json:"request"`
	Former  *event.FormerIdentity `json:"former,omitempty"`
	Input   json.RawMessage       `json:"input"`
}

// manualPlan is what an event of [ManualSource] carries in its text.
func manualPlan(text []byte) event.Plan {
	var m manualEvent
	if err := json.Unmarshal(text, &m); err != nil || m.Request == nil {
		return event.Plan{Ignored: []event.Ignored{{Reason: "the record of this manual start has no request"}}}
	}
	m.Request.Input, m.Request.Former = m.Input, m.Former
	return event.Plan{Requests: []event.Request{*m.Request}}
}

// prune removes what is past its retention, in small steps, once an hour.
func (d *Dispatcher) prune(ctx context.Context) {
	for {
		if keep := d.config().Retention; keep > 0 {
			d.pruneBefore(ctx, d.now().Add(-keep))
		}
		if !sleep(ctx, time.Hour) {
			return
		}
	}
}

func (d *Dispatcher) pruneBefore(ctx context.Context, before time.Time) {
	total := 0
	for {
		done, ok := d.yield.slice(ctx)
		if !ok {
			return
		}
		n, err := d.journal.Prune(ctx, before)
		done()
		if err != nil {
			if ctx.Err() == nil {
				d.log.Warn("pruning the journal failed; trying again in an hour", zap.Error(err))
			}
			return
		}
		if total += n; n == 0 {
			if total > 0 {
				d.log.Info("pruned the journal", zap.Int("rows", total), zap.Time("before", before))
			}
			return
		}
	}
}
