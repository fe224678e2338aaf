package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/asl/catalog"
	"switchyard/asl/store"
)

func TestClockGoesOnWhenTheSystemsIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		began := c.read()
		for _, by := range []time.Duration{-time.Hour, 5 * 365 * 24 * time.Hour, 0} {
			c.system = func() time.Time { return time.Now().Add(by) }
			before := c.read()
			time.Sleep(time.Minute)
			if passed := c.read().Sub(before); passed != time.Minute {
				t.Errorf("set by %v: a minute took %v", by, passed)
			}
			if d := c.drift(); d != by {
				t.Errorf("set by %v: drift %v", by, d)
			}
		}
		if passed := c.read().Sub(began); passed != 3*time.Minute {
			t.Errorf("three minutes took %v", passed)
		}
	})
}

// A Timestamp is the system's time: setting the clock, or a sleep of the
// machine, brings its end nearer or moves it away.
func TestTimestampFollowsTheSystemsClock(t *testing.T) {
	for name, c := range map[string]struct {
		set, want time.Duration
	}{
		"set ahead by an hour":     {time.Hour, time.Hour},
		"set back by half an hour": {-30 * time.Minute, 150 * time.Minute},
		"not set":                  {0, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, err := New(store.NewMemory(), Config{})
				if err != nil {
					t.Fatal(err)
				}
				set := new(atomic.Int64)
				e.clock.system = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- e.Run(ctx) }()
				began := time.Now()
				m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "m", RoleARN: "arn:aws:iam::123456789012:role/r", Definition: `{"StartAt":"W","States":{"W":{"Type":"Wait","Timestamp":"` +
					began.Add(2*time.Hour).UTC().Format(time.RFC3339) + `","End":true}}}`})
				if err != nil {
					t.Fatal(err)
				}
				x, err := e.StartExecution(ctx, Start{MachineARN: m.ARN, Name: "x", Input: "{}"})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				set.Store(int64(c.set))
				for {
					d, err := e.DescribeExecution(ctx, x.ExecutionARN)
					if err != nil {
						t.Fatal(err)
					}
					if d.Status != store.Running {
						break
					}
					time.Sleep(time.Second)
				}
				if took := time.Since(began); took < c.want || took > c.want+2*clockEvery {
					t.Errorf("it took %v, expected %v", took, c.want)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
