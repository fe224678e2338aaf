package journal

import (
	"context"
	"fmt"
)

// Health says why the journal cannot take deliveries, if it cannot: its file is
// gone, or writing has failed and still does. It writes nothing as long as all
// is well.
func (j *SQLite) Health(ctx context.Context) error {
	if err := j.file.Check(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	err := j.w.trouble.Look(func() {
		_ = j.do(ctx, func(c *conn) error { // noted as trouble, or its end
			_, err := c.exec("UPDATE progress SET expanded = expanded")
			return err
		})
	})
	if err != nil {
		return j.explain(err)
	}
	return nil
}
