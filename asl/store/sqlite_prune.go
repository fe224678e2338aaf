package store

import (
	"context"
	"fmt"
	"time"

	"switchyard/internal/pace"
)

// Prune implements [Store]. It deletes in steps so small, and so far from one
// another, that whoever writes hardly notices, be it to this file or to another
// on the same disk; and nothing while the clock cannot be believed.
func (s *SQLite) Prune(ctx context.Context, before time.Time, limit int) (pruned int, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	now := time.Now()
	if err := s.file.MayPrune(now); err != nil {
		return 0, err
	}
	ids, err := s.stoppedBefore(ctx, before.UnixMilli(), now.Add(24*time.Hour).UnixMilli(), limit)
	if err != nil {
		return 0, fmt.Errorf("prune executions: %w", err)
	}
	for pruned < len(ids) {
		if err := s.steps.Wait(ctx); err != nil {
			return pruned, err
		}
		w := &Write{prune: ids[pruned:min(len(ids), pruned+s.steps.Size())]}
		began := time.Now()
		if err := Do(context.WithoutCancel(ctx), s, w); err != nil { // a step is not left alone
			return pruned, fmt.Errorf("prune executions from %d on: %w", w.prune[0], err)
		}
		s.steps.Done(len(w.prune), w.took, time.Since(began), pace.Beside)
		s.file.Fold()
		pruned += len(w.prune)
	}
	return pruned, nil
}

// stoppedBefore reads executions in the order of their starts, and stops at the
// first that started too late to qualify: an index on the time of stopping
// would cost every execution, all day, what this costs once in a while. Those
// from the future were started while the clock was ahead, and stop nothing.
func (s *SQLite) stoppedBefore(ctx context.Context, before, future int64, limit int) ([]int64, error) {
	rows, err := s.read.QueryContext(ctx, "SELECT id, status, started, stopped FROM executions ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for len(ids) < limit && rows.Next() {
		var id, started, stopped int64
		var status Status
		if err := rows.Scan(&id, &status, &started, &stopped); err != nil {
			return nil, err
		}
		if started >= before && started <= future {
			break
		}
		if status != Running && stopped < before {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}
