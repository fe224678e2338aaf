package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/event"
)

// retryAfter is when a git host may try again while the journal cannot write.
const retryAfter = 5 * time.Second

// commandNote is what the sender of a command is told of it.
const commandNote = "the command is carried out once the host has said that its author may give it"

// Accept makes ev durable and says which executions it asks for. Nil means
// that ev survives a crash and will be worked off. Any error that the journal
// causes is an [*UnavailableError], which says whether the delivery may have
// been taken all the same; one that was is worked off, and recognised when it
// comes again.
//
// A delivery known by source and delivery ID is not recorded again: the answer
// is the same, and what is unfinished of it goes on.
func (d *Dispatcher) Accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	began := time.Now()
	receipt, err := d.accept(ctx, ev)
	took := time.Since(began)
	switch {
	case err != nil:
		d.stats.refused.Add(1)
		d.observer.Delivered("unavailable", took)
	case receipt.Duplicate:
		d.stats.duplicates.Add(1)
		d.observer.Delivered("duplicate", took)
	default:
		d.stats.accepted.Add(1)
		d.observer.Delivered("accepted", took)
	}
	return receipt, err
}

func (d *Dispatcher) accept(ctx context.Context, ev event.Event) (event.Receipt, error) {
	if ev.Source == "" || ev.Source == ManualSource || ev.DeliveryID == "" {
		return event.Receipt{}, fmt.Errorf("accept delivery %q of source %q: both must be named, and the source not %q", ev.DeliveryID, ev.Source, ManualSource)
	}
	r := d.rules.Load()
	leave, waiting := d.yield.arrive()
	defer leave()
	if waiting > r.cfg.MaxPending {
		return event.Receipt{}, &UnavailableError{RetryAfter: time.Second, Untouched: true, Err: fmt.Errorf("%d deliveries wait for the journal already", waiting-1)}
	}
	if ev.Command != nil {
		o := *ev.Command
		o.Verdict = "" // for the host to say
		ev.Command = &o
		if o.Comment != "" {
			// Whichever webhook tells of it, and however often, it is carried out once.
			ev.DeliveryID, ev.Digest = "comment-"+ev.Repository.FullName+"-"+o.Comment, ""
		}
	}
	text, err := json.Marshal(&ev)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("encode event of delivery %s: %w", DeliveryID(ev.Source, ev.DeliveryID), err)
	}
	return d.append(ctx, &ev, text, r)
}

func (d *Dispatcher) append(ctx context.Context, ev *event.Event, text []byte, r *rules) (event.Receipt, error) {
	// Planned before it is written: it must be known what it asks for by the
	// time it may be expanded.
	plan := d.planKnowing(ctx, r.planner, ev, DeliveryID(ev.Source, ev.DeliveryID))
	move := moveOf(ev)
	foreseen, entered, err := d.foresee(ctx, DeliveryID(ev.Source, ev.DeliveryID), plan.Requests, move, ev)
	if err != nil {
		// What the answer says of them is not worth refusing the delivery.
		d.log.Warn("the journal could not be asked which executions are new", zap.String("delivery_id", DeliveryID(ev.Source, ev.DeliveryID)), zap.Error(err))
	}
	appended, id, err := d.keepApart(ctx, ev, text, entered)
	if err != nil || appended.Existed {
		d.outlook.drop(entered)
	}
	var receipt event.Receipt
	switch {
	case err != nil:
		return receipt, err
	case appended.Existed:
		receipt, err = d.recall(ctx, id, r)
	default:
		receipt = receiptOf(id, foreseen, plan.Ignored)
	}
	if ev.Kind == event.Command && err == nil && !appended.Existed {
		receipt.Ignored, receipt.Note = "", commandNote
	}
	if own := DeliveryID(ev.Source, ev.DeliveryID); id != own && err == nil {
		receipt.Note = fmt.Sprintf("the delivery ID %s was known with another body; this one is kept as %s", own, id)
	}
	return receipt, err
}

// keepApart appends an event, under an ID of its own where the host's is that
// of a delivery with another body: what it asks for must not be taken for done.
func (d *Dispatcher) keepApart(ctx context.Context, ev *event.Event, text []byte, entered *entry) (appended Appended, id string, err error) {
	id = DeliveryID(ev.Source, ev.DeliveryID)
	if appended, err = d.keep(ctx, ev, text); err != nil || !appended.Differs {
		return appended, id, err
	}
	const digits = 12
	other := *ev
	other.DeliveryID += "#" + ev.Digest[:min(digits, len(ev.Digest))]
	own := DeliveryID(other.Source, other.DeliveryID)
	if text, err = json.Marshal(&other); err != nil {
		return appended, own, fmt.Errorf("encode event of delivery %s: %w", own, err)
	}
	d.outlook.rename(entered, own)
	if appended, err = d.keep(ctx, &other, text); err == nil && !appended.Existed {
		d.log.Warn("a delivery ID was sent again with another body; both deliveries are kept", zap.String("delivery_id", id), zap.String("kept_as", own))
	}
	return appended, own, err
}

