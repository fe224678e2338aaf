package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

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

func (e *Engine) versionARN(machine string, number int) string {
	return e.machineARN(machine) + ":" + strconv.Itoa(number)
}

// versionNumber reads a qualifier; what is not a number names an alias.
func versionNumber(qualifier string) (int, bool) {
	n, err := strconv.Atoi(qualifier)
	return n, err == nil && n > 0 && n < lastNumber && qualifier[0] != '+' && qualifier[0] != '0'
}

func validVersion(publish bool, description string) error {
	if description != "" && !publish {
		return fail(CodeValidation, "Version description can only be set when publish is true")
	}
	return validDescription("versionDescription", description)
}

func validDescription(field, description string) error {
	if utf8.RuneCountInString(description) > maxDescription {
		return fail(CodeValidation, "1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", field, maxDescription)
	}
	return nil
}

// version reads a version; nil when there is none.
func (e *Engine) version(ctx context.Context, machine string, number int) (*versionBody, error) {
	body, err := e.store.Doc(ctx, kindVersion, versionKey(machine, number))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, internal(err)
	}
	v := &versionBody{}
	if err := json.Unmarshal(body, v); err != nil {
		return nil, internal(fmt.Errorf("decode version %d of %s: %w", number, machine, err))
	}
	return v, nil
}

