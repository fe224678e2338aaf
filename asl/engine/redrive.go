package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/catalog"
	"switchyard/asl/history"
	"switchyard/asl/run"
	"switchyard/asl/store"
)

// The limits of redrives, as with Step Functions.
const (
	redriveWindow = 14 * 24 * time.Hour  // since the execution stopped
	maxOpen       = 365 * 24 * time.Hour // since it started
	// A client's token is good for tokenLife, and the last keptTokens are.
	tokenLife  = 15 * time.Minute
	keptTokens = 10
)

// redrivenByMapRun is why a child of a Map run cannot be redriven by itself.
const redrivenByMapRun = "Execution was started by a Map Run: redrive the execution that started the Map Run"

// redriveToken is a client's token, and when it was first used, in Unix
// milliseconds.
type redriveToken struct {
	Token string `json:"token"`
	Date  int64  `json:"date"`
}

// notRedrivable says why an execution cannot be redriven; "" when it can. The
// texts are Step Functions', but for children, of which the documentation has
// none.
func (e *Engine) notRedrivable(ctx context.Context, x *store.Execution) (string, error) {
	if x.Status == store.Running || x.Status == store.Succeeded {
		return "Execution is " + x.Status.String() + " and cannot be redriven", nil
	}
	if arns.IsChild(x.Machine) {
		return redrivenByMapRun, nil
	}
	m, err := e.catalog.Machine(ctx, x.Machine)
	if err != nil {
		return "", err
	}
	now := e.now().UnixMilli()
	switch {
	case m == nil || m.Status == catalog.MachineDeleting:
		return "State machine is in DELETING status", nil
	case now-x.Stopped > redriveWindow.Milliseconds():
		return "Execution redrivable period exceeded", nil
	case now-x.Started > maxOpen.Milliseconds():
		return "Execution has exceeded the max execution time", nil
	}
	if full, err := e.historyFull(ctx, x.ID); err != nil {
		return "", err
	} else if full {
		return "Execution history event limit exceeded", nil
	}
	return "", nil
}

// historyFull reports whether there is no room for ExecutionRedriven and one more
// event.
func (e *Engine) historyFull(ctx context.Context, id int64) (bool, error) {
	last, err := e.lastEvent(ctx, id)
	return last > int64(e.cfg.MaxHistory)-2, err
}

func (e *Engine) lastEvent(ctx context.Context, id int64) (int64, error) {
	segments, err := e.store.Segments(ctx, id, store.MaxEventID, true, 1)
	if err != nil {
		return 0, apierror.Unavailable(err)
	}
	if len(segments) == 0 {
		return 1, nil // the first event is not stored
	}
	return segments[0].Last, nil
}

// Redrive lets an execution that failed, timed out or was aborted go on from
// the states in which it ended, and returns, once that is durable, when it was
// redriven, in Unix milliseconds. What had succeeded is not done again. With the
// client token of an earlier redrive it only returns that one's time.
func (e *Engine) Redrive(ctx context.Context, arn, clientToken string) (int64, error) {
	// Two redrives at once would both see the execution closed.
	e.redrives.Lock()
	defer e.redrives.Unlock()
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return 0, err
	}
	attrs, err := attrsOf(x)
	if err != nil {
		return 0, apierror.Unavailable(err)
	}
	now := e.now().UnixMilli()
	for _, t := range attrs.Tokens {
		if clientToken != "" && t.Token == clientToken && now-t.Date < tokenLife.Milliseconds() {
			return t.Date, nil
		}
	}
	reason, err := e.notRedrivable(ctx, x)
	if err != nil {
		return 0, err
	}
	if reason != "" {
		return 0, apierror.New(apierror.CodeExecutionNotRedrivable, "%s", reason)
	}
	// The copy that ended may still be in memory, and repeat its last write.
	if _, err := e.isRunning(ctx, x.ID); err != nil {
		return 0, err
	}
	if err := e.awaitCleared(ctx, x.ID); err != nil {
		return 0, err
	}
	if err := e.reopen(ctx, x, &attrs, now, clientToken); err != nil {
		// The store may have done it all the same. Look later: what runs goes
		// on, what is closed stays so.
		e.timers.set(x.ID, e.now().Add(store.Retry).UnixMilli())
		return 0, apierror.Unavailable(fmt.Errorf("redrive execution %s: %w", arn, err))
	}
	x.Status, x.Stopped, x.Output, x.Error, x.Cause = store.Running, 0, nil, "", ""
	e.announce(x)
	e.wake(ctx, x.ID)
	return now, nil
}

