package app

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// closers is a stack of what must be given back, the last taken first.
type closers struct{ stack []closer }

type closer struct {
	name string
	stop func() error
}

// onStop has stop called by close; the log and its error say name.
func (c *closers) onStop(name string, stop func() error) {
	c.stack = append(c.stack, closer{name, stop})
}

// close gives back everything, also when some of it fails.
func (c *closers) close(log *zap.Logger) error {
	var errs []error
	for i := len(c.stack) - 1; i >= 0; i-- {
		err := c.stack[i].stop()
		log.Debug("stopped", zap.String("part", c.stack[i].name), zap.Error(err))
		if err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", c.stack[i].name, err))
		}
	}
	c.stack = nil
	return errors.Join(errs...)
}
