package dispatch

import (
	"context"
	"strings"
	"sync"
	"time"
)

// deferredPage is how many deliveries that are due are read at once: more than can
// be under way.
const deferredPage = 64

// backlog is what waits for hosts, and what of it is worked on.
type backlog struct {
	// laneless is that of the [DeferredQuery] for it.
	laneless bool
	// most is how many are worked on at once, and ofOne how many of one source.
	most, ofOne int
	soon        chan struct{}

	mu sync.Mutex
	// underWay are the deliveries that are worked on, with their source.
	underWay map[int64]string
}

// workOff asks hosts about the deliveries of a backlog, as they fall due.
func (d *Dispatcher) workOff(ctx context.Context, b *backlog) {
	var calls sync.WaitGroup
	defer calls.Wait()
	returned := make(chan struct{}, 1)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var idle lookout
	for ctx.Err() == nil {
		var page []DeferredDelivery
		var next time.Time
		err := d.persist(ctx, "read deliveries that are set aside", func() (err error) {
			page, next, err = d.journal.Deferred(ctx, d.due.now(), DeferredQuery{Laneless: b.laneless, Limit: deferredPage, Except: b.busy()})
			return err
		})
		if err != nil {
			continue // persist has tried long enough
		}
		begun := false
		for i := range page {
			p := &page[i]
			if !b.begin(p) {
				continue
			}
			begun = true
			calls.Go(func() {
				d.tryToComplete(ctx, p)
				b.end(p)
				wake(returned)
			})
		}
		if begun && len(page) == deferredPage {
			continue // others may be due behind what has become busy
		}
		wait := idle.pause()
		if !next.IsZero() {
			wait = min(wait, d.due.until(next))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-b.soon:
			idle.reset()
		case <-returned:
		case <-timer.C:
		}
	}
}

// busy are the sources of which as many are worked on as may be.
func (b *backlog) busy() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[string]int{}
	var busy []string
	for _, source := range b.underWay {
		if counts[source]++; counts[source] == b.ofOne {
			busy = append(busy, source)
		}
	}
	return busy
}

// begin takes a delivery, unless it is worked on already or there are enough that
// are.
func (b *backlog) begin(p *DeferredDelivery) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	source, _, _ := strings.Cut(p.ID, ":")
	same := 0
	for seq, other := range b.underWay {
		if seq == p.Seq {
			return false
		}
		if other == source {
			same++
		}
	}
	if len(b.underWay) >= b.most || same >= b.ofOne {
		return false
	}
	b.underWay[p.Seq] = source
	return true
}

func (b *backlog) end(p *DeferredDelivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.underWay, p.Seq)
}
