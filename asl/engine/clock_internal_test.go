package engine

import (
	"testing"
	"testing/synctest"
	"time"
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
