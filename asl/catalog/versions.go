package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"switchyard/asl/apierror"
	"switchyard/asl/store"
)

// kindVersion documents are kept under MACHINE/COMPLEMENT, so that the order
// of their keys is that of the list: the newest first.
const kindVersion = "version"

// What a state machine may have at most, as with Step Functions.
const (
	maxVersions    = 1000
	maxAliases     = 100
	maxDescription = 256 // characters
)

// lastNumber is the highest number a version can have.
const lastNumber = 1_000_000_000

func versionKey(machine string, number int) string {
	return fmt.Sprintf("%s/%010d", machine, lastNumber-number)
}

// versionBody is a version as it is stored: a revision under a number, with
// the settings the machine had.
type versionBody struct {
	Number      int      `json:"number"`
	RevisionKey string   `json:"revision_key"`
	Description string   `json:"description,omitempty"`
	Settings    Settings `json:"settings"`
	// Created is in Unix milliseconds.
	Created int64 `json:"created"`
}

// Version is a published version of a state machine.
type Version struct {
	ARN string
	// Created is in Unix milliseconds.
	Created int64
	number  int
}

// versionNumber reads a qualifier; what is not a number names an alias.
func versionNumber(qualifier string) (int, bool) {
	n, err := strconv.Atoi(qualifier)
	return n, err == nil && n > 0 && n < lastNumber && qualifier[0] != '+' && qualifier[0] != '0'
}

func validVersion(publish bool, description string) error {
	if description != "" && !publish {
		return apierror.New(apierror.CodeValidation, "Version description can only be set when publish is true")
	}
	return validDescription("versionDescription", description)
}

func validDescription(field, description string) error {
	if utf8.RuneCountInString(description) > maxDescription {
		return apierror.New(apierror.CodeValidation, "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", field, maxDescription)
	}
	return nil
}

// version reads a version; nil when there is none.
func (c *Catalog) version(ctx context.Context, machine string, number int) (*versionBody, error) {
	body, err := c.store.Doc(ctx, kindVersion, versionKey(machine, number))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	v := &versionBody{}
	if err := json.Unmarshal(body, v); err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("decode version %d of %s: %w", number, machine, err))
	}
	return v, nil
}

// under lists the documents of a kind whose keys begin with prefix, from the
// first key after prefix+after.
func (c *Catalog) under(ctx context.Context, kind, prefix, after string, limit int) ([]store.Doc, error) {
	docs, err := c.store.Docs(ctx, kind, prefix+after, limit)
	if err != nil {
		return nil, apierror.Unavailable(err)
	}
	for i, d := range docs {
		if !strings.HasPrefix(d.Key, prefix) {
			return docs[:i], nil
		}
	}
	return docs, nil
}

// belongings are the deletions of what a state machine has: versions, aliases
// and tags.
func (c *Catalog) belongings(ctx context.Context, machine string) ([]store.Doc, error) {
	drop := []store.Doc{{Kind: kindTags, Key: c.names.Machine(machine)}}
	for kind, most := range map[string]int{kindVersion: maxVersions, kindAlias: maxAliases} {
		docs, err := c.under(ctx, kind, machine+"/", "", most)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			drop = append(drop, store.Doc{Kind: kind, Key: d.Key})
		}
	}
	return drop, nil
}

// publish gives m, which is to be saved with what is returned, its next
// version. The caller holds c.writes.
func (c *Catalog) publish(ctx context.Context, m *Machine, description string) ([]store.Doc, error) {
	if m.LastVersion >= maxVersions {
		present, err := c.under(ctx, kindVersion, m.Name+"/", "", maxVersions)
		if err != nil {
			return nil, err
		}
		if len(present) >= maxVersions {
			return nil, apierror.New(apierror.CodeServiceQuotaExceeded, "The state machine %s has %d versions, which is the limit; delete versions that are not used", m.ARN, maxVersions)
		}
	}
	m.LastVersion++
	m.VersionARN = c.names.Version(m.Name, m.LastVersion)
	body, err := json.Marshal(versionBody{
		Number: m.LastVersion, RevisionKey: m.RevisionKey, Description: description, Settings: m.Settings, Created: c.now().UnixMilli(),
	})
	if err != nil {
		return nil, apierror.Unavailable(fmt.Errorf("encode version of %s: %w", m.Name, err))
	}
	return []store.Doc{{Kind: kindVersion, Key: versionKey(m.Name, m.LastVersion), Body: body}}, nil
}

