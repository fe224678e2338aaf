package dispatch

import (
	"strings"
	"testing"
	"time"
)

func TestStatusOf(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	ended := func(s State, took time.Duration, name, cause string) Execution {
		return Execution{State: s, StartedAt: at, StoppedAt: at.Add(took), Error: name, Cause: cause}
	}
	for name, row := range map[string]struct {
		x    Execution
		want StatusChange
	}{
		"waits for its environment": {Execution{State: StateWaiting, Environment: "acceptance"}, StatusChange{State: StatusPending, Description: "Waiting for environment acceptance"}},
		"waits again":               {Execution{State: StateWaiting, Environment: "acceptance", Attempt: 2}, StatusChange{State: StatusPending, Description: "Waiting for environment acceptance"}},
		"queued":                    {Execution{State: StateReady, Attempt: 1}, StatusChange{State: StatusPending, Description: "Queued"}},
		"queued again":              {Execution{State: StateReady, Attempt: 3}, StatusChange{State: StatusPending, Description: "Queued again (attempt 3)"}},
		"the engine is away":        {Execution{State: StateReady, Attempt: 2, Tries: 4, LastError: "start execution x: connection refused"}, StatusChange{State: StatusPending, Description: "Waiting for the engine: start execution x: connection refused"}},
		"runs":                      {Execution{State: StateRunning, StartedAt: at}, StatusChange{State: StatusPending, Description: "Running", After: runningDelay}},
		"succeeded":                 {ended(StateSucceeded, 83*time.Second, "", ""), StatusChange{State: StatusSuccess, Description: "Succeeded after 1m23s"}},
		"succeeded at once":         {ended(StateSucceeded, 83*time.Millisecond, "", ""), StatusChange{State: StatusSuccess, Description: "Succeeded"}},
		"failed":                    {ended(StateFailed, 5*time.Second, "States.TaskFailed", failedBuild), StatusChange{State: StatusFailure, Description: "Failed after 5s: BUILD: make test: exit status 2"}},
		"timed out":                 {ended(StateTimedOut, time.Hour, "States.Timeout", ""), StatusChange{State: StatusFailure, Description: "Timed out after 1h0m0s"}},
		"stopped":                   {ended(StateAborted, 5*time.Second, ErrorStopped, "stopped by ada"), StatusChange{State: StatusError, Description: "Stopped after 5s: Switchyard.Stopped: stopped by ada"}},
		"stopped before it ran":     {Execution{State: StateAborted, StoppedAt: at, Error: ErrorStopped, Cause: "stopped by ada"}, StatusChange{State: StatusError, Description: "Not started: stopped by ada"}},
		"superseded":                {Execution{State: StateSuperseded, SupersededBy: "x-2"}, StatusChange{State: StatusError, Description: "Superseded by a newer commit: x-2"}},
		"refused":                   {Execution{State: StateDead, Error: errorRefused, Cause: "no such state machine"}, StatusChange{State: StatusError, Description: "Could not be started: no such state machine"}},
		"a bug":                     {Execution{State: StateDead, Error: errorFault, Cause: "panic"}, StatusChange{State: StatusError, Description: "Could not be started because of a bug in Switchyard; its page says more"}},
		"lost":                      {ended(StateFailed, 5*time.Second, errorLost, "…"), StatusChange{State: StatusError, Description: "Lost: the engine does not know this execution any more"}},
		"hostile environment":       {Execution{State: StateWaiting, Environment: "a\x1b[2J" + strings.Repeat("b", 200)}, StatusChange{State: StatusPending, Description: `Waiting for environment a\x1b[2J` + strings.Repeat("b", 105) + "…"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := StatusOf(&row.x); got != row.want {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}