// keep appends an event to the journal.
//
// The workers are woken whatever came of it: a delivery that is known sets off
// again what stopped, and one whose writing is reported as failed, or whose
// sender has gone, may be on disk all the same, now or in a moment.
func (d *Dispatcher) keep(ctx context.Context, ev *event.Event, text []byte) (Appended, error) {
	defer wake(d.startSoon)
	defer wake(d.expandSoon)
	appended, err := d.journal.Append(ctx, NewDelivery{
		Source: ev.Source, DeliveryID: ev.DeliveryID, Kind: ev.Kind, Repository: ev.Repository.FullName,
		Ref: ev.Ref, Commits: len(ev.Commits), ReceivedAt: d.now(), Event: text, Traceparent: d.tracer.Inject(ctx), Digest: ev.Digest,
	})
	if err != nil {
		return Appended{}, &UnavailableError{RetryAfter: retryAfter, Err: fmt.Errorf("append delivery %s: %w", DeliveryID(ev.Source, ev.DeliveryID), err)}
	}
	return appended, nil
}

// recall answers a repeated delivery from the journal: what it was answered
// the first time is what was recorded, whatever the routes say today.
func (d *Dispatcher) recall(ctx context.Context, id string, r *rules) (event.Receipt, error) {
	known, err := d.journal.Delivery(ctx, id)
	if err != nil {
		// It is durable all the same, but the answer is not known now.
		return event.Receipt{}, &UnavailableError{RetryAfter: retryAfter, Err: fmt.Errorf("read delivery %s: %w", id, err)}
	}
	d.log.Debug("delivery known already", zap.String("delivery_id", id))
	receipt := event.Receipt{Delivery: id, Duplicate: true}
	if known.State != DeliveryExpanded && known.Kind == event.Command {
		receipt.Note = commandNote
		return receipt, nil
	}
	if known.State != DeliveryExpanded {
		plan := d.planKnowing(ctx, r.planner, &known.Event, id)
		if receipt.Executions = idsOf(plan.Requests); len(plan.Requests) == 0 {
			receipt.Ignored = Summary(plan.Ignored)
		}
		return receipt, nil
	}
	var ignored []event.Ignored
	own := map[string]bool{}
	for i := range known.Executions {
		if x := &known.Executions[i]; !x.Rerun {
			own[x.ID] = true
			receipt.Executions = append(receipt.Executions, x.ID)
		}
	}
	for _, i := range known.Reasons {
		switch {
		case i.Execution == "":
			ignored = append(ignored, i.Ignored)
		case !own[i.Execution]:
			receipt.Executions = append(receipt.Executions, i.Execution)
		}
	}
	if len(receipt.Executions) == 0 {
		receipt.Ignored = Summary(ignored)
	}
	return receipt, nil
}

// DeliveryID is the ID under which the journal keeps a source's delivery.
func DeliveryID(source, deliveryID string) string { return source + ":" + deliveryID }

func receiptOf(id string, executions []Foreseen, ignored []event.Ignored) event.Receipt {
	receipt := event.Receipt{Delivery: id}
	if len(executions) == 0 {
		receipt.Ignored = Summary(ignored)
		return receipt
	}
	receipt.Executions = make([]string, len(executions))
	for i, x := range executions {
		if receipt.Executions[i] = x.ID; x.New {
			receipt.New++
		}
	}
	return receipt
}

// Summary says in one line why a delivery starts nothing.
func Summary(ignored []event.Ignored) string {
	const most = 3
	var parts []string
	seen := map[string]bool{}
	for _, i := range ignored {
		reason := i.Reason
		if i.Route != "" {
			reason = "route " + i.Route + ": " + reason
		}
		if !seen[reason] {
			seen[reason] = true
			parts = append(parts, reason)
		}
	}
	switch {
	case len(parts) == 0:
		return "no route asks for it"
	case len(parts) > most:
		return strings.Join(parts[:most], "; ") + fmt.Sprintf("; and %d more reasons", len(parts)-most)
	default:
		return strings.Join(parts, "; ")
	}
}
