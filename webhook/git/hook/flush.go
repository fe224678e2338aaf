package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Flush reports what the refs are ahead of the ledger, sends what waits in the
// spool, and with failed set also what was refused before, and tells out about
// each. While Switchyard cannot be reached it tries again until patience is
// over: after one second, then after twice as long each time, up to 30 s. With
// patience, only one process of a repository flushes; another one returns nil at
// once. An error means that something is still unreported or waiting.
//
// Where there is no ledger yet, what is in the repository now counts as
// reported.
func (h *Hook) Flush(ctx context.Context, out io.Writer, failed bool, patience time.Duration) error {
	if err := h.makeDirs(); err != nil {
		return err
	}
	if patience > 0 {
		unlock, err := h.tryLock("flush.lock")
		if err != nil || unlock == nil {
			return err
		}
		defer unlock()
	}
	if failed {
		if err := h.unpark(); err != nil {
			return err
		}
	}
	say := teller{out}
	_, err := h.catchUp(ctx, say)
	if err != nil {
		err = fmt.Errorf("compare the refs with what has been reported: %w", err)
	}
	return errors.Join(err, h.sendAll(ctx, say, patience))
}

// sendAll sends what waits, and tries again until patience is over.
func (h *Hook) sendAll(ctx context.Context, say teller, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := h.drain(ctx, "", h.tellEach(say))
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || time.Until(deadline) < wait {
			return fmt.Errorf("deliver to %s: %w", h.target.Redacted(), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		if _, gone := os.Stat(h.cfg.GitDir); errors.Is(gone, fs.ErrNotExist) {
			return fmt.Errorf("repository %s is gone, and what waited there with it", h.cfg.GitDir)
		}
	}
}

// catchUp spools what the refs are ahead of the ledger, and reports whether
// there was anything. A ref that its own push's hook takes care of within the
// settling time is left to it.
func (h *Hook) catchUp(ctx context.Context, say teller) (more bool, err error) {
	ahead, err := h.ahead(ctx, say)
	if err != nil || len(ahead) == 0 {
		return false, err
	}
	h.at("found ahead")
	for end := time.Now().Add(h.settle); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
		l, _, err := h.readLedger()
		if err != nil || l == nil {
			return false, err
		}
		ahead = slices.DeleteFunc(ahead, func(u update) bool { return l.tips[u.ref] == u.new })
		if len(ahead) == 0 {
			return false, nil
		}
	}
	unlock, err := h.lockLedger(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	repo := repository{h.cfg.GitDir}
	found, err := repo.refs(ctx)
	if err != nil {
		return false, err
	}
	l, _, err := h.openLedger(found, nil)
	if err != nil {
		return false, err
	}
	// A ref that has moved since has a hook that is about to run.
	still := slices.DeleteFunc(l.differences(found), func(u update) bool {
		return !slices.ContainsFunc(ahead, func(v update) bool { return u.ref == v.ref && u.new == v.new })
	})
	b, err := h.commit(ctx, repo, found, l, still, false, say)
	return b != nil, err
}

// ahead lists the refs that are not as the ledger has them. It completes what a
// run left that was killed, and starts the ledger where there is none.
func (h *Hook) ahead(ctx context.Context, say teller) ([]update, error) {
	unlock, err := h.lockLedger(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	found, err := repository{h.cfg.GitDir}.refs(ctx)
	if err != nil {
		return nil, err
	}
	l, first, err := h.openLedger(found, nil)
	if err != nil {
		return nil, err
	}
	if first && len(found.tips) > 0 {
		say.line("nothing was recorded here before: what the repository has now, %s, counts as reported", count(len(found.tips), "branch or tag", "branches and tags"))
	}
	return l.differences(found), h.recoverBatches(l)
}
