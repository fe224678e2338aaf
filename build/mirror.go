//go:build unix

package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchyard/internal/fault"
)

// mirrors keeps one bare repository per clone URL. Builds borrow its objects
// (git's "alternates"), so that fifty commits are downloaded once.
//
// Nothing is ever pruned from a mirror: a commit whose branch is gone may be
// in use by a build, or asked for again. What git writes is synced before it is
// relied on; a mirror that is damaged all the same, by a power cut or a disk, is
// set aside and fetched anew by the build that finds it.
type mirrors struct {
	root string
	h    *Handler

	mu     sync.Mutex
	byName map[string]*mirror
}

// mirror is one bare repository.
type mirror struct {
	dir string
	log *zap.Logger
	// turn is held while git writes to the mirror: one fetch at a time, and
	// those who waited for it find what it brought.
	turn chan struct{}
	// fetches counts downloads, for tests.
	fetches atomic.Int64
	// renewals counts how often the mirror was fetched anew: who found it
	// damaged sees that another build has healed it since.
	renewals atomic.Int64
	// damage is what a check has found; nil for nothing.
	damage atomic.Pointer[string]
	// users is how many builds borrow from it; [mirrors] guards it.
	users int
}

// mirrorName is free of anything the URL could smuggle into a path.
func mirrorName(url, format string) string {
	sum := sha256.Sum256([]byte(url))
	return hex.EncodeToString(sum[:16]) + "-" + format + ".git"
}

func (m *mirrors) get(url, format string) *mirror { return m.named(mirrorName(url, format)) }

func (m *mirrors) named(name string) *mirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	mr, ok := m.byName[name]
	if !ok {
		mr = &mirror{dir: filepath.Join(m.root, name), turn: make(chan struct{}, 1), log: m.h.log}
		m.byName[name] = mr
	}
	return mr
}

// source is a commit that a mirror holds.
type source struct {
	mirror *mirror
	// commit is the full ID; "" while only its beginning, short, is known. short
	// is "" when the full ID was given.
	commit, short string
	// ref is where the commit is found when no branch, tag or pull request
	// holds it; may be "".
	ref    string
	format string
}

func (s *source) String() string {
	if s.short != "" {
		return s.short
	}
	return s.commit
}

// fetch brings a commit of a repository into its mirror, if it isn't there.
// The git it returns has the remote's credentials.
func (s *session) fetch(ctx context.Context, g git, rm remote, v version, named bool) (*source, git, error) {
	h := s.h
	if rm.password == "" && rm.host != "" {
		c, err := h.access.Credentials(ctx, Fetch{URL: rm.url, Source: s.req.origin.Source, Repository: s.req.origin.Repository, Named: named})
		if err != nil {
			return nil, g, fmt.Errorf("get a token: %w", err)
		}
		if c.Note != "" {
			s.log.note("%s", c.Note)
		}
		rm.user, rm.password, rm.bearer = c.User, c.Password, c.User == ""
	}
	s.log.hide(rm.password)
	g.remote = &rm
	src := &source{commit: v.commit, ref: v.ref, format: formatOf(v.commit)}
	if src.commit == "" {
		var err error
		if src.commit, src.short, src.format, err = resolve(ctx, g, rm, v.ref); err != nil {
			return nil, g, err
		}
	}
	var release func()
	src.mirror, release = h.mirrors.use(rm.url, src.format)
	s.releases = append(s.releases, release)
	if err := src.ensure(ctx, g, s.log.note); err != nil {
		return src, g, err
	}
	return src, g, src.mirror.touch(usedFile, h.now())
}

// ensure makes the mirror hold the commit.
func (s *source) ensure(ctx context.Context, g git, note func(string, ...any)) error {
	m := s.mirror
	if err := m.reset(s.format); err != nil {
		return err
	}
	// What a short ID means now may have changed since the last fetch.
	if s.short == "" && m.damage.Load() == nil && s.find(ctx, g, m.dir) == nil {
		return nil
	}
	release, err := m.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	if damage := m.damage.Load(); damage != nil && exists(m.dir) {
		return s.renew(ctx, g, errors.New(*damage), note)
	}
	var found error
	if found = s.find(ctx, g, m.dir); found == nil && s.short == "" {
		return nil
	}
	existed := exists(m.dir)
	if existed && (showsDamage(found) || errors.Is(found, errNoDirectory)) {
		return s.renew(ctx, g, found, note)
	}
	if !existed {
		if err := m.create(ctx, g, s.format); err != nil {
			return fmt.Errorf("make mirror: %w", err)
		}
	}
	err = s.download(ctx, g, m.dir, note)
	if existed && showsDamage(err) {
		return s.renew(ctx, g, err, note)
	}
	return err
}

