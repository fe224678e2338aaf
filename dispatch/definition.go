package dispatch

import (
	"context"
	"errors"
	"fmt"
)

// Definer is an [Engine] that tells what its executions run.
type Definer interface {
	// Definition returns the definition of the state machine, as it was when the
	// execution was started. Errors are those of [Historian].
	Definition(ctx context.Context, executionARN string) (string, error)
}

var errNoDefinition = errors.New("this engine does not tell definitions")

// Definition returns the definition that an execution runs. [ErrNotFound], and
// [ErrNotStarted] for one that the engine has not heard of.
func (d *Dispatcher) Definition(ctx context.Context, id string) (string, error) {
	x, err := d.journal.Execution(ctx, id)
	if err != nil {
		return "", fmt.Errorf("definition of %s: %w", id, err)
	}
	definer, ok := d.engine.(Definer)
	switch {
	case x.ARN == "":
		return "", fmt.Errorf("definition of %s: %w", id, ErrNotStarted)
	case !ok:
		return "", fmt.Errorf("definition of %s: %w", id, &PermanentError{errNoDefinition})
	}
	var text string
	err = d.call(ctx, "definition", func(ctx context.Context) (err error) {
		text, err = definer.Definition(ctx, x.ARN)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("definition of %s: %w", id, err)
	}
	return text, nil
}
