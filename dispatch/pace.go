package dispatch

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// pace is the token bucket of start calls. When the engine throttles us the
// rate is halved and everything pauses; each success brings a little of it
// back, so that a quota that others share, or that was configured too high, is
// found by itself.
type pace struct {
	mu         sync.Mutex
	limiter    *rate.Limiter
	configured rate.Limit // rate.Inf for no limit
	throttles  int        // in a row
	resumeAt   time.Time
}

// slowest is the share of the configured rate below which throttling does not
// push it.
const slowest = 1.0 / 64

func newPace(perSecond float64, burst int) *pace {
	limit := limitOf(perSecond)
	return &pace{limiter: rate.NewLimiter(limit, burst), configured: limit}
}

func limitOf(perSecond float64) rate.Limit {
	if perSecond == 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

func (p *pace) configure(perSecond float64, burst int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configured = limitOf(perSecond)
	p.limiter.SetLimit(p.configured)
	p.limiter.SetBurst(burst)
}

// pause says how long nothing may be started because the engine throttled us.
func (p *pace) pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.resumeAt))
}

// wait says how long to wait before the next call; 0 takes a token.
func (p *pace) wait() time.Duration {
	if pause := p.pause(); pause > 0 {
		return pause
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.limiter.Reserve()
	delay := r.Delay()
	if delay > 0 {
		r.Cancel()
	}
	return delay
}

// throttled slows down, and pauses for at least after.
func (p *pace) throttled(after time.Duration, jitter func() float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.configured != rate.Inf {
		p.limiter.SetLimit(max(p.limiter.Limit()/2, p.configured*slowest))
	}
	// Calls under way when the first of them is throttled are throttled too;
	// together they count once.
	if time.Until(p.resumeAt) > 0 && after == 0 {
		return
	}
	const base, longest = 200 * time.Millisecond, 20 * time.Second
	d := longest
	if p.throttles < 10 {
		d = min(longest, base<<p.throttles)
	}
	p.throttles++
	// Full jitter: other clients of the same quota pause as well.
	p.resumeAt = time.Now().Add(after + time.Duration(jitter()*float64(d)))
}

func (p *pace) succeeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.throttles = 0
	if p.limiter.Limit() < p.configured && p.configured != rate.Inf {
		p.limiter.SetLimit(min(p.configured, p.limiter.Limit()+p.configured/200))
	}
}
