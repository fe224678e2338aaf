package store

import (
	"context"
	"fmt"
)

// Health says why the store cannot be written, if it cannot: its file is gone,
// or writing has failed and still does. It writes nothing as long as all is well.
func (s *SQLite) Health(ctx context.Context) error {
	if err := s.file.Check(); err != nil {
		return fmt.Errorf("engine store: %w", err)
	}
	err := s.w.trouble.Look(func() error { return Do(ctx, s, &Write{probe: true}) })
	if err != nil {
		return fmt.Errorf("engine store %s: %w", s.path, explain(err))
	}
	return nil
}