// take waits for the turn to write to the mirror.
func (m *mirror) take(ctx context.Context) (release func(), err error) {
	select {
	case m.turn <- struct{}{}:
		return func() { <-m.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// download fetches into the repository at dir until it holds the commit.
func (s *source) download(ctx context.Context, g git, dir string, note func(string, ...any)) error {
	// Branches and tags come first: the commits of one push arrive together,
	// and with the refs as a base later fetches send only what is new. A
	// commit that no branch holds, such as a fork's, is then asked for by its
	// ID, by the ref it was named with, and last by the refs that hosts keep
	// for pull requests.
	type attempt struct {
		what     string
		refspecs []string
	}
	attempts := []attempt{{"branches", []string{"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"}}}
	if s.short == "" {
		attempts = append(attempts, attempt{"commit " + s.commit, []string{"+" + s.commit + ":refs/switchyard/commits/" + s.commit}})
		if strings.HasPrefix(s.ref, "refs/") {
			attempts = append(attempts, attempt{s.ref, []string{"+" + s.ref + ":refs/switchyard/named/" + s.commit}})
		}
	}
	attempts = append(attempts, attempt{"pull requests",
		[]string{"+refs/pull/*/head:refs/switchyard/pull/*", "+refs/merge-requests/*/head:refs/switchyard/merge-requests/*"}})
	var firstErr error
	for i, a := range attempts {
		note("fetching %s", a.what)
		s.mirror.fetches.Add(1)
		// Nobody else writes here now: a lock is one that a killed git left.
		if err := removeLocks(dir); err != nil {
			return err
		}
		args := []string{"fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"}
		if i == 0 {
			args = append(args, "--prune")
		}
		begin := time.Now()
		_, err := g.output(ctx, dir, append(append(args, "--", g.remote.url), a.refspecs...)...)
		if err == nil {
			err = syncDirs(dir, begin)
		}
		if err != nil {
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), removeLocks(dir))
			}
			if firstErr == nil {
				firstErr = err
			}
			// The verdict on the commit is the repository's that answers.
			if fault.Of(err) != nil || showsDamage(err) {
				return fmt.Errorf("commit %s: %w", s, err)
			}
		}
		if err := s.find(ctx, g, dir); err == nil {
			return nil
		} else if fault.Of(err) != nil || showsDamage(err) || strings.Contains(err.Error(), "is ambiguous") {
			return err
		}
	}
	if firstErr == nil {
		firstErr = errors.New("no branch, tag or pull request holds it, and it can't be fetched by its ID")
	}
	return fmt.Errorf("commit %s: %w", s, firstErr)
}

// find returns nil when the repository at dir has the commit, and makes its ID
// full. Git moves objects in place only when all they refer to is there too.
func (s *source) find(ctx context.Context, g git, dir string) error {
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return errNoDirectory
	}
	if s.short == "" {
		_, err := g.output(ctx, dir, "cat-file", "-e", s.commit+"^{commit}")
		return err
	}
	out, err := g.output(ctx, dir, "rev-parse", "--verify", "--end-of-options", s.short+"^{commit}")
	if err == nil {
		s.commit = strings.TrimSpace(out)
	}
	return err
}

// errNoDirectory is what find says of something else in a mirror's place.
var errNoDirectory = errors.New("it is not a directory")

func exists(dir string) bool {
	_, err := os.Stat(dir)
	return err == nil
}

// create makes the bare repository, whole or not at all.
func (m *mirror) create(ctx context.Context, g git, format string) error {
	if err := m.init(ctx, g, m.dir+newSuffix, format); err != nil {
		return err
	}
	return m.place(m.dir + newSuffix)
}

// newSuffix is the end of the name of a repository that is being made.
const newSuffix = ".new"

func (m *mirror) init(ctx context.Context, g git, dir, format string) error {
	if err := removeAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	_, err := g.output(ctx, "", "init", "--quiet", "--bare", "--template=", "--object-format="+format, dir)
	return err
}

// foreign is what has no place in a mirror and would change what git does with
// it: programs that git runs, other objects, other histories.
var foreign = []string{
	"hooks", "commondir", "config.worktree", "worktrees", "shallow", "info/grafts", "info/attributes", "refs/replace",
	"objects/info/alternates", "objects/info/http-alternates",
}

// reset makes the configuration of a mirror what it was made with, and takes out
// what is foreign. A build without isolation can write to mirrors.
func (m *mirror) reset(format string) error {
	if info, err := os.Stat(m.dir); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // there is none yet, or something else that is set aside
	}
	for _, name := range foreign {
		if err := os.RemoveAll(filepath.Join(m.dir, name)); err != nil {
			return err
		}
	}
	config, version, extensions := filepath.Join(m.dir, "config"), 0, ""
	if format != "sha1" {
		version, extensions = 1, "[extensions]\n\tobjectformat = "+format+"\n"
	}
	want := fmt.Sprintf("[core]\n\trepositoryformatversion = %d\n\tfilemode = true\n\tbare = true\n%s", version, extensions)
	if is, err := os.ReadFile(config); err == nil && string(is) == want {
		return nil
	}
	f, err := os.CreateTemp(m.dir, "config-")
	if err != nil {
		return err
	}
	_, err = f.WriteString(want)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), config)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// place gives a repository the mirror's name.
func (m *mirror) place(dir string) error {
	if err := os.Rename(dir, m.dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(m.dir))
}
