// Package hook tells Switchyard what was pushed to a plain git server. It is
// the post-receive hook of a repository.
//
// What a push brought is written to a spool beside the repository, and synced,
// before anything is sent; it leaves the spool once Switchyard has answered 2xx.
// So a push is reported even when Switchyard cannot be reached for a while: the
// next push, or [Hook.Flush], sends what waits, in order. A delivery has one ID
// from the spool on, and so can be sent twice without harm.
//
// Beside the spool is a ledger: for each branch, the commit up to which it has
// been reported. It decides which commits are new, and not the refs alone,
// because pushes run at the same time and each finds the others' refs in place;
// two that brought the same commit would each take it for known. A push whose
// hook was killed, or did not run, is reported with the next push to its
// branch.
//
//	GITDIR/switchyard/ledger            "commit ref" lines
//	GITDIR/switchyard/spool/SEQ-ID.json a delivery's body
//	GITDIR/switchyard/failed/           refused deliveries, each beside the reason
//	GITDIR/switchyard/*.lock            flock(2): the ledger, sending, flushing
//
// Git 2.31 or newer is needed, for its first-parent diffs of merges. Nothing of
// a push ever reaches a shell, and what is shown to the pusher is escaped.
package hook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"switchyard/internal/safetext"
)

// ErrUsage is wrapped by errors that the caller of the program can repair:
// settings, or input that git would not give.
var ErrUsage = errors.New("usage")

// Config is what an operator sets, in the repository's git configuration or by
// flags. [Load] reads the former.
type Config struct {
	// GitDir is the repository: an absolute path. Required.
	GitDir string
	// URL is where deliveries go: https://HOST/webhooks/NAME, where NAME is a
	// source of type git. Required.
	URL string
	// Secret signs them. SecretFile is read instead where Secret is empty; a
	// line break at its end does not count. One of them is required.
	Secret     string
	SecretFile string
	// Repository is the name that routes match. Default: the last part of
	// GitDir's path without ".git".
	Repository string
	// CloneURL is where builds fetch from. Default: GitDir.
	CloneURL string
	// HTMLURL is the repository's page, if it has one; commits are linked
	// below it, at /commit/ID.
	HTMLURL string
	// Pusher is the name of whoever pushed.
	Pusher string
	// Timeout bounds one attempt to send. Default 5 s.
	Timeout time.Duration
	// Patience bounds all the sending during one push. Default 15 s.
	Patience time.Duration
	// Background is a program with its arguments that is started, detached,
	// when Switchyard cannot be reached, to try again for a while. Empty:
	// what waits is sent with the next push.
	Background []string
}

// Limits of one delivery. More commits, or more bytes of their texts, are sent
// as several deliveries. In JSON a byte may take six, and Switchyard takes
// bodies of 25 MiB.
const (
	maxCommits = 10_000
	maxBytes   = 4 << 20
)

// Option replaces what a test supplies.
type Option func(*Hook)

// WithTransport replaces how deliveries are sent.
func WithTransport(rt http.RoundTripper) Option { return func(h *Hook) { h.client.Transport = rt } }

// Hook reports the pushes to one repository.
type Hook struct {
	cfg    Config
	target *url.URL
	dir    string
	client *http.Client
	perm   os.FileMode // of directories; files have it without the x bits
	// Limits of one delivery.
	maxCommits, maxBytes int
}

