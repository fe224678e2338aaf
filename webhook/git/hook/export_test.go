package hook

import (
	"context"
	"io"
	"time"
)

// WithLimits makes deliveries small enough for a test to need several.
func WithLimits(commits, bytes int) Option {
	return func(h *Hook) { h.maxCommits, h.maxBytes = commits, bytes }
}

// WithMaxTags replaces how many tags of one push are reported.
func WithMaxTags(n int) Option { return func(h *Hook) { h.maxTags = n } }

// WithStep has f told how far each run has come.
func WithStep(f func(step string)) Option { return func(h *Hook) { h.step = f } }

// WithSettle replaces how long a push's own hook is waited for.
func WithSettle(d time.Duration) Option { return func(h *Hook) { h.settle = d } }

// Run is Receive for this hook's repository.
func (h *Hook) Run(ctx context.Context, stdin io.Reader, out io.Writer) error {
	updates, err := parseUpdates(stdin)
	if err != nil {
		return err
	}
	return h.receive(ctx, updates, teller{out})
}

// Waiting counts the deliveries in the spool and those put aside as refused.
func (h *Hook) Waiting() (spooled, failed int, err error) {
	w, err := h.waiting()
	if err != nil {
		return 0, 0, err
	}
	f, err := listEntries(h.failedDir())
	return len(w), len(f), err
}
