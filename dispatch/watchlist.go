package dispatch

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// soonestAsk is how long after its start an execution that others wait for
	// is first asked for, and the shortest time between two calls for it.
	soonestAsk = 500 * time.Millisecond
	// askShare of the time that an execution has run passes until it is asked
	// for again: so it ends unnoticed for a third of its time at most.
	askShare = 3
	// recheck is when executions that nobody waited for are looked at again,
	// unless somebody comes who waits.
	recheck = 10 * time.Second
)

// watchlist knows the running executions that may be worth asking for before
// the round comes to them: those that hold a slot of a limited environment,
// which others may wait for, and those that ran before we asked for them. All
// times in it are monotonic.
type watchlist struct {
	soon chan struct{}

	mu   sync.Mutex
	byID map[string]*watched
}

type watched struct {
	x     Execution
	since time.Time
	asked time.Time
	// atOnce is true until it has been asked for, whoever waits.
	atOnce bool
}

func (w *watchlist) init() {
	w.soon = make(chan struct{}, 1)
	w.byID = map[string]*watched{}
}

// add has x watched if that may be of use. It changes nothing for one that is
// watched already.
func (w *watchlist) add(x *Execution, arn string, atOnce bool, cfg Config) {
	if !atOnce && (x.Environment == "" || cfg.EnvironmentLimit(x.Environment) <= 0) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byID[x.ID] != nil {
		return
	}
	now := time.Now()
	e := &watched{x: *x, since: now, asked: now, atOnce: atOnce}
	e.x.ARN, e.x.Input = arn, nil
	if x.State == StateRunning { // it was running when we came
		e.since = now.Add(-min(max(now.Sub(x.StartedAt), 0), askShare*cfg.PollEvery))
	}
	w.byID[x.ID] = e
	wake(w.soon)
}

func (w *watchlist) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byID, id)
}

func (w *watchlist) asked(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e := w.byID[id]; e != nil {
		e.asked, e.atOnce = time.Now(), false
	}
}

// due returns those whose time has come, the longest overdue first, and how
// long it takes until the next one's does, 0 if there is none.
func (w *watchlist) due(pollEvery time.Duration) (due []watched, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, e := range w.byID {
		left := time.Duration(0)
		if !e.atOnce {
			left = min(max(soonestAsk, now.Sub(e.since)/askShare), pollEvery) - now.Sub(e.asked)
		}
		switch {
		case left <= 0:
			due = append(due, *e)
		case next == 0 || left < next:
			next = left
		}
	}
	slices.SortFunc(due, func(a, b watched) int {
		return cmp.Or(a.asked.Compare(b.asked), cmp.Compare(a.x.Seq, b.x.Seq))
	})
	return due, next
}

// pollHolders asks for executions that others wait for as often as their age
// suggests, between half a second and PollEvery. So a slot of a full
// environment is free again soon after its holder has ended, also when no
// event tells of it. The calls share PollRate with the rounds, which keep their
// turn: with more such executions than that allows, each waits longer.
func (d *Dispatcher) pollHolders(ctx context.Context) {
	for ctx.Err() == nil {
		due, next := d.watched.due(d.config().PollEvery)
		wanted := map[string]bool{}
		if len(due) > 0 {
			environments, err := d.journal.WaitingEnvironments(ctx)
			if err != nil {
				environments = nil // the round asks for them all the same
			}
			for _, e := range environments {
				wanted[e] = true
			}
		}
		if next == 0 || next > recheck {
			next = recheck
		}
		began := time.Now()
		for i := range due {
			e := &due[i]
			if !e.atOnce && !wanted[e.x.Environment] {
				continue
			}
			if !d.ask(ctx, &e.x) {
				return
			}
			next = min(next, soonestAsk)
			if time.Since(began) > soonestAsk {
				break // who waits, and who is the longest overdue, may have changed
			}
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-d.watched.soon:
		}
		timer.Stop()
	}
}
