package engine

import (
	"context"
	"fmt"
	"sync"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/catalog"
)

// MachineOf returns the state machine of an execution as it was when the
// execution started.
func (e *Engine) MachineOf(ctx context.Context, executionARN string) (*catalog.Machine, error) {
	x, err := e.findExecution(ctx, executionARN)
	if err != nil {
		return nil, err
	}
	rev, err := e.catalog.Revision(ctx, x.Revision)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	m := &catalog.Machine{Name: arns.ShownMachine(x.Machine), Type: rev.Type, ARN: e.names.Machine(x.Machine), Updated: rev.Updated, Revision: *rev}
	if now, err := e.catalog.Machine(ctx, arns.BaseMachine(x.Machine)); err == nil && now != nil {
		m.Settings = now.Settings
	}
	return m, nil
}

// programs are the parsed definitions of some revisions, by their keys.
type programs struct {
	mu    sync.RWMutex
	byKey map[string]*program
}

// parsedPrograms bounds the programs that are kept. A fleet larger than that
// pays for parsing some of them again.
const parsedPrograms = 1000

// program returns the parsed definition of a revision.
func (e *Engine) program(ctx context.Context, key string) (*program, error) {
	e.programs.mu.RLock()
	p := e.programs.byKey[key]
	e.programs.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	rev, err := e.catalog.Revision(ctx, key)
	if err != nil {
		return nil, err
	}
	if p, err = e.compile(rev); err != nil {
		return nil, fmt.Errorf("parse revision %s: %w", key, err)
	}
	e.programs.mu.Lock()
	defer e.programs.mu.Unlock()
	if len(e.programs.byKey) >= parsedPrograms {
		clear(e.programs.byKey)
	}
	e.programs.byKey[key] = p
	return p, nil
}
