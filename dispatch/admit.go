package dispatch

import (
	"context"
	"maps"
	"slices"
)

// slotMayBeFree has an environment looked at.
func (d *Dispatcher) slotMayBeFree(environment string) {
	d.dirtyMu.Lock()
	d.dirty[environment] = struct{}{}
	d.dirtyMu.Unlock()
	wake(d.admitSoon)
}

// everyEnvironment stands for all of them in the set of those to look at: no
// environment is called "".
const everyEnvironment = ""

// admitAll has every environment looked at, at start-up and after a reload.
func (d *Dispatcher) admitAll() { d.slotMayBeFree(everyEnvironment) }

// admit hands free slots of environments to the requests that wait for them,
// oldest first. Environments don't wait for one another.
func (d *Dispatcher) admit(ctx context.Context) {
	var idle lookout
	for {
		if !idle.wait(ctx, d.admitSoon) {
			d.admitAll() // nobody called
		}
		if ctx.Err() != nil {
			return
		}
		d.dirtyMu.Lock()
		dirty := slices.Sorted(maps.Keys(d.dirty))
		clear(d.dirty)
		d.dirtyMu.Unlock()
		if len(dirty) > 0 && dirty[0] == everyEnvironment {
			err := d.persist(ctx, "list environments", func() (err error) {
				dirty, err = d.journal.WaitingEnvironments(ctx)
				return err
			})
			if err != nil {
				return
			}
		}
		for _, environment := range dirty {
			d.admitTo(ctx, environment)
		}
	}
}

func (d *Dispatcher) admitTo(ctx context.Context, environment string) {
	for {
		var changes []Change
		var err error
		ok := d.yield.do(ctx, func() {
			err = d.persist(ctx, "admit to environment "+environment, func() (err error) {
				changes, err = d.journal.Admit(ctx, environment, d.config().EnvironmentLimit(environment), d.now())
				return err
			})
		})
		if !ok || err != nil || len(changes) == 0 {
			return
		}
		d.publish(changes)
	}
}
