package engine

import (
	"context"
	"fmt"
	"sync"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/catalog"
	"switchyard/asl/run"
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

// program is the parsed definition of a revision.
type program struct {
	*run.Program
	rev *catalog.Revision
}

// child is the program of the children of a distributed Map, nil when there is
// no such state.
func (p *program) child(state string) *program {
	inner := p.Children[state]
	if inner == nil {
		return nil
	}
	return &program{Program: inner, rev: p.rev}
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
	m, err := asl.ParseStored([]byte(rev.Definition))
	if err != nil {
		return nil, fmt.Errorf("parse revision %s: %w", key, err)
	}
	p = &program{Program: run.NewProgram(m), rev: rev}
	e.programs.mu.Lock()
	defer e.programs.mu.Unlock()
	if len(e.programs.byKey) >= parsedPrograms {
		clear(e.programs.byKey)
	}
	e.programs.byKey[key] = p
	return p, nil
}
