package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"switchyard/build"
	"switchyard/cmd/switchyard/internal/app"
	"switchyard/config"
	"switchyard/internal/fault"
)

// Config says how the config reads; cfg is nil where it does not.
func Config(path string, cfg *config.Config, err error) []Result {
	var found []Result
	if cfg != nil {
		found = append(found, good("reads", "%s: %s, %s, %s", path, count(len(cfg.Sources), "source"), count(len(cfg.StateMachines), "state machine"), count(len(cfg.Routes), "route")))
		for _, w := range cfg.Warnings() {
			found = append(found, warning("routes", w, "see docs/routing.md; `switchyard explain` shows what a delivery would start"))
		}
	}
	var wrong config.Errors
	switch {
	case errors.As(err, &wrong):
		for _, e := range wrong {
			found = append(found, failed("reads", e.Error(), "repair that; `switchyard config validate --resolve` checks it alone"))
		}
	case err != nil:
		found = append(found, failed("reads", err.Error(), "name the file with --config or SWITCHYARD_CONFIG"))
	}
	for i := range found {
		found[i].Area = "config"
	}
	return found
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// files looks at who may read and write what the service keeps to itself.
func (s *Setup) files() Check {
	return Check{Area: "files", Name: "permissions", Run: func(context.Context) []Result {
		var found []Result
		for _, path := range s.Config.SecretFiles() {
			found = append(found, private("secret", path)...)
		}
		for _, name := range app.KeyFiles {
			found = append(found, private(name, filepath.Join(s.dir(), name))...)
		}
		if len(found) == 0 {
			found = append(found, good("secrets", "none is in a file yet"))
		}
		return append(found, s.dataDir(), s.disk())
	}}
}

func (s *Setup) dir() string { return s.Config.Resolve(s.Config.DataDir) }

// private says who may read or change a file that is the service's alone. One that
// is not there yet says nothing.
func private(check, path string) []Result {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return []Result{failed(check, err.Error(), "let the user that runs switchyard read it")}
	}
	f, err := os.Open(path)
	if err != nil {
		return []Result{failed(check, err.Error(), "let the user that runs switchyard read it: chown it, and chmod 600")}
	}
	f.Close()
	return []Result{modeOf(check, path, info.Mode())}
}

func modeOf(check, path string, mode fs.FileMode) Result {
	var open []string
	for _, who := range []struct {
		bits fs.FileMode
		may  string
	}{{0o020, "its group may change it"}, {0o004, "everybody on this machine may read it"}, {0o002, "everybody on this machine may change it"}} {
		if mode.Perm()&who.bits != 0 {
			open = append(open, who.may)
		}
	}
	if len(open) > 0 {
		return warning(check, fmt.Sprintf("%s: %s", path, strings.Join(open, " and ")), "chmod 600 "+path)
	}
	return good(check, "%s is closed to others (%04o)", path, mode.Perm())
}

// dataDir says whether the journal's folder can be written to.
func (s *Setup) dataDir() Result {
	const check = "data_dir"
	dir := s.dir()
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return good(check, "%s is not there yet; the service makes it when it starts", dir)
	case err != nil:
		return failed(check, err.Error(), "let the user that runs switchyard reach it, or set data_dir to another folder")
	case !info.IsDir():
		return failed(check, dir+" is not a folder", "set data_dir to a folder")
	}
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return failed(check, "it cannot be written to: "+err.Error(), "run this as the user that runs the service; that user must own "+dir)
	}
	_, err = f.WriteString("switchyard doctor\n")
	if err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name())); err != nil {
		return failed(check, "it cannot be written to: "+err.Error(), "look at its disk; nothing can be accepted without it")
	}
	if info.Mode().Perm()&0o077 != 0 {
		return warning(check, fmt.Sprintf("others on this machine may look into %s (%04o)", dir, info.Mode().Perm()), "chmod 700 "+dir)
	}
	return good(check, "%s can be written to", dir)
}

// leastFree is what the journal alone should have free, in bytes.
const leastFree = 256 << 20

// disk says how much room there is.
func (s *Setup) disk() Result {
	const check = "disk"
	dir := s.dir()
	for !exists(dir) && filepath.Dir(dir) != dir {
		dir = filepath.Dir(dir)
	}
	free, total := fault.Space(dir)
	if total == 0 {
		return unknown(check, "the free space of %s cannot be measured", dir)
	}
	reserve, why := int64(leastFree), "the journal needs some"
	if e := s.Config.Engine.Embedded; e != nil {
		if kept := build.Reserve(dir, int64(e.Builds.Reserve)); kept > reserve {
			reserve, why = kept, "builds are paused below engine.embedded.builds.reserve"
		}
	}
	said := fmt.Sprintf("%d MB of %d MB are free", free>>20, total>>20)
	switch {
	case free < reserve:
		return failed(check, fmt.Sprintf("%s, less than %d MB: %s", said, reserve>>20, why), "make room on the disk of "+dir+", or shorten retention")
	case free < 2*reserve:
		return warning(check, fmt.Sprintf("%s; at %d MB: %s", said, reserve>>20, why), "make room on the disk of "+dir+", or shorten retention")
	}
	return good(check, "%s", said)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
