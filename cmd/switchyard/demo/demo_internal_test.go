package demo

import (
	"context"
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

// The notes that the summary points to are there when the demo ends, and a
// host that never takes them does not keep it from ending.
func TestTheDemoWaitsForTheNotes(t *testing.T) {
	for name, row := range map[string]struct {
		writtenAfter time.Duration
		left         int64
		took         time.Duration
	}{
		"written already": {0, 0, 0},
		"soon written":    {2 * time.Second, 0, 2*time.Second + poll},
		"never written":   {time.Hour, 7, drainTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				left, err := drain(t.Context(), func(context.Context) (dispatch.Depth, error) {
					if time.Since(began) >= row.writtenAfter {
						return dispatch.Depth{}, nil
					}
					return dispatch.Depth{Statuses: 7}, nil
				})
				if err != nil || left != row.left {
					t.Errorf("%d left, %v; want %d", left, err, row.left)
				}
				if took := time.Since(began); took > row.took {
					t.Errorf("it took %v, want at most %v", took, row.took)
				}
			})
		})
	}
}
