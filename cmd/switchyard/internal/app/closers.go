package app

import "errors"

// closers is a stack of what must be given back, the last taken first.
type closers struct{ stack []func() error }

func (c *closers) add(f func() error) { c.stack = append(c.stack, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(c.stack) - 1; i >= 0; i-- {
		errs = append(errs, c.stack[i]())
	}
	c.stack = nil
	return errors.Join(errs...)
}