// publishRevision publishes the machine's present revision, unless it is
// published already. The caller holds c.writes.
func (c *Catalog) publishRevision(ctx context.Context, old *Machine, description string) (*Machine, error) {
	m := *old
	if m.LastVersion > 0 {
		v, err := c.version(ctx, m.Name, m.LastVersion)
		if err != nil {
			return nil, err
		}
		if v != nil && v.RevisionKey == m.RevisionKey {
			m.VersionARN = c.names.Version(m.Name, m.LastVersion)
			return &m, nil
		}
	}
	version, err := c.publish(ctx, &m, description)
	if err != nil {
		return nil, err
	}
	return &m, c.saveMachine(ctx, &m, false, version...)
}

// createdBefore answers a creation of what exists. To be the same, it must ask
// for the version that is there.
func (c *Catalog) createdBefore(ctx context.Context, old *Machine, in NewMachine) (*Machine, error) {
	if !in.Publish {
		return old, nil
	}
	if old.LastVersion > 0 {
		v, err := c.version(ctx, old.Name, old.LastVersion)
		if err != nil {
			return nil, err
		}
		if v != nil && v.RevisionKey == old.RevisionKey && v.Description == in.Description {
			m := *old
			m.VersionARN = c.names.Version(m.Name, m.LastVersion)
			return &m, nil
		}
	}
	return nil, apierror.New(apierror.CodeStateMachineAlreadyExists, "State Machine Already Exists: '%s'", old.ARN)
}

// initialRevision stands for the revision of a machine that was never updated.
const initialRevision = "INITIAL"

