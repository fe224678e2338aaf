package dispatch

import (
	"context"
	"fmt"
	"strings"

	"go.uber.org/zap"
)

const (
	// rollFrom is from how many running executions on the engine's lists of
	// them are read, where it has any: a call for a thousand of them instead of
	// one for each.
	rollFrom = 100
	// rollPages bounds how many pages of one state machine are read, which
	// others may use more than we do. What is on later ones is asked for singly.
	rollPages = 64
)

// roll is what the engine lists as running, by state machine. It saves asking
// for each of many executions, most of which run on: what is on it is not asked
// for in this round, and what is not on it is, since lists are no proof of an
// end. The goroutine of a round owns it.
type roll struct {
	lister Lister
	// read are the state machines whose lists were read, by the part of an
	// execution's ARN before its name.
	read    map[string]bool
	running map[string]struct{}
}

// newRoll is nil where each execution is asked for.
func (d *Dispatcher) newRoll(running int) *roll {
	lister, ok := d.engine.(Lister)
	if !ok || running < rollFrom {
		return nil
	}
	return &roll{lister: lister, read: map[string]bool{}, running: map[string]struct{}{}}
}

// runs reports whether the engine lists x as running.
func (d *Dispatcher) runs(ctx context.Context, r *roll, x *Execution) bool {
	if r == nil {
		return false
	}
	machine := x.ARN[:strings.LastIndexByte(x.ARN, ':')+1]
	if !r.read[machine] {
		r.read[machine] = true
		if err := Guard(func() error { return d.readRoll(ctx, r, x.ARN) }); err != nil && ctx.Err() == nil {
			d.logFault(err, "list running executions", zap.String("execution", x.ARN))
			d.log.Warn("listing running executions failed; each of the others is asked for", zap.String("state_machine", x.StateMachine), zap.Error(err))
		}
	}
	_, ok := r.running[x.ARN]
	return ok
}

func (d *Dispatcher) readRoll(ctx context.Context, r *roll, like string) error {
	page := ""
	for range rollPages {
		if err := d.asking.pace.Wait(ctx); err != nil {
			return err
		}
		var arns []string
		var next string
		err := d.call(ctx, "list", func(ctx context.Context) (err error) {
			arns, next, err = r.lister.ListRunning(ctx, like, page)
			return err
		})
		if err != nil {
			return fmt.Errorf("list executions that run beside %s: %w", like, err)
		}
		for _, arn := range arns {
			r.running[arn] = struct{}{}
		}
		if page = next; page == "" {
			break
		}
	}
	return nil
}
