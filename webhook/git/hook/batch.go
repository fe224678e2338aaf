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

	"golang.org/x/sync/errgroup"

	"switchyard/webhook/git"
)

// batch is the deliveries of one push on their way to the spool. They are
// written to a folder of their own and synced; the ledger that names the batch
// and has its refs is what makes them count; then they are moved to the spool.
// A crash before the ledger leaves files that the next run removes, and a crash
// after it files that the next run moves: nothing is reported twice or never.
type batch struct {
	h       *Hook
	id      string
	seq     int64
	writers *errgroup.Group
	stop    context.Context // ended when a writer has failed
	entries []entry
	own     []entry
}

const (
	// A delivery's ID is a batch's ID and the delivery's place in it.
	batchDigits = 24
	indexDigits = 8
	// writersAtOnce are fsyncs that the file system can put together.
	writersAtOnce = 8
)

func (h *Hook) newBatch(ctx context.Context) (*batch, error) {
	b := &batch{h: h, id: newID()[:batchDigits], seq: time.Now().UnixNano()}
	waiting, err := h.waiting()
	if err != nil {
		return nil, err
	}
	if n := len(waiting); n > 0 {
		first, _, _ := strings.Cut(waiting[n-1].file, "-")
		if last, err := strconv.ParseInt(first, 10, 64); err == nil {
			b.seq = max(b.seq, last+1)
		}
	}
	if err := h.makeDir(b.dir()); err != nil {
		return nil, fmt.Errorf("make the spool: %w", err)
	}
	b.writers, b.stop = errgroup.WithContext(ctx)
	b.writers.SetLimit(writersAtOnce)
	return b, nil
}

func (b *batch) dir() string { return filepath.Join(b.h.stagedDir(), b.id) }

// add starts to write one delivery.
func (b *batch) add(p *git.Payload, own bool) error {
	if err := b.stop.Err(); err != nil {
		return b.writers.Wait()
	}
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode %s: %w", p.Ref, err)
	}
	n := len(b.entries)
	e := entry{fmt.Sprintf("%020d-%s%0*x.json", b.seq+int64(n), b.id, indexDigits, n)}
	b.entries = append(b.entries, e)
	if own {
		b.own = append(b.own, e)
	}
	b.writers.Go(func() error {
		f, err := os.OpenFile(filepath.Join(b.dir(), e.file), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			err = b.h.fill(f, body)
		}
		if err != nil {
			return fmt.Errorf("write the spool: %w", err)
		}
		return nil
	})
	b.h.at("delivery written")
	return nil
}

// sync returns once all deliveries are on disk.
func (b *batch) sync() error {
	if err := b.writers.Wait(); err != nil {
		return err
	}
	return errors.Join(syncDir(b.dir()), syncDir(b.h.stagedDir()))
}

// publish moves a batch that the ledger names to the spool, in order.
func (h *Hook) publish(dir string) error {
	list, err := listEntries(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := os.Rename(filepath.Join(dir, e.file), filepath.Join(h.spoolDir(), e.file)); err != nil {
			return fmt.Errorf("write the spool: %w", err)
		}
		h.at("delivery published")
	}
	if err := syncDir(h.spoolDir()); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("write the spool: %w", err)
	}
	return nil
}

// recoverBatches completes or undoes what a run left that was killed. The
// caller holds the ledger's lock.
func (h *Hook) recoverBatches(l *ledger) error {
	dirs, err := os.ReadDir(h.stagedDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list the spool: %w", err)
	}
	for _, d := range dirs {
		dir := filepath.Join(h.stagedDir(), d.Name())
		if d.Name() == l.batch {
			err = h.publish(dir)
		} else {
			err = os.RemoveAll(dir)
		}
		if err != nil {
			return err
		}
	}
	half, err := os.ReadDir(h.dir)
	for _, f := range half {
		if strings.HasPrefix(f.Name(), temporary) {
			_ = os.Remove(filepath.Join(h.dir, f.Name())) // in nobody's way
		}
	}
	return err
}

// stage writes the deliveries of the reports. One git process describes all of
// their commits.
func (h *Hook) stage(ctx context.Context, repo repository, b *batch, reports []report, defaultBranch string) error {
	var commits []string
	for i := range reports {
		commits = append(commits, reports[i].commits...)
	}
	at := 0
	var w *reportWriter
	// next goes on to the report that the next commit belongs to.
	next := func() error {
		for w == nil || w.left == 0 {
			if w != nil {
				if err := w.close(); err != nil {
					return err
				}
				w = nil
			}
			if at == len(reports) {
				return nil
			}
			w = h.newReportWriter(b, &reports[at], defaultBranch)
			at++
		}
		return nil
	}
	err := next()
	if err == nil && len(commits) > 0 {
		err = repo.describe(ctx, commits, func(c git.Commit) error {
			if err := w.add(c); err != nil {
				return err
			}
			return next()
		})
	}
	if err != nil {
		_ = b.writers.Wait() // err says more
		return err
	}
	return b.sync()
}

// reportWriter makes the deliveries of one report: one, or several where there
// is much to say. Each of several leads from the one before to its own last
// commit.
type reportWriter struct {
	h    *Hook
	b    *batch
	r    *report
	p    git.Payload
	size int
	left int // commits that are still to come
}

func (h *Hook) newReportWriter(b *batch, r *report, defaultBranch string) *reportWriter {
	zeros := strings.Repeat("0", max(len(r.before), len(r.after)))
	w := &reportWriter{h: h, b: b, r: r, left: len(r.commits), p: git.Payload{
		Repository: git.Repository{
			Name: h.cfg.Repository, CloneURL: h.cfg.CloneURL, HTMLURL: h.cfg.HTMLURL, DefaultBranch: defaultBranch,
		},
		Ref: r.ref, Before: r.before, After: r.after, Forced: r.forced, Pusher: r.pusher,
	}}
	for _, id := range []*string{&w.p.Before, &w.p.After} {
		if *id == "" {
			*id = zeros
		}
	}
	return w
}

func (w *reportWriter) add(c git.Commit) error {
	more := 256 + len(c.Message) + len(c.Author.Name) + len(c.Author.Email)
	for _, path := range c.Paths {
		more += len(path) + 3
	}
	if len(w.p.Commits) > 0 && (len(w.p.Commits) == w.h.maxCommits || w.size+more > w.h.maxBytes) {
		if err := w.write(); err != nil {
			return err
		}
	}
	w.size += more
	w.left--
	c.Distinct = w.r.distinct(c.ID)
	if w.h.cfg.HTMLURL != "" {
		c.URL = strings.TrimSuffix(w.h.cfg.HTMLURL, "/") + "/commit/" + c.ID
	}
	w.p.Commits = append(w.p.Commits, c)
	return nil
}

func (w *reportWriter) write() error {
	if n := len(w.p.Commits); n > 0 {
		w.p.After = w.p.Commits[n-1].ID
	}
	err := w.b.add(&w.p, w.r.own)
	w.p.Before, w.p.Forced, w.p.Commits, w.size = w.p.After, false, w.p.Commits[:0], 0
	return err
}

// close writes the last delivery.
func (w *reportWriter) close() error { return w.write() }
