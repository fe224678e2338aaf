package pace

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a row costs, a step soon takes no longer than its target, and does
// not do less than it could.
func TestStepsKeepToTheirTarget(t *testing.T) {
	for _, perRow := range []time.Duration{time.Microsecond, 20 * time.Microsecond, 45 * time.Microsecond, 300 * time.Microsecond, 5 * time.Millisecond} {
		var s Steps
		// The cost changes in between: the file's cache is warm or cold.
		for round, cost := range []time.Duration{perRow, 10 * perRow, perRow} {
			for range 12 {
				n := s.Size()
				s.Done(n, time.Duration(n)*cost, time.Duration(n)*cost+3*time.Millisecond, Beside)
			}
			n := s.Size()
			if took := time.Duration(n) * cost; took > target && n > 1 {
				t.Errorf("rows of %v, round %d: a step of %d takes %v", perRow, round, n, took)
			}
			if more := time.Duration(2*n+1) * cost; n > Max || more < target && n < Max {
				t.Errorf("rows of %v, round %d: a step is %d rows", perRow, round, n)
			}
		}
	}
}

func TestOneSlowStepChangesLittle(t *testing.T) {
	var s Steps
	for range 10 {
		s.Done(s.Size(), 0, 0, Beside)
	}
	before := s.Size()
	s.Done(before, time.Second, time.Second, Beside)
	if s.Size() != before/2 {
		t.Errorf("%d after a step of %d that was held up", s.Size(), before)
	}
}

// Writers have the file for themselves most of the time.
func TestStepsRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Steps
		for _, row := range []struct {
			total, want time.Duration
			rest        Rest
		}{
			{5 * time.Millisecond, 100 * time.Millisecond, Beside},
			{5 * time.Millisecond, 15 * time.Millisecond, Alone},
			{time.Second, longestRest, Beside},
		} {
			s.Done(1, 0, row.total, row.rest)
			began := time.Now()
			if err := s.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited != row.want {
				t.Errorf("after %v: waited %v, want %v", row.total, waited, row.want)
			}
		}
		s.Done(1, 0, time.Second, Beside)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
}
