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

// keeper copies files of a build into the artifact directory. Both sides are
// confined: no link, name or pattern leads out of the source directory or
// into another place than the build's own.
//
// What it copies is beside the artifacts, in partial/, until it is whole.
type keeper struct {
	s    *session
	src  *os.Root
	dst  *os.Root
	room int64
	left int
	// without is how many files were left out.
	without int
	// vars are the variables as the last phase left them.
	vars map[string]string
	// final is where what is in dst will be.
	final string
}

// partialDir is where the artifacts of a build are until they are whole.
const partialDir = "partial"

// keepArtifacts keeps what artifacts, secondary-artifacts and reports name.
// Artifacts are kept all or none; reports also without them.
func (s *session) keepArtifacts(ctx context.Context) error {
	final := filepath.Join(s.h.cfg.DataDir, "artifacts", pathName(s.t.ExecutionName), pathName(s.t.ID))
	if err := removeAll(final); err != nil {
		return err
	}
	wanted := s.req.artifacts && (s.spec.artifacts != nil || s.spec.secondary != nil)
	if !wanted && s.spec.reports == nil {
		return nil
	}
	partial := filepath.Join(s.h.cfg.DataDir, partialDir, workName(s.t))
	if err := removeAll(partial); err != nil {
		return err
	}
	if err := os.MkdirAll(partial, 0o700); err != nil {
		return err
	}
	k := &keeper{s: s, room: s.h.cfg.MaxArtifactBytes, left: s.h.cfg.MaxArtifactFiles, vars: s.savedVariables(), final: final}
	err := k.keepAll(ctx, wanted)
	if err != nil {
		s.res.Artifacts, s.res.SecondaryArtifacts = artifactResult{}, []artifactResult{}
	}
	return errors.Join(err, removeAll(partial))
}

// keepAll copies everything, and puts it to where it belongs.
func (k *keeper) keepAll(ctx context.Context, wanted bool) error {
	s := k.s
	partial := filepath.Join(s.h.cfg.DataDir, partialDir, workName(s.t))
	var err error
	if k.src, err = os.OpenRoot(s.src); err != nil {
		return err
	}
	defer k.src.Close()
	if k.dst, err = os.OpenRoot(partial); err != nil {
		return err
	}
	defer k.dst.Close()
	if err := k.reports(ctx); err != nil {
		return err
	}
	var keepErr error
	defer func() {
		if more := k.without - maxLeftOutNotes; more > 0 {
			s.log.note("%d more files are not kept", more)
		}
	}()
	if wanted {
		if keepErr = k.artifacts(ctx); keepErr != nil {
			if err := errors.Join(k.dst.RemoveAll("artifacts"), k.dst.RemoveAll("secondary")); err != nil {
				return errors.Join(keepErr, err)
			}
		}
	}
	if entries, err := fs.ReadDir(k.dst.FS(), "."); err != nil || len(entries) == 0 {
		return errors.Join(keepErr, err)
	}
	if err := os.MkdirAll(filepath.Dir(k.final), 0o700); err != nil {
		return errors.Join(keepErr, err)
	}
	return errors.Join(keepErr, os.Rename(partial, k.final))
}

// reports keeps the reports. The error is a fault of the machine.
func (k *keeper) reports(ctx context.Context) error {
	for _, r := range k.s.spec.reports {
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
			k.s.log.note("report %s: %v", r.id, err)
			if err := k.dst.RemoveAll(path.Join("reports", group)); err != nil {
				return err
			}
			continue
		}
		k.s.log.note("report %s: kept %d files", r.id, n)
		k.s.res.ReportArns = append(k.s.res.ReportArns, strings.Replace(k.s.res.Arn, ":build/", ":report/"+group+"/", 1))
	}
	return nil
}

