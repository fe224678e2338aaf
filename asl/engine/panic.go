package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"switchyard/asl"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/internal/safetext"
)

// maxPanicText is how much of what a panic says the cause holds, in characters.
const maxPanicText = 300

// runTurn takes x one turn further. A panic is a fault of the engine's own; it ends
// the execution, and must not end the process, which would come to the same
// point again at its next start.
func (x *execution) runTurn(ctx context.Context) {
	defer func() {
		if p := recover(); p != nil {
			x.panicked(ctx, p)
		}
	}()
	x.turn(ctx)
}

// panicked ends x, whose turn has panicked, as failed. What it had not stored
// is dropped: nobody knows how much of it is whole.
func (x *execution) panicked(ctx context.Context, p any) {
	x.e.log.Error("an execution panicked, which is a fault of the engine; it ends as failed",
		zap.Int64("execution_id", x.id), zap.String("panic", safetext.Panic(p)), zap.Stack("stack"))
	defer func() {
		if again := recover(); again != nil {
			// The next process looks at it again.
			x.e.log.Error("an execution that panicked could not be ended either", zap.Int64("execution_id", x.id), zap.String("panic", safetext.Panic(again)), zap.Stack("stack"))
			x.letGo()
		}
	}()
	if x.condemned {
		x.letGo()
		return
	}
	x.condemned = true
	// Those who wait for an answer get one when x ends, however that comes.
	x.mu.Lock()
	x.inbox = append(x.handling, x.inbox...)
	x.mu.Unlock()
	x.handling = nil
	last, running, err := x.lastStored(ctx)
	switch {
	case err != nil:
		x.e.log.Error("cannot look at an execution that panicked; trying again", zap.Int64("execution_id", x.id), zap.Error(err))
		x.rec, x.condemned = nil, false
		x.e.timers.set(x.id, x.e.now().Add(store.Retry).UnixMilli())
		x.park()
		return
	case !running:
		x.close()
		return
	}
	x.abandonAll()
	x.step = run.Broken(x.about(), &x.e.env, last, &asl.Error{
		Name:  asl.ErrRuntime,
		Cause: fmt.Sprintf("The engine failed in the middle of the execution, which is a fault of its own. Its log has the details: %s", safetext.Cut(safetext.Panic(p), maxPanicText)),
	}, x.e.time())
	x.prepare()
	x.apply()
}

// abandonAll ends what the execution has begun.
func (x *execution) abandonAll() {
	for _, a := range x.attempts {
		a.abandon(run.Aborted)
		if a.maps != nil {
			x.e.maps.Abort([]string{a.maps.work.ID})
		}
	}
	clear(x.attempts)
	for m, answer := range x.answers {
		if !x.isHandling(m) { // else it gets an answer when x ends
			answer(run.Reply{To: m})
		}
	}
	clear(x.answers)
}

func (x *execution) isHandling(m run.Message) bool {
	return slices.ContainsFunc(x.inbox, func(l letter) bool { return l.answer != nil && l.message == m })
}

// lastStored is the last event of x that is stored, and whether x has not ended
// durably.
func (x *execution) lastStored(ctx context.Context) (last int64, running bool, err error) {
	if x.express() {
		return 1, x.step == nil || x.step.End == nil, nil
	}
	if x.created != nil {
		return 1, true, nil // it is not stored yet; its row is event 1
	}
	ctx = context.WithoutCancel(ctx)
	rec, err := x.e.store.ExecutionByID(ctx, x.id)
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	x.rec = rec
	if x.attrs, err = attrsOf(rec); err != nil {
		return 0, false, err
	}
	last, err = x.e.lastEvent(ctx, x.id)
	return last, rec.Status == store.Running, err
}

// letGo drops x from memory as it is. Whoever wants something of it later has
// it loaded anew.
func (x *execution) letGo() {
	x.e.timers.clear(x.id)
	x.forget(true)
	x.e.release()
}
