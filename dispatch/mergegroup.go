package dispatch

import (
	"context"

	"switchyard/internal/event"
)

// abandon ends what a merge group's checks still run or wait for once the group is
// gone without having been merged, on routes that end what is superseded: nobody
// waits for it any more.
func (d *Dispatcher) abandon(ctx context.Context, ev *event.Event, e *Expansion) error {
	if ev.Kind != event.MergeGroup || ev.MergeGroup == nil || ev.MergeGroup.Gone == "" || ev.MergeGroup.Gone == "merged" || ev.After == "" {
		return nil
	}
	f := ExecutionFilter{Repository: ev.Repository.FullName, SHA: ev.After, States: []State{StateWaiting, StateReady, StateRunning}, Limit: orderPage}
	reason := "the merge group is " + ev.MergeGroup.Gone
	for range orderPages {
		var page ExecutionPage
		err := d.persist(ctx, "read the executions of a merge group", func() (err error) {
			page, err = d.journal.Executions(ctx, f)
			return err
		})
		if err != nil {
			return err
		}
		for i := range page.Executions {
			x := &page.Executions[i]
			if x.Kind == event.MergeGroup && x.Source == ev.Source && x.CancelSuperseded && len(e.Acts) < maxActs {
				e.Acts = append(e.Acts, Act{Execution: x.ID, Route: x.Route, Commit: x.SHA, Reason: "stopped: " + reason,
					Stop: StopRequest{Reason: reason, At: e.At, Status: StatusOf(&Execution{State: StateAborted, Cause: reason})}})
			}
		}
		if f.Before = page.Next; f.Before == 0 {
			return nil
		}
	}
	return nil
}
