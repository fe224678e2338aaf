package sqlitefile

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Trouble is that a file cannot be written. Whoever writes notes it; anybody may
// look.
type Trouble struct {
	last   atomic.Pointer[failure]
	probed atomic.Int64 // nanoseconds
}

type failure struct {
	since time.Time
	err   error // the last
}

// Met notes that a write has failed.
func (t *Trouble) Met(err error) {
	f := &failure{since: time.Now(), err: err}
	if before := t.last.Load(); before != nil {
		f.since = before.since
	}
	t.last.Store(f)
}

// Over notes that a write of the kind that counts, or a [Probe], has gone
// through.
func (t *Trouble) Over() {
	if t.last.Load() != nil {
		t.last.Store(nil)
	}
}

// probeEvery is how often Look tries to write.
const probeEvery = time.Second

// Look returns an error while the file cannot be written. Perhaps nobody else
// writes now: it has that tried, by [Probe], but not all the time.
func (t *Trouble) Look(probe func() error) error {
	if t.last.Load() == nil {
		return nil
	}
	now, last := time.Now().UnixNano(), t.probed.Load()
	if now-last >= probeEvery.Nanoseconds() && t.probed.CompareAndSwap(last, now) {
		if err := probe(); err == nil {
			t.Over()
		}
	}
	f := t.last.Load()
	if f == nil {
		return nil
	}
	return fmt.Errorf("it cannot be written since %s: %w", f.since.UTC().Format(time.DateTime+" MST"), f.err)
}
