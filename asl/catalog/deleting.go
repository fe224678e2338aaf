package catalog

import (
	"context"
	"encoding/json"
	"fmt"
)

// Deleting reports whether the state machine of this name is being deleted: its
// executions end at their next transition. It does not block.
func (c *Catalog) Deleting(name string) bool {
	_, is := c.deleting.Load(name)
	return is
}

// loadDeleting reads which state machines were being deleted when the last
// process ended.
func (c *Catalog) loadDeleting(ctx context.Context) error {
	const page = 1000
	for after := ""; ; {
		docs, err := c.store.Docs(ctx, kindMachine, after, page)
		if err != nil {
			return fmt.Errorf("read state machines: %w", err)
		}
		for _, d := range docs {
			after = d.Key
			var m struct {
				Status string `json:"status"`
			}
			if err := json.Unmarshal(d.Body, &m); err != nil {
				return fmt.Errorf("decode state machine %s: %w", d.Key, err)
			}
			if m.Status == MachineDeleting {
				c.deleting.Store(d.Key, struct{}{})
			}
		}
		if len(docs) < page {
			return nil
		}
	}
}
