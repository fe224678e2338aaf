package engine

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/run"
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
			x.e.timers.set(x.id, x.e.now().Add(store.Retry).UnixMilli())
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
	if rec.Status != store.Running {
		x.rec = rec
		return nil
	}
	if x.input, err = value.Parse(rec.Input); err != nil {
		return err
	}
	if x.attrs, err = attrsOf(rec); err != nil {
		return err
	}
	if child := x.attrs.Child; child != nil {
		if prog = prog.child(child.State); prog == nil {
			return fmt.Errorf("%w: its definition has no distributed Map %q", run.ErrDamaged, child.State)
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
	x.rec, x.prog, x.wake = rec, prog, rec.Wake
	if len(segments) == 0 { // it was created and has not run yet
		x.run = run.New(x.about(), prog.Program, &x.e.env)
		x.e.announce(rec)
		return nil
	}
	all := make([]run.Record, len(records))
	for i, r := range records {
		all[i] = run.Record(r)
	}
	x.run, err = run.Restore(x.about(), prog.Program, &x.e.env, all, segments[0].Last, x.e.time())
	return err
}
