package hook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"switchyard/webhook/git"
)

// entry is one delivery in the spool. Its file is named SEQ-ID.json, where SEQ
// is the time in nanoseconds, or one more than the entry before, in 20 digits:
// the names sort in the order of the pushes.
type entry struct{ file string }

func (e entry) id() string {
	_, id, _ := strings.Cut(strings.TrimSuffix(e.file, ".json"), "-")
	return id
}

func (h *Hook) spoolDir() string  { return filepath.Join(h.dir, "spool") }
func (h *Hook) failedDir() string { return filepath.Join(h.dir, "failed") }

func (h *Hook) makeDirs() error {
	for _, dir := range []string{h.dir, h.spoolDir(), h.failedDir()} {
		err := os.Mkdir(dir, h.perm.Perm())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			// Mkdir's mode is subject to the umask; a shared repository's is not.
			err = os.Chmod(dir, h.perm)
		}
		if err != nil {
			return fmt.Errorf("make the spool: %w", err)
		}
	}
	return nil
}

// spoolChange writes one delivery, or several where there is much to say. Each
// of several leads from the one before to its own last commit.
func (h *Hook) spoolChange(ctx context.Context, repo repository, c change, fresh map[string]bool, defaultBranch string) ([]entry, error) {
	p := git.Payload{
		Repository: git.Repository{
			Name: h.cfg.Repository, CloneURL: h.cfg.CloneURL, HTMLURL: h.cfg.HTMLURL, DefaultBranch: defaultBranch,
		},
		Ref: c.ref, Before: c.old, After: c.new, Forced: c.forced, Pusher: h.cfg.Pusher,
	}
	if isZero(c.new) {
		e, err := h.spool(&p)
		return []entry{e}, err
	}
	var own []entry
	size := 0
	flush := func() error {
		p.After = p.Commits[len(p.Commits)-1].ID
		e, err := h.spool(&p)
		if err != nil {
			return err
		}
		own = append(own, e)
		p.Before, p.Forced, p.Commits, size = p.After, false, p.Commits[:0], 0
		return nil
	}
	err := repo.describe(ctx, c.commits, func(commit git.Commit) error {
		more := 256 + len(commit.Message) + len(commit.Author.Name) + len(commit.Author.Email)
		for _, path := range commit.Paths {
			more += len(path) + 3
		}
		if len(p.Commits) > 0 && (len(p.Commits) == h.maxCommits || size+more > h.maxBytes) {
			if err := flush(); err != nil {
				return err
			}
		}
		size += more
		commit.Distinct = fresh[commit.ID]
		if h.cfg.HTMLURL != "" {
			commit.URL = strings.TrimSuffix(h.cfg.HTMLURL, "/") + "/commit/" + commit.ID
		}
		p.Commits = append(p.Commits, commit)
		return nil
	})
	if err == nil {
		err = flush()
	}
	return own, err
}

// spool writes one delivery and syncs it. The caller holds the ledger's lock.
func (h *Hook) spool(p *git.Payload) (entry, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return entry{}, fmt.Errorf("encode %s: %w", p.Ref, err)
	}
	waiting, err := h.waiting()
	if err != nil {
		return entry{}, err
	}
	seq := time.Now().UnixNano()
	if n := len(waiting); n > 0 {
		first, _, _ := strings.Cut(waiting[n-1].file, "-")
		last, err := strconv.ParseInt(first, 10, 64)
		if err == nil {
			seq = max(seq, last+1)
		}
	}
	e := entry{fmt.Sprintf("%020d-%s.json", seq, newID())}
	return e, h.writeFile(filepath.Join(h.spoolDir(), e.file), body)
}

// waiting lists the spool in the order of the pushes.
func (h *Hook) waiting() ([]entry, error) {
	return listEntries(h.spoolDir())
}

func listEntries(dir string) ([]entry, error) {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the spool: %w", err)
	}
	var list []entry
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".json") && !strings.HasPrefix(f.Name(), ".") {
			list = append(list, entry{f.Name()})
		}
	}
	return list, nil
}

// writeFile replaces the file in one step; when it returns nil, the content
// survives a crash.
func (h *Hook) writeFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(h.perm & 0o666)
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// park puts a delivery aside that Switchyard refused.
func (h *Hook) park(e entry, reason string) error {
	if err := h.writeFile(filepath.Join(h.failedDir(), e.file+".reason"), []byte(reason+"\n")); err != nil {
		return err
	}
	return os.Rename(filepath.Join(h.spoolDir(), e.file), filepath.Join(h.failedDir(), e.file))
}

// unpark puts the refused deliveries back, under their IDs and in their places.
func (h *Hook) unpark() error {
	parked, err := listEntries(h.failedDir())
	for _, e := range parked {
		if err = os.Rename(filepath.Join(h.failedDir(), e.file), filepath.Join(h.spoolDir(), e.file)); err != nil {
			return fmt.Errorf("put back %s: %w", e.file, err)
		}
		_ = os.Remove(filepath.Join(h.failedDir(), e.file+".reason")) // it explains nothing any more
	}
	return err
}

// lock waits for the lock until ctx ends.
func (h *Hook) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err := h.tryLock(name)
		if unlock != nil || err != nil {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another push is still busy: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
