// Package retryhttp asks again where an answer failed in passing: a list of a
// hundred pages must not begin anew because one of them did.
package retryhttp

import (
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	tries = 6
	// firstWait is how long is waited before the second try, on average, and then
	// twice as long each time.
	firstWait = 100 * time.Millisecond
	// maxRest is how much of a failed answer is read, so that its connection can
	// be used again.
	maxRest = 64 << 10
)

// Transport passes requests on to Next. One that reads (GET or HEAD) is made again
// up to five times where nothing answers, or with 500, 502, 503 or 504 without
// Retry-After, which is the caller's to obey. What comes of the last try is
// returned as it is.
type Transport struct{ Next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	wait := firstWait
	for try := 1; ; try++ {
		response, err := t.Next.RoundTrip(r)
		reads := (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.Body == nil || r.Body == http.NoBody)
		if try == tries || !reads || r.Context().Err() != nil || err == nil && !passing(response) {
			return response, err
		}
		if err == nil {
			_, _ = io.CopyN(io.Discard, response.Body, maxRest) // what is read, or not, changes nothing
			response.Body.Close()
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-r.Context().Done():
			timer.Stop()
			return nil, r.Context().Err()
		case <-timer.C:
		}
		wait *= 2
	}
}

// passing reports whether an answer may be another one soon.
func passing(r *http.Response) bool {
	switch r.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return r.Header.Get("Retry-After") == ""
	}
	return false
}