func (k *keeper) artifacts(ctx context.Context) error {
	var errs []error
	if a := k.s.spec.artifacts; a != nil {
		loc, err := k.artifact(ctx, *a, "artifacts")
		k.s.res.Artifacts = artifactResult{Location: loc}
		errs = append(errs, err)
	}
	for _, a := range k.s.spec.secondary {
		loc, err := k.artifact(ctx, a, path.Join("secondary", pathName(a.id)))
		k.s.res.SecondaryArtifacts = append(k.s.res.SecondaryArtifacts, artifactResult{ArtifactIdentifier: a.id, Location: loc})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// artifact keeps one artifact below dir and returns where it will be.
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
	location = filepath.Join(k.final, dir)
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
			ok, err := k.copy(ctx, name, to)
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

// copy keeps one file. What is no file of the build, or leads out of the source
// directory, is left out with a note. The build may still run something that
// changes files meanwhile: what is looked at decides what is opened, and what was
// opened decides what is copied.
func (k *keeper) copy(ctx context.Context, from, to string) (bool, error) {
	info, err := k.src.Stat(from)
	if err == nil {
		err = mayKeep(info)
	}
	if err != nil {
		return k.leaveOut(from, err)
	}
	// Without O_NONBLOCK the open of a named pipe would wait for a writer.
	in, err := k.src.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return k.leaveOut(from, err)
	}
	defer in.Close()
	if info, err = in.Stat(); err == nil {
		err = mayKeep(info)
	}
	if err != nil {
		return k.leaveOut(from, err)
	}
	cfg := &k.s.h.cfg
	if k.left--; k.left < 0 {
		return false, &limitError{fmt.Sprintf("the build's artifacts are more than the %d files they may be (engine.embedded.builds.artifact_files)", cfg.MaxArtifactFiles)}
	}
	if err := k.dst.MkdirAll(path.Dir(to), 0o700); err != nil {
		return false, err
	}
	out, err := k.dst.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600|info.Mode().Perm()&0o100)
	if err != nil {
		return false, err
	}
	n, err := k.fill(ctx, out, in)
	k.room -= n
	if k.room < 0 {
		err = errors.Join(err, &limitError{fmt.Sprintf("the build's artifacts are larger than the %s they may take (engine.embedded.builds.artifacts)", sizeText(cfg.MaxArtifactBytes))})
	}
	return err == nil, errors.Join(err, out.Close())
}

// copyAtOnce is how much is copied before ctx is looked at again, in bytes.
const copyAtOnce = 8 << 20

// fill copies at most one byte more than there is room for.
func (k *keeper) fill(ctx context.Context, out io.Writer, in io.Reader) (n int64, err error) {
	for n <= k.room {
		if err := k.s.h.reserve.wait(ctx); err != nil {
			return n, err
		}
		part, err := io.CopyN(out, in, min(copyAtOnce, k.room+1-n))
		n += part
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (k *keeper) leaveOut(name string, err error) (bool, error) {
	if fault.Of(err) != nil {
		return false, err
	}
	if k.without++; k.without <= maxLeftOutNotes {
		k.s.log.note("%s is not kept: %v", name, err)
	}
	return false, nil
}

// maxLeftOutNotes is how many files that are not kept the log names. Notes are not
// counted as output, and a build can make more files than a log has room for.
const maxLeftOutNotes = 100

// mayKeep says why something in the source directory is no artifact.
func mayKeep(info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode.IsDir():
		return errors.New("it is a link to a directory")
	case mode&fs.ModeNamedPipe != 0:
		return errors.New("it is a named pipe, not a file")
	case mode&fs.ModeSocket != 0:
		return errors.New("it is a socket, not a file")
	case mode&fs.ModeDevice != 0:
		return errors.New("it is a device, not a file")
	default:
		return errors.New("not a regular file")
	}
	// A second name of somebody else's file: without isolation a build may be able
	// to make one of what it can't read itself.
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 && int(st.Uid) != os.Geteuid() {
		return errors.New("it is a hard link to a file of another user")
	}
	return nil
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
