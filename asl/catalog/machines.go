package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"switchyard/internal/uuid"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/arns"
	"switchyard/asl/store"
)

// The kinds of document that state machines keep.
const (
	kindMachine  = "machine"
	kindRevision = "revision"
)

// The types of state machines.
const (
	TypeStandard = "STANDARD"
	TypeExpress  = "EXPRESS"
)

// The statuses of a state machine.
const (
	MachineActive   = "ACTIVE"
	MachineDeleting = "DELETING"
)

// Machine describes a state machine at one revision.
type Machine struct {
	Name string `json:"name"`
	// Type is STANDARD or EXPRESS.
	Type   string `json:"type"`
	Status string `json:"status"`
	// Created and Updated are in Unix milliseconds.
	Created int64 `json:"created"`
	Updated int64 `json:"updated"`
	// RevisionKey is where Revision is kept.
	RevisionKey string `json:"revision_key"`
	// LastVersion is the highest version ever published, 0 for none; the
	// numbers of deleted versions are not given out again.
	LastVersion int      `json:"last_version,omitempty"`
	Settings    Settings `json:"settings"`

	// ARN names a version where one was asked for.
	ARN      string   `json:"-"`
	Revision Revision `json:"-"`
	// Description is that of the version that ARN names.
	Description string `json:"-"`
	// VersionARN is the version that the call published, or had published
	// before; "" for none.
	VersionARN string `json:"-"`
}

// Revision is what an execution keeps of its state machine, however the
// machine changes later.
type Revision struct {
	// ID is empty until the first update, as with Step Functions.
	ID         string `json:"id,omitempty"`
	Definition string `json:"definition"`
	RoleARN    string `json:"role_arn"`
	Machine    string `json:"machine"`
	Type       string `json:"type"`
	// Updated is in Unix milliseconds.
	Updated int64 `json:"updated"`
}

func newRevisionKey(name string) string { return name + "/" + uuid.New() }

// Machine reads a state machine by name; nil when there is none. The result is
// shared: it must not be changed.
func (c *Catalog) Machine(ctx context.Context, name string) (*Machine, error) {
	c.mu.RLock()
	m := c.machines[name]
	c.mu.RUnlock()
	if m == nil {
		body, err := c.store.Doc(ctx, kindMachine, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil
		}
		if err != nil {
			return nil, apierror.Unavailable(err)
		}
		if m, err = c.readMachine(ctx, body); err != nil {
			return nil, apierror.Unavailable(err)
		}
		m = c.rememberRead(m)
	}
	if m.Status != MachineDeleting {
		return m, nil
	}
	// A machine that is being deleted is gone with its last execution.
	open, err := c.hasRunning(ctx, name)
	if err != nil || open {
		c.deleting.Store(name, struct{}{})
		return m, err
	}
	c.deleting.Delete(name)
	c.forget(name)
	c.store.Apply(&store.Write{Docs: []store.Doc{{Kind: kindMachine, Key: name}}, Done: func(error) {
		// What is not deleted now is deleted when it is next looked at.
	}})
	return nil, nil
}

func (c *Catalog) hasRunning(ctx context.Context, name string) (bool, error) {
	running := store.Running
	open, err := c.store.Executions(ctx, store.Query{Machine: name, Status: &running, Limit: 1})
	if err != nil {
		return false, apierror.Unavailable(err)
	}
	return len(open) > 0, nil
}

func (c *Catalog) remember(m *Machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold(m)
}

// cached bounds the machines kept in memory. A fleet larger than that pays for
// reading some of them again.
const cached = 1000

// hold needs the lock mu.
func (c *Catalog) hold(m *Machine) {
	if len(c.machines) >= cached {
		clear(c.machines)
	}
	c.machines[m.Name] = m
}

// rememberRead keeps what was read, unless a change has come in between, which
// is newer. It returns what is kept.
func (c *Catalog) rememberRead(m *Machine) *Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	if newer := c.machines[m.Name]; newer != nil {
		return newer
	}
	c.hold(m)
	return m
}

func (c *Catalog) readMachine(ctx context.Context, body []byte) (*Machine, error) {
	m := &Machine{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("decode state machine: %w", err)
	}
	m.ARN = c.names.Machine(m.Name)
	rev, err := c.Revision(ctx, m.RevisionKey)
	if err != nil {
		return nil, err
	}
	m.Revision = *rev
	return m, nil
}

// Revision reads a revision by its key.
func (c *Catalog) Revision(ctx context.Context, key string) (*Revision, error) {
	body, err := c.store.Doc(ctx, kindRevision, key)
	if err != nil {
		return nil, err
	}
	rev := &Revision{}
	if err := json.Unmarshal(body, rev); err != nil {
		return nil, fmt.Errorf("decode revision %s: %w", key, err)
	}
	return rev, nil
}

