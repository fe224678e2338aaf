package engine

import (
	"context"

	"switchyard/asl/apierror"
	"switchyard/asl/distributed"
	"switchyard/asl/run"
	"switchyard/asl/store"
)

// ListChildren returns up to limit child executions of a Map run, as
// [Engine.ListExecutions] does those of a machine.
func (e *Engine) ListChildren(ctx context.Context, mapRunARN string, status *store.Status, before int64, limit int) ([]*Execution, error) {
	m, err := e.maps.Find(ctx, mapRunARN)
	if err != nil {
		return nil, err
	}
	found, err := e.store.Executions(ctx, store.Query{Machine: m.Key, Status: status, Before: before, Limit: limit})
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	list := make([]*Execution, len(found))
	for i, x := range found {
		if list[i], err = e.view(x); err != nil {
			return nil, err
		}
		attrs, err := distributed.ChildOf(x)
		if err != nil {
			return nil, apierror.Unavailable(err)
		}
		list[i].Items = int64(attrs.Items)
	}
	return list, nil
}

// ListMapRuns returns up to limit Map runs of an execution, after the one with
// the ID after.
func (e *Engine) ListMapRuns(ctx context.Context, executionARN, after string, limit int) ([]*distributed.MapRun, error) {
	x, err := e.findExecution(ctx, executionARN)
	if err != nil {
		return nil, err
	}
	return e.maps.List(ctx, x.ID, after, limit)
}

// MapRuns are the runs of distributed Maps.
func (e *Engine) MapRuns() *distributed.Coordinator { return e.maps }

// mapHost reaches the child executions of Map runs.
type mapHost struct{ e *Engine }

var _ distributed.Host = mapHost{}

// Stop implements [distributed.Host].
func (h mapHost) Stop(id int64) <-chan struct{} {
	ended := make(chan struct{})
	h.e.post(id, letter{message: run.Stop{}, ended: ended})
	return ended
}

// Wake implements [distributed.Host].
func (h mapHost) Wake(id int64) { h.e.post(id, letter{message: run.Tick{}}) }

// Hold and Release implement [distributed.Host].
func (h mapHost) Hold()    { h.e.hold() }
func (h mapHost) Release() { h.e.release() }
