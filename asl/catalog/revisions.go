package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"switchyard/asl/store"
)

// PruneRevisions forgets the revisions that nothing refers to: no state machine,
// no version of one and no execution. One is forgotten when it is found so twice
// in a row, since an execution that is just being started refers to its revision
// a moment before the store tells of it. So there must be time between two calls,
// which must not cross.
func (c *Catalog) PruneRevisions(ctx context.Context) (pruned int, err error) {
	unused := map[string]bool{}
	var drop []store.Doc
	for machine, keys := range c.revisions(ctx, &err) {
		found, err := c.unusedRevisions(ctx, machine, keys)
		if err != nil {
			return 0, fmt.Errorf("find unused revisions of state machine %s: %w", machine, err)
		}
		for _, key := range found {
			if c.unused[key] {
				drop = append(drop, store.Doc{Kind: kindRevision, Key: key})
			} else {
				unused[key] = true
			}
		}
	}
	if err != nil {
		return 0, fmt.Errorf("list revisions: %w", err)
	}
	c.unused = unused
	if len(drop) == 0 {
		return 0, nil
	}
	if err := c.keep(ctx, &store.Write{Docs: drop}); err != nil {
		return 0, fmt.Errorf("forget %d revisions: %w", len(drop), err)
	}
	return len(drop), nil
}

// revisions gives the keys of the revisions of each state machine, also of those
// that are gone. When the store fails it sets err and ends.
func (c *Catalog) revisions(ctx context.Context, err *error) func(yield func(machine string, keys []string) bool) {
	const page = 100 // they hold definitions
	return func(yield func(string, []string) bool) {
		machine, keys := "", []string(nil)
		for after := ""; ; {
			docs, failed := c.store.Docs(ctx, kindRevision, after, page)
			if failed != nil {
				*err = failed
				return
			}
			for _, d := range docs {
				after = d.Key
				name, _, _ := strings.Cut(d.Key, "/")
				if name != machine && len(keys) > 0 {
					if !yield(machine, keys) {
						return
					}
					keys = nil
				}
				machine, keys = name, append(keys, d.Key)
			}
			if len(docs) < page {
				break
			}
		}
		if len(keys) > 0 {
			yield(machine, keys)
		}
	}
}

// unusedRevisions are those of a state machine that nothing refers to.
func (c *Catalog) unusedRevisions(ctx context.Context, machine string, keys []string) ([]string, error) {
	used, err := c.namedRevisions(ctx, machine)
	if err != nil || used == nil {
		return nil, err
	}
	candidate := false
	for _, key := range keys {
		candidate = candidate || !used[key]
	}
	if !candidate { // as most often; executions are many
		return nil, nil
	}
	started, err := c.store.Revisions(ctx, machine)
	if err != nil {
		return nil, err
	}
	for _, key := range started {
		used[key] = true
	}
	var unused []string
	for _, key := range keys {
		if !used[key] {
			unused = append(unused, key)
		}
	}
	return unused, nil
}

// namedRevisions are those that a state machine and its versions have. They are nil
// while a state machine is being changed: what is pruned can wait, whoever changes
// one must not wait for it.
func (c *Catalog) namedRevisions(ctx context.Context, machine string) (map[string]bool, error) {
	if !c.writes.TryLock() { // so that the machine and its versions are of the same moment
		return nil, nil
	}
	defer c.writes.Unlock()
	used := map[string]bool{}
	m, err := c.Machine(ctx, machine)
	if err != nil {
		return nil, err
	}
	if m != nil {
		used[m.RevisionKey] = true
	}
	versions, err := c.under(ctx, kindVersion, machine+"/", "", maxVersions)
	if err != nil {
		return nil, err
	}
	for _, d := range versions {
		var v versionBody
		if err := json.Unmarshal(d.Body, &v); err != nil {
			return nil, fmt.Errorf("decode version %s: %w", d.Key, err)
		}
		used[v.RevisionKey] = true
	}
	return used, nil
}
