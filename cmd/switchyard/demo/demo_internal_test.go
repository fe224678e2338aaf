package demo

import (
	"testing"
	"testing/synctest"
	"time"

	"switchyard/dispatch"
)

// The demo ends also when the point is not proved: a commit that gets no
// execution is counted, not waited for without end.
func TestTheDemoEndsWhateverBecomesOfACommit(t *testing.T) {
	ended := Run{Execution: "a", State: dispatch.StateSucceeded}
	running := Run{Execution: "b", State: dispatch.StateRunning}
	missing := Run{State: dispatch.StateWaiting}
	for name, row := range map[string]struct {
		runs        []Run
		quiet       time.Duration
		settled, is bool
	}{
		"nothing pushed":        {nil, time.Hour, true, false},
		"all ended":             {[]Run{ended, ended}, 0, true, true},
		"one runs":              {[]Run{ended, running}, 0, false, false},
		"one is on its way":     {[]Run{ended, missing}, time.Second, true, false},
		"one never came":        {[]Run{ended, missing}, patience, true, true},
		"one runs, one missing": {[]Run{running, missing}, 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var settledAt time.Time
				if got := settled(row.runs); got != row.settled {
					t.Errorf("settled: got %v", got)
				} else if got {
					settledAt = time.Now()
				}
				time.Sleep(row.quiet)
				if got := over(row.runs, settledAt); got != row.is {
					t.Errorf("over: got %v", got)
				}
			})
		})
	}
}
