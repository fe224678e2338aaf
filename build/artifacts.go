//go:build unix

package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"switchyard/internal/fault"
)

// maxArtifactFiles bounds the files that one build keeps.
const maxArtifactFiles = 100_000

// keeper copies files of a build into the artifact directory. Both sides are
// confined: no link, name or pattern leads out of the source directory or
// into another place than the build's own.
type keeper struct {
	s    *session
	src  *os.Root
	dst  *os.Root
	room int64
	left int
	// vars are the variables as the last phase left them.
	vars map[string]string
}

// keepArtifacts keeps what artifacts, secondary-artifacts and reports name.
func (s *session) keepArtifacts(ctx context.Context) error {
	dir := filepath.Join(s.h.cfg.DataDir, "artifacts", pathName(s.t.ExecutionName), pathName(s.t.ID))
	if err := removeAll(dir); err != nil {
		return err
	}
	wanted := s.req.artifacts && (s.spec.artifacts != nil || s.spec.secondary != nil)
	if !wanted && s.spec.reports == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	k := &keeper{s: s, room: s.h.cfg.MaxArtifactBytes, left: maxArtifactFiles, vars: s.savedVariables()}
	var err error
	if k.src, err = os.OpenRoot(s.src); err != nil {
		return err
	}
	defer k.src.Close()
	if k.dst, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer k.dst.Close()

	var errs []error
	for _, r := range s.spec.reports {
		// A report group may be an ARN or have slashes.
		group := strings.Map(func(c rune) rune {
			if c == '/' || c == ':' {
				return '_'
			}
			return c
		}, r.id)
		n, err := k.keep(ctx, r, path.Join("reports", group))
		if fault.Of(err) != nil {
			return err
		}
		if err != nil {
			// As in CodeBuild, a report that is missing does not fail a build.
			s.log.note("report %s: %v", r.id, err)
			continue
		}
		s.log.note("report %s: kept %d files", r.id, n)
		s.res.ReportArns = append(s.res.ReportArns, strings.Replace(s.res.Arn, ":build/", ":report/"+group+"/", 1))
	}
	if wanted && s.spec.artifacts != nil {
		loc, err := k.artifact(ctx, *s.spec.artifacts, "artifacts")
		s.res.Artifacts = artifactResult{Location: loc}
		errs = append(errs, err)
	}
	if wanted {
		for _, a := range s.spec.secondary {
			loc, err := k.artifact(ctx, a, path.Join("secondary", pathName(a.id)))
			s.res.SecondaryArtifacts = append(s.res.SecondaryArtifacts, artifactResult{ArtifactIdentifier: a.id, Location: loc})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// artifact keeps one artifact below dir and returns where it is.
func (k *keeper) artifact(ctx context.Context, a artifactSpec, dir string) (location string, err error) {
	if a.name != "" {
		name, err := k.s.expand(ctx, a.name)
		if err != nil {
			return "", fmt.Errorf("artifacts/name %s: %w", a.name, err)
		}
		if !filepath.IsLocal(name) {
			return "", fmt.Errorf("artifacts/name %q leads out of the artifact directory", name)
		}
		dir = path.Join(dir, name)
	}
	n, err := k.keep(ctx, a, dir)
	if err != nil {
		return "", err
	}
	location = filepath.Join(k.dst.Name(), dir)
	k.s.log.note("kept %d files in %s", n, location)
	return location, nil
}

// keep copies the files that a names to dir and returns how many.
func (k *keeper) keep(ctx context.Context, a artifactSpec, dir string) (int, error) {
	bases, err := k.bases(a.base)
	if err != nil {
		return 0, err
	}
	var include, exclude []pattern
	for _, f := range a.files {
		include = append(include, compilePattern(k.relative(f)))
	}
	for _, f := range a.exclude {
		exclude = append(exclude, compilePattern(k.relative(f)))
	}
	kept := make(map[string]bool)
	for _, base := range bases {
		err := fs.WalkDir(k.src.FS(), base, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if d.IsDir() {
				if name == ".git" {
					return fs.SkipDir
				}
				return nil
			}
			rel := name
			if base != "." {
				rel = strings.TrimPrefix(name, base+"/")
			}
			matches := func(p pattern) bool { return p.match(rel) }
			if !slices.ContainsFunc(include, matches) || slices.ContainsFunc(exclude, matches) {
				return nil
			}
			to := rel
			if a.discardPaths {
				to = path.Base(rel)
			}
			to = path.Join(dir, to)
			ok, err := k.copy(name, to)
			if ok {
				kept[to] = true
			}
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	if len(kept) == 0 {
		return 0, fmt.Errorf("no matching files found for %s", strings.Join(a.files, ", "))
	}
	return len(kept), nil
}

// relative expands variables in a path of the buildspec and makes it relative
// to the source directory.
func (k *keeper) relative(p string) string {
	p, _ = k.expand(p)
	if rest, ok := strings.CutPrefix(p, k.s.src); ok && (rest == "" || rest[0] == '/') {
		p = strings.TrimPrefix(rest, "/")
	}
	return path.Clean(p)
}

// expand replaces variables by their values; unset names one that has none.
func (k *keeper) expand(p string) (expanded, unset string) {
	expanded = os.Expand(p, func(name string) string {
		if v, ok := k.vars[name]; ok {
			return v
		}
		v, ok := k.s.env.values[name]
		if !ok {
			unset = name
		}
		return v
	})
	return expanded, unset
}

// bases gives the directories that a base-directory names, which may be a
// pattern for directories at the top.
func (k *keeper) bases(base string) ([]string, error) {
	dir := k.relative(base)
	if dir == "." {
		// Otherwise all of the sources would be kept by mistake.
		if _, unset := k.expand(base); unset != "" {
			return nil, fmt.Errorf("base-directory %q is empty: the variable %s is not set", base, unset)
		}
		return []string{"."}, nil
	}
	if !filepath.IsLocal(dir) {
		return nil, fmt.Errorf("base-directory %q is outside of the source directory", base)
	}
	found, err := fs.Glob(k.src.FS(), dir)
	if err != nil {
		return nil, fmt.Errorf("base-directory %q: %w", base, err)
	}
	var dirs []string
	for _, f := range found {
		// Stat follows a link, and the root refuses one that leads out.
		if info, err := k.src.Stat(f); err == nil && info.IsDir() {
			dirs = append(dirs, f)
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("base-directory %q: no such directory", base)
	}
	return dirs, nil
}

// copy keeps one file. What is no file, or leads out of the source directory,
// is left out with a note.
func (k *keeper) copy(from, to string) (bool, error) {
	// Without O_NONBLOCK the open of a named pipe would wait for a writer.
	in, err := k.src.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if fault.Of(err) != nil {
		return false, err
	}
	if err != nil {
		k.s.log.note("%s is not kept: %v", from, err)
		return false, nil
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		k.s.log.note("%s is not kept: not a regular file", from)
		return false, nil
	}
	if k.left--; k.left < 0 {
		return false, fmt.Errorf("more than %d files", maxArtifactFiles)
	}
	if err := k.dst.MkdirAll(path.Dir(to), 0o700); err != nil {
		return false, err
	}
	out, err := k.dst.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600|info.Mode().Perm()&0o100)
	if err != nil {
		return false, err
	}
	n, err := io.Copy(out, io.LimitReader(in, k.room+1))
	k.room -= n
	if k.room < 0 {
		err = errors.Join(err, fmt.Errorf("the build's artifacts are larger than the limit of %d bytes", k.s.h.cfg.MaxArtifactBytes))
	}
	return err == nil, errors.Join(err, out.Close())
}

// expand evaluates an artifact's name, which CodeBuild lets use the shell:
// myname-$(date +%F). It is text of the buildspec, as commands are.
func (s *session) expand(ctx context.Context, name string) (string, error) {
	if !strings.ContainsAny(name, "$`") {
		return name, nil
	}
	result := s.control("name")
	var b strings.Builder
	if s.hasSaved() {
		fmt.Fprintf(&b, ". %s\n", quote(s.control("env")))
	}
	fmt.Fprintf(&b, "printf %%s \"%s\" >| %s\n", strings.ReplaceAll(name, `"`, `\"`), quote(result))
	script := filepath.Join(s.scripts(), "name")
	if err := os.WriteFile(script, []byte(b.String()), 0o600); err != nil {
		return "", err
	}
	if err := s.runScript(ctx, script, false); err != nil {
		return "", err
	}
	expanded, err := s.readControl("name", 4096)
	return string(expanded), err
}
