package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// mapRunBook finds the runs that are under way in this process, and remembers
// those whose children are to be stopped.
type mapRunBook struct {
	mu       sync.Mutex
	byKey    map[string]*mapRun
	aborted  []string
	aborting chan struct{} // capacity 1: aborted has grown
}

func newMapRunBook() *mapRunBook {
	return &mapRunBook{byKey: map[string]*mapRun{}, aborting: make(chan struct{}, 1)}
}

func (m *mapRunBook) add(r *mapRun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byKey[r.key] = r
}

func (m *mapRunBook) remove(r *mapRun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byKey, r.key)
	close(r.done)
}

// abort lets the children of these runs be stopped.
func (m *mapRunBook) abort(ids []string) {
	if len(ids) == 0 {
		return
	}
	m.mu.Lock()
	m.aborted = append(m.aborted, ids...)
	m.mu.Unlock()
	select {
	case m.aborting <- struct{}{}:
	default:
	}
}

func (m *mapRunBook) takeAborted() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := m.aborted
	m.aborted = nil
	return ids
}

func (m *mapRunBook) get(key string) *mapRun {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.byKey[key]
}

// childEnded tells the Map run of x, if it has one, that x has ended durably.
func (e *Engine) childEnded(x *store.Execution) {
	if !arns.IsChild(x.Machine) {
		return
	}
	if r := e.runs.get(x.Machine); r != nil {
		if err := r.childEnded(context.Background(), x); err != nil {
			e.log.Error("cannot account for a child execution", zap.String("execution", e.names.Execution(x.Machine, x.Name)), zap.Error(err))
		}
	}
}

// eachChild calls f with every child of a run, the newest first, or with those
// of one status.
func (e *Engine) eachChild(ctx context.Context, key string, status *store.Status, f func(*store.Execution) error) error {
	const page = 1000
	for before := int64(0); ; {
		found, err := e.store.Executions(ctx, store.Query{Machine: key, Status: status, Before: before, Limit: page})
		if err != nil {
			return err
		}
		for _, x := range found {
			if err := f(x); err != nil {
				return err
			}
			before = x.ID
		}
		if len(found) < page {
			return nil
		}
	}
}

// stopChildren stops every child of a run and returns when they have ended
// durably. No more of them may be started meanwhile.
func (e *Engine) stopChildren(ctx context.Context, key string) error {
	running := store.Running
	var stopping []chan struct{}
	flush := func() error {
		for _, ended := range stopping {
			select {
			case <-ended:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		stopping = stopping[:0]
		return nil
	}
	err := e.eachChild(ctx, key, &running, func(x *store.Execution) error {
		ended := make(chan struct{})
		e.post(x.ID, message{kind: msgStop, ended: ended})
		if stopping = append(stopping, ended); len(stopping) == maxStarting {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// clearRuns stops, until ctx ends, the children of runs that were aborted:
// first of those that an earlier process left, then of those whose IDs come in.
func (e *Engine) clearRuns(ctx context.Context) {
	todo, err := e.openRuns(ctx)
	if err != nil && ctx.Err() == nil {
		e.log.Error("cannot list open map runs", zap.Error(err))
	}
	for {
		for _, id := range todo {
			for err := e.clearRun(ctx, id); err != nil && ctx.Err() == nil; err = e.clearRun(ctx, id) {
				e.log.Error("cannot stop the children of a map run; trying again", zap.String("map_run", id), zap.Error(err))
				t := time.NewTimer(storeRetry)
				select {
				case <-t.C:
				case <-ctx.Done():
					t.Stop()
				}
			}
		}
		select {
		case <-e.runs.aborting:
			todo = e.runs.takeAborted()
		case <-ctx.Done():
			return
		}
	}
}

func (e *Engine) openRuns(ctx context.Context) (ids []string, err error) {
	for after := ""; ; {
		docs, err := e.store.Docs(ctx, kindMapRunOpen, after, 1000)
		if err != nil || len(docs) == 0 {
			return ids, err
		}
		for _, d := range docs {
			ids = append(ids, d.Key)
			after = d.Key
		}
	}
}

// clearRun stops the children of a run that was aborted.
func (e *Engine) clearRun(ctx context.Context, id string) error {
	body, err := e.store.Doc(ctx, kindMapRun, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var m MapRun
	if err := json.Unmarshal(body, &m); err != nil {
		return fmt.Errorf("decode map run %s: %w", id, err)
	}
	if m.Status == RunRunning {
		return nil
	}
	// The run may still be about to end; then it starts no child any more.
	if r := e.runs.get(m.Key); r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := e.stopChildren(ctx, m.Key); err != nil {
		return err
	}
	if err := e.countChildren(ctx, &m); err != nil {
		return err
	}
	if body, err = json.Marshal(m); err != nil {
		return err
	}
	return store.Do(ctx, e.store, &store.Write{Docs: []store.Doc{
		{Kind: kindMapRun, Key: id, Body: body}, {Kind: kindMapRunOpen, Key: id},
	}})
}

// countChildren makes the run's counts what the store says.
func (e *Engine) countChildren(ctx context.Context, m *MapRun) error {
	items, children := Counts{Total: m.Items.Total}, Counts{Total: m.Children.Total}
	err := e.eachChild(ctx, m.Key, nil, func(x *store.Execution) error {
		n := int64(1)
		if m.Batched {
			whole, err := e.store.ExecutionByID(ctx, x.ID)
			if err != nil {
				return err
			}
			attrs, err := childOf(whole)
			if err != nil {
				return err
			}
			n = int64(attrs.Items)
		}
		children.add(x.Status, 1)
		items.add(x.Status, n)
		return nil
	})
	if err == nil {
		m.Items, m.Children = items, children
	}
	return err
}
