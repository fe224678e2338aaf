package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// findMapRun reads a Map run by its ARN.
func (e *Engine) findMapRun(ctx context.Context, arn string) (*MapRun, error) {
	key, id, err := e.names.ParseMapRun(arn)
	if err != nil {
		return nil, err
	}
	body, err := e.store.Doc(ctx, kindMapRun, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, apierror.Unavailable(err)
	}
	m := &MapRun{}
	if err == nil {
		if m, err = e.readMapRun(ctx, body); err != nil {
			return nil, err
		}
	}
	if m.Key != key {
		return nil, apierror.New(apierror.CodeResourceNotFound, "Resource not found: '%s'", arn)
	}
	return m, nil
}

func (e *Engine) readMapRun(ctx context.Context, body []byte) (*MapRun, error) {
	m := &MapRun{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("decode map run: %w", err))
	}
	limits, err := e.runLimits(ctx, m.ID())
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	for _, l := range []struct{ from, to *int64 }{{limits.MaxConcurrency, &m.MaxConcurrency}, {limits.ToleratedCount, &m.ToleratedCount}} {
		if l.from != nil {
			*l.to = *l.from
		}
	}
	if limits.ToleratedPercentage != nil {
		m.ToleratedPercentage = *limits.ToleratedPercentage
	}
	m.ARN, m.ExecutionARN = e.names.MapRun(m.Key), e.names.Execution(m.Machine, m.Execution)
	m.MachineARN = e.names.Machine(arns.BaseMachine(m.Machine))
	return m, nil
}

// ID is the last part of the run's ARN; lists of runs go on from it.
func (m *MapRun) ID() string { return m.Key[strings.LastIndexByte(m.Key, ':')+1:] }

// DescribeMapRun returns a Map run with its counts as they are now.
func (e *Engine) DescribeMapRun(ctx context.Context, arn string) (*MapRun, error) {
	m, err := e.findMapRun(ctx, arn)
	if err != nil {
		return nil, err
	}
	if r := e.runs.get(m.Key); r != nil && m.Status == RunRunning {
		r.mu.Lock()
		m.Items, m.Children = r.items, r.children
		r.mu.Unlock()
	} else if m.Status == RunRunning {
		if err := e.countChildren(ctx, m); err != nil {
			return nil, apierror.Unavailable(err)
		}
	}
	m.Items, m.Children = m.Items.withPending(), m.Children.withPending()
	return m, nil
}

// ListMapRuns returns up to limit Map runs of an execution, after the one with
// the ID after.
func (e *Engine) ListMapRuns(ctx context.Context, executionARN, after string, limit int) ([]*MapRun, error) {
	x, err := e.findExecution(ctx, executionARN)
	if err != nil {
		return nil, err
	}
	// IDs of runs begin with the execution's ID in nine hexadecimal digits, the
	// last of them after the first dash.
	digits := fmt.Sprintf("%09x", x.ID)
	prefix := digits[:8] + "-" + digits[8:]
	docs, err := e.store.Docs(ctx, kindMapRun, max(prefix, after), limit)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	var runs []*MapRun
	for _, d := range docs {
		if !strings.HasPrefix(d.Key, prefix) {
			break
		}
		m, err := e.readMapRun(ctx, d.Body)
		if err != nil {
			return nil, err
		}
		runs = append(runs, m)
	}
	return runs, nil
}

// MapRunUpdate is what UpdateMapRun changes: what is not nil.
type MapRunUpdate struct {
	MaxConcurrency      *int64
	ToleratedCount      *int64
	ToleratedPercentage *float64
}

