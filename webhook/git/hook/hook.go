// Package hook tells Switchyard what was pushed to a plain git server. It is
// the post-receive hook of a repository.
//
// What a push brought is written to a spool beside the repository, and synced,
// before anything is sent; it leaves the spool once Switchyard has answered 2xx.
// So a push is reported even when Switchyard cannot be reached for a while: the
// next push, or [Hook.Flush], sends what waits, in order. A delivery has one ID
// and one body from the spool on, and so can be sent twice without harm.
//
// Beside the spool is a ledger: for each branch and tag, the commit up to which
// it has been reported. It decides which commits are new, and not the refs
// alone, because pushes run at the same time and each finds the others' refs in
// place; two that brought the same commit would each take it for known. A push
// whose hook was killed, or did not run, is found by comparing the ledger with
// the refs, at the end of each push and at each flush. Ledger and spool change
// in one step, so that being killed in between reports nothing twice.
//
//	GITDIR/switchyard/ledger            what has been reported
//	GITDIR/switchyard/staged/           deliveries on their way to the spool
//	GITDIR/switchyard/spool/SEQ-ID.json a delivery's body
//	GITDIR/switchyard/failed/           refused deliveries, each beside the reason
//	GITDIR/switchyard/left-out          tags that one push had too many of
//	GITDIR/switchyard/*.lock            flock(2): the ledger, sending, flushing
//
// Git 2.31 or newer is needed, for its first-parent diffs of merges. Nothing of
// a push ever reaches a shell, and what is shown to the pusher is escaped.
package hook

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrUsage is wrapped by errors that the caller of the program can repair:
// settings, or input that git would not give.
var ErrUsage = errors.New("usage")

// usageError wraps ErrUsage and says what it is about alone: the pusher, who is
// shown it, has used nothing.
type usageError struct{ error }

func (e *usageError) Unwrap() []error { return []error{ErrUsage, e.error} }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

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
	// Namespace is the git namespace that the push is in, "" for none.
	Namespace string
}

// Limits of one delivery. More commits, or more bytes of their texts, are sent
// as several deliveries. In JSON a byte may take six, and Switchyard takes
// bodies of 25 MiB.
const (
	maxCommits = 10_000
	maxBytes   = 4 << 20
)

// maxTags is how many tags of one push are reported: a repository that is moved
// here brings thousands, and no release of them is new.
const maxTags = 100

// settleTime is how long a ref that is ahead of the ledger is left to the hook
// of its own push, which may be about to run, and knows who pushed.
const settleTime = 2 * time.Second

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
	// unsendable is what is wrong with the settings, nil when they are complete.
	// Pushes are recorded all the same.
	unsendable error
	// Limits of one delivery, and of one push.
	maxCommits, maxBytes, maxTags int
	settle                        time.Duration
	step                          func(string) // nil, or told how far a run has come
}

// New checks the settings. It writes nothing.
func New(cfg Config, opts ...Option) (*Hook, error) {
	h, err := open(cfg, opts...)
	if err != nil {
		return nil, err
	}
	return h, h.unsendable
}

// open is New for a hook that may not be able to send.
func open(cfg Config, opts ...Option) (*Hook, error) {
	if !filepath.IsAbs(cfg.GitDir) {
		return nil, usagef("the repository's directory %q must be an absolute path", cfg.GitDir)
	}
	var unsendable error
	target, err := url.Parse(cfg.URL)
	if err != nil || cfg.URL == "" || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
		unsendable = usagef("%s is %q; set it with: git config %s https://HOST/webhooks/git", keyURL, cfg.URL, keyURL)
	}
	if cfg.Secret == "" && cfg.SecretFile != "" {
		text, err := os.ReadFile(cfg.SecretFile)
		if err != nil {
			unsendable = usagef("%s: %w", keySecretFile, err)
		}
		cfg.Secret = strings.TrimRight(string(text), "\r\n")
	}
	if cfg.Secret == "" && unsendable == nil {
		unsendable = usagef("no secret to sign with; write it to a file and set its path with: git config %s FILE", keySecretFile)
	}
	if cfg.Timeout < 0 || cfg.Patience < 0 {
		unsendable = usagef("timeouts must not be negative")
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
		cfg: cfg, target: target, dir: filepath.Join(cfg.GitDir, "switchyard"), perm: 0o700, unsendable: unsendable,
		maxCommits: maxCommits, maxBytes: maxBytes, maxTags: maxTags, settle: settleTime,
		client: &http.Client{
			Timeout:   cfg.Timeout,
			Transport: newTransport(),
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

// at tells a test how far a run has come.
func (h *Hook) at(step string) {
	if h.step != nil {
		h.step(step)
	}
}

func defaultName(gitDir string) string {
	if filepath.Base(gitDir) == ".git" {
		gitDir = filepath.Dir(gitDir)
	}
	return strings.TrimSuffix(filepath.Base(gitDir), ".git")
}

// newID is a delivery's ID: 128 random bits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return fmt.Sprintf("%x", b)
}
