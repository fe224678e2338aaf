package dashboard

import (
	"fmt"
	"time"

	"switchyard/asl/graph"
	"switchyard/asl/trace"
	"switchyard/dispatch"
	"switchyard/ui/progress"
)

// maxBars is how many visits a timeline shows.
const maxBars = 200

// timeline is what ran when.
type timeline struct {
	Bars []bar
	// More counts the visits that are left out.
	More int
}

// bar is a visit of a state.
type bar struct {
	Name, Kind string
	Status     graph.Status
	// Signal is the status as signs name it.
	Signal string
	Took   string
	// From and Width are in thousandths of the whole; a bar that is too short to be
	// seen is a little wider.
	From, Width int
	// Deep is how many Maps and Parallels it is in, at most 5; Tries its attempts,
	// where there were several.
	Deep, Tries int
}

// signals are the signs of statuses.
var signals = map[graph.Status]string{
	graph.Running: "running", graph.Waiting: "waiting", graph.Succeeded: "succeeded", graph.Failed: "failed", graph.Caught: "dead", graph.Aborted: "aborted",
}

// timelineOf lays the visits of an execution out. What has not ended goes on until
// now or, in an execution that has ended, or of which not all is known, until the
// last event.
func timelineOf(t *trace.Trace, state dispatch.State, cut bool, now time.Time) timeline {
	until := t.Last
	if !state.Finished() && !cut {
		until = max(until, now.UnixMilli())
	}
	whole := max(until-t.Started, 1)
	var line timeline
	t.All(func(v *trace.Visit) {
		if len(line.Bars) == maxBars {
			line.More++
			return
		}
		left := v.Left
		if left == 0 {
			left = until
		}
		b := bar{Name: v.Name, Kind: v.Kind, Status: progress.Status(v, state), From: int((v.Entered - t.Started) * 1000 / whole)}
		b.Signal = signals[b.Status]
		b.Took = tookOf(time.UnixMilli(v.Entered), time.UnixMilli(left))
		b.Width = min(max(int((left-v.Entered)*1000/whole), 4), 1000)
		b.From = min(b.From, 1000-b.Width)
		if len(v.Tries) > 1 {
			b.Tries = len(v.Tries)
		}
		for p := v.Parent; p != nil; p = p.Parent {
			switch p.Kind {
			case trace.Iteration:
				b.Deep++
				if b.Deep == 1 {
					b.Kind += fmt.Sprintf(" [%d]", p.Index)
				}
			case trace.Branch:
				b.Deep++
			}
		}
		b.Deep = min(b.Deep, 5)
		line.Bars = append(line.Bars, b)
	})
	return line
}