// under lists the documents of a kind whose keys begin with prefix, from the
// first key after prefix+after.
func (e *Engine) under(ctx context.Context, kind, prefix, after string, limit int) ([]store.Doc, error) {
	docs, err := e.store.Docs(ctx, kind, prefix+after, limit)
	if err != nil {
		return nil, internal(err)
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
func (e *Engine) belongings(ctx context.Context, machine string) ([]store.Doc, error) {
	drop := []store.Doc{{Kind: kindTags, Key: e.machineARN(machine)}}
	for kind, most := range map[string]int{kindVersion: maxVersions, kindAlias: maxAliases} {
		docs, err := e.under(ctx, kind, machine+"/", "", most)
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
// version. The caller holds the book.
func (e *Engine) publish(ctx context.Context, m *Machine, description string) ([]store.Doc, error) {
	if m.LastVersion >= maxVersions {
		present, err := e.under(ctx, kindVersion, m.Name+"/", "", maxVersions)
		if err != nil {
			return nil, err
		}
		if len(present) >= maxVersions {
			return nil, fail(CodeServiceQuotaExceeded, "The state machine %s has %d versions, which is the limit; delete versions that are not used", m.ARN, maxVersions)
		}
	}
	m.LastVersion++
	m.VersionARN = e.versionARN(m.Name, m.LastVersion)
	body, err := json.Marshal(versionBody{
		Number: m.LastVersion, RevisionKey: m.RevisionKey, Description: description, Settings: m.Settings, Created: e.now().UnixMilli(),
	})
	if err != nil {
		return nil, internal(fmt.Errorf("encode version of %s: %w", m.Name, err))
	}
	return []store.Doc{{Kind: kindVersion, Key: versionKey(m.Name, m.LastVersion), Body: body}}, nil
}

// publishRevision publishes the machine's present revision, unless it is
// published already. The caller holds the book.
func (e *Engine) publishRevision(ctx context.Context, old *Machine, description string) (*Machine, error) {
	m := *old
	if m.LastVersion > 0 {
		v, err := e.version(ctx, m.Name, m.LastVersion)
		if err != nil {
			return nil, err
		}
		if v != nil && v.RevisionKey == m.RevisionKey {
			m.VersionARN = e.versionARN(m.Name, m.LastVersion)
			return &m, nil
		}
	}
	version, err := e.publish(ctx, &m, description)
	if err != nil {
		return nil, err
	}
	return &m, e.saveMachine(ctx, &m, false, version...)
}

// createdBefore answers a creation of what exists. To be the same, it must ask
// for the version that is there.
func (e *Engine) createdBefore(ctx context.Context, old *Machine, in NewMachine) (*Machine, error) {
	if !in.Publish {
		return old, nil
	}
	if old.LastVersion > 0 {
		v, err := e.version(ctx, old.Name, old.LastVersion)
		if err != nil {
			return nil, err
		}
		if v != nil && v.RevisionKey == old.RevisionKey && v.Description == in.Description {
			m := *old
			m.VersionARN = e.versionARN(m.Name, m.LastVersion)
			return &m, nil
		}
	}
	return nil, fail(CodeStateMachineAlreadyExists, "State Machine Already Exists: '%s'", old.ARN)
}

// initialRevision stands for the revision of a machine that was never updated.
const initialRevision = "INITIAL"

// PublishVersion makes a version of a state machine's present revision. When
// that has one, it is returned. A revisionID that is not empty must be that of
// the present revision.
func (e *Engine) PublishVersion(ctx context.Context, machineARN, revisionID, description string) (*Version, error) {
	if err := validDescription("description", description); err != nil {
		return nil, err
	}
	e.book.write.Lock()
	defer e.book.write.Unlock()
	m, err := e.existing(ctx, machineARN)
	if err != nil {
		return nil, err
	}
	if m.Status == MachineDeleting {
		return nil, fail(CodeStateMachineDeleting, "State Machine Is Deleting: '%s'", machineARN)
	}
	current := m.Revision.ID
	if current == "" {
		current = initialRevision
	}
	if revisionID != "" && revisionID != current {
		return nil, fail(CodeConflict, "Failed to publish the State Machine version for revision %s. The current State Machine revision is %s.", revisionID, current)
	}
	m, err = e.publishRevision(ctx, m, description)
	if err != nil {
		return nil, err
	}
	v, err := e.version(ctx, m.Name, m.LastVersion)
	if err != nil || v == nil {
		return nil, internal(fmt.Errorf("read back version %d of %s: %w", m.LastVersion, m.Name, err))
	}
	return &Version{ARN: m.VersionARN, Created: v.Created, number: v.Number}, nil
}

// DeleteVersion deletes a version; one that does not exist is no error. One
// that an alias leads to is ConflictException.
func (e *Engine) DeleteVersion(ctx context.Context, versionARN string) error {
	name, qualifier, err := e.parseMachineARN(versionARN)
	if err != nil {
		return gone(err)
	}
	number, ok := versionNumber(qualifier)
	if !ok {
		return fail(CodeValidation, "The ARN must be that of a state machine version. Received: %s", versionARN)
	}
	e.book.write.Lock()
	defer e.book.write.Unlock()
	aliases, err := e.aliases(ctx, name, "", maxAliases)
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
		return fail(CodeConflict, "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [%s]", strings.Join(leading, ", "))
	}
	drop := store.Doc{Kind: kindVersion, Key: versionKey(name, number)}
	if err := store.Do(ctx, e.store, &store.Write{Docs: []store.Doc{drop}}); err != nil {
		return internal(fmt.Errorf("delete version %s: %w", versionARN, err))
	}
	return nil
}

// gone is nil for what is deleted and does not exist anyway.
func gone(err error) error {
	var known *Error
	if errors.As(err, &known) && known.Code == CodeStateMachineDoesNotExist {
		return nil
	}
	return err
}

// ListVersions returns up to limit versions of a state machine, the newest
// first, from the one before the number before (0: from the newest), and the
// number to go on before, 0 at the end.
func (e *Engine) ListVersions(ctx context.Context, machineARN string, before, limit int) (list []Version, next int, err error) {
	m, err := e.existing(ctx, machineARN)
	if err != nil {
		return nil, 0, err
	}
	after := ""
	if before > 0 {
		after = strings.TrimPrefix(versionKey(m.Name, before), m.Name+"/")
	}
	docs, err := e.under(ctx, kindVersion, m.Name+"/", after, limit+1)
	if err != nil {
		return nil, 0, err
	}
	for i, d := range docs {
		if i == limit {
			return list, list[i-1].number, nil
		}
		var v versionBody
		if err := json.Unmarshal(d.Body, &v); err != nil {
			return nil, 0, internal(fmt.Errorf("decode version %s: %w", d.Key, err))
		}
		list = append(list, Version{ARN: e.versionARN(m.Name, v.Number), Created: v.Created, number: v.Number})
	}
	return list, 0, nil
}

// target is what a state machine's ARN, qualified or not, leads to.
type target struct {
	// machine is shared unless version is set: it must not be changed.
	machine *Machine
	// version is 0 for the machine as it is now.
	version int
	alias   string
}

// target finds what a state machine's ARN leads to; the version behind an
// alias is chosen by its weights.
func (e *Engine) target(ctx context.Context, arn string) (target, error) {
	name, qualifier, err := e.parseMachineARN(arn)
	if err != nil {
		return target{}, err
	}
	missing := fail(CodeStateMachineDoesNotExist, "State Machine Does Not Exist: '%s'", arn)
	m, err := e.machine(ctx, name)
	if err != nil {
		return target{}, err
	}
	if m == nil {
		return target{}, missing
	}
	if qualifier == "" {
		return target{machine: m}, nil
	}
	t := target{}
	var ok bool
	if t.version, ok = versionNumber(qualifier); !ok {
		a, err := e.alias(ctx, name, qualifier)
		if err != nil {
			return target{}, err
		}
		if a == nil {
			return target{}, missing
		}
		t.alias, t.version = qualifier, a.choose(e.random)
	}
	v, err := e.version(ctx, name, t.version)
	if err != nil {
		return target{}, err
	}
	if v == nil {
		return target{}, missing
	}
	rev, err := e.revision(ctx, v.RevisionKey)
	if err != nil {
		return target{}, internal(err)
	}
	published := *m
	published.ARN, published.Description = e.versionARN(name, t.version), v.Description
	published.Created, published.Updated = v.Created, v.Created
	published.RevisionKey, published.Revision, published.Settings = v.RevisionKey, *rev, v.Settings
	t.machine = &published
	return t, nil
}
