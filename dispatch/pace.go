package dispatch

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Quota is one of the engine's quotas for starting executions: a token bucket.
type Quota struct {
	// Name tells quotas apart. State machines with the same one share its
	// bucket.
	Name string
	// Rate is how many executions may be started per second in the long run, 0
	// for no limit, and Burst how many at once after a pause. Burst defaults to
	// Rate, and to 1 at least.
	Rate  float64
	Burst int
}

// paces are the token buckets of all quotas, made as they are needed.
type paces struct {
	mu     sync.Mutex
	byName map[string]*pace
}

// of returns the bucket of a quota, as large and fast as the quota says now.
func (p *paces) of(q Quota) *pace {
	if q.Burst == 0 {
		q.Burst = max(1, int(q.Rate))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.byName[q.Name]
	if one == nil {
		if p.byName == nil {
			p.byName = map[string]*pace{}
		}
		one = newPace(q)
		p.byName[q.Name] = one
	}
	if one.quota != q {
		one.configure(q)
	}
	return one
}

// pause says how long nothing at all may be started because the engine
// throttled every quota, and whether it has throttled any.
func (p *paces) pause() (all time.Duration, any bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := true
	for _, one := range p.byName {
		pause := one.pause()
		any = any || pause > 0
		if first || pause < all {
			all, first = pause, false
		}
	}
	return all, any
}

// pace is the token bucket of one quota. When the engine throttles us the
// rate is halved and everything pauses; each success brings a little of it
// back, so that a quota that others share, or that was configured too high, is
// found by itself.
type pace struct {
	quota Quota // as configured last; of paces

	mu         sync.Mutex
	limiter    *rate.Limiter
	configured rate.Limit // rate.Inf for no limit
	throttles  int        // in a row
	resumeAt   time.Time
}

// slowest is the share of the configured rate below which throttling does not
// push it.
const slowest = 1.0 / 64

func newPace(q Quota) *pace {
	limit := limitOf(q.Rate)
	return &pace{quota: q, limiter: rate.NewLimiter(limit, q.Burst), configured: limit}
}

func limitOf(perSecond float64) rate.Limit {
	if perSecond == 0 {
		return rate.Inf
	}
	return rate.Limit(perSecond)
}

func (p *pace) configure(q Quota) {
	p.quota = q
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configured = limitOf(q.Rate)
	p.limiter.SetLimit(p.configured)
	p.limiter.SetBurst(q.Burst)
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
