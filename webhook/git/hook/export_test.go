package hook

// WithLimits makes deliveries small enough for a test to need several.
func WithLimits(commits, bytes int) Option {
	return func(h *Hook) { h.maxCommits, h.maxBytes = commits, bytes }
}