// PublishVersion makes a version of a state machine's present revision. When
// that has one, it is returned. A revisionID that is not empty must be that of
// the present revision.
func (c *Catalog) PublishVersion(ctx context.Context, machineARN, revisionID, description string) (*Version, error) {
	if err := validDescription("description", description); err != nil {
		return nil, err
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	m, err := c.existing(ctx, machineARN)
	if err != nil {
		return nil, err
	}
	if m.Status == MachineDeleting {
		return nil, apierror.New(apierror.CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", machineARN)
	}
	current := m.Revision.ID
	if current == "" {
		current = initialRevision
	}
	if revisionID != "" && revisionID != current {
		return nil, apierror.New(apierror.CodeConflict, "Failed to publish the State Machine version for revision %s. The current State Machine revision is %s.", revisionID, current)
	}
	m, err = c.publishRevision(ctx, m, description)
	if err != nil {
		return nil, err
	}
	v, err := c.version(ctx, m.Name, m.LastVersion)
	if err != nil || v == nil {
		return nil, apierror.Unavailable(fmt.Errorf("read back version %d of %s: %w", m.LastVersion, m.Name, err))
	}
	return &Version{ARN: m.VersionARN, Created: v.Created, number: v.Number}, nil
}

// DeleteVersion deletes a version; one that does not exist is no error. One
// that an alias leads to is ConflictException.
func (c *Catalog) DeleteVersion(ctx context.Context, versionARN string) error {
	name, qualifier, err := c.names.ParseMachine(versionARN)
	if err != nil {
		return gone(err)
	}
	number, ok := versionNumber(qualifier)
	if !ok {
		return apierror.New(apierror.CodeValidation, "The ARN must be that of a state machine version. Received: %s", versionARN)
	}
	c.writes.Lock()
	defer c.writes.Unlock()
	aliases, err := c.aliases(ctx, name, "", maxAliases)
	if err != nil {
		return err
	}
	var leading []string
	for _, a := range aliases {
		if a.leadsTo(number) {
			leading = append(leading, a.Name)
		}
	}
	if len(leading) > 0 {
		return apierror.New(apierror.CodeConflict, "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [%s]", strings.Join(leading, ", "))
	}
	drop := store.Doc{Kind: kindVersion, Key: versionKey(name, number)}
	if err := store.Do(ctx, c.store, &store.Write{Docs: []store.Doc{drop}}); err != nil {
		return apierror.Unavailable(fmt.Errorf("delete version %s: %w", versionARN, err))
	}
	return nil
}

// gone is nil for what is deleted and does not exist anyway.
func gone(err error) error {
	var known *apierror.Error
	if errors.As(err, &known) && known.Code == apierror.CodeStateMachineDoesNotExist {
		return nil
	}
	return err
}

// ListVersions returns up to limit versions of a state machine, the newest
// first, from the one before the number before (0: from the newest), and the
// number to go on before, 0 at the end.
func (c *Catalog) ListVersions(ctx context.Context, machineARN string, before, limit int) (list []Version, next int, err error) {
	m, err := c.existing(ctx, machineARN)
	if err != nil {
		return nil, 0, err
	}
	after := ""
	if before > 0 {
		after = strings.TrimPrefix(versionKey(m.Name, before), m.Name+"/")
	}
	docs, err := c.under(ctx, kindVersion, m.Name+"/", after, limit+1)
	if err != nil {
		return nil, 0, err
	}
	for i, d := range docs {
		if i == limit {
			return list, list[i-1].number, nil
		}
		var v versionBody
		if err := json.Unmarshal(d.Body, &v); err != nil {
			return nil, 0, apierror.Unavailable(fmt.Errorf("decode version %s: %w", d.Key, err))
		}
		list = append(list, Version{ARN: c.names.Version(m.Name, v.Number), Created: v.Created, number: v.Number})
	}
	return list, 0, nil
}

// Target is what a state machine's ARN, qualified or not, leads to.
type Target struct {
	// Machine is shared unless Version is set: it must not be changed.
	Machine *Machine
	// Version is 0 for the machine as it is now.
	Version int
	Alias   string
}

// Resolve finds what a state machine's ARN leads to; the version behind an
// alias is chosen by its weights.
func (c *Catalog) Resolve(ctx context.Context, arn string) (Target, error) {
	name, qualifier, err := c.names.ParseMachine(arn)
	if err != nil {
		return Target{}, err
	}
	missing := apierror.New(apierror.CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
	m, err := c.Machine(ctx, name)
	if err != nil {
		return Target{}, err
	}
	if m == nil {
		return Target{}, missing
	}
	if qualifier == "" {
		return Target{Machine: m}, nil
	}
	t := Target{}
	var ok bool
	if t.Version, ok = versionNumber(qualifier); !ok {
		a, err := c.alias(ctx, name, qualifier)
		if err != nil {
			return Target{}, err
		}
		if a == nil {
			return Target{}, missing
		}
		t.Alias, t.Version = qualifier, a.choose(c.random)
	}
	v, err := c.version(ctx, name, t.Version)
	if err != nil {
		return Target{}, err
	}
	if v == nil {
		return Target{}, missing
	}
	rev, err := c.Revision(ctx, v.RevisionKey)
	if err != nil {
		return Target{}, apierror.Unavailable(err)
	}
	published := *m
	published.ARN, published.Description = c.names.Version(name, t.Version), v.Description
	published.Created, published.Updated = v.Created, v.Created
	published.RevisionKey, published.Revision, published.Settings = v.RevisionKey, *rev, v.Settings
	t.Machine = &published
	return t, nil
}
