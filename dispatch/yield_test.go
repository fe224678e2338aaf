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
	for name, row := range map[string]struct {
		took        time.Duration
		least, most int // slices of all workers together in a second
	}{
		"an eighth of the time for short slices":     {2 * time.Millisecond, 55, 63},
		"pauses that are bounded for slices of 10ms": {10 * time.Millisecond, 25, 29},
		"and for those that wait for a slow engine":  {200 * time.Millisecond, 4, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var y yield
				y.init()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				var deliveries sync.WaitGroup
				defer deliveries.Wait()
				deliveries.Go(func() { rush(ctx, &y) })
				synctest.Wait()
				counts := make(chan int, 3)
				for range 3 {
					go func() { counts <- work(ctx, &y, row.took) }()
				}
				total := <-counts + <-counts + <-counts
				if total < row.least || total > row.most {
					t.Errorf("%d slices, want %d to %d", total, row.least, row.most)
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
