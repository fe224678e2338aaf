package githubtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Limits are those of the API, for each who is limited together: the tokens of a
// person, or of an installation. Zero is no limit.
type Limits struct {
	// PerHour is the primary limit. Answers that say 304 do not count.
	PerHour int
	// Concurrent are calls at once.
	Concurrent int
	// PointsPerMinute are for one path of the API: a read is one, a write five.
	PointsPerMinute int
	// ContentPerMinute and ContentPerHour are for calls that make content.
	ContentPerMinute, ContentPerHour int
}

// documented are from "Rate limits for the REST API".
var documented = Limits{PerHour: 5000, Concurrent: 100, PointsPerMinute: 900, ContentPerMinute: 80, ContentPerHour: 500}

// usage is what one has used up.
type usage struct {
	used    int
	resets  time.Time
	content []time.Time            // of the last hour
	points  map[string][]time.Time // of the last minute, by path
}

// SetRemaining sets what is left of the primary limit for a token's owner.
func (s *Server) SetRemaining(token string, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.usageOf(s.tokens[token].limitedAs())
	u.used = s.Limits.PerHour - left
}

// Limited counts the calls that were refused for being too many.
func (s *Server) Limited() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

func (s *Server) usageOf(who string) *usage {
	u := s.usage[who]
	if u == nil {
		u = &usage{points: map[string][]time.Time{}}
		s.usage[who] = u
	}
	if now := time.Now(); !now.Before(u.resets) {
		u.used, u.resets = 0, now.Add(time.Hour).Truncate(time.Second)
	}
	return u
}

// charge counts a call, or refuses it. Who calls it has the lock.
func (s *Server) charge(q *call, o operation, running int) error {
	now := time.Now()
	q.header.Set("Date", now.UTC().Format(http.TimeFormat))
	u := s.usageOf(q.who.limited)
	if o.needs == free {
		s.tell(u, q.header)
		return nil
	}
	if s.Limits.PerHour > 0 && u.used >= s.Limits.PerHour {
		s.tell(u, q.header)
		s.refused++
		return &FaultError{Status: http.StatusForbidden, Message: "API rate limit exceeded for user ID 1."}
	}
	u.used++
	s.tell(u, q.header)
	points := 1
	if q.r.Method != http.MethodGet && q.r.Method != http.MethodHead {
		points = 5
	}
	path := q.r.URL.Path
	u.points[path] = after(u.points[path], now.Add(-time.Minute))
	u.content = after(u.content, now.Add(-time.Hour))
	lastMinute := len(after(u.content, now.Add(-time.Minute)))
	switch l := s.Limits; {
	case l.Concurrent > 0 && running > l.Concurrent:
		return s.secondary(time.Minute)
	case l.PointsPerMinute > 0 && len(u.points[path])+points > l.PointsPerMinute:
		return s.secondary(u.points[path][0].Add(time.Minute).Sub(now))
	case !o.creates:
	case l.ContentPerMinute > 0 && lastMinute >= l.ContentPerMinute:
		return s.secondary(time.Minute)
	case l.ContentPerHour > 0 && len(u.content) >= l.ContentPerHour:
		return s.secondary(u.content[0].Add(time.Hour).Sub(now))
	}
	for range points {
		u.points[path] = append(u.points[path], now)
	}
	if o.creates {
		u.content = append(u.content, now)
	}
	return nil
}

func after(times []time.Time, then time.Time) []time.Time {
	first := slices.IndexFunc(times, func(t time.Time) bool { return t.After(then) })
	if first < 0 {
		return nil
	}
	return times[first:]
}

func (s *Server) secondary(wait time.Duration) *FaultError {
	s.refused++
	seconds := int((wait + time.Second - 1) / time.Second)
	return &FaultError{
		Status: http.StatusForbidden, Message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
		Header: map[string]string{"Retry-After": strconv.Itoa(max(seconds, 1))},
	}
}

// tell writes what is left.
func (s *Server) tell(u *usage, h http.Header) {
	if s.Limits.PerHour <= 0 {
		return
	}
	h.Set("X-RateLimit-Limit", fmt.Sprint(s.Limits.PerHour))
	h.Set("X-RateLimit-Remaining", fmt.Sprint(max(s.Limits.PerHour-u.used, 0)))
	h.Set("X-RateLimit-Used", fmt.Sprint(u.used))
	h.Set("X-RateLimit-Reset", fmt.Sprint(u.resets.Unix()))
	h.Set("X-RateLimit-Resource", "core")
}

// refund takes a call back that was answered by 304.
func (s *Server) refund(who *caller, h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.usageOf(who.limited)
	u.used--
	s.tell(u, h)
}

func (s *Server) rateLimit(q *call) (any, error) {
	u := s.usageOf(q.who.limited)
	core := object{"limit": s.Limits.PerHour, "remaining": max(s.Limits.PerHour-u.used, 0), "reset": u.resets.Unix(), "used": u.used}
	return object{"resources": object{"core": core, "search": core}, "rate": core}, nil
}