// New checks the settings. It writes nothing.
func New(cfg Config, opts ...Option) (*Hook, error) {
	if !filepath.IsAbs(cfg.GitDir) {
		return nil, fmt.Errorf("%w: the repository's directory %q must be an absolute path", ErrUsage, cfg.GitDir)
	}
	target, err := url.Parse(cfg.URL)
	if err != nil || cfg.URL == "" || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		return nil, fmt.Errorf("%w: %s is %q; set it with: git config %s https://HOST/webhooks/git", ErrUsage, keyURL, cfg.URL, keyURL)
	}
	if cfg.Secret == "" && cfg.SecretFile != "" {
		text, err := os.ReadFile(cfg.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUsage, keySecretFile, err)
		}
		cfg.Secret = strings.TrimRight(string(text), "\r\n")
	}
	if cfg.Secret == "" {
		return nil, fmt.Errorf("%w: no secret to sign with; write it to a file and set its path with: git config %s FILE", ErrUsage, keySecretFile)
	}
	if cfg.Timeout < 0 || cfg.Patience < 0 {
		return nil, fmt.Errorf("%w: timeouts must not be negative", ErrUsage)
	}
	if cfg.Repository == "" {
		cfg.Repository = defaultName(cfg.GitDir)
	}
	if cfg.CloneURL == "" {
		cfg.CloneURL = cfg.GitDir
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Second
	}
	h := &Hook{
		cfg: cfg, target: target, dir: filepath.Join(cfg.GitDir, "switchyard"), perm: 0o700,
		maxCommits: maxCommits, maxBytes: maxBytes,
		client: &http.Client{
			Timeout: cfg.Timeout,
			// A redirected POST would lose its body.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	// Whoever may write the repository's objects may write the spool: several
	// accounts can push to a shared repository.
	if info, err := os.Stat(filepath.Join(cfg.GitDir, "objects")); err == nil {
		h.perm = info.Mode() & (os.ModePerm | os.ModeSetgid)
	}
	for _, opt := range opts {
		opt(h)
	}
	return h, nil
}

func defaultName(gitDir string) string {
	if filepath.Base(gitDir) == ".git" {
		gitDir = filepath.Dir(gitDir)
	}
	return strings.TrimSuffix(filepath.Base(gitDir), ".git")
}

// Run is the post-receive hook: stdin has git's "old new ref" lines, and out
// goes to the pusher. It returns nil once every update is reported or safely
// in the spool, whatever Switchyard said. An error means that an update is
// neither, and out has said so; one that wraps [ErrUsage] means that stdin was
// not git's.
//
// While it runs, the process does not end when the pusher hangs up.
func (h *Hook) Run(ctx context.Context, stdin io.Reader, out io.Writer) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(hangup)

	updates, err := parseUpdates(stdin)
	if err != nil {
		return err
	}
	say := teller{out}
	own, err := h.record(ctx, updates)
	if err != nil {
		say.line("THIS PUSH IS NOT REPORTED, no pipeline will run for it: %v", err)
		say.line("once that is repaired, the next push to the same branch reports it too")
	}
	if len(own) > 0 {
		ctx, cancel := context.WithTimeout(ctx, h.cfg.Patience)
		defer cancel()
		h.sendOwn(ctx, own, say)
	}
	return err
}

// record spools what the updates brought and notes in the ledger that it did.
// A crash in between leaves both as they were for the rest: it is reported
// again, under another ID, which asks for the same executions.
func (h *Hook) record(ctx context.Context, updates []update) ([]entry, error) {
	if len(updates) == 0 {
		return nil, nil
	}
	if err := h.makeDirs(); err != nil {
		return nil, err
	}
	unlock, err := h.lock(ctx, "ledger.lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	repo := repository{dir: h.cfg.GitDir}
	refs, err := repo.branches(ctx)
	if err != nil {
		return nil, err
	}
	led, err := h.readLedger(refs, updates)
	if err != nil {
		return nil, err
	}
	defaultBranch := repo.head(ctx)
	known := led.tips()
	fresh, err := repo.fresh(ctx, updates, known)
	if err != nil {
		return nil, err
	}
	var own []entry
	for _, u := range updates {
		change, late, err := repo.examine(ctx, u, led, known, refs)
		if err != nil {
			return own, err
		}
		if !late {
			entries, err := h.spoolChange(ctx, repo, change, fresh, defaultBranch)
			own = append(own, entries...)
			if err != nil {
				return own, err
			}
		}
		led.note(u, refs)
		if err := h.writeLedger(led); err != nil {
			return own, err
		}
	}
	return own, nil
}

// newID is a delivery's ID: 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return fmt.Sprintf("%x", b)
}

// teller writes short lines for the pusher.
type teller struct{ out io.Writer }

func (t teller) line(format string, args ...any) {
	// A pusher who hung up misses the line; the push is reported all the same.
	_, _ = fmt.Fprintf(t.out, "switchyard: %s\n", safetext.Line(fmt.Sprintf(format, args...)))
}
