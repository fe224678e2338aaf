package dispatch

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"switchyard/internal/safetext"
)

// runningDelay is how long the news that an execution runs may wait for its
// end: one that is shorter tells its end only.
const runningDelay = 5 * time.Second

// StatusOf is what the commit of an execution is to show, and what everything
// else shows for it: what it waits for, that it runs, or how it ended.
func StatusOf(x *Execution) StatusChange {
	switch x.State {
	case StateWaiting:
		return pending("Waiting for environment " + x.Environment)
	case StateReady:
		if x.LastError != "" {
			return pending(describeError("Waiting for the engine", "", x.LastError))
		}
		if x.RedriveOf != "" {
			return pending("Queued to go on from where it ended (" + string(x.RedriveOf) + ")")
		}
		if x.Attempt > 1 {
			return pending("Queued again (attempt " + strconv.Itoa(x.Attempt) + ")")
		}
		return pending("Queued")
	case StateRunning:
		if x.WaitsFor != "" {
			return waitingStatus(x.Approval, x.WaitsFor)
		}
		return StatusChange{State: StatusPending, Description: "Running", After: runningDelay}
	case StateSuperseded:
		_, status := Superseding(x.SupersededBy)
		return status
	case StateDead:
		if x.Error == errorFault {
			return StatusChange{State: StatusError, Description: "Could not be started because of a bug in Switchyard; its page says more"}
		}
		return StatusChange{State: StatusError, Description: describeError("Could not be started", "", x.Cause)}
	case StateSucceeded:
		return StatusChange{State: StatusSuccess, Description: "Succeeded" + took(x)}
	case StateTimedOut:
		return StatusChange{State: StatusFailure, Description: "Timed out" + took(x)}
	case StateAborted:
		if x.StartedAt.IsZero() {
			return StatusChange{State: StatusError, Description: describeError("Not started", "", x.Cause)}
		}
		return StatusChange{State: StatusError, Description: describeError("Stopped"+took(x), x.Error, x.Cause)}
	case StateFailed:
		if x.Error == errorLost {
			return StatusChange{State: StatusError, Description: "Lost: the engine does not know this execution any more"}
		}
	}
	return StatusChange{State: StatusFailure, Description: describeError("Failed"+took(x), x.Error, x.Cause)}
}

func pending(text string) StatusChange {
	return StatusChange{State: StatusPending, Description: clip(safetext.Line(text), maxDescription)}
}

func took(x *Execution) string {
	if x.StartedAt.IsZero() || x.StoppedAt.IsZero() {
		return ""
	}
	if d := x.StoppedAt.Sub(x.StartedAt).Round(time.Second); d >= time.Second {
		return fmt.Sprintf(" after %v", d)
	}
	return ""
}

// taskFailed is the name that Step Functions gives to the failures of most
// tasks, whatever they were.
const taskFailed = "States.TaskFailed"

// describeError puts an error into one line for a person.
func describeError(what, name, cause string) string {
	said := sayCause(cause)
	if name != "" && (name != taskFailed || said == "") && !strings.HasPrefix(said, name+":") {
		what += ": " + safetext.Line(name)
	}
	if said != "" {
		what += ": " + said
	}
	return clip(what, maxDescription)
}
