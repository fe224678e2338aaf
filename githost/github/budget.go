package github

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// reserve is the part of the primary limit that reads leave for writes: of 5,000
// calls an hour 500, which is how many statuses GitHub takes in that time.
const reserve = 10

// budget keeps the calls of one credential within what the host allows: it reads
// what each answer says is left, and makes no call that would be refused. All
// that asks the API of a source shares it.
type budget struct {
	next http.RoundTripper
	now  func() time.Time

	mu sync.Mutex
	// limit and left are as the newest answer said, until reset; zero limit where
	// none said.
	limit, left int
	reset       time.Time
	// paused is when the host wants to be asked again at the earliest.
	paused time.Time
}

// throttledError says that a call was not made, for the sake of the limits.
type throttledError struct {
	after time.Duration
	why   string
}

func (e *throttledError) Error() string {
	return fmt.Sprintf("not asked: %s; there are more in %v", e.why, e.after.Round(time.Second))
}

func (b *budget) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := b.spend(r.Method == http.MethodGet || r.Method == http.MethodHead); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	response, err := b.next.RoundTrip(r)
	if err == nil {
		b.learn(response)
	}
	return response, err
}

// spend counts a call, or refuses it. Calls under way are counted as if their
// answers had come.
func (b *budget) spend(read bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if wait := b.paused.Sub(now); wait > 0 {
		return &throttledError{wait, "the host asked for a pause"}
	}
	if b.limit == 0 || !now.Before(b.reset) {
		return nil
	}
	kept := 0
	if read {
		kept = b.limit / reserve
	}
	if b.left <= kept {
		return &throttledError{b.reset.Sub(now), fmt.Sprintf("%d of the %d calls of this hour are left", b.left, b.limit)}
	}
	b.left--
	return nil
}

func (b *budget) learn(response *http.Response) {
	h := response.Header
	now := b.now()
	limit, limitErr := strconv.Atoi(h.Get("X-RateLimit-Limit"))
	left, leftErr := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	reset, resetErr := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	after, limited := retryAfter(h, now)
	limited = limited && (response.StatusCode == http.StatusForbidden || response.StatusCode == http.StatusTooManyRequests || response.StatusCode == http.StatusServiceUnavailable)
	b.mu.Lock()
	defer b.mu.Unlock()
	if limitErr == nil && leftErr == nil && resetErr == nil && limit > 0 {
		ends := now.Add(until(time.Unix(reset, 0), h, now))
		switch {
		case b.limit != limit || ends.Sub(b.reset).Abs() > time.Minute:
			b.limit, b.left, b.reset = limit, left, ends // another hour
		default:
			b.left = min(b.left, left) // answers overtake one another
		}
	}
	if until := now.Add(after); limited && until.After(b.paused) {
		b.paused = until
	}
}

// retryAfter reads how long the host wants to be left alone; false when it does
// not say that the limits are the matter.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	after := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(after); err == nil {
		return until(at, h, now), true
	}
	if h.Get("X-RateLimit-Remaining") != "0" {
		return 0, false
	}
	reset, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0, true
	}
	return until(time.Unix(reset, 0), h, now), true
}

// until is how long to wait for a time that is given in whole seconds of the
// host's clock, which the answer tells, so that ours may differ from it.
func until(at time.Time, h http.Header, now time.Time) time.Duration {
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		now = theirs
	}
	return max(at.Sub(now), 0) + time.Second
}
