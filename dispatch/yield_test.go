package dispatch

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rush keeps deliveries arriving at full speed until ctx ends.
func rush(ctx context.Context, y *yield) {
	for range busyArrivals - 1 {
		leave, _ := y.arrive()
		defer leave()
	}
	for ctx.Err() == nil {
		leave, _ := y.arrive()
		leave()
		time.Sleep(time.Millisecond)
	}
}

// work does slices that take as long as given until ctx ends, and counts them.
func work(ctx context.Context, y *yield, took time.Duration) (slices int) {
	for {
		done, ok := y.slice(ctx)
		if !ok {
			return slices
		}
		time.Sleep(took)
		done()
		slices++
	}
}

func TestWorkYieldsToDeliveriesButIsNeverStarved(t *testing.T) {
	for name, took := range map[string]time.Duration{
		"an eighth of the time for short slices": 2 * time.Millisecond,
		"and for longer ones":                    10 * time.Millisecond,
		"more where the pause is bounded":        longestPause,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var y yield
				y.init()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
				defer cancel()
				var deliveries sync.WaitGroup
				defer deliveries.Wait()
				deliveries.Go(func() { rush(ctx, &y) })
				synctest.Wait()
				counts := make(chan int, 3)
				for range 3 {
					go func() { counts <- work(ctx, &y, took) }()
				}
				total := <-counts + <-counts + <-counts
				want := int(4 * time.Second / (took + min(pauseFactor*took, longestPause)))
				if total < want*4/5 || total > want+1 {
					t.Errorf("%d slices of %v in 4 s, want %d", total, took, want)
				}
			})
		})
	}
}

func TestWorkRunsFreelyWhenDeliveriesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var y yield
		y.init()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var deliveries sync.WaitGroup
		defer deliveries.Wait()
		deliveries.Go(func() {
			for ctx.Err() == nil { // a few at a time, without a break
				leave, _ := y.arrive()
				time.Sleep(time.Millisecond)
				leave()
			}
		})
		if n := work(ctx, &y, 10*time.Millisecond); n < 99 {
			t.Errorf("%d slices of 10 ms in a second: they paused", n)
		}
	})
}
