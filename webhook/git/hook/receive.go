package hook

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNotReported means that the pusher has been told that, and why, a push is
// not reported now.
var ErrNotReported = errors.New("the push is not reported yet, for the reason above")

const notReported = "THIS PUSH IS NOT REPORTED, no pipeline will run for it yet"

// Receive is the post-receive hook of the repository that the environment names:
// stdin has git's "old new ref" lines, and out goes to the pusher, with
// background as [Config.Background]. Whatever is wrong with the settings, out
// says so, and the push is kept for when they are repaired. [ErrNotReported]
// then says no more; an error that wraps [ErrUsage] means that git did not call.
func Receive(ctx context.Context, stdin io.Reader, out io.Writer, background []string, opts ...Option) error {
	updates, err := parseUpdates(stdin)
	if err != nil {
		return err
	}
	say := teller{out}
	cfg, wrong := Load(ctx, "")
	cfg.Background = background
	err = wrong
	var h *Hook
	if cfg.GitDir != "" {
		h, err = open(cfg, opts...)
	}
	if err != nil {
		if os.Getenv("GIT_DIR") == "" { // not git
			return err
		}
		say.line("%s: %v", notReported, err)
		say.line("once that is repaired, the next push reports it too, or: switchyard hook flush")
		return ErrNotReported
	}
	h.unsendable = errors.Join(wrong, h.unsendable)
	if h.receive(ctx, updates, say) != nil {
		return ErrNotReported
	}
	return nil
}

// receive returns nil once every update is reported or safely in the spool,
// whatever Switchyard said. While it runs, the process does not end when the
// pusher hangs up.
func (h *Hook) receive(ctx context.Context, updates []update, say teller) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(hangup)
	if len(updates) == 0 {
		return nil
	}
	h.at("started")
	own, err := h.record(ctx, updates, say)
	if err != nil {
		say.line("%s: %v", notReported, err)
		say.line("once that is repaired, the next push reports it too, or: switchyard hook flush")
	}
	if h.unsendable != nil {
		if err == nil {
			say.line("%s: %v", notReported, h.unsendable)
			say.line("nothing is lost: it waits in %s; once that is repaired, the next push sends it, or: switchyard hook flush", h.spoolDir())
		}
		return errors.Join(err, h.unsendable)
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Patience)
	defer cancel()
	reachable := true
	if len(own) > 0 {
		reachable = h.sendOwn(ctx, own, say)
	}
	if err == nil && reachable {
		h.at("told")
		h.catchUpAfterPush(ctx, say)
	}
	return err
}

// catchUpAfterPush reports what earlier pushes left unreported. This push is
// reported already, so that whatever fails here only waits for the next one.
func (h *Hook) catchUpAfterPush(ctx context.Context, say teller) {
	more, err := h.catchUp(ctx, say)
	if err == nil && more {
		say.line("an earlier push had not been reported; with this one:")
		err = h.drain(ctx, "", h.tellEach(say))
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		say.line("an earlier push is still not reported: %v; try: switchyard hook flush", err)
	}
}

// record writes what the updates brought to the spool, and notes in the ledger
// that it did, in one step. It returns the deliveries of this push.
func (h *Hook) record(ctx context.Context, updates []update, say teller) ([]entry, error) {
	for i := range updates {
		updates[i].ref = inNamespace(h.cfg.Namespace, updates[i].ref)
	}
	unlock, err := h.lockLedger(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	repo := repository{h.cfg.GitDir}
	found, err := repo.refs(ctx)
	if err != nil {
		return nil, err
	}
	real := updates[:0]
	for _, u := range updates {
		if u.ref = found.resolve(u.ref); isBranch(u.ref) || isTag(u.ref) {
			real = append(real, u)
		}
	}
	l, _, err := h.openLedger(found, real)
	if err != nil {
		return nil, err
	}
	b, err := h.commit(ctx, repo, found, l, real, true, say)
	if b == nil {
		return nil, err
	}
	return b.own, err
}

func (h *Hook) lockLedger(ctx context.Context) (unlock func(), err error) {
	if err := h.makeDirs(); err != nil {
		return nil, err
	}
	return h.lock(ctx, "ledger.lock")
}

// commit plans the reports of the updates, and makes them and the ledger
// durable together. The caller holds the ledger's lock. The batch is nil where
// there was nothing to do.
func (h *Hook) commit(ctx context.Context, repo repository, found refs, l *ledger, updates []update, own bool, say teller) (*batch, error) {
	h.at("ledger read")
	if err := h.recoverBatches(l); err != nil {
		return nil, err
	}
	if len(updates) == 0 {
		return nil, nil
	}
	before := l.encode()
	p, err := h.newPlan(ctx, repo, found, l, updates, own)
	if err != nil {
		return nil, err
	}
	if err := p.add(ctx, updates); err != nil {
		return nil, err
	}
	if err := h.recordLeftOut(p.leftOut); err != nil {
		return nil, err
	}
	h.at("planned")
	var b *batch
	if len(p.reports) > 0 {
		if b, err = h.newBatch(ctx); err != nil {
			return nil, err
		}
		if err := h.stage(ctx, repo, b, p.reports, shortRef(found.head)); err != nil {
			return nil, errors.Join(err, os.RemoveAll(b.dir()))
		}
		l.batch = b.id
	}
	h.at("staged")
	if after := l.encode(); !bytes.Equal(before, after) {
		if err := h.writeFile(h.ledgerFile(), after); err != nil {
			return nil, err
		}
	}
	h.at("ledger written")
	if b != nil {
		if err := h.publish(b.dir()); err != nil {
			// The ledger names the batch: the next run completes it.
			return nil, err
		}
	}
	h.at("published")
	for _, note := range p.notes {
		say.line("%s", note)
	}
	if n := len(p.leftOut); n > 0 {
		say.line("%s too many for one push and not reported, the newest %d are: see %s", count(n, "tag is", "tags are"), h.maxTags, h.leftOutFile())
		say.line("to report one of them, delete it on the server and push it on its own")
	}
	return b, errors.Join(p.failed...)
}

func (h *Hook) leftOutFile() string { return filepath.Join(h.dir, "left-out") }

// recordLeftOut keeps a list of the tags that the last push with too many of
// them left out.
func (h *Hook) recordLeftOut(tags []update) error {
	if len(tags) == 0 {
		return nil
	}
	var b strings.Builder
	for _, u := range tags {
		fmt.Fprintf(&b, "%s %s\n", cmp.Or(u.new, "deleted"), u.ref)
	}
	return h.writeFile(h.leftOutFile(), []byte(b.String()))
}