func (c *Catalog) existing(ctx context.Context, arn string) (*Machine, error) {
	name, qualifier, err := c.names.ParseMachine(arn)
	if err != nil {
		return nil, err
	}
	m, err := c.Machine(ctx, name)
	if err != nil {
		return nil, err
	}
	if m == nil || qualifier != "" {
		return nil, apierror.New(apierror.CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
	}
	return m, nil
}

// NewMachine is what a state machine is made from.
type NewMachine struct {
	Name       string
	Definition string
	RoleARN    string
	// Type is STANDARD when empty.
	Type     string
	Settings Settings
	Tags     []Tag
	// Publish makes a version of it at once, described by Description.
	Publish     bool
	Description string
}

// CreateMachine makes a state machine. Doing so again with the same content
// returns the one that is there, whatever its role and tags; with other content
// it is StateMachineAlreadyExists.
func (c *Catalog) CreateMachine(ctx context.Context, in NewMachine) (*Machine, error) {
	if !arns.ValidName(in.Name) {
		return nil, apierror.New(apierror.CodeInvalidName, "Invalid Name: '%s'", in.Name)
	}
	in.Type = cmp.Or(in.Type, TypeStandard)
	if err := oneOf("type", in.Type, TypeStandard, TypeExpress); err != nil {
		return nil, err
	}
	if err := in.Settings.check(); err != nil {
		return nil, err
	}
	if err := validDefinition(in.Definition, in.Type); err != nil {
		return nil, err
	}
	if err := validVersion(in.Publish, in.Description); err != nil {
		return nil, err
	}
	if err := validTags(c.names.Machine(in.Name), nil, in.Tags); err != nil {
		return nil, err
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	old, err := c.Machine(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		switch {
		case old.Status == MachineDeleting:
			return nil, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", old.ARN)
		case old.Revision.Definition != in.Definition || old.Type != in.Type || !old.Settings.equal(in.Settings):
			return nil, apierror.New(apierror.CodeStateMachineAlreadyExists, "State Machine Already Exists: '%s'", old.ARN)
		}
		return c.createdBefore(ctx, old, in)
	}
	now := c.now().UnixMilli()
	m := &Machine{
		Name: in.Name, Type: in.Type, Status: MachineActive, Created: now, Updated: now,
		RevisionKey: newRevisionKey(in.Name),
		Settings:    in.Settings, ARN: c.names.Machine(in.Name),
		Revision: Revision{Definition: in.Definition, RoleARN: in.RoleARN, Machine: in.Name, Type: in.Type, Updated: now},
	}
	var more []store.Doc
	if in.Publish {
		if more, err = c.publish(ctx, m, in.Description); err != nil {
			return nil, err
		}
	}
	if len(in.Tags) > 0 {
		tags, err := tagsDoc(m.ARN, mergeTags(nil, in.Tags))
		if err != nil {
			return nil, err
		}
		more = append(more, tags)
	}
	return m, c.saveMachine(ctx, m, true, more...)
}

// saveMachine makes m durable, with its revision where that is new, and with
// more.
func (c *Catalog) saveMachine(ctx context.Context, m *Machine, revised bool, more ...store.Doc) error {
	body, err := json.Marshal(m)
	if err != nil {
		return apierror.Unavailable(fmt.Errorf("encode state machine %s: %w", m.Name, err))
	}
	docs := []store.Doc{{Kind: kindMachine, Key: m.Name, Body: body}}
	if revised {
		rev, err := json.Marshal(m.Revision)
		if err != nil {
			return apierror.Unavailable(fmt.Errorf("encode revision of %s: %w", m.Name, err))
		}
		docs = append(docs, store.Doc{Kind: kindRevision, Key: m.RevisionKey, Body: rev})
	}
	if err := c.keep(ctx, &store.Write{Docs: append(docs, more...)}); err != nil {
		c.forget(m.Name)
		return apierror.Unavailable(fmt.Errorf("save state machine %s: %w", m.Name, err))
	}
	kept := *m
	kept.VersionARN = "" // it belongs to the answer
	c.remember(&kept)
	return nil
}

func (c *Catalog) forget(name string) {
	c.mu.Lock()
	delete(c.machines, name)
	c.mu.Unlock()
}

// MachineUpdate changes what is not nil.
type MachineUpdate struct {
	// Publish makes a version of what the update leads to, described by
	// Description. It may be all that is asked for.
	Publish     bool
	Description string

	Definition *string
	RoleARN    *string
	Settings   Settings
}

// UpdateMachine gives a state machine a new revision, unless nothing of it
// changes. Executions that run keep the one they started with.
func (c *Catalog) UpdateMachine(ctx context.Context, arn string, u MachineUpdate) (*Machine, error) {
	if u.Definition == nil && u.RoleARN == nil && u.Settings == (Settings{}) && !u.Publish {
		return nil, apierror.New(apierror.CodeMissingParameter, "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration, or the EncryptionConfiguration must be specified")
	}
	if err := validVersion(u.Publish, u.Description); err != nil {
		return nil, err
	}
	if err := u.Settings.check(); err != nil {
		return nil, err
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	old, err := c.existing(ctx, arn)
	if err != nil {
		return nil, err
	}
	if old.Status == MachineDeleting {
		return nil, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", arn)
	}
	m := *old
	if u.Definition != nil {
		if err := validDefinition(*u.Definition, old.Type); err != nil {
			return nil, err
		}
		m.Revision.Definition = *u.Definition
	}
	if u.RoleARN != nil {
		m.Revision.RoleARN = *u.RoleARN
	}
	m.Settings = old.Settings.over(u.Settings)
	if m.Revision == old.Revision && m.Settings.equal(old.Settings) {
		if u.Publish {
			return c.publishRevision(ctx, old, u.Description)
		}
		return old, nil
	}
	m.RevisionKey = newRevisionKey(m.Name)
	m.Updated = max(c.now().UnixMilli(), old.Updated+1)
	m.Revision.Updated = m.Updated
	m.Revision.ID = uuid.New()
	var version []store.Doc
	if u.Publish {
		if version, err = c.publish(ctx, &m, u.Description); err != nil {
			return nil, err
		}
	}
	return &m, c.saveMachine(ctx, &m, true, version...)
}

// DeleteMachine deletes a state machine with its versions, aliases and tags;
// one that does not exist is no error. Executions that run end at their next
// transition, and until then the machine is DELETING. The ARN of a version or an alias is
// refused: it must not take all the others along.
func (c *Catalog) DeleteMachine(ctx context.Context, arn string) error {
	name, qualifier, err := c.names.ParseMachine(arn)
	if err != nil {
		var known *apierror.Error
		if errors.As(err, &known) && known.Code == apierror.CodeStateMachineDoesNotExist {
			return nil
		}
		return err
	}
	if qualifier != "" {
		return apierror.New(apierror.CodeValidation, "The ARN of a version or an alias does not name a state machine to delete: '%s'", arn)
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	old, err := c.Machine(ctx, name)
	if err != nil || old == nil {
		return err
	}
	running, err := c.hasRunning(ctx, name)
	if err != nil {
		return err
	}
	own, err := c.belongings(ctx, name)
	if err != nil {
		return err
	}
	if running {
		m := *old
		m.Status = MachineDeleting
		if err := c.saveMachine(ctx, &m, false, own...); err != nil {
			return err
		}
		c.deleting.Store(name, struct{}{})
		return nil
	}
	defer c.forget(name)
	if err := c.keep(ctx, &store.Write{Docs: append(own, store.Doc{Kind: kindMachine, Key: name})}); err != nil {
		return apierror.Unavailable(fmt.Errorf("delete state machine %s: %w", name, err))
	}
	return nil
}

// DescribeMachine returns a state machine as it is now, or one of its versions
// as it was published.
func (c *Catalog) DescribeMachine(ctx context.Context, arn string) (*Machine, error) {
	t, err := c.Resolve(ctx, arn)
	if err != nil {
		return nil, err
	}
	if t.Alias != "" {
		return nil, apierror.New(apierror.CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
	}
	return t.Machine, nil
}

// ListMachines returns up to limit state machines in order of name, from the
// first after after.
func (c *Catalog) ListMachines(ctx context.Context, after string, limit int) ([]*Machine, error) {
	var found []*Machine
	for len(found) < limit {
		docs, err := c.store.Docs(ctx, kindMachine, after, limit-len(found))
		if err != nil {
			return nil, apierror.Unavailable(err)
		}
		if len(docs) == 0 {
			break
		}
		for _, d := range docs {
			after = d.Key
			m, err := c.Machine(ctx, d.Key)
			if err != nil {
				return nil, err
			}
			if m != nil {
				found = append(found, m)
			}
		}
	}
	return found, nil
}

func validDefinition(definition, machineType string) error {
	if len(definition) == 0 || len(definition) > 1<<20 {
		return apierror.New(apierror.CodeInvalidDefinition, "Invalid State Machine Definition: 'The definition must be between 1 and 1048576 bytes long, it has %d'", len(definition))
	}
	m, err := asl.Parse([]byte(definition))
	if err == nil && machineType == TypeExpress {
		err = m.Express()
	}
	if err != nil {
		return apierror.New(apierror.CodeInvalidDefinition, "%s", err)
	}
	return nil
}