// UpdateMapRun changes the limits of a Map run that is under way, and returns
// once that is durable.
func (e *Engine) UpdateMapRun(ctx context.Context, arn string, u MapRunUpdate) error {
	m, err := e.findMapRun(ctx, arn)
	switch {
	case err != nil:
		return err
	case u.MaxConcurrency == nil && u.ToleratedCount == nil && u.ToleratedPercentage == nil:
		return apierror.New(apierror.CodeMissingParameter, "Either the maxConcurrency, the toleratedFailureCount, or the toleratedFailurePercentage must be specified")
	case u.MaxConcurrency != nil && *u.MaxConcurrency < 0:
		return atLeastZero("maxConcurrency", *u.MaxConcurrency)
	case u.ToleratedCount != nil && *u.ToleratedCount < 0:
		return atLeastZero("toleratedFailureCount", *u.ToleratedCount)
	case u.ToleratedPercentage != nil && !(*u.ToleratedPercentage >= 0 && *u.ToleratedPercentage <= 100):
		return apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%v' at 'toleratedFailurePercentage' failed to satisfy constraint: Member must be between 0 and 100", *u.ToleratedPercentage)
	case m.Status != RunRunning:
		return apierror.New(apierror.CodeValidation, "The Map Run '%s' is %s: only one that is RUNNING can be updated", arn, m.Status)
	}
	e.mapRunUpdates.Lock() // two updates don't cross
	defer e.mapRunUpdates.Unlock()
	limits, err := e.runLimits(ctx, m.ID())
	if err != nil {
		return apierror.Unavailable(err)
	}
	if u.MaxConcurrency != nil {
		limits.MaxConcurrency = u.MaxConcurrency
	}
	if u.ToleratedCount != nil {
		limits.ToleratedCount = u.ToleratedCount
	}
	if u.ToleratedPercentage != nil {
		limits.ToleratedPercentage = u.ToleratedPercentage
	}
	body, err := json.Marshal(limits)
	if err == nil {
		err = e.keep(ctx, &store.Write{Docs: []store.Doc{{Kind: kindMapRunLimits, Key: m.ID(), Body: body}}})
	}
	if err != nil {
		return apierror.Unavailable(fmt.Errorf("update map run %s: %w", arn, err))
	}
	if r := e.runs.get(m.Key); r != nil {
		r.set(limits)
	}
	return nil
}

func atLeastZero(field string, n int64) error {
	return apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member must have value greater than or equal to 0", n, field)
}

// ListChildren returns up to limit child executions of a Map run, as
// [Engine.ListExecutions] does those of a machine.
func (e *Engine) ListChildren(ctx context.Context, mapRunARN string, status *store.Status, before int64, limit int) ([]*Execution, error) {
	m, err := e.findMapRun(ctx, mapRunARN)
	if err != nil {
		return nil, err
	}
	found, err := e.store.Executions(ctx, store.Query{Machine: m.Key, Status: status, Before: before, Limit: limit})
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	list := make([]*Execution, len(found))
	for i, x := range found {
		items := int64(1)
		if m.Batched {
			whole, err := e.store.ExecutionByID(ctx, x.ID)
			if err != nil {
				return nil, apierror.Unavailable(err)
			}
			attrs, err := childOf(whole)
			if err != nil {
				return nil, apierror.Unavailable(err)
			}
			items = int64(attrs.Items)
		}
		list[i] = &Execution{
			Execution: *x, ARN: e.names.Execution(x.Machine, x.Name), MachineARN: e.names.Machine(x.Machine),
			MapRunARN: m.ARN, Items: items,
		}
	}
	return list, nil
}

// pruneBefore is when executions must have stopped that may be forgotten. What a
// Map run has done is what the store says of its children, so while one is open
// nothing is forgotten that stopped after it had started.
func (e *Engine) pruneBefore(ctx context.Context) (time.Time, error) {
	before := e.now().Add(-e.cfg.Retention)
	open, err := e.openRuns(ctx)
	for _, id := range open {
		body, err := e.store.Doc(ctx, kindMapRun, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		var m MapRun
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		if err != nil {
			return before, fmt.Errorf("read map run %s: %w", id, err)
		}
		if started := time.UnixMilli(m.Started); started.Before(before) {
			before = started
		}
	}
	return before, err
}

// pruneMapRuns forgets runs that ended longer than the retention ago.
func (e *Engine) pruneMapRuns(ctx context.Context) {
	limit := e.now().Add(-e.cfg.Retention).UnixMilli()
	for after := ""; ; {
		docs, err := e.store.Docs(ctx, kindMapRun, after, pruneBatch)
		var drop []store.Doc
		for _, d := range docs {
			after = d.Key
			var m MapRun
			if json.Unmarshal(d.Body, &m) == nil && m.Status != RunRunning && m.Stopped < limit {
				drop = append(drop, store.Doc{Kind: kindMapRun, Key: d.Key}, store.Doc{Kind: kindMapRunLimits, Key: d.Key}, store.Doc{Kind: kindMapRunOpen, Key: d.Key})
			}
		}
		if err == nil && len(drop) > 0 {
			err = store.Do(ctx, e.store, &store.Write{Docs: drop})
		}
		if err != nil && ctx.Err() == nil {
			e.log.Warn("cannot prune old map runs", zap.Error(err))
		}
		if err != nil || len(docs) < pruneBatch {
			return
		}
	}
}
