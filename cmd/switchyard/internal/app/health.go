package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"

	"switchyard/build"
	"switchyard/internal/sqlitefile"
)

// joinFiles says that the journal and the engine's store are used together, and
// logs what was found when they were opened.
func (a *App) joinFiles() error {
	warnings := a.journal.File().Warnings()
	if a.embedded != nil {
		warnings = append(warnings, a.embedded.store.File().Warnings()...)
		more, err := sqlitefile.Join(a.embedded.store.File(), a.journal.File())
		if err != nil {
			return err
		}
		warnings = append(warnings, more...)
	}
	for _, w := range warnings {
		a.log.Warn("the data folder is not as it was left", zap.String("warning", w))
	}
	return nil
}

// health says why the service cannot take or run anything, if it cannot.
func (a *App) health(ctx context.Context) error {
	if err := a.data.Check(); err != nil {
		return err
	}
	if err := a.journal.Health(ctx); err != nil {
		return err
	}
	if a.embedded != nil {
		if err := a.embedded.store.Health(ctx); err != nil {
			return err
		}
	}
	if _, err := a.dispatcher.Depth(ctx); err != nil {
		return fmt.Errorf("the journal does not answer: %w", err)
	}
	return nil
}

// readyz answers 200 while the service runs and can write what it is told, and
// says why it is not ready otherwise. What else an operator may want to know of a
// service that is ready follows in lines of its own.
func (a *App) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if !a.ready.Load() {
		http.Error(w, "not ready: starting or stopping", http.StatusServiceUnavailable)
		return
	}
	if err := a.health(ctx); err != nil {
		a.notReady.Failed("readyz", err)
		// Anybody may ask; where the folder is they need not know.
		http.Error(w, "not ready: "+strings.ReplaceAll(err.Error(), a.dir, "data_dir"), http.StatusServiceUnavailable)
		return
	}
	a.notReady.Succeeded("readyz")
	fmt.Fprintln(w, "ready")
	if a.embedded != nil {
		describeBuilds(w, a.embedded.builds)
	}
}

// describeBuilds tells how local builds are limited, and whether they wait for room
// on the disk. Deliveries are taken all the same.
func describeBuilds(w io.Writer, builds *build.Handler) {
	fmt.Fprintln(w, "builds: memory and processes are limited by "+builds.LimitedBy())
	if room := builds.Room(); room.Free < room.Reserve || room.Paused > 0 {
		fmt.Fprintf(w, "builds: %d paused and %d waiting for room on the disk: %d MB are free, %d MB are kept for the service (engine.embedded.builds.reserve)\n",
			room.Paused, room.Waiting, room.Free>>20, room.Reserve>>20)
	}
}