// reopen makes the redrive durable: from then on the execution is one that a
// process finds running when it starts.
func (e *Engine) reopen(ctx context.Context, x *store.Execution, attrs *executionAttrs, now int64, clientToken string) error {
	attrs.Redrives++
	attrs.Redriven = now
	if clientToken != "" {
		attrs.Tokens = append(attrs.Tokens, redriveToken{clientToken, now})
		attrs.Tokens = slices.Clone(attrs.Tokens[max(0, len(attrs.Tokens)-keptTokens):])
	}
	body, err := attrs.encode()
	if err != nil {
		return err
	}
	past, last, err := e.past(ctx, x, attrs)
	if err != nil {
		return err
	}
	records, err := past.Records(now)
	if err != nil {
		return err
	}
	stored := make([]store.Record, len(records))
	for i, r := range records {
		stored[i] = store.Record(r)
	}
	h := history.NewWriter(last + 1)
	h.Add(&history.Event{Type: history.ExecutionRedriven, Prev: last, Time: now, Has: history.HasLength, Length: int64(attrs.Redrives)})
	x.Attrs = body
	return e.keep(ctx, &store.Write{
		Exec: x.ID, Reopen: &store.Reopening{Attrs: body}, Put: stored,
		History: segment(h.Segment()),
	})
}

// past is what the execution goes on from, and the ID of its last event.
func (e *Engine) past(ctx context.Context, x *store.Execution, attrs *executionAttrs) (past *run.Past, last int64, err error) {
	prog, err := e.program(ctx, x.Revision)
	if err != nil {
		return nil, 0, err
	}
	if child := attrs.Child; child != nil {
		parent := prog
		if prog = parent.child(child.State); prog == nil {
			return nil, 0, fmt.Errorf("%w: its definition has no distributed Map %q", run.ErrDamaged, child.State)
		}
		if parent.States[child.State].Map.Processor.Express { // it runs again from its beginning
			last, err = e.lastEvent(ctx, x.ID)
			return run.NewPast(prog.Program, x.Input), last, err
		}
	}
	past = run.NewPast(prog.Program, x.Input)
	last, err = e.replay(ctx, x.ID, past)
	return past, last, err
}

// replay shows past the execution's history, and returns the last event's ID.
func (e *Engine) replay(ctx context.Context, id int64, past *run.Past) (last int64, err error) {
	last = 1
	for {
		segments, err := e.store.Segments(ctx, id, last+1, false, 100)
		if err != nil {
			return 0, err
		}
		if len(segments) == 0 {
			return last, nil
		}
		for _, seg := range segments {
			events, err := history.Decode(history.Segment(seg))
			if err != nil {
				return 0, err
			}
			for i := range events {
				if err := past.Event(&events[i]); err != nil {
					return 0, err
				}
			}
			last = seg.Last
		}
	}
}

// wake lets an execution that the store has running go on.
func (e *Engine) wake(ctx context.Context, id int64) {
	if e.ran.Load() && !e.stopping.Load() {
		for {
			running, err := e.isRunning(ctx, id)
			if err != nil {
				break
			}
			if running {
				return
			}
			// A copy that was loaded before took the letter as its last.
			// Look whether there is still something to wake.
			if x, err := e.store.ExecutionByID(ctx, id); err != nil || x.Status != store.Running {
				break
			}
		}
	}
	e.timers.set(id, e.now().UnixMilli())
}

// isRunning reports whether the execution runs, and returns when either that copy
// of it that runs has taken note, or no copy of it is in memory.
func (e *Engine) isRunning(ctx context.Context, id int64) (running bool, err error) {
	if !e.ran.Load() || e.stopping.Load() {
		return false, nil
	}
	answer := make(chan bool, 1)
	e.post(id, letter{running: answer})
	select {
	case running = <-answer:
		return running, nil
	case <-e.stopped:
		return false, errStopping
	case <-ctx.Done():
		return false, apierror.Unavailable(context.Cause(ctx))
	}
}
