package doctor

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // opens the stores

	"switchyard/cmd/switchyard/internal/app"
)

// engine says whether executions can be started.
func (s *Setup) engine() Check {
	return Check{Area: "engine", Name: "stores", Run: func(ctx context.Context) []Result {
		if s.Running {
			return []Result{good("stores", "open in the running service, which says whether it is ready")}
		}
		names := []string{"journal.db"}
		if s.Config.Engine.Embedded != nil {
			names = append(names, "engine.db")
		}
		var found []Result
		for _, name := range names {
			found = append(found, store(ctx, name, filepath.Join(s.dir(), name)))
		}
		return found
	}}
}

// store reads what is in a database file, and writes nothing.
func store(ctx context.Context, check, path string) Result {
	if !exists(path) {
		return good(check, "it is not there yet; the service makes it when it starts")
	}
	tables := 0
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "mode=ro"}).String())
	if err == nil {
		err = errors.Join(db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'").Scan(&tables), db.Close())
	}
	switch {
	case err != nil:
		return failed(check, "it cannot be opened: "+err.Error(), "put a backup in its place; docs/operations.md, \"What is on disk\"")
	case tables == 0:
		return failed(check, "it is empty", "put a backup in its place; docs/operations.md, \"What is on disk\"")
	}
	return good(check, "it opens")
}

// builds says how local builds are kept apart, and what they need.
func (s *Setup) builds() Check {
	return Check{Area: "builds", Name: "isolation", Run: func(ctx context.Context) []Result {
		return []Result{s.isolation(), version(ctx, "git", "git", "version", "builds and their mirrors need it: install git"), s.bubblewrap(ctx)}
	}}
}

func (s *Setup) isolation() Result {
	const check = "isolation"
	by, exposed, err := app.TryIsolation(s.Config)
	set := s.Config.Engine.Embedded.Builds.Isolation
	switch {
	case err != nil:
		return failed(check, "the service would not start: "+err.Error(), "repair that, or change engine.embedded.builds")
	case by != "":
		return good(check, "by %s", by)
	case set == "none":
		return warning(check, "engine.embedded.builds.isolation is none: builds can read and change all that the service can", "set it to auto, where branches are not only written by people who may do that")
	}
	return warning(check, "there is none, so that builds can read and change all that the service can: "+exposed, "repair that, and set engine.embedded.builds.isolation to bubblewrap, so that it stays so")
}

func (s *Setup) bubblewrap(ctx context.Context) Result {
	e := s.Config.Engine.Embedded
	if e.Builds.Container != nil {
		runtime := e.Builds.Container.Runtime
		if runtime == "" {
			runtime = "podman"
		}
		return version(ctx, runtime, runtime, "--version", "engine.embedded.builds.container needs it: install it")
	}
	return version(ctx, "bubblewrap", "bwrap", "--version", "isolated builds need it: install the package bubblewrap")
}

// version is what a program says of itself.
func version(ctx context.Context, check, program, flag, needed string) Result {
	if _, err := exec.LookPath(program); err != nil {
		return warning(check, "the program "+program+" is not there", needed)
	}
	text, err := exec.CommandContext(ctx, program, flag).Output()
	if err != nil {
		return warning(check, fmt.Sprintf("%s %s: %v", program, flag, err), needed)
	}
	return good(check, "%s", strings.TrimSpace(strings.SplitN(string(text), "\n", 2)[0]))
}
