package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"switchyard/internal/uuid"

	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// PutMachines makes each state machine exist with its definition: all of them,
// or none when one is refused or cannot be stored. One that is there with the
// same definition stays as it is, revision and all; one with another gets a new
// revision, and keeps its type, role, settings and tags.
func (c *Catalog) PutMachines(ctx context.Context, wanted []NewMachine) ([]*Machine, error) {
	c.writes.Lock()
	defer c.writes.Unlock()
	now := c.now().UnixMilli()
	all := make([]*Machine, len(wanted))
	var changed []*Machine
	var docs []store.Doc
	for i, in := range wanted {
		m, isNew, err := c.put(ctx, in, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.Name, err)
		}
		if all[i] = m; !isNew {
			continue
		}
		changed = append(changed, m)
		for _, d := range []struct {
			kind, key string
			body      any
		}{{kindMachine, m.Name, m}, {kindRevision, m.RevisionKey, m.Revision}} {
			body, err := json.Marshal(d.body)
			if err != nil {
				return nil, apierror.Unavailable(fmt.Errorf("encode %s %s: %w", d.kind, d.key, err))
			}
			docs = append(docs, store.Doc{Kind: d.kind, Key: d.key, Body: body})
		}
	}
	if len(changed) == 0 {
		return all, nil
	}
	if err := c.keep(ctx, &store.Write{Docs: docs}); err != nil {
		for _, m := range changed {
			c.forget(m.Name)
		}
		if !c.holds(ctx, changed) {
			return nil, apierror.Unavailable(fmt.Errorf("save %d state machines: %w", len(changed), err))
		}
	}
	for _, m := range changed {
		c.remember(m)
	}
	return all, nil
}

// put returns the machine as it is to be, and whether it is to be stored.
func (c *Catalog) put(ctx context.Context, in NewMachine, now int64) (*Machine, bool, error) {
	if !arns.ValidName(in.Name) {
		return nil, false, apierror.New(apierror.CodeInvalidName, "Invalid Name: '%s'", in.Name)
	}
	old, err := c.Machine(ctx, in.Name)
	if err != nil {
		return nil, false, err
	}
	m := Machine{Name: in.Name, Type: TypeStandard, Status: MachineActive, Created: now, Updated: now, ARN: c.names.Machine(in.Name)}
	m.Revision = Revision{RoleARN: in.RoleARN, Machine: in.Name, Type: m.Type}
	if old != nil {
		m = *old
		m.Updated = max(now, old.Updated+1)
		m.Revision.ID = uuid.New()
	}
	if err := validDefinition(in.Definition, m.Type); err != nil {
		return nil, false, err
	}
	switch {
	case old == nil:
	case old.Status == MachineDeleting:
		return nil, false, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", old.ARN)
	case old.Revision.Definition == in.Definition:
		return old, false, nil
	}
	m.RevisionKey = newRevisionKey(m.Name)
	m.Revision.Definition, m.Revision.Updated = in.Definition, m.Updated
	return &m, true, nil
}

// holds reports whether the store has machines as they are here: a write that
// is reported as failed may have been made all the same, and then it counts.
func (c *Catalog) holds(ctx context.Context, machines []*Machine) bool {
	for _, m := range machines {
		kept, err := c.Machine(ctx, m.Name)
		if err != nil || kept == nil || kept.RevisionKey != m.RevisionKey {
			return false
		}
	}
	return true
}
