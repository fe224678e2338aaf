// Package catalog keeps what the Step Functions API lets people make: state
// machines with their revisions, versions and aliases, activities, and the tags
// of both.
//
// The answers and the order of checks are those of the Step Functions API
// reference; errors are of type [*apierror.Error].
package catalog

import (
	"context"
	"errors"
	"sync"
	"time"

	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// Catalog reads and writes state machines and activities. It is safe for
// concurrent use.
type Catalog struct {
	store  store.Store
	names  arns.Names
	now    func() time.Time
	random func() float64

	// writes is held while a state machine is changed, so that two changes
	// don't cross, activityWrites while an activity is.
	writes         sync.Mutex
	activityWrites sync.Mutex

	mu         sync.RWMutex
	machines   map[string]*Machine // what is in the store, a few of them
	activities map[string]*Activity

	// unused are the revisions that nothing referred to when that was last looked
	// at; see PruneRevisions.
	unused map[string]bool
	// deleting has the names of the state machines that are being deleted.
	deleting sync.Map
}

// New returns the catalog in s, and reads its activities and which state machines
// are being deleted. now gives the time of
// what is made, random numbers in [0,1) to choose by the weights of an alias.
func New(ctx context.Context, s store.Store, names arns.Names, now func() time.Time, random func() float64) (*Catalog, error) {
	c := &Catalog{store: s, names: names, now: now, random: random, machines: map[string]*Machine{}, activities: map[string]*Activity{}}
	return c, errors.Join(c.loadActivities(ctx), c.loadDeleting(ctx))
}

// keep makes w durable, also when ctx ends meanwhile: the store does it then all
// the same, and what is in memory must follow it.
func (c *Catalog) keep(ctx context.Context, w *store.Write) error {
	return store.Do(context.WithoutCancel(ctx), c.store, w)
}
