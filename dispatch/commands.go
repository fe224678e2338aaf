package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"switchyard/internal/event"
)

// Start starts a request that no route made, on behalf of by. It is recorded
// as a delivery of [ManualSource] and takes the same way as all others. What was
// started before is not started again: the receipt says so with Duplicate, and
// [Dispatcher.Rerun] is what does it.
func (d *Dispatcher) Start(ctx context.Context, req event.Request, by string) (event.Receipt, error) {
	switch {
	case !validName(req.ID):
		return event.Receipt{}, &PermanentError{fmt.Errorf("start: %q is not an execution name: 1 to 80 characters of 0-9A-Za-z_-", req.ID)}
	case req.StateMachine == "":
		return event.Receipt{}, &PermanentError{fmt.Errorf("start %s: no state machine", req.ID)}
	case !json.Valid(req.Input):
		return event.Receipt{}, &PermanentError{fmt.Errorf("start %s: the input is not JSON", req.ID)}
	case len(req.Input) > event.MaxInput:
		return event.Receipt{}, &PermanentError{fmt.Errorf("start %s: the input has %d bytes, more than the %d that Step Functions takes", req.ID, len(req.Input), event.MaxInput)}
	}
	if req.Reason == "" {
		req.Reason = "started by " + by
	}
	ev := event.Event{
		Source: ManualSource, DeliveryID: req.ID, Kind: req.Kind, Ref: req.Ref, After: req.Commit.SHA,
		Repository: event.Repository{FullName: req.Repository}, Commits: []event.Commit{req.Commit}, Sender: by,
	}
	text, err := json.Marshal(manualEvent{Event: ev, Request: &req, Former: req.Former, Input: req.Input})
	if err != nil {
		return event.Receipt{}, fmt.Errorf("encode request %s: %w", req.ID, err)
	}
	foreseen, entered, err := d.foresee(ctx, DeliveryID(ManualSource, req.ID), []event.Request{req}, nil, nil)
	var appended Appended
	if err == nil {
		appended, err = d.keep(ctx, &ev, text)
	} else {
		err = &UnavailableError{RetryAfter: retryAfter, Untouched: true, Err: fmt.Errorf("read request %s: %w", req.ID, err)}
	}
	if err != nil || appended.Existed {
		d.outlook.drop(entered)
	}
	if err != nil {
		return event.Receipt{}, err
	}
	receipt := receiptOf(DeliveryID(ManualSource, req.ID), foreseen, nil)
	if appended.Existed {
		receipt.New = 0
	}
	receipt.Duplicate = receipt.New == 0
	return receipt, nil
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Stop asks for the end of an execution, on behalf of by. One that waits ends
// at once; one that runs is stopped at the engine, which is repeated until it
// has ended. One whose start call may already have reached the engine is
// started first, so that what runs is known. [ErrNotFound], [ErrFinished].
func (d *Dispatcher) Stop(ctx context.Context, id, by string) error {
	reason := "stopped by " + by
	changes, err := d.journal.RequestStop(ctx, id, StopRequest{Reason: reason, At: d.now(), Status: StatusOf(&Execution{State: StateAborted, Cause: reason})})
	d.changed(changes, err)
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, unavailable(err))
	}
	return nil
}

// Rerun starts a finished execution once more, on behalf of by, with the same
// input under a new name, and returns that. [ErrNotFound], [ErrUnfinished].
func (d *Dispatcher) Rerun(ctx context.Context, id, by string) (string, error) {
	x, err := d.journal.Execution(ctx, id)
	if err != nil {
		return "", fmt.Errorf("rerun %s: %w", id, err)
	}
	attempt, err := d.nextAttempt(ctx, &x)
	if err != nil {
		return "", fmt.Errorf("rerun %s: %w", id, err)
	}
	again, changes, err := d.journal.Rerun(ctx, id, "rerun of "+id+" by "+by, d.resume(x.Environment, attempt))
	d.changed(changes, err)
	if err != nil {
		return "", fmt.Errorf("rerun %s: %w", id, unavailable(err))
	}
	return again, nil
}

// changed sets off what follows a command. One that is reported as failed may
// have been applied all the same.
func (d *Dispatcher) changed(changes []Change, err error) {
	d.publish(changes)
	wake(d.stopSoon)
	wake(d.startSoon)
	if err != nil && !decided(err) {
		d.wakeAll()
	}
}

