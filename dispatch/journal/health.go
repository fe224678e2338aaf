package journal

import (
	"context"
	"fmt"

	"switchyard/internal/sqlitefile"
)

// Health says why the journal cannot take deliveries, if it cannot: its file is
// gone, or writing has failed and still does. It writes nothing as long as all
// is well.
func (j *SQLite) Health(ctx context.Context) error {
	if err := j.file.Check(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	err := j.w.trouble.Look(func() error {
		return j.do(ctx, func(c *conn) error {
			_, err := c.exec(sqlitefile.Probe)
			return err
		})
	})
	if err != nil {
		return j.explain(err)
	}
	return nil
}
