package dispatch

import (
	"errors"
	"fmt"
	"time"
)

// Config is what an operator sets. Zero values take the defaults named here.
type Config struct {
	// MaxStarts is how many start calls may be under way at once: default 16.
	// Those that have no answer after a second do not count, up to eight times
	// as many.
	MaxStarts int
	// Quota says from which quota of the engine the starts of a state machine
	// are taken. Nil means no limits. Safe for concurrent use.
	Quota func(stateMachine string) Quota
	// CallTimeout bounds each call to the engine: default 30 s.
	CallTimeout time.Duration
	// RetryBase and RetryMax bound the exponential backoff of a call that
	// failed: defaults 1 s and 5 min.
	RetryBase time.Duration
	RetryMax  time.Duration
	// BlockedMax bounds the backoff of a state machine on which nothing can be
	// started, see [BlockedError]: default 15 min.
	BlockedMax time.Duration
	// PollEvery is how long an execution runs before the engine is asked for
	// it, and how long one round through all running ones takes at least:
	// default 60 s. PollRate caps the calls per second: default 10.
	PollEvery time.Duration
	PollRate  float64
	// CompleteFor is how long a git host is asked for what a delivery left out
	// before that goes on without: default 1 h.
	CompleteFor time.Duration
	// Retention is how long finished executions and their deliveries are kept:
	// default 90 days, as long as Step Functions keeps a name taken. Negative
	// keeps them forever. A delivery repeated after its retention is new again.
	Retention time.Duration
	// MaxPending is how many deliveries may wait for the journal at once;
	// further ones are refused: default 4096.
	MaxPending int
	// EnvironmentLimit says how many executions of an environment may run at
	// once, 0 for no limit. Nil means no limits. Safe for concurrent use.
	EnvironmentLimit func(environment string) int
	// Statuses says whether commits of a source get statuses. Nil means none.
	// Safe for concurrent use.
	Statuses func(source string) bool
	// Retell says whether statuses of a source are shown on pull requests and not
	// on commits, so that one that is opened has to be told of what its head is
	// known for. Nil means that they are on commits. Safe for concurrent use.
	Retell func(source string) bool
	// NotOwn refuses approvals by the author of the commit that goes out, and by
	// who pushed it.
	NotOwn bool
}

// DefaultRetention is how long finished work is kept when nothing is set.
const DefaultRetention = 90 * 24 * time.Hour

func (c Config) withDefaults() (Config, error) {
	setDefault(&c.MaxStarts, 16)
	setDefault(&c.CallTimeout, 30*time.Second)
	setDefault(&c.RetryBase, time.Second)
	setDefault(&c.RetryMax, 5*time.Minute)
	setDefault(&c.BlockedMax, 15*time.Minute)
	setDefault(&c.PollEvery, time.Minute)
	setDefault(&c.PollRate, 10)
	setDefault(&c.CompleteFor, time.Hour)
	setDefault(&c.Retention, DefaultRetention)
	setDefault(&c.MaxPending, 4096)
	if c.EnvironmentLimit == nil {
		c.EnvironmentLimit = func(string) int { return 0 }
	}
	if c.Quota == nil {
		c.Quota = func(string) Quota { return Quota{} }
	}
	if c.Statuses == nil {
		c.Statuses = func(string) bool { return false }
	}
	if c.Retell == nil {
		c.Retell = func(string) bool { return false }
	}
	positive := func(name string, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("dispatch: %s must not be negative", name)
	}
	return c, errors.Join(
		positive("MaxStarts", c.MaxStarts > 0),
		positive("CallTimeout", c.CallTimeout > 0),
		positive("RetryBase", c.RetryBase > 0),
		positive("RetryMax", c.RetryMax > 0),
		positive("BlockedMax", c.BlockedMax > 0),
		positive("PollEvery", c.PollEvery > 0),
		positive("PollRate", c.PollRate > 0),
		positive("CompleteFor", c.CompleteFor > 0),
		positive("MaxPending", c.MaxPending > 0),
	)
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
