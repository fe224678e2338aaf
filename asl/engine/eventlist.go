package engine

import (
	"context"
	"fmt"
	"math"

	"switchyard/asl/apierror"
	"switchyard/asl/history"
	"switchyard/asl/store"
)

// History returns up to limit events of an execution, from event from on
// (from = 0 starts at the first, or in reverse at the last), and the ID to go
// on from, 0 at the end.
func (e *Engine) History(ctx context.Context, arn string, from int64, reverse bool, limit int) (events []history.Event, next int64, err error) {
	x, err := e.findExecution(ctx, arn)
	if err != nil {
		return nil, 0, err
	}
	if from == 0 {
		from = 1
		if reverse {
			from = math.MaxInt64
		}
	}
	for len(events) <= limit && (!reverse || from > 1) {
		// The first event is not stored: it says what the execution's row
		// says, and so is there as soon as the execution is.
		if !reverse && from == 1 {
			started, err := e.startedEvent(ctx, x)
			if err != nil {
				return nil, 0, apierror.Unavailable(err)
			}
			events = append(events, started)
			from = 2
		}
		segments, err := e.store.Segments(ctx, x.ID, from, reverse, 2)
		if err != nil {
			return nil, 0, apierror.Unavailable(err)
		}
		if len(segments) == 0 {
			break
		}
		for _, seg := range segments {
			found, err := history.Decode(history.Segment(seg))
			if err != nil {
				return nil, 0, apierror.Unavailable(fmt.Errorf("history of %s: %w", arn, err))
			}
			if reverse {
				for i := len(found) - 1; i >= 0; i-- {
					if found[i].ID <= from {
						events = append(events, found[i])
					}
				}
				from = seg.First - 1
			} else {
				for _, ev := range found {
					if ev.ID >= from {
						events = append(events, ev)
					}
				}
				from = seg.Last + 1
			}
		}
	}
	if reverse && len(events) <= limit {
		started, err := e.startedEvent(ctx, x)
		if err != nil {
			return nil, 0, apierror.Unavailable(err)
		}
		events = append(events, started)
	}
	if len(events) > limit {
		next = events[limit].ID
		events = events[:limit]
	}
	return events, next, nil
}

func (e *Engine) startedEvent(ctx context.Context, x *store.Execution) (history.Event, error) {
	prog, err := e.program(ctx, x.Revision)
	if err != nil {
		return history.Event{}, err
	}
	return history.Event{
		ID: 1, Type: history.ExecutionStarted, Time: x.Started, Has: history.HasData | history.HasARN,
		Data: string(x.Input), ARN: prog.rev.RoleARN,
	}, nil
}
