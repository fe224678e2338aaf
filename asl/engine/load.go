package engine

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// load reads x from the store. It is false when x has nothing to do any more,
// or cannot be read now.
func (x *execution) load(ctx context.Context) bool {
	err := x.read(ctx)
	switch {
	case errors.Is(err, store.ErrNotFound) && x.rec == nil:
		// It was never created.
		x.close()
		return false
	case err != nil:
		x.rec = nil
		if ctx.Err() == nil {
			x.e.log.Error("cannot load execution; trying again", zap.Int64("execution_id", x.id), zap.Error(err))
			x.e.timers.set(x.id, x.e.now().Add(storeRetry).UnixMilli())
		}
		x.park()
		return false
	case x.rec.Status != store.Running:
		x.close()
		return false
	}
	return true
}

func (x *execution) read(ctx context.Context) error {
	rec, err := x.e.store.ExecutionByID(ctx, x.id)
	if err != nil {
		return err
	}
	prog, err := x.e.program(ctx, rec.Revision)
	if err != nil {
		return errors.New(err.Error()) // a missing revision is not a missing execution
	}
	input, err := value.Parse(rec.Input)
	if err != nil {
		return err
	}
	if rec.Status != store.Running {
		x.rec = rec
		return nil
	}
	if x.attrs, err = attrsOf(rec); err != nil {
		return err
	}
	if x.attrs.Child != nil {
		if prog = prog.children[x.attrs.Child.State]; prog == nil {
			return fmt.Errorf("%w: its definition has no distributed Map %q", errBadRecord, x.attrs.Child.State)
		}
	}
	x.testCase = x.e.resumeTestCase(arns.BaseMachine(rec.Machine), x.attrs.TestCase)
	records, err := x.e.store.Records(ctx, x.id)
	if err != nil {
		return err
	}
	segments, err := x.e.store.Segments(ctx, x.id, store.MaxEventID, true, 1)
	if err != nil {
		return err
	}
	if len(segments) == 0 { // it was created and has not run yet
		x.adopt(newExecution(x.e, rec, prog, input))
		x.e.announce(rec)
		return nil
	}
	x.due = x.due[:0]
	x.setup(rec, prog, input)
	x.hist.StartAt(segments[0].Last + 1)
	return x.restore(records)
}

// adopt takes over the state of a fresh execution.
func (x *execution) adopt(f *execution) {
	x.due = x.due[:0]
	x.setup(f.rec, f.prog, f.input)
	x.hist = f.hist
	x.branches, x.lastID, x.runnable = f.branches, f.lastID, f.runnable
}
