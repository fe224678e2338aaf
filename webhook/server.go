package webhook

import (
	"net/http"
	"time"
)

// NewServer returns a server with the limits that a [Handler] counts on, for
// any handler it is mounted in. Headers must come within 10 s and 64 KiB, and
// an idle connection is closed after two minutes. The time for a body is the
// Handler's own (Config.ReadTimeout), and there is no WriteTimeout, since the
// same server may stream other pages.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}
