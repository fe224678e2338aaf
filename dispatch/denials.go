package dispatch

import (
	"sync"
	"time"

	"switchyard/internal/event"
)

const (
	// denialFor is for how long a host is not asked again about a person who may not
	// write to a repository, and maxDenials about how many.
	denialFor  = time.Minute
	maxDenials = 4096
)

// Denials are the people of whom a host has just said that they may not give
// commands: whatever they write meanwhile asks it nothing. The zero value holds
// none. It is safe for concurrent use.
type Denials struct {
	mu    sync.Mutex
	until map[denial]time.Time
}

type denial struct{ source, repository, login string }

func denialOf(ev *event.Event) denial {
	return denial{ev.Source, ev.Repository.FullName, ev.Sender}
}

// Has reports whether the author of a command was denied just now.
func (n *Denials) Has(ev *event.Event, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return now.Before(n.until[denialOf(ev)])
}

// Add keeps a denial. Where there are too many, those of before are forgotten.
func (n *Denials) Add(ev *event.Event, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.until == nil || len(n.until) >= maxDenials {
		n.until = map[denial]time.Time{}
	}
	n.until[denialOf(ev)] = now.Add(denialFor)
}
