// Package calmlog logs what fails again and again without filling the log: a
// full disk fails every write for as long as it lasts.
package calmlog

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// every is how often a failure that goes on is logged at most.
const every = time.Minute

// Failures are those of one thing that several steps need, such as a file. The
// first is logged, then once a minute how many there were; and once that the
// thing works again, when every step that had failed has succeeded. It is safe
// for concurrent use.
type Failures struct {
	log            *zap.Logger
	fails, recover string // messages

	mu      sync.Mutex
	failing map[string]bool
	since   time.Time
	logged  time.Time
	quiet   int // failures since the last line
	total   int
}

// New returns Failures that log to log: fails is the message about a failure,
// worksAgain the one about the end of them.
func New(log *zap.Logger, fails, worksAgain string) *Failures {
	return &Failures{log: log, fails: fails, recover: worksAgain, failing: map[string]bool{}}
}

// Failed says that a step has failed with err. The fields are logged with it, if
// it is.
func (f *Failures) Failed(step string, err error, fields ...zap.Field) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if len(f.failing) == 0 {
		f.since, f.logged, f.quiet, f.total = now, time.Time{}, 0, 0
	}
	f.failing[step] = true
	f.total++
	if !f.logged.IsZero() && now.Sub(f.logged) < every {
		f.quiet++
		return
	}
	fields = append(fields, zap.String("step", step), zap.Error(err))
	if f.total > 1 {
		fields = append(fields, zap.Int("failures_not_logged", f.quiet), zap.Duration("for", now.Sub(f.since).Round(time.Second)))
	}
	f.log.Warn(f.fails, fields...)
	f.logged, f.quiet = now, 0
}

// Succeeded says that a step has succeeded. It costs next to nothing while
// nothing fails.
func (f *Failures) Succeeded(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.failing[step] {
		return
	}
	delete(f.failing, step)
	if len(f.failing) == 0 {
		f.log.Info(f.recover, zap.Int("failures", f.total), zap.Duration("after", time.Since(f.since).Round(time.Second)))
	}
}
