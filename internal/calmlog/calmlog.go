// Package calmlog logs what fails again and again without filling the log: a
// full disk fails every write for as long as it lasts.
package calmlog

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// every is how often a failure that goes on is logged at most.
const every = time.Minute

// Failures are those of one thing that several steps need, such as a file. The
// first is logged, then once a minute how many there were; and once that the
// thing works again, when every step that had failed has succeeded. What fails
// and works in turns is no reason for more lines. It is safe for concurrent use.
type Failures struct {
	log            *zap.Logger
	fails, recover string // messages

	fine    atomic.Bool // no step has failed; looked at without the lock
	mu      sync.Mutex
	failing map[string]bool
	since   time.Time // since when a step has been failing
	told    bool      // that has been logged
	total   int       // failures since then
	logged  time.Time // the last line about a failure
	quiet   int       // failures since that line
}

// New returns Failures that log to log: fails is the message about a failure,
// worksAgain the one about the end of them.
func New(log *zap.Logger, fails, worksAgain string) *Failures {
	f := &Failures{log: log, fails: fails, recover: worksAgain, failing: map[string]bool{}}
	f.fine.Store(true)
	return f
}

// Failed says that a step has failed with err. The fields are logged with it, if
// it is.
func (f *Failures) Failed(step string, err error, fields ...zap.Field) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if len(f.failing) == 0 {
		f.since, f.told, f.total = now, false, 0
	}
	f.failing[step] = true
	f.fine.Store(false)
	f.total++
	f.quiet++
	if !f.logged.IsZero() && now.Sub(f.logged) < every {
		return
	}
	fields = append(fields, zap.String("step", step), zap.Error(err))
	if f.quiet > 1 {
		fields = append(fields, zap.Int("failures_not_logged", f.quiet-1), zap.Duration("for", now.Sub(f.since).Round(time.Second)))
	}
	f.log.Warn(f.fails, fields...)
	f.logged, f.quiet, f.told = now, 0, true
}

// Succeeded says that a step has succeeded. It costs next to nothing while none
// has failed.
func (f *Failures) Succeeded(step string) {
	if f.fine.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.failing[step] {
		return
	}
	delete(f.failing, step)
	f.fine.Store(len(f.failing) == 0)
	if len(f.failing) == 0 && f.told {
		f.log.Info(f.recover, zap.Int("failures", f.total), zap.Duration("after", time.Since(f.since).Round(time.Second)))
	}
}
