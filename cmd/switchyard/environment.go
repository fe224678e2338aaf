package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"
)

// environment is the process's environment without the secrets that it was
// started with: what the config names is kept in memory alone, so that neither
// programs that are run nor whoever may read /proc finds it, and a reload still
// does. It is safe for concurrent use.
type environment struct {
	mu   sync.Mutex
	kept map[string]string
	// fresh says that this process was started with an environment from which
	// the secrets had been taken out.
	fresh bool
}

// Lookup is a [config.Env].
func (e *environment) Lookup(name string) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if value, ok := e.kept[name]; ok {
		return value, true
	}
	return os.LookupEnv(name)
}

// ordinary are variables that tell nothing and that programs need. They stay
// where a config names one in what is no secret, such as data_dir: ${HOME}/data.
var ordinary = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "HOSTNAME", "PWD"}

// drop takes the variables that a config named out of the environment and keeps
// their values. named says of each whether it is a part of a secret. It returns
// how many there were.
func (e *environment) drop(named map[string]bool) (dropped int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(named)) {
		value, set := os.LookupEnv(name)
		if !set || !named[name] && (slices.Contains(ordinary, name) || strings.HasPrefix(name, "LC_")) {
			continue
		}
		if e.kept == nil {
			e.kept = map[string]string{}
		}
		e.kept[name] = value
		_ = os.Unsetenv(name) // fails for names that cannot be looked up
		dropped++
	}
	return dropped
}

// hide makes the process's memory and environment unreadable for others of its
// user, and takes out what the config names. Where the system keeps the
// environment that a process was started with, the process starts itself anew
// without it, and hide does not return. Where that cannot be prepared, it goes on
// with a warning: the environment can still not be read, and is not inherited.
func (e *environment) hide(named map[string]bool, log *zap.Logger) error {
	if err := undumpable(); err != nil {
		return fmt.Errorf("keep other processes from reading this one: %w", err)
	}
	if e.drop(named) == 0 || e.fresh {
		return nil
	}
	fd, err := handOver(e.kept)
	if err != nil {
		log.Warn("the environment that the service was started with keeps its secrets, where root can read them", zap.Error(err))
		return nil
	}
	return startAnew(fd)
}
