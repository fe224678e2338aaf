package distributed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// Find reads a Map run by its ARN.
func (c *Coordinator) Find(ctx context.Context, arn string) (*MapRun, error) {
	key, id, err := c.names.ParseMapRun(arn)
	if err != nil {
		return nil, err
	}
	body, err := c.store.Doc(ctx, Kind, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, apierror.Unavailable(err)
	}
	m := &MapRun{}
	if err == nil {
		if m, err = c.readMapRun(ctx, body); err != nil {
			return nil, err
		}
	}
	if m.Key != key {
		return nil, apierror.New(apierror.CodeResourceNotFound, "Resource not found: '%s'", arn)
	}
	return m, nil
}

func (c *Coordinator) readMapRun(ctx context.Context, body []byte) (*MapRun, error) {
	m := &MapRun{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("decode map run: %w", err))
	}
	limits, err := c.limits(ctx, m.ID())
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
	m.ARN, m.ExecutionARN = c.names.MapRun(m.Key), c.names.Execution(m.Machine, m.Execution)
	m.MachineARN = c.names.Machine(arns.BaseMachine(m.Machine))
	return m, nil
}

// ID is the last part of the run's ARN; lists of runs go on from it.
func (m *MapRun) ID() string { return arns.MapRunID(m.Key) }

// Describe returns a Map run with its counts as they are now.
func (c *Coordinator) Describe(ctx context.Context, arn string) (*MapRun, error) {
	m, err := c.Find(ctx, arn)
	if err != nil {
		return nil, err
	}
	if r := c.get(m.Key); r != nil && m.Status == RunRunning {
		r.mu.Lock()
		m.Items, m.Children = r.items, r.children
		r.mu.Unlock()
	} else if m.Status == RunRunning {
		if err := c.countChildren(ctx, m); err != nil {
			return nil, apierror.Unavailable(err)
		}
	}
	m.Items, m.Children = m.Items.withPending(), m.Children.withPending()
	return m, nil
}

// runsOf is how the IDs of the runs of an execution begin: with its ID in nine
// hexadecimal digits, the last of them after the first dash.
func runsOf(exec int64) string {
	digits := fmt.Sprintf("%09x", exec)
	return digits[:8] + "-" + digits[8:]
}

// List returns up to limit Map runs of the execution with the ID exec, after the
// one with the ID after.
func (c *Coordinator) List(ctx context.Context, exec int64, after string, limit int) ([]*MapRun, error) {
	prefix := runsOf(exec)
	docs, err := c.store.Docs(ctx, Kind, max(prefix, after), limit)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	var runs []*MapRun
	for _, d := range docs {
		if !strings.HasPrefix(d.Key, prefix) {
			break
		}
		m, err := c.readMapRun(ctx, d.Body)
		if err != nil {
			return nil, err
		}
		runs = append(runs, m)
	}
	return runs, nil
}

// Update changes the limits of a Map run that is under way, and returns
// once that is durable.
func (c *Coordinator) Update(ctx context.Context, arn string, u Limits) error {
	m, err := c.Find(ctx, arn)
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
	c.updates.Lock() // two updates don't cross
	defer c.updates.Unlock()
	limits, err := c.limits(ctx, m.ID())
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
		err = store.Do(context.WithoutCancel(ctx), c.store, &store.Write{Docs: []store.Doc{{Kind: kindLimits, Key: m.ID(), Body: body}}})
	}
	if err != nil {
		return apierror.Unavailable(fmt.Errorf("update map run %s: %w", arn, err))
	}
	if r := c.get(m.Key); r != nil {
		r.set(limits)
	}
	return nil
}

func atLeastZero(field string, n int64) error {
	return apierror.New(apierror.CodeValidation, "1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member must have value greater than or equal to 0", n, field)
}

// KeepSince is when executions must have stopped that may be forgotten. What a
// Map run has done is what the store says of its children. So while one is open,
// or may be redriven because it has ended after before without success, nothing
// is forgotten that stopped after it had started.
func (c *Coordinator) KeepSince(ctx context.Context, before time.Time) (time.Time, error) {
	open, err := c.openRuns(ctx)
	if err != nil {
		return before, err
	}
	keep := before
	for after := ""; ; {
		docs, err := c.store.Docs(ctx, Kind, after, page)
		if err != nil {
			return before, err
		}
		for _, d := range docs {
			after = d.Key
			var m MapRun
			if err := json.Unmarshal(d.Body, &m); err != nil {
				return before, fmt.Errorf("read map run %s: %w", d.Key, err)
			}
			ended := m.Status == RunSucceeded || m.Status != RunRunning && m.Stopped < before.UnixMilli()
			if started := time.UnixMilli(m.Started); (!ended || slices.Contains(open, d.Key)) && started.Before(keep) {
				keep = started
			}
		}
		if len(docs) < page {
			return keep, nil
		}
	}
}

// Prune forgets runs that ended before a time.
func (c *Coordinator) Prune(ctx context.Context, before time.Time) {
	limit := before.UnixMilli()
	for after := ""; ; {
		docs, err := c.store.Docs(ctx, Kind, after, page)
		var drop []store.Doc
		for _, d := range docs {
			after = d.Key
			var m MapRun
			if json.Unmarshal(d.Body, &m) == nil && m.Status != RunRunning && m.Stopped < limit {
				drop = append(drop, store.Doc{Kind: Kind, Key: d.Key}, store.Doc{Kind: kindLimits, Key: d.Key}, store.Doc{Kind: KindOpen, Key: d.Key})
			}
		}
		if err == nil && len(drop) > 0 {
			err = store.Do(ctx, c.store, &store.Write{Docs: drop})
		}
		if err != nil && ctx.Err() == nil {
			c.log.Warn("cannot prune old map runs", zap.Error(err))
		}
		if err != nil || len(docs) < page {
			return
		}
	}
}
