package hook

import "time"

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