// decided reports whether an error of the journal is its answer, and not a
// write of which nobody knows whether it was applied.
func decided(err error) bool {
	return errors.As(err, new(*RefusedError)) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrFinished) || errors.Is(err, ErrUnfinished) || errors.Is(err, ErrNotRedrivable)
}

// unavailable marks a write that may or may not have been applied.
func unavailable(err error) error {
	if decided(err) {
		return err
	}
	return &UnavailableError{RetryAfter: retryAfter, Err: err}
}

func (d *Dispatcher) resume(environment string, attempt int) Resume {
	state := d.config().resume(environment)
	return Resume{State: state, At: d.now(), Status: StatusOf(&Execution{State: state, Environment: environment, Attempt: attempt})}
}

// nextAttempt is the attempt that a rerun of x will be.
func (d *Dispatcher) nextAttempt(ctx context.Context, x *Execution) (int, error) {
	for attempt := x.Attempt + 1; ; attempt++ {
		_, err := d.journal.Execution(ctx, AttemptID(x.Base, attempt))
		if errors.Is(err, ErrNotFound) {
			return attempt, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// Replay routes a delivery again, under the present config. What it asked for
// already stays as it is; what the routes ask for now and did not then is
// started. [ErrNotFound].
func (d *Dispatcher) Replay(ctx context.Context, id string) (event.Receipt, error) {
	known, err := d.journal.Delivery(ctx, id)
	if err != nil {
		return event.Receipt{}, fmt.Errorf("replay %s: %w", id, err)
	}
	if known.Kind == event.Command {
		return event.Receipt{}, &PermanentError{fmt.Errorf("replay %s: a command is carried out once; give it again", id)}
	}
	plan := event.Plan{Requests: []event.Request{{ID: known.DeliveryID}}}
	if known.Source != ManualSource {
		plan = d.planKnowing(ctx, d.rules.Load().planner, &known.Event, id)
	}
	var entered *entry
	receipt := event.Receipt{Delivery: id, Executions: idsOf(plan.Requests)}
	if known.State == DeliveryExpanded || len(plan.Requests) == 0 {
		var foreseen []Foreseen
		if foreseen, entered, err = d.foresee(ctx, id, plan.Requests, nil, nil); err != nil {
			d.outlook.drop(entered)
			return event.Receipt{}, fmt.Errorf("replay %s: %w", id, err)
		}
		receipt = receiptOf(id, foreseen, plan.Ignored)
	}
	err = d.journal.Reopen(ctx, id)
	wake(d.expandSoon)
	d.completer.wake()
	if err != nil {
		if entered != nil {
			d.outlook.drop(entered)
		}
		return event.Receipt{}, fmt.Errorf("replay %s: %w", id, unavailable(err))
	}
	return receipt, nil
}

// Executions lists executions, newest first.
func (d *Dispatcher) Executions(ctx context.Context, f ExecutionFilter) (ExecutionPage, error) {
	return d.journal.Executions(ctx, f)
}

// Execution returns one execution with input and output, or [ErrNotFound].
func (d *Dispatcher) Execution(ctx context.Context, id string) (Execution, error) {
	return d.journal.Execution(ctx, id)
}

// Deliveries lists deliveries, newest first.
func (d *Dispatcher) Deliveries(ctx context.Context, f DeliveryFilter) (DeliveryPage, error) {
	return d.journal.Deliveries(ctx, f)
}

// Delivery returns one delivery with its event and what became of it, or
// [ErrNotFound].
func (d *Dispatcher) Delivery(ctx context.Context, id string) (DeliveryDetail, error) {
	return d.journal.Delivery(ctx, id)
}

// LeftOut lists the commits that deliveries started nothing for, newest first.
func (d *Dispatcher) LeftOut(ctx context.Context, f LeftOutFilter) (LeftOutPage, error) {
	return d.journal.LeftOut(ctx, f)
}

// EnvironmentLimit is how many executions of an environment may run at once, 0 for
// any number.
func (d *Dispatcher) EnvironmentLimit(environment string) int {
	return d.config().EnvironmentLimit(environment)
}

// Reasons returns why a delivery, or parts of it, started nothing, or
// [ErrNotFound].
func (d *Dispatcher) Reasons(ctx context.Context, id string) ([]Ignored, error) {
	return d.journal.Reasons(ctx, id)
}
