package jsonata

import (
	"fmt"

	"switchyard/asl/value"
)

// The words are JSONata's own for its stack and time limits, and Step
// Functions' for memory.
func tooDeep() *Error {
	return &Error{Code: "U1001", text: "Stack overflow error: Check for non-terminating recursive function.  Consider rewriting as tail-recursive", fatal: true}
}

// deeper is tooDeep for an evaluation at its limit.
func (ev *evaluator) deeper() *Error {
	e := tooDeep()
	e.text += fmt.Sprintf(". Depth=%d max=%d", ev.depth, ev.limits.Depth)
	return e
}

func tooLong() *Error {
	return &Error{Code: "U1001", text: "Expression evaluation timeout: Check for infinite loop", fatal: true}
}

func tooLarge() *Error {
	return &Error{Code: "U1001", text: "Expression evaluation memory limit exceeded", fatal: true}
}

// step counts n steps.
func (ev *evaluator) step(n int) error {
	if ev.steps += n; ev.steps > ev.limits.Steps || ev.steps < 0 {
		return tooLong()
	}
	return nil
}

// Sizes in bytes: of an item in Go, and of a number where Step Functions
// measures values.
const (
	itemSize   = 48
	numberSize = 8
)

// grow counts n more elements, of an array that now has size.
func (ev *evaluator) grow(n, size int) error {
	if err := ev.step(n); err != nil {
		return err
	}
	return ev.fits(n, size)
}

// fits is grow for elements that are made without work.
func (ev *evaluator) fits(n, size int) error {
	if size > ev.limits.Value/numberSize {
		return tooLarge()
	}
	return ev.alloc(n * itemSize)
}

// text counts the n bytes of a text.
func (ev *evaluator) text(n int) error {
	if n > ev.limits.Value {
		return tooLarge()
	}
	return ev.alloc(n)
}

// alloc counts n bytes.
func (ev *evaluator) alloc(n int) error {
	if n < 0 || n > ev.limits.Memory-ev.memory {
		return tooLarge()
	}
	ev.memory += n
	return nil
}

// checkDepth refuses a result that nests too deep, or holds itself, or is too
// large once nothing in it is shared.
func (ev *evaluator) checkDepth(x item, depth int) error {
	if x.kind != array && x.kind != object || x.node.lazy || x.node.ranged {
		return nil
	}
	if depth > value.MaxDepth {
		return tooDeep()
	}
	if err := ev.grow(len(x.node.elems), len(x.node.elems)); err != nil {
		return err
	}
	for _, e := range x.node.elems {
		if err := ev.checkDepth(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}
